"""WikiTableQuestions: questions over tables of Wikipedia, rendered as pages."""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import lru_cache

from leopard.documents.html_tables import cells_from_html
from leopard.documents.tables import Table, cells_from_rows
from leopard.evaluation.answers import Answer, split_list
from leopard.evaluation.data import DataFolder, Record
from leopard.evaluation.metrics import tables
from leopard.evaluation.rendering import rendered_pages
from leopard.evaluation.samples import EvalSample, ImageSource
from leopard.evaluation.scorers import anls_rrc, leopard_open
from leopard.evaluation.task import Outcome, Task

_SPLITS = ("data/pristine-unseen-tables.tsv", "pristine-unseen-tables.tsv", "data/*.tsv")


def _unescape(text: str) -> str:
    return text.replace("\\n", "\n").replace("\\p", "|").replace("\\\\", "\\")


def _listed(text: str) -> list[str]:
    return [_unescape(part) for part in text.split("|")]


def records(data: DataFolder) -> Iterator[Record]:
    """Rows of the split file with their canonical values, or of a `samples.jsonl`."""
    if data.matching("samples.jsonl"):
        for row in data.jsonl(data.find("samples.jsonl")):
            yield {**row, "table": row["table_csv"], "canon": row.get("answers_canon")}
        return
    canon = {
        row["id"]: _listed(row["targetCanon"])
        for name in data.matching("*.tagged")
        for row in data.tsv(name)
    }
    for row in data.tsv(data.find(*_SPLITS)):
        yield {
            "id": row["id"],
            "question": _unescape(row["utterance"]),
            "table": row["context"],
            "answers": _listed(row["targetValue"]),
            "canon": canon.get(row["id"]),
        }


def _csv_rows(text: str) -> list[list[str]]:
    """Rows of the data set's CSV: every field quoted, quotes and backslashes escaped."""
    rows: list[list[str]] = [[]]
    position = 0
    for found in re.finditer(r'"((?:[^"\\]|\\.)*)"(,|\r?\n|$)', text, re.DOTALL):
        if found.start() != position:
            break
        position = found.end()
        rows[-1].append(re.sub(r"\\(.)", r"\1", found[1]).replace("\n", " "))
        if found[2] != ",":
            rows.append([])
    return [row for row in rows if row]


@lru_cache(maxsize=64)
def _pages(data: DataFolder, table: str, title: str) -> tuple[ImageSource, ...]:
    """The HTML table with its spans where it is at hand, else the flat CSV."""
    html = re.sub(r"\.csv$", ".html", table)
    if data.matching(html):
        cells = cells_from_html(data.text(data.find(html)))
    else:
        cells = cells_from_rows(_csv_rows(data.text(data.locate(table))))
    return rendered_pages([[Table(cells, title)]], table)[0]


def sample(record: Record, data: DataFolder) -> EvalSample:
    """The table under its page title; the answer is a set of values."""
    table = str(record["table"])
    answers = [str(value) for value in record["answers"]]
    return EvalSample(
        id=str(record["id"]),
        doc_id=table,
        question=str(record["question"]),
        images=_pages(data, table, str(record.get("page_title") or "")),
        answers=("; ".join(answers),),
        answer_type="list" if len(answers) > 1 else "single",
        gold={"target": answers, "canon": record.get("canon")},
    )


def _official(sample: EvalSample, answer: Answer) -> Outcome:
    target = sample.gold["target"]
    pred = split_list(answer.text) if len(target) > 1 else [answer.text]
    right = bool(answer.text) and tables.wtq_denotation(target, sample.gold["canon"], pred)
    return Outcome(float(right), unparsed=not answer.text)


TASK = Task(
    name="wikitablequestions",
    title="WikiTableQuestions (rendered)",
    records=records,
    sample=sample,
    scorers={"denotation": _official, "anls": anls_rrc, "leopard": leopard_open},
    where="Get it from github.com/ppasupat/WikiTableQuestions (CC BY-SA 4.0).",
    expects="data/pristine-unseen-tables.tsv, tagged/data/*.tagged and csv/*/*.csv (or .html)",
)
