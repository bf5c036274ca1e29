"""A batch that requests join and leave while it runs: continuous batching for one thread.

Each request is looked at and read alone, in pieces between the tokens of the others; then its row
is joined to rows that are being decoded. Knows nothing of threads, queues or HTTP.
"""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from leopard.inference.decoding_state import DecodingState, join_states, keep_rows
from leopard.schema.generation import GenerationRequest, Progress

if TYPE_CHECKING:
    from leopard.inference.engine import LocalGenerator
    from leopard.inference.row import Row


@dataclass(slots=True)
class _Newcomer:
    """A request whose prompt has not been read yet."""

    request: GenerationRequest
    work: Generator[None, None, Row]
    has_begun: bool = False

    def shares_images(self, other: _Newcomer) -> bool:
        """Whether both show the same picture objects."""
        mine = {id(image) for image in self.request.images}
        return any(id(image) in mine for image in other.request.images)


@dataclass(slots=True)
class _Group:
    """Rows that are decoded in one pass."""

    rows: dict[str, Row]
    state: DecodingState

    def positions_with(self, other: _Group) -> int:
        """Positions of all rows after joining, padding included."""
        columns = max(self.state.num_columns, other.state.num_columns)
        return (len(self.rows) + len(other.rows)) * columns

    def remove(self, key: str) -> None:
        """Take one row out."""
        kept = [number for number, name in enumerate(self.rows) if name != key]
        del self.rows[key]
        if kept:
            self.state = keep_rows(self.state, kept)


class LocalBatch:
    """The running batch of a `LocalGenerator`; see `leopard.schema.generation.RunningBatch`.

    Args:
        generator: Answers; not to be used otherwise while this batch runs.
    """

    def __init__(self, generator: LocalGenerator) -> None:
        self._generator = generator
        self._newcomers: dict[str, _Newcomer] = {}
        self._groups: list[_Group] = []

    @property
    def capacity(self) -> int:
        """Most requests at a time."""
        return self._generator.options.max_batch_size

    def __len__(self) -> int:
        return len(self._newcomers) + sum(len(group.rows) for group in self._groups)

    def join(self, key: str, request: GenerationRequest) -> None:
        """Add a request; its errors come with `step`."""
        assert key not in self._keys(), f"{key} is in the batch"
        assert len(self) < self.capacity, "the batch is full"
        self._newcomers[key] = _Newcomer(request, self._generator.starting(request))

    def leave(self, key: str) -> None:
        """Give a request up; unknown names are ignored."""
        if (newcomer := self._newcomers.pop(key, None)) is not None:
            newcomer.work.close()
        for group in self._groups:
            if key in group.rows:
                group.remove(key)
        self._drop_empty()

    def step(self) -> list[Progress]:
        """One chunk of crops or one prompt of a newcomer, and one token of each other request."""
        found: list[Progress] = []
        for group in self._groups:
            found += self._advance(group)
        found += self._receive()
        self._drop_empty()
        return found

    def _keys(self) -> set[str]:
        return {*self._newcomers, *(key for group in self._groups for key in group.rows)}

    def _drop_empty(self) -> None:
        self._groups = [group for group in self._groups if group.rows]

    # --- Newcomers ---------------------------------------------------------------------------

    def _receive(self) -> list[Progress]:
        key = self._next_newcomer()
        if key is None:
            return []
        # At the end of the line, so that a long document does not hold up a short question.
        newcomer = self._newcomers[key] = self._newcomers.pop(key)
        newcomer.has_begun = True
        try:
            next(newcomer.work)
        except StopIteration as done:
            del self._newcomers[key]
            return self._read_prompt(key, done.value)
        except Exception as error:  # noqa: BLE001 - one request's failure is not its neighbours'
            del self._newcomers[key]
            return [Progress(key=key, error=error)]
        return []

    def _next_newcomer(self) -> str | None:
        """The one that waited longest; pictures being encoded for another are waited for."""
        begun = [one for one in self._newcomers.values() if one.has_begun]
        for key, one in self._newcomers.items():
            if one.has_begun or not any(one.shares_images(other) for other in begun):
                return key
        return None

    def _read_prompt(self, key: str, row: Row) -> list[Progress]:
        try:
            state = self._generator.begin([row])
        except Exception as error:  # noqa: BLE001 - as above
            return [Progress(key=key, error=error)]
        if not row.is_finished:
            self._place(_Group({key: row}, state))
        return _progress({key: row})

    def _place(self, group: _Group) -> None:
        """Join a group that has room, or go on alone."""
        room = self._generator.options.max_batch_tokens
        for other in self._groups:
            joinable = other.state.is_joinable and group.state.is_joinable
            if other.rows and joinable and other.positions_with(group) <= room:
                other.state = join_states(other.state, group.state)
                other.rows |= group.rows
                return
        self._groups.append(group)

    # --- Decoding ----------------------------------------------------------------------------

    def _advance(self, group: _Group) -> list[Progress]:
        try:
            self._generator.advance(list(group.rows.values()), group.state)
        except Exception as error:  # noqa: BLE001 - other groups go on
            failed = [Progress(key=key, error=error) for key in group.rows]
            group.rows.clear()
            return failed
        found = _progress(group.rows)
        for key in [key for key, row in group.rows.items() if row.is_finished]:
            group.remove(key)
        return found


def _progress(rows: dict[str, Row]) -> list[Progress]:
    """What the last step brought; rows without news are left out."""
    found = []
    for key, row in rows.items():
        if row.error is not None:
            found.append(Progress(key=key, text=row.fresh, error=row.error))
        elif row.is_finished:
            found.append(Progress(key=key, text=row.fresh, generation=row.generation()))
        elif row.fresh:
            found.append(Progress(key=key, text=row.fresh))
    return found
