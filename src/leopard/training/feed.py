"""Steps in order: what each learns from, planned from sizes alone, and its inputs from workers.

Every process plans every step alike, from seeds and sizes alone; so no process has to tell another
what it does, and a run goes on from a few integers. Knows nothing of models.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from torch.utils.data import DataLoader, Dataset, Sampler

from leopard.errors import DataError, LeopardError, TrainingError
from leopard.training.encoding import (
    TOO_LONG,
    TOO_MANY_CROPS,
    Measure,
    PassInputs,
    Refusal,
    SampleEncoder,
    check_prompt,
)
from leopard.training.order import Mix, MixState, Shuffle, mix_shares
from leopard.training.passes import Pass, Pick, plan_passes
from leopard.training.settings import TrainSettings
from leopard.training.sources import Source, reason_of

SHORTENED = "shortened by whole turns"
BAD_IMAGE = "image cannot be read"


@dataclass(frozen=True, kw_only=True, slots=True)
class FeedState:
    """How far the data has been used: what a checkpoint keeps."""

    drawn: tuple[int, ...] = ()
    """Samples drawn from each source."""
    counts: dict[str, int] = field(default_factory=dict)
    """Reason -> samples left out or shortened so far."""


@dataclass(frozen=True, kw_only=True, slots=True)
class StepPlan:
    """What one step learns from."""

    step: int
    """Number of the step, counted from 0."""
    passes: list[list[Pass]]
    """For each process, its passes."""
    after: FeedState
    """Where the data stands after this step."""

    @property
    def picks(self) -> list[Pick]:
        """All samples of the step."""
        return [pick for rank in self.passes for group in rank for pick in group]

    @property
    def learned(self) -> int:
        """Positions of the whole step whose token is learnt."""
        return sum(pick.learned for pick in self.picks)


class StepPlanner:
    """Plans steps one after the other.

    Args:
        sources: Parts of the mix, in the order of the settings.
        encoder: Measures samples.
        settings: The run.
        world: Number of processes.
        state: Where to go on.
    """

    def __init__(
        self,
        sources: Sequence[Source],
        encoder: SampleEncoder,
        settings: TrainSettings,
        *,
        world: int = 1,
        state: FeedState | None = None,
    ) -> None:
        self.sources = sources
        self.encoder = encoder
        self.settings = settings
        self.world = world
        self.sizes = [sum(len(group) for group in source.groups) for source in sources]
        self._check()
        state = state or FeedState()
        data = settings.data
        self._counts = Counter(state.counts)
        self._mix = Mix(
            groups=[source.groups for source in sources],
            shares=mix_shares(self.sizes, [source.weight for source in data.sources]),
            shuffle=Shuffle(seed=settings.seed, window=data.shuffle_window, enabled=data.shuffle),
            state=MixState(list(state.drawn)),
        )

    def _check(self) -> None:
        for source, size in zip(self.settings.data.sources, self.sizes, strict=True):
            if size == 0:
                split = f" of split {source.split}" if source.split else ""
                raise DataError(f"{source.path}: no sample{split}; take it out of data.sources")

    @property
    def num_samples(self) -> int:
        """Samples of all sources."""
        return sum(self.sizes)

    @property
    def total_steps(self) -> int:
        """Steps of the run; an epoch draws as many samples as all sources hold."""
        if self.settings.steps is not None:
            return self.settings.steps
        assert self.settings.epochs is not None
        return max(1, round(self.settings.epochs * self.num_samples / self.settings.batch.samples))

    def plan(self, step: int) -> StepPlan:
        """The next step.

        Raises:
            TrainingError: If a sample is refused under the policy `error`, or none fits.
        """
        picks: list[Pick] = []
        in_a_row = 0
        while len(picks) < self.settings.batch.samples:
            pick = self._pick(*self._mix.draw())
            in_a_row = 0 if pick else in_a_row + 1
            if in_a_row > self.num_samples:
                reasons = ", ".join(f"{n} {reason}" for reason, n in self._counts.items())
                raise TrainingError(
                    f"none of the {self.num_samples} samples can be learnt from ({reasons}); raise "
                    "data.max_length, lower model.max_crops, or look at the data"
                )
            picks += [pick] if pick else []
        return StepPlan(
            step=step,
            passes=plan_passes(picks, self.settings.batch, self.world),
            after=FeedState(
                drawn=tuple(self._mix.state.drawn), counts=dict(sorted(self._counts.items()))
            ),
        )

    def _pick(self, source: int, row: int) -> Pick | None:
        try:
            record = self.sources[source].record(row)
            check_prompt(record)
            measure = self.encoder.measure(record)
        except LeopardError as error:
            self._refuse(Refusal(reason=reason_of(error), detail=str(error)))
            return None
        if isinstance(measure, Refusal):
            self._refuse(measure)
            return None
        if measure.num_messages < len(record.messages):
            self._counts[SHORTENED] += 1
        return _pick(source, row, measure)

    def _refuse(self, refusal: Refusal) -> None:
        self._counts[refusal.reason] += 1
        overlong = refusal.reason in (TOO_LONG, TOO_MANY_CROPS)
        data = self.settings.data
        if (data.overlong if overlong else data.bad_samples) == "error":
            name = "data.overlong" if overlong else "data.bad_samples"
            raise TrainingError(f"{refusal.detail}; mend it, or set {name}=skip to leave it out")


def _pick(source: int, row: int, measure: Measure) -> Pick:
    return Pick(
        source=source,
        row=row,
        num_messages=measure.num_messages,
        tokens=measure.tokens,
        crops=measure.crops,
        learned=measure.learned,
    )


class _Passes(Dataset[PassInputs]):
    """Makes the inputs of a pass; a copy of this works in each worker."""

    def __init__(self, sources: Sequence[Source], encoder: SampleEncoder) -> None:
        self.sources = sources
        self.encoder = encoder

    def __getitem__(self, group: Any) -> PassInputs:
        examples, failures = [], []
        for pick in group:
            source = self.sources[pick.source]
            try:
                record = source.record(pick.row)
                messages = record.messages[: pick.num_messages]
                shown = sum(message.num_images for message in messages)
                example = self.encoder.encode(messages, source.images(pick.row)[:shown])
            except LeopardError as error:
                # Errors do not cross processes whole; the trainer raises it again.
                failures.append((f"{pick.source}:{pick.row}", str(error)))
                continue
            assert len(example["input_ids"]) == pick.tokens, "plan and example differ"
            examples.append(example)
        inputs = self.encoder.collate(examples)
        inputs.failures = failures
        return inputs


class _Order(Sampler[Pass]):
    """Passes of one process, in order; remembers the plans they belong to."""

    def __init__(self, planner: StepPlanner, rank: int, steps: range) -> None:
        self.planner = planner
        self.rank = rank
        self.steps = steps
        self.plans: deque[StepPlan] = deque()

    def __iter__(self) -> Iterator[Pass]:
        for step in self.steps:
            plan = self.planner.plan(step)
            self.plans.append(plan)
            yield from plan.passes[self.rank]


class Feed:
    """Plans with their inputs, made ahead by worker processes.

    Args:
        planner: Plans the steps.
        settings: Workers and how far they run ahead.
        steps: Numbers of the steps to come.
        rank: Which process this is.
    """

    def __init__(
        self, planner: StepPlanner, settings: TrainSettings, steps: range, *, rank: int = 0
    ) -> None:
        self._order = _Order(planner, rank, steps)
        self._rank = rank
        workers = settings.data.num_workers
        ahead: dict[str, Any] = {}
        if workers:
            # Forked children could inherit locks that other threads hold.
            ahead = {"prefetch_factor": settings.data.prefetch, "multiprocessing_context": "spawn"}
        self._loader = DataLoader(
            _Passes(planner.sources, planner.encoder),
            batch_size=None,
            sampler=self._order,
            num_workers=workers,
            **ahead,
        )

    def __iter__(self) -> Iterator[tuple[StepPlan, Iterator[PassInputs]]]:
        inputs = iter(self._loader)
        for _ in self._order.steps:
            first = next(inputs)
            plan = self._order.plans.popleft()
            count = len(plan.passes[self._rank])
            yield plan, _first_then(first, inputs, count)


def _first_then(first: PassInputs, rest: Iterator[PassInputs], count: int) -> Iterator[PassInputs]:
    yield first
    for _ in range(count - 1):
        yield next(rest)
