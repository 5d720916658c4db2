"""How long a download waits between tries, and when it gives up."""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import TypeVar

from llama_operator.errors import HubUnreachableError

_Value = TypeVar("_Value")
_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Patience:
    """Bounds of trying again: doubling pauses, unless the hub names one.

    Attributes:
        retries: in a row without a byte that helps; 1 + 2 + … + 32 + 60 + 60 seconds in all.
        first_seconds: the first pause.
        longest_seconds: no pause of our own is longer.
        told_limit_seconds: a hub that asks to wait for longer is not waited for.
        pause: waits; tests put another in its place.
    """

    retries: int = 8
    first_seconds: float = 1.0
    longest_seconds: float = 60.0
    told_limit_seconds: float = 600.0
    pause: Callable[[float], Awaitable[None]] = asyncio.sleep

    async def wait(self, failures: int, error: HubUnreachableError) -> None:
        """Wait before the next try.

        Args:
            failures: in a row, at least 1.
            error: the last one.

        Raises:
            HubUnreachableError: the error, when it is enough.
        """
        told = error.retry_after_seconds
        if failures > self.retries or (told is not None and told > self.told_limit_seconds):
            raise error
        seconds = min(self.first_seconds * 2.0 ** (failures - 1), self.longest_seconds)
        if told is not None:
            seconds = told
        _log.warning("%s; trying again in %.0f seconds", error, seconds)
        await self.pause(seconds)

    async def insist(self, attempt: Callable[[], Awaitable[_Value]]) -> _Value:
        """What an attempt gives, after as many tries as it takes.

        Raises:
            HubUnreachableError: the last one, when it is enough.
        """
        failures = 0
        while True:
            try:
                return await attempt()
            except HubUnreachableError as error:
                failures += 1
                await self.wait(failures, error)
