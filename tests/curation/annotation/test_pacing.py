"""How fast and how patiently a server is asked."""

from __future__ import annotations

import asyncio
import email.utils
import time

import pytest

from leopard.curation.annotation.pacing import Lanes, pause_after, retry_after_s
from leopard.curation.annotation.settings import PaceSettings


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({}, None),
        ({"retry-after": "7"}, 7.0),
        ({"retry-after": " 1.5 "}, 1.5),
        ({"retry-after-ms": "250", "retry-after": "9"}, 0.25),
        ({"retry-after": "soon"}, None),
        ({"retry-after": "-3"}, None),
        ({"retry-after": "Wed, 21 Oct 2015 07:28:00 GMT"}, 0.0),
    ],
)
def test_what_servers_ask_for(headers: dict[str, str], seconds: float | None) -> None:
    assert retry_after_s(headers) == seconds


def test_a_date_to_come() -> None:
    when = email.utils.formatdate(time.time() + 30, usegmt=True)
    found = retry_after_s({"retry-after": when})
    assert found is not None
    assert 25 < found <= 30


def test_pauses_double_up_to_the_longest() -> None:
    pace = PaceSettings(pause_s=1.0, longest_pause_s=6.0)
    for tries, least in ((1, 1.0), (2, 2.0), (3, 4.0)):
        assert least <= pause_after(pace, tries, {}) <= 1.2 * least
    assert pause_after(pace, 9, {}) == 6.0
    assert pause_after(pace, 1, {"retry-after": "600"}) == 6.0
    assert len({pause_after(pace, 1, {}) for _ in range(9)}) > 1


def test_lanes_are_halved_and_come_back_one_by_one() -> None:
    lanes = Lanes(8)
    lanes.too_many()
    lanes.too_many()
    assert lanes.width == 2
    for width, answers in ((3, 2), (4, 3), (5, 4)):
        for _ in range(answers):
            lanes.went_well()
        assert lanes.width == width
    for _ in range(9):
        lanes.too_many()
    assert lanes.width == 1
    for _ in range(99):
        lanes.went_well()
    assert lanes.width == 8


def test_a_cancelled_task_gives_its_lane_back() -> None:
    async def run() -> int:
        lanes, most, held = Lanes(2), 0, 0

        async def hold() -> None:
            nonlocal most, held
            async with lanes.lane():
                held += 1
                most = max(most, held)
                try:
                    await asyncio.sleep(0.01)
                finally:
                    held -= 1

        tasks = [asyncio.create_task(hold()) for _ in range(8)]
        await asyncio.sleep(0.005)
        tasks[0].cancel()
        tasks[5].cancel()
        done = await asyncio.gather(*tasks, return_exceptions=True)
        assert sum(isinstance(one, asyncio.CancelledError) for one in done) == 2
        async with asyncio.timeout(5), lanes.lane(), lanes.lane():
            return most

    assert asyncio.run(run()) == 2
