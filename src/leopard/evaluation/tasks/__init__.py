"""Tasks by name: the benchmarks of the paper, those of today, and our own held-out sets.

Each lies in a file of its own and is read from the user's local copy, in the format in which the
benchmark is distributed.
"""

from __future__ import annotations

from importlib import import_module

from leopard.errors import EvaluationError
from leopard.evaluation.task import Task

PAPER_TASKS = (
    "mpdocvqa",
    "dude",
    "slidevqa",
    "multichartqa",
    "multihiertt",
    "textvqa",
    "docvqa",
    "visualwebbench",
    "mirb",
    "mibench",
    "mmmu",
    "mathvista",
    "scienceqa",
)
"""The benchmarks of the paper and of its evaluation scripts."""

TASK_NAMES = (
    *PAPER_TASKS,
    "mmlongbench",
    "longdocurl",
    "chartqa",
    "infographicvqa",
    "tatqa",
    "wikitablequestions",
    "receipts",
    "synthetic",
)
"""All tasks."""


def get_task(name: str) -> Task:
    """The task with a name.

    Raises:
        EvaluationError: If there is none; the message lists those there are.
    """
    if name not in TASK_NAMES:
        raise EvaluationError(f"task {name!r} is unknown; use one of {', '.join(TASK_NAMES)}")
    task = import_module(f"leopard.evaluation.tasks.{name}").TASK
    assert isinstance(task, Task)
    return task
