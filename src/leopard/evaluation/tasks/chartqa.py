"""ChartQA: human and machine-made questions over one chart. Knows nothing of other benchmarks."""

from __future__ import annotations

from collections.abc import Iterator

from leopard.evaluation.answers import Answer
from leopard.evaluation.data import DataFolder, Record
from leopard.evaluation.metrics import charts
from leopard.evaluation.samples import EvalSample
from leopard.evaluation.scorers import exact, leopard_open
from leopard.evaluation.task import Outcome, Task, mean_of_sources


def records(data: DataFolder) -> Iterator[Record]:
    """Records of both halves of the test split."""
    for half in ("human", "augmented"):
        for index, row in enumerate(data.json(data.find(f"test_{half}.json"))):
            yield {**row, "_source": half, "_index": index}


def sample(record: Record, data: DataFolder) -> EvalSample:
    """One chart."""
    name, half = str(record["imgname"]), record["_source"]
    return EvalSample(
        id=f"{half}-{record['_index']}",
        doc_id=name,
        question=f"<image> {record['query']}",
        images=(data.image(f"test/png/{name}", f"png/{name}", name),),
        answers=(str(record["label"]),),
        source=half,
        evidence=(0,),
    )


def _relaxed(sample: EvalSample, answer: Answer) -> Outcome:
    value = any(charts.chartqa_relaxed(gold, answer.text) for gold in sample.answers)
    return Outcome(float(value), unparsed=not answer.text)


TASK = Task(
    name="chartqa",
    title="ChartQA",
    records=records,
    sample=sample,
    scorers={"relaxed": _relaxed, "exact": exact, "leopard": leopard_open},
    headline=mean_of_sources,
    where="Get it from github.com/vis-nlp/ChartQA (GPL-3.0; charts belong to their sites).",
    expects="test/test_human.json, test/test_augmented.json and test/png/*.png",
)
