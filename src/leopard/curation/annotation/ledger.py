"""Answers that were paid for, and the money: one SQLite file, safe against SIGKILL.

An answer is stored under the hash of its request before anybody uses it. Money is reserved, at
the worst case, before a request is sent, and settled after; spent and reserved together never
exceed the cap, over all processes that share the file. A reservation whose process died counts as
spent. Knows nothing of servers.
"""

from __future__ import annotations

import json
import os
import socket
import sqlite3
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from leopard.curation.annotation.requests import NANO_PER_USD
from leopard.errors import ConfigError, DataError, GenerationError
from leopard.schema.files import is_running

_SCHEMA = """
CREATE TABLE IF NOT EXISTS answers (key TEXT PRIMARY KEY, answer TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS spendings (
    id INTEGER PRIMARY KEY, what TEXT NOT NULL, nano_usd INTEGER NOT NULL
);
CREATE TABLE IF NOT EXISTS reservations (
    id INTEGER PRIMARY KEY, nano_usd INTEGER NOT NULL, host TEXT NOT NULL, process INTEGER NOT NULL
);
CREATE TABLE IF NOT EXISTS totals (
    one INTEGER PRIMARY KEY CHECK (one = 1), spent INTEGER NOT NULL, reserved INTEGER NOT NULL
);
INSERT OR IGNORE INTO totals VALUES (1, 0, 0);
"""
LOCK_TIMEOUT_S = 60.0
OPEN_AGAIN_S = 0.02


class CapReachedError(GenerationError):
    """No further request fits under the cap."""


@dataclass(frozen=True, kw_only=True, slots=True)
class PaidAnswer:
    """What a model said, and what it cost."""

    text: str
    finish_reason: str
    """`stop`, or why there is no whole answer: `length`, `refusal`, `content_filter`, ..."""
    model: str
    """Name that the server gave itself."""
    host: str
    input_tokens: int
    output_tokens: int
    nano_usd: int
    """Cost in billionths of a US dollar."""


@dataclass(frozen=True, slots=True)
class Money:
    """Where the money stands, in billionths of a US dollar."""

    spent: int
    reserved: int

    @property
    def spent_usd(self) -> float:
        """Spent so far, in US dollars."""
        return self.spent / NANO_PER_USD


class Ledger:
    """The file of answers and money.

    Args:
        path: The SQLite file; made if it is not there.
        cap_usd: Most money that may ever be spent by way of this file, in US dollars.

    Raises:
        ConfigError: If the file is no such ledger.
    """

    def __init__(self, path: Path, cap_usd: float) -> None:
        self.path = path
        self.cap = int(cap_usd * NANO_PER_USD)
        self._host, self._process = socket.gethostname(), os.getpid()
        try:
            self._db = _opened(path)
        except sqlite3.DatabaseError as error:
            raise ConfigError(
                f"{path}: not a cache of annotations ({error}); give another file with --cache"
            ) from error
        self._bury_the_dead()

    def close(self) -> None:
        """Close the file; reservations that are open stay and count as spent from now on."""
        self._db.close()

    def answer(self, key: str) -> PaidAnswer | None:
        """The stored answer to a request, or None.

        Raises:
            DataError: If the stored answer is damaged.
        """
        row = self._db.execute("SELECT answer FROM answers WHERE key = ?", (key,)).fetchone()
        if row is None:
            return None
        try:
            return PaidAnswer(**json.loads(row[0]))
        except (ValueError, TypeError) as error:
            raise DataError(f"{self.path}: the answer {key[:12]} is damaged; delete it") from error

    def num_answers(self) -> int:
        """Stored answers."""
        return int(self._db.execute("SELECT count(*) FROM answers").fetchone()[0])

    def money(self) -> Money:
        """What is spent and reserved now."""
        return Money(*self._db.execute("SELECT spent, reserved FROM totals").fetchone())

    def spendings(self) -> Mapping[str, int]:
        """Money by what it went into, in billionths of a US dollar."""
        query = "SELECT what, sum(nano_usd) FROM spendings GROUP BY what ORDER BY what"
        return dict(self._db.execute(query).fetchall())

    def reserve(self, nano_usd: int) -> int | None:
        """Set money aside for one try; its number, or None if it does not fit under the cap now.

        Raises:
            CapReachedError: If it would not fit even if all open tries cost nothing.
        """
        with self._transaction() as db:
            money = self.money()
            if money.spent + nano_usd > self.cap:
                raise CapReachedError(
                    f"the cap of {self.cap / NANO_PER_USD:.2f} USD is reached: "
                    f"{money.spent_usd:.4f} spent, and the next request may cost "
                    f"{nano_usd / NANO_PER_USD:.4f}"
                )
            if money.spent + money.reserved + nano_usd > self.cap:
                return None
            row = (nano_usd, self._host, self._process)
            cursor = db.execute(
                "INSERT INTO reservations (nano_usd, host, process) VALUES (?, ?, ?)", row
            )
            db.execute("UPDATE totals SET reserved = reserved + ?", (nano_usd,))
            assert cursor.lastrowid is not None
            return cursor.lastrowid

    def settle(
        self,
        reservation: int,
        nano_usd: int | None,
        what: str,
        answer: tuple[str, Any] | None = None,
    ) -> None:
        """Book what a try has cost; with an answer, store it in the same stroke.

        Args:
            reservation: Number that `reserve` gave.
            nano_usd: Its cost, or None if nobody knows: then all that was reserved.
            what: What the money went into.
            answer: Key and `PaidAnswer` of a try that was answered.
        """
        with self._transaction() as db:
            self._book(reservation, nano_usd, what)
            if answer is not None:
                key, paid = answer
                text = json.dumps(asdict(paid), sort_keys=True)
                db.execute("INSERT OR REPLACE INTO answers VALUES (?, ?)", (key, text))

    def _book(self, reservation: int, nano_usd: int | None, what: str) -> None:
        query = "SELECT nano_usd FROM reservations WHERE id = ?"
        (reserved,) = self._db.execute(query, (reservation,)).fetchone()
        cost = reserved if nano_usd is None else nano_usd
        self._db.execute("DELETE FROM reservations WHERE id = ?", (reservation,))
        self._db.execute(
            "UPDATE totals SET reserved = reserved - ?, spent = spent + ?", (reserved, cost)
        )
        if cost:
            row = (what, cost)
            self._db.execute("INSERT INTO spendings (what, nano_usd) VALUES (?, ?)", row)

    def _bury_the_dead(self) -> None:
        """What dead processes had reserved may have been billed: it counts as spent."""
        with self._transaction() as db:
            query = "SELECT id, process FROM reservations WHERE host = ?"
            for reservation, process in db.execute(query, (self._host,)).fetchall():
                if process == self._process or not is_running(process):
                    self._book(reservation, None, "lost in a crash")

    @contextmanager
    def _transaction(self) -> Iterator[sqlite3.Connection]:
        # IMMEDIATE takes the write lock first: what is read inside stays true until the end.
        self._db.execute("BEGIN IMMEDIATE")
        try:
            yield self._db
        except BaseException:
            self._db.execute("ROLLBACK")
            raise
        self._db.execute("COMMIT")


def _opened(path: Path) -> sqlite3.Connection:
    """A connection to the ledger, its tables made.

    SQLite does not wait for a file that another process turns to write-ahead logging right now: it
    says "locked" at once, whatever the timeout. So the waiting is done here.
    """
    deadline = time.monotonic() + LOCK_TIMEOUT_S
    while True:
        db = sqlite3.connect(path, timeout=LOCK_TIMEOUT_S, isolation_level=None)
        try:
            db.execute("PRAGMA journal_mode=WAL")
            db.execute("PRAGMA synchronous=FULL")
            db.executescript(_SCHEMA)
            return db
        except sqlite3.DatabaseError as error:
            db.close()
            if "locked" not in str(error) or time.monotonic() > deadline:
                raise
        time.sleep(OPEN_AGAIN_S)
