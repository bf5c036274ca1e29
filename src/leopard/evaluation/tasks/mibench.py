"""MIBench: thirteen multi-image tasks; choices are asked in every rotation of their options."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import PurePosixPath
from typing import Any

from leopard.errors import EvaluationError
from leopard.evaluation.data import DataFolder, Record
from leopard.evaluation.samples import LETTERS, EvalSample
from leopard.evaluation.scorers import by_type, choice, exact, leopard_accuracy, options_text
from leopard.evaluation.task import Scored, Task, by_source, value_of
from leopard.processor.prompt import IMAGE_TAG


def _options(record: Record) -> list[str]:
    options = record.get("options") or record.get("choices") or []
    return [str(option) for option in (options.values() if isinstance(options, dict) else options)]


def _gold_index(answer: Any, options: Sequence[str]) -> int:
    text = str(answer).strip()
    if text in options:
        return list(options).index(text)
    letter = text.strip("().").upper()
    if len(letter) == 1 and letter in LETTERS[: len(options)]:
        return LETTERS.index(letter)
    raise EvaluationError(f"answer {answer!r} is none of the options {list(options)}")


def _shots(context: Any) -> str:
    """Demonstrations that stand before the question, one to a line.

    Raises:
        EvaluationError: If they are neither a text nor a list of texts; a question without its
            demonstrations is another question.
    """
    parts = [context] if isinstance(context, str) else context or []
    if not isinstance(parts, list) or not all(isinstance(part, str) for part in parts):
        raise EvaluationError("context is neither a text nor a list of texts")
    return "".join(f"{part.rstrip()}\n" for part in parts if part.strip())


def records(data: DataFolder) -> Iterator[Record]:
    """Rows of every JSON file; each multiple-choice row once for every rotation of its options."""
    data.find("*.json")
    for name in data.matching("*.json"):
        for index, row in enumerate(data.json(name)):
            task = str(row.get("task") or PurePosixPath(name).stem)
            base = {**row, "_source": task, "_group": f"{task}-{row.get('id', index)}"}
            for shift in range(max(1, len(_options(row)))):
                yield {**base, "_shift": shift}


def sample(record: Record, data: DataFolder) -> EvalSample:
    """Images in the order of the record; options rotated by `_shift`."""
    paths = record.get("images") or record.get("image")
    paths = [paths] if isinstance(paths, str) else list(paths or ())
    if not paths:
        raise EvaluationError("the record names no image")
    options, shift = _options(record), record["_shift"]
    question = _shots(record.get("context")) + str(record["question"])
    answers = (str(record["answer"]),)
    # Demonstrations bring their own pictures: every tag must have one, and every picture a tag.
    if IMAGE_TAG in question and question.count(IMAGE_TAG) != len(paths):
        raise EvaluationError(f"{question.count(IMAGE_TAG)} image tags but {len(paths)} images")
    if options:
        gold = _gold_index(record["answer"], options)
        options = options[shift:] + options[:shift]
        answers = (LETTERS[(gold - shift) % len(options)],)
        question += options_text(options)
    return EvalSample(
        id=f"{record['_group']}-r{shift}" if options else record["_group"],
        doc_id=record["_group"],
        question=question,
        images=tuple(data.image(str(path)) for path in paths),
        answers=answers,
        question_type="multiple-choice" if options else "open-ended",
        options=tuple(options),
        source=record["_source"],
    )


def _right_in_every_rotation(records: Sequence[Scored], scorer: str) -> float:
    """Mean over tasks of the share of questions whose least rotation is right."""
    means = []
    for rows in by_source(records).values():
        groups: dict[str, float] = {}
        for row in rows:
            group = str(row["doc_id"])
            groups[group] = min(groups.get(group, 1.0), value_of(row, scorer))
        means.append(sum(groups.values()) / len(groups))
    return sum(means) / len(means)


TASK = Task(
    name="mibench",
    title="MIBench",
    records=records,
    sample=sample,
    scorers={"circular": by_type(choice(), exact), "leopard": leopard_accuracy},
    headline=_right_in_every_rotation,
    where=(
        "Get it from huggingface.co/datasets/StarBottle/MIBench (CC BY 4.0). No scorer is "
        "published; a choice counts when it is right in every rotation of its options."
    ),
    expects="JSON files of records with image, question, options, answer and context, and image/*",
)
