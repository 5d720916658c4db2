"""A queue of keys: each waits once, is worked on once at a time, and backs off by itself."""

import asyncio
import heapq
import itertools
import random
from collections.abc import Awaitable, Callable, Hashable
from typing import Final, Generic, TypeVar

K = TypeVar("K", bound=Hashable)

BASE_DELAY_SECONDS: Final = 0.2
DELAY_CAP_SECONDS: Final = 30.0


class KeyedQueue(Generic[K]):
    """Feeds keys to one coroutine function, `workers` at a time.

    A key added again while it waits is merged; while it is worked on, it is worked on once more
    afterwards. `work` returns the seconds after which to look again, None for never; an exception
    it raises counts as a failure and the key comes again after a growing, jittered delay.

    Args:
        work: handles one key.
        workers: keys handled at the same time.
        on_failure: told of each exception; the delay is decided by the queue.
    """

    def __init__(
        self,
        work: Callable[[K], Awaitable[float | None]],
        workers: int,
        on_failure: Callable[[K, Exception], None],
    ) -> None:
        self._work = work
        self._workers = workers
        self._on_failure = on_failure
        self._due: dict[K, float] = {}
        self._heap: list[tuple[float, int, K]] = []
        self._order = itertools.count()
        self._active: dict[K, float] = {}
        self._again: set[K] = set()
        self._failures: dict[K, int] = {}
        self._not_before: dict[K, float] = {}
        self._wake = asyncio.Event()
        self._closed = False
        self._term = 0
        self.latency: Callable[[float], None] = lambda _: None

    def __len__(self) -> int:
        """Keys that wait, delayed ones included."""
        return len(self._due)

    def ready(self) -> int:
        """Keys that wait and are due."""
        now = asyncio.get_running_loop().time()
        return sum(due <= now for due in self._due.values())

    def longest_running_seconds(self) -> float:
        """How long the oldest key that is worked on has been worked on."""
        now = asyncio.get_running_loop().time()
        return max((now - started for started in self._active.values()), default=0.0)

    def add(self, key: K, delay_seconds: float = 0.0) -> None:
        """Ask for a key to be worked on; an earlier time replaces a later one.

        A time that a failure asked to wait for is kept.
        """
        if key in self._active and delay_seconds == 0.0:
            self._again.add(key)
            return
        due = asyncio.get_running_loop().time() + delay_seconds
        due = max(due, self._not_before.get(key, due))
        if key in self._due and self._due[key] <= due:
            return
        self._due[key] = due
        heapq.heappush(self._heap, (due, next(self._order), key))
        self._wake.set()

    def forget(self, key: K) -> None:
        """Drop the failures of a key that is gone."""
        self._failures.pop(key, None)
        self._not_before.pop(key, None)

    async def run(self) -> None:
        """Work until cancelled, or until `close` and the keys in work are finished."""
        self._term += 1
        workers = [
            asyncio.create_task(self._worker(self._term), name=f"worker {number}")
            for number in range(self._workers)
        ]
        try:
            await asyncio.gather(*workers)
        finally:
            # A cancellation may be lost in a request that times out at the same moment; such a
            # worker finishes its key and takes no other.
            self._term += 1
            for worker in workers:
                worker.cancel()
            await asyncio.gather(*workers, return_exceptions=True)

    def close(self) -> None:
        """Take no further key; `run` returns when those in work are finished."""
        self._closed = True
        self._wake.set()

    async def _next(self, term: int) -> K | None:
        loop = asyncio.get_running_loop()
        while not self._closed and self._term == term:
            while self._heap:
                due, _, key = self._heap[0]
                if self._due.get(key) != due:
                    heapq.heappop(self._heap)
                    continue
                break
            if self._heap and self._heap[0][0] <= loop.time():
                due, _, key = heapq.heappop(self._heap)
                del self._due[key]
                if key in self._active:
                    self._again.add(key)
                    continue
                self.latency(loop.time() - due)
                return key
            self._wake.clear()
            pause = self._heap[0][0] - loop.time() if self._heap else None
            try:
                async with asyncio.timeout(pause):
                    await self._wake.wait()
            except TimeoutError:
                continue
        self._wake.set()
        return None

    async def _worker(self, term: int) -> None:
        loop = asyncio.get_running_loop()
        while (key := await self._next(term)) is not None:
            self._active[key] = loop.time()
            delay: float | None = None
            try:
                delay = await self._work(key)
                self.forget(key)
            except Exception as error:
                delay = self._back_off(key, error)
            finally:
                del self._active[key]
            if key in self._again:
                self._again.discard(key)
                self.add(key, delay if key in self._failures and delay is not None else 0.0)
            elif delay is not None:
                self.add(key, delay)

    def _back_off(self, key: K, error: Exception) -> float:
        count = self._failures.get(key, 0)
        self._failures[key] = count + 1
        self._on_failure(key, error)
        delay = min(DELAY_CAP_SECONDS, BASE_DELAY_SECONDS * 2 ** min(count, 10))
        wanted = getattr(error, "retry_after_seconds", None) or 0.0
        self._not_before[key] = asyncio.get_running_loop().time() + wanted
        return float(max(delay * random.uniform(0.5, 1.0), wanted))  # noqa: S311 - jitter
