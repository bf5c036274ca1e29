"""The file of answers and money."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from multiprocessing import get_context
from pathlib import Path

import pytest

from leopard.curation.annotation.ledger import CapReachedError, Ledger, PaidAnswer
from leopard.errors import ConfigError, DataError

ANSWER = PaidAnswer(
    text="a", finish_reason="stop", model="m", host="h", input_tokens=1, output_tokens=2, nano_usd=3
)


def test_reservations_hold_the_cap(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path / "c.sqlite", 10e-9)
    first = ledger.reserve(6)
    assert first is not None
    assert ledger.reserve(6) is None, "it may fit later"
    ledger.settle(first, 3, "answers", ("k", ANSWER))
    assert (ledger.money().spent, ledger.money().reserved) == (3, 0)
    second = ledger.reserve(6)
    assert second is not None
    ledger.settle(second, None, "outcome unknown")
    assert ledger.spendings() == {"answers": 3, "outcome unknown": 6}
    with pytest.raises(CapReachedError, match=r"cap of 0\.00 USD is reached"):
        ledger.reserve(2)
    assert ledger.answer("k") == ANSWER
    assert ledger.answer("other") is None


_HOLDER = """
import os, sys, time
from pathlib import Path
from leopard.curation.annotation.ledger import Ledger
ledger = Ledger(Path(sys.argv[1]), 1.0)
ledger.reserve(5)
settled = ledger.reserve(7)
ledger.settle(settled, 2, "answers")
print("ready", flush=True)
time.sleep(60)
"""


def test_what_a_killed_process_had_reserved_counts_as_spent(tmp_path: Path) -> None:
    path = tmp_path / "c.sqlite"
    process = subprocess.Popen(
        [sys.executable, "-c", _HOLDER, str(path)], stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "ready\n"
    while_alive = Ledger(path, 1.0)
    assert (while_alive.money().spent, while_alive.money().reserved) == (2, 5)
    while_alive.close()
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    process.stdout.close()
    after = Ledger(path, 1.0)
    assert (after.money().spent, after.money().reserved) == (7, 0)
    assert after.spendings()["lost in a crash"] == 5


def spend(path: Path, tries: int) -> int:
    """Reserve and settle as long as there is room; how many fitted."""
    ledger, fitted = Ledger(path, 100e-9), 0
    for _ in range(tries):
        try:
            reservation = ledger.reserve(7)
        except CapReachedError:
            break
        if reservation is not None:
            ledger.settle(reservation, 5, "answers")
            fitted += 1
    ledger.close()
    return fitted


def test_processes_share_one_cap(tmp_path: Path) -> None:
    path = tmp_path / "c.sqlite"
    Ledger(path, 1.0).close()
    with get_context("spawn").Pool(3) as pool:
        fitted = pool.starmap(spend, [(path, 40)] * 3)
    money = Ledger(path, 1.0).money()
    assert money.reserved == 0
    assert money.spent == 5 * sum(fitted)
    assert 90 < money.spent <= 100


def open_many(folder: Path, number: int, count: int) -> int:
    """Open new ledgers at about the moment when another process opens them."""
    opened = 0
    for index in range(count):
        turn = folder / f"{index}-{1 - number}"
        (folder / f"{index}-{number}").touch()
        while not turn.exists():
            pass
        Ledger(folder / f"{index}.sqlite", 1.0).close()
        opened += 1
    return opened


def test_processes_that_open_a_new_file_at_once_wait_for_each_other(tmp_path: Path) -> None:
    with get_context("spawn").Pool(2) as pool:
        opened = pool.starmap(open_many, [(tmp_path, 0, 30), (tmp_path, 1, 30)], chunksize=1)
    assert opened == [30, 30]


def test_a_file_of_another_kind_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "c.sqlite"
    path.write_bytes(b"something else entirely" * 100)
    with pytest.raises(ConfigError, match="not a cache"):
        Ledger(path, 1.0)


def test_a_damaged_answer_is_named(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path / "c.sqlite", 1.0)
    ledger._db.execute("INSERT INTO answers VALUES ('key', '{\"text\": 1}')")
    with pytest.raises(DataError, match="key is damaged"):
        ledger.answer("key")
