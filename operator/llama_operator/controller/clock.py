"""The wall clock of the process, which a rehearsal may set wrong on purpose.

It stamps conditions, events and the Lease. Whatever expires or waits is measured by the monotonic
clock instead, so that a clock that is wrong or jumps moves nothing.
"""

import re
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final, Self

from llama_operator.errors import InputError

_OFFSET: Final = re.compile(r"(?P<seconds>[+-]?[0-9]{1,8})(?:@(?P<after>[0-9]{1,8}))?")


@dataclass(frozen=True, slots=True)
class ClockOffset:
    """An error of the clock: `seconds` ahead, from `after_seconds` after the start on."""

    seconds: int = 0
    after_seconds: int = 0

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read `SECONDS` or `SECONDS@AFTER`.

        Raises:
            InputError: it is neither.
        """
        found = _OFFSET.fullmatch(text)
        if found is None:
            msg = f"--clock-offset is {text!r}; write SECONDS or SECONDS@AFTER, e.g. -30 or 3600@10"
            raise InputError(msg)
        return cls(int(found["seconds"]), int(found["after"] or 0))


class Clock:
    """Tells the time of day.

    Args:
        offset: how wrong it is.
        monotonic: tells when the offset starts to hold, injected for tests.
        now: the true time of day, injected for tests.
    """

    def __init__(
        self,
        offset: ClockOffset | None = None,
        monotonic: Callable[[], float] = time.monotonic,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._offset = offset or ClockOffset()
        self._monotonic = monotonic
        self._now = now
        self._wrong_from = monotonic() + self._offset.after_seconds

    def __call__(self) -> datetime:
        """The time of day in UTC, as this clock shows it."""
        if self._monotonic() < self._wrong_from:
            return self._now()
        return self._now() + timedelta(seconds=self._offset.seconds)
