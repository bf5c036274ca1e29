"""OmniACT: screens of desktop and web programs with tasks and scripts that do them.

Layout (huggingface.co/datasets/Writer/omniact): `train.json`, a mapping of number to
`{task, image}`; the task file holds `Task: ...` and, after `Output Script:`, lines of PyAutoGUI.
The script is text here: it is never run.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from leopard.curation.converters.drafts import Draft
from leopard.curation.converters.fields import plain_qa, text
from leopard.curation.converters.local_copy import Record
from leopard.curation.converters.source import Converter, Reading
from leopard.curation.imports import BadRecordError

_TASK = re.compile(r"Task:\s*(?P<task>.+?)\s*Output Script:\s*(?P<script>.+)", re.S | re.I)


def records(reading: Reading) -> Iterator[Record]:
    """Tasks of the split."""
    for number, item in reading.copy.json(reading.copy.find(f"{reading.splits()}.json")).items():
        yield {**item, "_id": number}


def drafts(record: Record, reading: Reading) -> Iterator[Draft]:
    """One task on one screen."""
    image, task = text(record, "image"), text(record, "task")
    found = _TASK.search(reading.copy.text(reading.copy.locate(task)))
    if found is None:
        raise BadRecordError("a task file has no task and script")
    script = "\n".join(line.strip() for line in found["script"].splitlines() if line.strip())
    question = f"Task: {' '.join(found['task'].split())}\nWrite the PyAutoGUI script that does it."
    yield Draft(
        id=f"{reading.split}-{record['_id']}",
        doc_id=image.rsplit(".", 1)[0],
        pictures=(reading.copy.picture(image),),
        qa=(plain_qa(question, [script], family="script"),),
        split=reading.split,
    )


CONVERTER = Converter(
    name="omniact",
    title="OmniACT",
    domain="web",
    records=records,
    drafts=drafts,
    licence="MIT",
    citation="Kapoor et al., OmniACT: A Dataset and Benchmark for Enabling Multimodal Generalist "
    "Autonomous Agents for Desktop and Web, ECCV 2024",
    where="huggingface.co/datasets/Writer/omniact.",
    expects="train.json, data/tasks/**/task_*.txt and data/data/**/screen_*.png",
    paper_samples=1_000,
)
