import asyncio
import itertools
from collections.abc import Awaitable, Callable

import pytest

from llama_operator.controller.queue import DELAY_CAP_SECONDS, KeyedQueue


def run(scenario: Callable[[], Awaitable[None]]) -> None:
    loop = asyncio.SelectorEventLoop()
    offset = 0.0
    select = loop._selector.select  # type: ignore[attr-defined]

    def jump(timeout: float | None) -> object:
        nonlocal offset
        if timeout:
            offset += timeout
        return select(0)

    loop._selector.select = jump  # type: ignore[attr-defined]
    loop.time = lambda: offset  # type: ignore[method-assign]
    try:
        loop.run_until_complete(scenario())
    finally:
        loop.close()


async def drain(queue: KeyedQueue[str], done: asyncio.Event) -> None:
    runner = asyncio.create_task(queue.run())
    await done.wait()
    queue.close()
    await runner


def test_a_key_added_many_times_while_waiting_is_worked_on_once() -> None:
    async def scenario() -> None:
        worked: list[str] = []
        done = asyncio.Event()

        async def work(key: str) -> None:
            worked.append(key)
            if key == "last":
                done.set()

        queue = KeyedQueue(work, 1, lambda *_: None)
        for key in ("a", "a", "b", "a", "last"):
            queue.add(key)
        await drain(queue, done)
        assert worked == ["a", "b", "last"]

    run(scenario)


def test_a_key_added_while_worked_on_is_worked_on_once_more_and_never_twice_at_once() -> None:
    async def scenario() -> None:
        worked, active, most = 0, 0, 0
        done = asyncio.Event()

        async def work(key: str) -> None:
            nonlocal worked, active, most
            active += 1
            most = max(most, active)
            worked += 1
            if worked == 1:
                for _ in range(3):
                    queue.add(key)
                await asyncio.sleep(1)
            else:
                done.set()
            active -= 1

        queue = KeyedQueue(work, 4, lambda *_: None)
        queue.add("a")
        await drain(queue, done)
        assert (worked, most) == (2, 1)

    run(scenario)


def test_failures_back_off_exponentially_up_to_the_cap_and_do_not_delay_other_keys() -> None:
    async def scenario() -> None:
        loop = asyncio.get_running_loop()
        bad: list[float] = []
        good: list[float] = []
        done = asyncio.Event()

        async def work(key: str) -> float | None:
            if key == "good":
                good.append(loop.time())
                return 1.0
            bad.append(loop.time())
            if len(bad) == 12:
                done.set()
                return None
            raise ValueError(key)

        queue = KeyedQueue(work, 2, lambda *_: None)
        queue.add("bad")
        queue.add("good")
        await drain(queue, done)
        gaps = [after - before for before, after in itertools.pairwise(bad)]
        assert gaps[0] <= 0.2
        assert all(gap <= DELAY_CAP_SECONDS for gap in gaps)
        assert gaps[-1] >= DELAY_CAP_SECONDS / 2
        assert good[-1] >= bad[-1] - 2.0

    run(scenario)


def test_retry_after_of_the_server_is_the_least_delay() -> None:
    async def scenario() -> None:
        loop = asyncio.get_running_loop()
        times: list[float] = []
        done = asyncio.Event()

        class Busy(Exception):
            retry_after_seconds = 5.0

        async def work(_: str) -> None:
            times.append(loop.time())
            if len(times) == 2:
                done.set()
                return
            raise Busy

        queue = KeyedQueue(work, 1, lambda *_: None)
        queue.add("a")
        await drain(queue, done)
        assert times[1] - times[0] >= 5.0

    run(scenario)


def test_an_earlier_time_replaces_a_later_one() -> None:
    async def scenario() -> None:
        loop = asyncio.get_running_loop()
        times: list[float] = []
        done = asyncio.Event()

        async def work(_: str) -> None:
            times.append(loop.time())
            done.set()

        queue = KeyedQueue(work, 1, lambda *_: None)
        queue.add("a", 100.0)
        queue.add("a", 3.0)
        queue.add("a", 50.0)
        await drain(queue, done)
        assert times == [pytest.approx(3.0, abs=0.1)]

    run(scenario)


def test_closing_finishes_what_is_in_work_and_takes_nothing_more() -> None:
    async def scenario() -> None:
        worked: list[str] = []

        async def work(key: str) -> None:
            await asyncio.sleep(2)
            worked.append(key)

        queue = KeyedQueue(work, 1, lambda *_: None)
        queue.add("a")
        queue.add("b")
        runner = asyncio.create_task(queue.run())
        await asyncio.sleep(1)
        assert queue.longest_running_seconds() == pytest.approx(1.0, abs=0.1)
        queue.close()
        await runner
        assert worked == ["a"]
        assert queue.longest_running_seconds() == 0.0

    run(scenario)
