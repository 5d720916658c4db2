"""Waiting for conditions with a deadline."""

import time
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")


def wait_until(
    what: str,
    condition: Callable[[], T],
    *,
    timeout: float = 30.0,
    interval: float = 0.05,
    pending: tuple[type[Exception], ...] = (),
) -> T:
    """Poll a condition until it gives something true, and return that.

    Args:
        what: the awaited situation in words, for the message of the error.
        condition: called again and again.
        timeout: seconds until giving up.
        interval: seconds between two calls; where a call takes longer, its own time.
        pending: exceptions that mean "not yet".

    Raises:
        TimeoutError: it did not come true; the text names what was awaited and the last reason.
    """
    deadline = time.monotonic() + timeout
    while True:
        started = time.monotonic()
        reason = ""
        try:
            value = condition()
        except pending as error:
            reason = f": {error}"
        else:
            if value:
                return value
            reason = f": last saw {value!r}" if value is not None else ""
        now = time.monotonic()
        if now >= deadline:
            raise TimeoutError(f"{what}: not within {timeout:g} s{reason}")
        time.sleep(min(max(interval, now - started), max(0.0, deadline - now)))
