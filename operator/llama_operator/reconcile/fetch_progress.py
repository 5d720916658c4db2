"""How far a download is, by what its pod answers, and how that is told. Pure."""

from dataclasses import dataclass
from typing import Final, Self

from pydantic_core import from_json

from llama_operator.units import GIB, ceil_div, format_gib

IDLE_SECONDS: Final = 60
"""Without a byte for so long a download counts as one to which nothing comes."""
LIMIT: Final = 1 << 62
"""Larger figures are no bytes and no seconds."""
LONGEST_HOURS: Final = 99
"""A longer time that is left is no estimate, and is not told."""


@dataclass(frozen=True, slots=True)
class FetchProgress:
    """What the pod of a download answers.

    Attributes:
        done_bytes: that are on the volume.
        total_bytes: of all files, at least 1.
        fetched_bytes: that came in this try.
        seconds: since this try began to fetch.
        idle_seconds: since the last byte.
    """

    done_bytes: int
    total_bytes: int
    fetched_bytes: int
    seconds: int
    idle_seconds: int

    @classmethod
    def read(cls, body: bytes) -> Self | None:
        """The figures of an answer; None where it is anything else, since any pod may say it."""
        try:
            told = from_json(body)
        except ValueError:
            return None
        if not isinstance(told, dict):
            return None
        names = cls.__dataclass_fields__
        figures = [one for name in names if type(one := told.get(name)) is int and 0 <= one < LIMIT]
        if len(figures) < len(names):
            return None
        found = cls(*figures)
        return found if found.total_bytes > 0 and found.done_bytes <= found.total_bytes else None

    @property
    def percent(self) -> int:
        """Of the bytes, rounded down."""
        return self.done_bytes * 100 // self.total_bytes

    def looks_like(self, other: "FetchProgress | None") -> bool:
        """Whether there is nothing new to tell: the percentage, and whether anything comes."""
        return other is not None and (self.percent, self._is_idle) == (
            other.percent,
            other._is_idle,
        )

    @property
    def _is_idle(self) -> bool:
        return self.idle_seconds >= IDLE_SECONDS and self.done_bytes < self.total_bytes

    def __str__(self) -> str:
        """Such as `11.46 of 37.07 GiB (30 %), about 4 min left`."""
        text = f"{self.done_bytes / GIB:,.2f} of {format_gib(self.total_bytes)} ({self.percent} %)"
        left = "nothing comes now" if self._is_idle else self._left()
        return f"{text}, {left}" if left else text

    def _left(self) -> str:
        """The time that is left at the mean rate of this try, empty where nobody can tell."""
        bytes_left = self.total_bytes - self.done_bytes
        if not bytes_left or not self.fetched_bytes or not self.seconds:
            return ""
        minutes = ceil_div(bytes_left * self.seconds, self.fetched_bytes * 60)
        if minutes < 120:
            return f"about {minutes} min left"
        hours = ceil_div(minutes, 60)
        return f"about {hours} h left" if hours <= LONGEST_HOURS else ""
