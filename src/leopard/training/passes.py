"""Which samples of a step share a forward pass, and which process runs it.

A pass never goes over its token and crop budgets, so memory is bounded by settings. Pure integers;
knows nothing of tensors.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from leopard.training.settings import BatchSettings

PADDING_MULTIPLE = 8
"""Padded rows are rounded up to a multiple of this, as the collate function does."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Pick:
    """One sample of a step."""

    source: int
    row: int
    num_messages: int
    """Messages that are kept, from the first."""
    tokens: int
    crops: int
    learned: int


Pass = tuple[Pick, ...]


def plan_passes(picks: Sequence[Pick], settings: BatchSettings, world: int = 1) -> list[list[Pass]]:
    """Share the samples of a step over passes, and the passes over processes.

    Args:
        picks: Samples that each fit one pass.
        settings: Budgets and layout.
        world: Number of processes.

    Returns:
        For each process its passes, equally many; a pass without samples only makes up the number.
    """
    grouped = _packed(picks, settings) if settings.layout == "packed" else _padded(picks, settings)
    passes = _split_until_even(grouped, world)
    passes.sort(key=lambda group: -sum(pick.tokens for pick in group))
    dealt: list[list[Pass]] = [[] for _ in range(world)]
    for start in range(0, len(passes), world):
        turn = passes[start : start + world]
        turn += [()] * (world - len(turn))
        # Back and forth, so that no process always gets the largest.
        ranks = range(world) if (start // world) % 2 == 0 else reversed(range(world))
        for rank, group in zip(ranks, turn, strict=True):
            dealt[rank].append(group)
    return dealt


def positions(group: Pass, layout: str) -> int:
    """Positions that a pass runs over, padding included."""
    if layout == "packed" or not group:
        return sum(pick.tokens for pick in group)
    longest = max(pick.tokens for pick in group)
    return len(group) * -(-longest // PADDING_MULTIPLE) * PADDING_MULTIPLE


def _packed(picks: Sequence[Pick], settings: BatchSettings) -> list[Pass]:
    """First fit, longest first."""
    groups: list[Pass] = []
    for pick in sorted(picks, key=lambda pick: -pick.tokens):
        fitting = (
            index
            for index, group in enumerate(groups)
            if sum(p.tokens for p in group) + pick.tokens <= settings.tokens_per_pass
            and sum(p.crops for p in group) + pick.crops <= settings.crops_per_pass
        )
        index = next(fitting, len(groups))
        groups[index : index + 1] = [(*(groups[index] if index < len(groups) else ()), pick)]
    return groups


def _padded(picks: Sequence[Pick], settings: BatchSettings) -> list[Pass]:
    """Neighbours in length side by side."""
    groups: list[Pass] = []
    for pick in sorted(picks, key=lambda pick: -pick.tokens):
        wider = (*groups[-1], pick) if groups else (pick,)
        fits = positions(wider, "padded") <= settings.tokens_per_pass
        if groups and fits and sum(p.crops for p in wider) <= settings.crops_per_pass:
            groups[-1] = wider
        else:
            groups.append((pick,))
    return groups


def _split_until_even(groups: list[Pass], world: int) -> list[Pass]:
    """Split the largest passes until all processes get equally many, or none can be split."""
    groups = list(groups)
    while len(groups) % world:
        many = [group for group in groups if len(group) > 1]
        if not many:
            break
        largest = max(many, key=lambda group: sum(pick.tokens for pick in group))
        groups.remove(largest)
        groups += [largest[0::2], largest[1::2]]
    return groups
