"""A responder whose answers depend on the request alone, and small ways to run it."""

import json

from leopard.evaluation.fake import ScriptedGenerator, question_text
from leopard.evaluation.generators.base import ModelResponder
from leopard.evaluation.records import read_records
from leopard.evaluation.runner import RunSettings, Subject, run
from leopard.evaluation.samples import sha256
from leopard.evaluation.tasks import get_task
from tests.evaluation.fixtures.builders import picture, put

WORDS = ("May 1", "Ann", "Answer: tea", "", "page 2", "no idea")


def by_content(request):
    pixels = b"".join(image.tobytes() for image in request.images)
    return WORDS[int(sha256(question_text(request).encode() + pixels)[:8], 16) % len(WORDS)]


def many_pages(root, documents=5, questions=4):
    """An MP-DocVQA copy of some size."""
    rows = []
    for doc in range(documents):
        for page in range(3):
            put(root / f"images/d{doc}_p{page}.jpg", picture(f"{doc}.{page}", fmt="JPEG"))
        for number in range(questions):
            rows.append(
                {
                    "questionId": doc * questions + number,
                    "question": f"Question {number} of {doc}?",
                    "doc_id": f"d{doc}",
                    "answers": [WORDS[(doc + number) % 3].removeprefix("Answer: ")],
                    "page_ids": [f"d{doc}_p{page}" for page in range(3)],
                    "answer_page_idx": number % 3,
                }
            )
    put(root / "val.json", {"data": rows})
    return root


def subject(script=by_content, **kwargs):
    return Subject(responder=ModelResponder(ScriptedGenerator(script), "weights-1"), **kwargs)


def evaluate(data, folder, *, script=by_content, name="mpdocvqa", settings=None, **kwargs):
    run(get_task(name), data, subject(script, **kwargs), folder, settings or RunSettings())
    return read_records(folder)


VOLATILE = ("timings", "seconds")


def stable(records):
    """Records without what may differ between equal runs."""
    kept = [{k: v for k, v in record.items() if k not in VOLATILE} for record in records]
    return json.dumps(kept, sort_keys=True)
