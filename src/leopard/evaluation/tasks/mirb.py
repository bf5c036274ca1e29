"""MIRB: reasoning over several images in eleven subsets. Knows nothing of other benchmarks."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from pathlib import PurePosixPath

from leopard.errors import EvaluationError
from leopard.evaluation.answers import Answer
from leopard.evaluation.data import DataFolder, Record
from leopard.evaluation.metrics import choices
from leopard.evaluation.samples import EvalSample
from leopard.evaluation.scorers import leopard_accuracy
from leopard.evaluation.task import Outcome, Scored, Task, by_source, mean

GROUPS = {
    "knowledge": ("food", "sightseeing"),
    "reasoning": ("codeu", "plot_code", "analogy", "3d_scene"),
    "perception": ("image_jigsaw", "count", "attribute"),
    "multi-hop": ("visual_chain", "arxiv"),
}
_STEM = re.compile(r"\s+A[.:]\s+")


def records(data: DataFolder) -> Iterator[Record]:
    """Questions of every subset file, subsets in name order."""
    known = {name for group in GROUPS.values() for name in group}
    files = [name for name in data.matching("*.json") if PurePosixPath(name).stem in known]
    if not files:
        raise EvaluationError(f"{data.path}: holds none of {', '.join(sorted(known))}.json")
    for name in files:
        subset = PurePosixPath(name).stem
        for index, row in enumerate(data.json(name)):
            yield {**row, "_source": subset, "_index": index}


def sample(record: Record, data: DataFolder) -> EvalSample:
    """Images in the order of the record; a letter as gold makes a multiple-choice question."""
    subset = record["_source"]
    images = tuple(data.image(str(path), f"{subset}/{path}") for path in record["images"])
    if not images:
        raise EvaluationError("images is empty")
    gold = str(record["answers"])
    options = _options(str(record["questions"])) if re.fullmatch("[A-N]", gold) else ()
    return EvalSample(
        id=f"{subset}-{record.get('id', record['_index'])}",
        doc_id=f"{subset}-{record.get('id', record['_index'])}",
        question=str(record["questions"]),
        images=images,
        answers=(gold,),
        question_type="multiple-choice" if options else "open-ended",
        options=options,
        source=subset,
    )


def _options(question: str) -> tuple[str, ...]:
    """Option texts "A. ... B. ..." after the stem; letters alone where none are listed."""
    rest = _STEM.split(question, maxsplit=1)
    if len(rest) < 2:
        return ("A", "B", "C", "D")
    return tuple(part.strip() for part in re.split(r"\s+[B-N][.:]\s+", rest[1]))


def _official(sample: EvalSample, answer: Answer) -> Outcome:
    value = choices.mirb(sample.source, answer.text, sample.answers[0])
    return Outcome(value, unparsed=not answer.text)


def _mean_of_groups(records: Sequence[Scored], scorer: str) -> float:
    """Mean over the groups that occur, of the means of their subsets."""
    subsets = {name: mean(rows, scorer) for name, rows in by_source(records).items()}
    means = []
    for names in GROUPS.values():
        present = [subsets[name] for name in names if name in subsets]
        means += [sum(present) / len(present)] if present else []
    return sum(means) / len(means) if means else 0.0


TASK = Task(
    name="mirb",
    title="MIRB",
    records=records,
    sample=sample,
    scorers={"official": _official, "leopard": leopard_accuracy},
    headline=_mean_of_groups,
    where="Get it from huggingface.co/datasets/VLLMs/MIRB (code without a licence file).",
    expects="<subset>.json of the eleven subsets and the image folders beside them",
)
