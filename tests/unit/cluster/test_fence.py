import asyncio

import pytest
from aiohttp.abc import AbstractStreamWriter

from llama_operator.cluster.fence import (
    ANSWER_SECONDS,
    DURATION_SECONDS,
    WRITE_SECONDS,
    Fence,
    TimedPayload,
)
from llama_operator.cluster.lease import REQUEST_SECONDS
from llama_operator.controller.framework import STOP_SECONDS
from llama_operator.controller.settings import Settings


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def fence(clock: Clock) -> Fence:
    return Fence(clock)


def test_it_is_closed_before_the_first_renewal(fence: Fence) -> None:
    assert not fence.is_open()
    assert fence.is_clear()


@pytest.mark.parametrize(
    ("seconds", "is_open"),
    [
        pytest.param(0, True, id="at once"),
        pytest.param(9.9, True, id="just before its time is over"),
        pytest.param(10, False, id="when its time is over"),
        pytest.param(60, False, id="when the process was stopped for a minute"),
    ],
)
def test_it_is_open_for_ten_seconds_from_the_start_of_a_renewal(
    fence: Fence, clock: Clock, seconds: float, is_open: bool
) -> None:
    fence.renew(clock.now)
    clock.now += seconds
    assert fence.is_open() is is_open


def test_each_renewal_counts_from_when_it_was_begun(fence: Fence, clock: Clock) -> None:
    fence.renew(clock.now)
    clock.now += 8
    fence.renew(clock.now - 3)
    clock.now += 6
    assert fence.is_open()
    clock.now += 1
    assert not fence.is_open()


def test_closing_holds_until_the_next_renewal(fence: Fence, clock: Clock) -> None:
    fence.renew(clock.now)
    fence.close()
    assert not fence.is_open()
    fence.renew(clock.now)
    assert fence.is_open()


def test_a_write_in_flight_or_unanswered_may_still_be_stored(fence: Fence, clock: Clock) -> None:
    fence.renew(clock.now)
    answered, unanswered = fence.begin(), fence.begin()
    assert answered == unanswered == 1013.0
    assert not fence.is_clear()
    fence.end(answered, answered=True)
    assert not fence.is_clear()
    fence.end(unanswered, answered=False)
    fence.close()
    clock.now += 12.9
    assert not fence.is_clear()
    clock.now += 0.1
    assert fence.is_clear()


def test_the_times_leave_room_for_each_other() -> None:
    """Sent, then answered, then taken by another; and ended within the pod's grace period."""
    assert REQUEST_SECONDS < WRITE_SECONDS < ANSWER_SECONDS < DURATION_SECONDS
    longest_end = Settings().grace_seconds + ANSWER_SECONDS + REQUEST_SECONDS + STOP_SECONDS
    assert longest_end == 26


def test_a_body_whose_time_is_over_is_not_written() -> None:
    class Writer(AbstractStreamWriter):
        def __init__(self) -> None:
            self.written = b""

        async def write(self, chunk: bytes) -> None:  # type: ignore[override]
            self.written += chunk

        async def write_eof(self, chunk: bytes = b"") -> None: ...
        async def drain(self) -> None: ...
        def enable_compression(self, *_: object) -> None: ...  # type: ignore[override]
        def enable_chunking(self) -> None: ...
        async def write_headers(self, *_: object) -> None: ...  # type: ignore[override]

    async def scenario() -> tuple[bytes, bool, bytes]:
        in_time, late = TimedPayload(b"one", lambda: False), TimedPayload(b"two", lambda: True)
        first, second = Writer(), Writer()
        await in_time.write_with_length(first, None)
        with pytest.raises(TimeoutError):
            await late.write_with_length(second, None)
        return first.written, late.withheld, second.written

    assert asyncio.run(scenario()) == (b"one", True, b"")
