"""How far a download is: bytes, rate and remaining time."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from llama_operator.units import MIB, format_gib

FILE_LIMIT: Final = 200
"""Characters of a path that are told, the last ones: an answer stays below 2 KiB."""


@dataclass(frozen=True, slots=True)
class Report:
    """One look at a download.

    Attributes:
        done_bytes: that are on the volume.
        total_bytes: of all files.
        bytes_per_second: since the look before.
        seconds_left: at that rate; None while nothing comes.
    """

    done_bytes: int
    total_bytes: int
    bytes_per_second: float
    seconds_left: int | None

    def __str__(self) -> str:
        """A line for people."""
        percent = 100 if not self.total_bytes else self.done_bytes * 100 // self.total_bytes
        left = "nothing comes" if self.seconds_left is None else f"{self.seconds_left} s left"
        return (
            f"{format_gib(self.done_bytes)} of {format_gib(self.total_bytes)} ({percent} %), "
            f"{self.bytes_per_second / MIB:,.1f} MiB/s, {left}"
        )


class Progress:
    """Counts bytes as they come.

    Args:
        total_bytes: of all files.
        done_bytes: that an earlier try left.
        clock: seconds, as of `time.monotonic`.
    """

    def __init__(self, total_bytes: int, done_bytes: int, clock: Callable[[], float]) -> None:
        self._total = total_bytes
        self._done = done_bytes
        self._clock = clock
        self._seen = (clock(), done_bytes)
        self._began = self._changed = clock()
        self._file = ""
        self.fetched_bytes = 0

    def begin(self, path: str) -> None:
        """A file is begun."""
        self._file = path

    def add(self, count: int) -> None:
        """Bytes that were written; fewer than none that were thrown away."""
        self._done += count
        self.fetched_bytes += max(0, count)
        self._changed = self._clock()

    def figures(self) -> dict[str, int | str]:
        """What `GET /progress` answers; safe to ask for in another thread.

        Times are seconds, so that clocks of two machines may differ: `seconds` since the fetch
        began, `idle_seconds` since the last byte. `file` is the one that was begun last.
        """
        now = self._clock()
        return {
            "done_bytes": self._done,
            "total_bytes": self._total,
            "fetched_bytes": self.fetched_bytes,
            "seconds": round(now - self._began),
            "idle_seconds": round(now - self._changed),
            "file": self._file[-FILE_LIMIT:],
        }

    def report(self) -> Report:
        """A look, whose rate is that since the one before."""
        now = self._clock()
        then, before = self._seen
        self._seen = (now, self._done)
        rate = max(0.0, (self._done - before) / (now - then)) if now > then else 0.0
        left = self._total - self._done
        return Report(self._done, self._total, rate, math.ceil(left / rate) if rate else None)
