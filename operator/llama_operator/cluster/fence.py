"""The fence: until when this process may write, judged just before each write is sent.

The holder of the Lease renews it every few seconds. A write may be sent until `WRITE_SECONDS`
after the start of the last renewal that succeeded, and must be answered `ANSWER_SECONDS` after it:
then both sides give it up. Others may take the Lease `DURATION_SECONDS` after that renewal at the
earliest, so that nothing of an old leader arrives once there is a new one, even if the process
was stopped and goes on later: CLOCK_MONOTONIC goes on meanwhile.
"""

import time
from collections.abc import Callable
from typing import Final

from aiohttp.abc import AbstractStreamWriter
from aiohttp.payload import BytesPayload

DURATION_SECONDS: Final = 15
WRITE_SECONDS: Final = 10.0
ANSWER_SECONDS: Final = 13.0


class Fence:
    """Closed until the first renewal.

    Args:
        monotonic: the clock, injected for tests.
    """

    def __init__(self, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._monotonic = monotonic
        self._renewed: float | None = None
        self._unanswered_until = 0.0
        self._in_flight = 0

    def renew(self, started: float) -> None:
        """Take note of a renewal that succeeded, by the time at which it was begun."""
        self._renewed = started

    def close(self) -> None:
        """Let no further write pass."""
        self._renewed = None

    def is_open(self) -> bool:
        """Whether a write may be sent now."""
        return self._monotonic() < self.send_before()

    def send_before(self) -> float:
        """Monotonic time from which on no write is sent."""
        return self._renewed + WRITE_SECONDS if self._renewed is not None else 0.0

    def begin(self) -> float:
        """Begin a write; gives the monotonic time at which it must be answered."""
        self._in_flight += 1
        return self._renewed + ANSWER_SECONDS if self._renewed is not None else 0.0

    def end(self, answer_before: float, *, answered: bool) -> None:
        """End a write; without an answer it may still be stored until its time is over."""
        self._in_flight -= 1
        if not answered:
            self._unanswered_until = max(self._unanswered_until, answer_before)

    def is_clear(self) -> bool:
        """Whether no write of this process can be stored any more, unless it passes anew."""
        return self._in_flight == 0 and self._monotonic() >= self._unanswered_until


class TimedPayload(BytesPayload):
    """A body that looks at the clock at the very moment at which it is written.

    The headers wait for it, so that a request whose time is over is not sent at all.

    Args:
        content: the body.
        late: tells whether the time is over.
    """

    def __init__(self, content: bytes, late: Callable[[], bool]) -> None:
        super().__init__(content)
        self._late = late
        self.withheld = False

    async def write_with_length(
        self, writer: AbstractStreamWriter, content_length: int | None
    ) -> None:
        """Write the body, unless it is too late."""
        if self._late():
            self.withheld = True
            raise TimeoutError("the request was not sent in time")
        await super().write_with_length(writer, content_length)
