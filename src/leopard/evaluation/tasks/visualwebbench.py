"""VisualWebBench: seven tasks on screenshots of web pages. Knows nothing of other benchmarks."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import PurePosixPath
from typing import Any

from leopard.errors import EvaluationError
from leopard.evaluation.answers import Answer
from leopard.evaluation.data import DataFolder, Record, embedded_image
from leopard.evaluation.metrics import webbench
from leopard.evaluation.samples import LETTERS, EvalSample, QuestionType
from leopard.evaluation.scorers import leopard_caption, leopard_choice, options_text
from leopard.evaluation.task import Outcome, Task, mean_of_sources

_ONE_LETTER = (
    "\nYou should directly tell me your choice in a single uppercase letter, and do not output "
    "any explanation or any other contents."
)
_LABELLED = (
    "In this website screenshot, I have labeled IDs for some HTML elements as candidates. "
    "Tell me which one "
)
_PROMPTS = {
    "action_ground": (
        _LABELLED + "I should click to complete the following task: {instruction}" + _ONE_LETTER
    ),
    "element_ground": _LABELLED + "best matches the description: {elem_desc}" + _ONE_LETTER,
    "action_prediction": (
        "You are given a screenshot of a webpage with a red rectangle bounding box. Please select "
        "the best webpage description that matches the new webpage after clicking the selected "
        "element in the bounding box.\nChoices:\n{options}" + _ONE_LETTER
    ),
    "element_ocr": (
        "You are given a screenshot of a webpage with a red rectangle bounding box.\nPlease "
        "perform OCR in the bounding box and recognize the text content within the red bounding "
        "box."
    ),
    "heading_ocr": (
        "You are given a screenshot of a webpage. Please generate the main text within the "
        "screenshot, which can be regarded as the heading of the webpage.\n\nYou should directly "
        "tell me the main content, and do not output any explanation or any other contents."
    ),
    "web_caption": (
        "You are given a screenshot of a webpage. Please generate the meta web description "
        "information of this webpage, i.e., content attribute in <meta name='description' "
        'content=""> HTML element.\n\n'
    ),
    "webqa": (
        "{question}\nYou should directly tell me your answer in the fewest words possible, and do "
        "not output any explanation or any other contents."
    ),
}
"""Questions as the benchmark words them."""
_GROUND_CHOICES = 8


def records(data: DataFolder) -> Iterator[Record]:
    """Rows of all seven subsets; the folder names the task where the row does not."""
    for row in data.parquet("*.parquet"):
        yield {**row, "_source": row.get("task_type") or PurePosixPath(row["_file"]).parent.name}


def _as_list(value: Any) -> list[Any]:
    if value is None:
        return []
    return list(value) if isinstance(value, (list, tuple)) else [value]


def sample(record: Record, data: DataFolder) -> EvalSample:  # noqa: ARG001 - images are inside
    """One screenshot; grounding tasks answer with one of the letters A to H drawn in it."""
    task = record["_source"]
    if task not in _PROMPTS:
        raise EvaluationError(f"task {task!r} is none of {', '.join(_PROMPTS)}")
    is_choice = task in ("action_ground", "element_ground", "action_prediction")
    listed = [str(option) for option in _as_list(record.get("options"))]
    options = listed if task == "action_prediction" else list(LETTERS[:_GROUND_CHOICES])
    answers = _as_list(record["answer"])
    if is_choice:
        answers = [LETTERS[int(answers[0])]]
    question = _PROMPTS[task].format(
        instruction=record.get("instruction") or "",
        elem_desc=record.get("elem_desc") or "",
        question=record.get("question") or "",
        options=options_text(options),
    )
    free: QuestionType = "open-ended" if task == "webqa" else "captioning"
    return EvalSample(
        id=f"{task}-{record['id']}",
        doc_id=str(record.get("website") or record["id"]),
        question=f"<image> {question}",
        images=(embedded_image(record["image"], str(record["id"])),),
        answers=tuple(str(answer) for answer in answers),
        question_type="multiple-choice" if is_choice else free,
        options=tuple(options) if is_choice else (),
        source=task,
        evidence=(0,),
    )


def _official(sample: EvalSample, answer: Answer) -> Outcome:
    if sample.question_type == "multiple-choice":
        letter = webbench.vwb_parse_choice(answer.text)
        return Outcome(float(letter in sample.answers), unparsed=letter not in sample.choices)
    if sample.source == "webqa":
        value = webbench.vwb_webqa([answer.text], [list(sample.answers)])["f1"]
    elif sample.source == "element_ocr":
        value = webbench.vwb_element_ocr([answer.text], sample.answers[:1])["rouge_l"]
    else:
        value = webbench.vwb_caption([answer.text], sample.answers[:1])["rouge_l"]
    return Outcome(value / 100, unparsed=not answer.text)


def _leopard(sample: EvalSample, answer: Answer) -> Outcome:
    if sample.question_type == "multiple-choice":
        return leopard_choice(sample, answer)
    if sample.question_type == "captioning":
        return leopard_caption(sample, answer)
    return Outcome(webbench.leopard_webqa(sample.answers, answer.raw), unparsed=not answer.text)


TASK = Task(
    name="visualwebbench",
    title="VisualWebBench",
    records=records,
    sample=sample,
    scorers={"official": _official, "leopard": _leopard},
    headline=mean_of_sources,
    where=(
        "Get it from huggingface.co/datasets/visualwebbench/VisualWebBench; pages belong to "
        "their sites, for research."
    ),
    expects="<task>/*.parquet of the seven tasks",
)
