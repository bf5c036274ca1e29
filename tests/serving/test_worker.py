import asyncio

import pytest

from leopard.errors import GenerationError
from leopard.inference.fake import FakeGenerator
from leopard.schema.generation import GenerationRequest
from leopard.schema.messages import Message
from leopard.serving.admission import MOST_PATIENCE_S, Admission
from leopard.serving.errors import ApiError
from leopard.serving.worker import EngineWorker


def request(text="hm"):
    return GenerationRequest(messages=(Message.of("user", text),))


def play(generator, scenario):
    """Run a scenario with a worker."""

    async def whole():
        worker = EngineWorker(generator)
        worker.start()
        try:
            return await asyncio.wait_for(scenario(worker), 20)
        finally:
            worker.close()

    return asyncio.run(whole())


async def end_of(job):
    text = ""
    while True:
        progress = await job.news.get()
        text += progress.text
        if progress.is_last:
            return text, progress


def test_more_jobs_than_the_batch_holds_are_all_answered():
    async def scenario(worker):
        jobs = [worker.submit(request(f"q{number}")) for number in range(20)]
        return await asyncio.gather(*map(end_of, jobs))

    ends = play(FakeGenerator(capacity=3), scenario)
    assert [text for text, _ in ends] == [f"[fake] q{n} (0 images)" for n in range(20)]
    assert all(progress.generation.text == text for text, progress in ends)


def test_jobs_given_up_leave_room_wherever_they_are():
    async def scenario(worker):
        running = worker.submit(request())
        waiting = worker.submit(request())
        last = worker.submit(request())
        assert (await running.news.get()).text == "word "
        worker.cancel(waiting)
        worker.cancel(running)
        worker.cancel(running)
        await last.news.get()
        assert worker.num_running == 1
        worker.cancel(last)
        while worker.num_running:
            await asyncio.sleep(0.01)
        assert waiting.news.empty()

    play(FakeGenerator("word " * 100_000, capacity=1, step_s=0.002), scenario)


def test_broken_step_fails_its_jobs_and_the_next_are_answered():
    class Broken(FakeGenerator):
        batches = 0

        def open_batch(self):
            Broken.batches += 1
            batch = super().open_batch()
            if Broken.batches == 1:
                batch.step = lambda: 1 / 0
            return batch

    async def scenario(worker):
        _, failed = await end_of(worker.submit(request()))
        assert isinstance(failed.error, ZeroDivisionError)
        assert worker.is_alive
        text, _ = await end_of(worker.submit(request()))
        assert text == "fine"

    play(Broken("fine"), scenario)


def test_closing_gives_all_jobs_up():
    async def scenario(worker):
        jobs = [worker.submit(request()) for _ in range(3)]
        await jobs[0].news.get()
        await asyncio.to_thread(worker.close)
        for job in jobs:
            _, progress = await end_of(job)
            assert isinstance(progress.error, GenerationError)
        assert not worker.is_alive

    play(FakeGenerator("word " * 100_000, capacity=1, step_s=0.002), scenario)


# --- Admission -------------------------------------------------------------------------------


def test_queue_is_first_come_first_served_and_bounded():
    async def scenario():
        door = Admission(max_at_work=1, max_queue=2)
        order = []

        async def visit(number):
            place = await door.enter()
            order.append(number)
            await asyncio.sleep(0.01)
            place.leave()

        first = await door.enter()
        visits = [asyncio.create_task(visit(number)) for number in range(2)]
        await asyncio.sleep(0)
        assert door.num_waiting == 2
        with pytest.raises(ApiError) as caught:
            await door.enter()
        assert caught.value.status_code == 503
        assert 1 <= caught.value.retry_after_s <= MOST_PATIENCE_S
        first.leave()
        await asyncio.gather(*visits)
        assert order == [0, 1]
        assert (door.num_at_work, door.num_waiting) == (0, 0)

    asyncio.run(scenario())


def test_who_leaves_the_queue_takes_no_place():
    async def scenario():
        door = Admission(max_at_work=1, max_queue=5)
        first = await door.enter()
        waiting = asyncio.create_task(door.enter())
        await asyncio.sleep(0)
        waiting.cancel()
        await asyncio.gather(waiting, return_exceptions=True)
        first.leave()
        second = await asyncio.wait_for(door.enter(), 1)
        second.leave()
        assert (door.num_at_work, door.num_waiting) == (0, 0)

    asyncio.run(scenario())
