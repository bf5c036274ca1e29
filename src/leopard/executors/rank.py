"""One rank of a job array, as under SLURM: rank r of w does every w-th unit.

Ranks share nothing but the output folder. Knows nothing of what a unit is.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from itertools import islice
from typing import TypeVar

from leopard.errors import ConfigError

UnitT = TypeVar("UnitT")
ResultT = TypeVar("ResultT")


class RankExecutor:
    """Runs this rank's units in this process.

    Args:
        rank: Number of this rank, from 0.
        world: Number of ranks.

    Raises:
        ConfigError: If the rank is not below the number of ranks.
    """

    def __init__(self, rank: int, world: int) -> None:
        if not 0 <= rank < world:
            raise ConfigError(f"rank {rank} of {world}: ranks count from 0 to {world - 1}")
        self.rank, self.world = rank, world

    def map(
        self, work: Callable[[UnitT], ResultT], units: Iterable[UnitT]
    ) -> Iterator[tuple[UnitT, ResultT]]:
        """This rank's units with their results, in order. A failing unit raises."""
        for unit in islice(units, self.rank, None, self.world):
            yield unit, work(unit)
