"""Asks downloads how far they are, beside the passes: none of these waits for a pod."""

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Final

from llama_operator.cluster.ledger import Key
from llama_operator.reconcile.fetch_progress import FetchProgress
from llama_operator.reconcile.observed import PodFacts

POLL_SECONDS: Final = 15.0
"""Between two questions about one deployment; its status is written no more often for them."""
MISSES_LIMIT: Final = 4
"""Questions without an answer, after which the last one that there was is told no more."""


@dataclass
class _Followed:
    """The pod of a deployment that is asked; `told` is what its status tells."""

    uid: str
    task: asyncio.Task[None] | None = None
    told: FetchProgress | None = None
    misses: int = 0


class FetchPoller:
    """Follows one pod of each deployment whose model is downloaded; asks nobody otherwise.

    Args:
        ask: what the pod at an address answers, None where it is of no use.
        on_change: called with the key of a deployment of which there is something new to tell.
        pause: waits so many seconds.
    """

    def __init__(
        self,
        ask: Callable[[str], Awaitable[FetchProgress | None]],
        on_change: Callable[[Key], None],
        pause: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self._ask = ask
        self._on_change = on_change
        self._pause = pause
        self._followed: dict[Key, _Followed] = {}

    def follow(self, key: Key, pods: Iterable[PodFacts]) -> Mapping[str, FetchProgress]:
        """Follow the newest of these pods that tells; returns what it told last, by its uid."""
        telling = (pod for pod in pods if pod.progress_address)
        pod = max(telling, key=lambda one: (one.created, one.name), default=None)
        followed = self._followed.get(key)
        if pod is None:
            self.forget(key)
            return {}
        if followed is None or followed.uid != pod.uid:
            self.forget(key)
            followed = self._followed[key] = _Followed(pod.uid)
            work = self._poll(key, followed, pod.progress_address)
            followed.task = asyncio.get_running_loop().create_task(work, name="fetch progress")
        return {} if followed.told is None else {followed.uid: followed.told}

    def forget(self, key: Key) -> None:
        """Ask no more about a deployment."""
        followed = self._followed.pop(key, None)
        if followed is not None and followed.task is not None:
            followed.task.cancel()

    def close(self) -> None:
        """Ask nobody any more: another process leads."""
        for key in tuple(self._followed):
            self.forget(key)

    async def _poll(self, key: Key, followed: _Followed, address: str) -> None:
        while True:
            answer = await self._ask(address)
            followed.misses = 0 if answer is not None else followed.misses + 1
            if answer is not None and not answer.looks_like(followed.told):
                followed.told = answer
                self._on_change(key)
            elif followed.misses >= MISSES_LIMIT and followed.told is not None:
                followed.told = None
                self._on_change(key)
            await self._pause(POLL_SECONDS)
