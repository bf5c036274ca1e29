"""TAT-QA: questions over one financial table and its paragraphs, rendered as pages."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from leopard.documents.tables import Table, cells_from_rows
from leopard.evaluation.answers import Answer, split_list
from leopard.evaluation.data import DataFolder, Record
from leopard.evaluation.metrics import tables
from leopard.evaluation.rendering import Block, rendered_pages
from leopard.evaluation.samples import EvalSample, ImageSource
from leopard.evaluation.scorers import anls_rrc, leopard_open
from leopard.evaluation.task import Outcome, Task

_SCALE = re.compile(r"\s*\b(thousand|million|billion|percent)s?\.?$", re.IGNORECASE)


def records(data: DataFolder) -> Iterator[Record]:
    """Every question with its context; a `samples.jsonl` beside them picks questions by id."""
    name = data.find("tatqa_dataset_dev.json", "*dev*.json", "contexts.json")
    chosen = {row["id"] for file in data.matching("samples.jsonl") for row in data.jsonl(file)}
    for context in data.json(name):
        drawn: list[Any] = []
        for question in context["questions"]:
            if not chosen or question["uid"] in chosen:
                yield {**question, "_context": context, "_drawn": drawn, "id": question["uid"]}


def _pages(context: Record, drawn: list[Any]) -> tuple[ImageSource, ...]:
    """Pages of a context, drawn once for all of its questions."""
    if not drawn:
        paragraphs = sorted(context["paragraphs"], key=lambda item: item["order"])
        table = Table(cells_from_rows(context["table"]["table"]))
        blocks: list[Block] = [*(str(item["text"]) for item in paragraphs), table]
        drawn.append(rendered_pages([blocks], str(context["table"]["uid"]))[0])
    pages: tuple[ImageSource, ...] = drawn[0]
    return pages


def sample(record: Record, data: DataFolder) -> EvalSample:  # noqa: ARG001 - rendered, not read
    """Paragraphs and table on one page, or more where they do not fit."""
    context, answer = record["_context"], record["answer"]
    answers = [str(item) for item in answer] if isinstance(answer, list) else [str(answer)]
    kind, scale = str(record["answer_type"]), str(record["scale"])
    if kind == "multi-span":
        answers = ["; ".join(answers)]
    return EvalSample(
        id=str(record["uid"]),
        doc_id=str(context["table"]["uid"]),
        question=str(record["question"]),
        images=_pages(context, record["_drawn"]),
        answers=tuple(f"{item} {scale}".strip() for item in answers),
        answer_type=kind,
        source=str(record.get("answer_from") or "all"),
        gold={"answer": answer, "answer_type": kind, "scale": scale},
    )


def _official(key: str, sample: EvalSample, answer: Answer) -> Outcome:
    text = answer.text
    found = _SCALE.search(text)
    scale = found[1].lower() if found else ""
    text = text[: found.start()] if found else text
    # A scale after a text belongs to the text.
    if found and not re.search(r"\d", text):
        text, scale = answer.text, ""
    parts = split_list(text) if sample.answer_type == "multi-span" else [text] if text else []
    scores = tables.tatqa_em_f1(sample.gold, parts, scale)
    return Outcome(float(scores[key]), unparsed=not answer.text)


TASK = Task(
    name="tatqa",
    title="TAT-QA (rendered)",
    records=records,
    sample=sample,
    scorers={
        "em": lambda s, a: _official("em", s, a),
        "f1": lambda s, a: _official("f1", s, a),
        "anls": anls_rrc,
        "leopard": leopard_open,
    },
    split="dev",
    where="Get it from github.com/NExTplusplus/TAT-QA (data CC BY 4.0).",
    expects="tatqa_dataset_dev.json",
)
