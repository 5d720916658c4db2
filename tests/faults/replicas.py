"""Several operators, each behind a fault proxy of its own, so that one can tell who wrote what."""

import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import Self

from cluster.world import GROUP_PATH, World
from controlplane import ApiError
from faultproxy import Call, FaultProxy
from workstation import OperatorProcess

SMALL = {"size": "8b", "format": "awq"}


@dataclass(frozen=True)
class Replica:
    """One operator and the proxy through which alone it reaches the API server."""

    name: str
    process: OperatorProcess
    proxy: FaultProxy

    def writes(self, since: int = 0) -> list[Call]:
        """What it wrote, the Lease aside."""
        return [
            call for call in self.proxy.calls(since) if call.is_write and call.resource != "leases"
        ]

    def first_write_after(self, moment: float) -> Callable[[], float | None]:
        """Seconds from a moment to the first write afterwards; None until there is one."""

        def found() -> float | None:
            later = [call.at - moment for call in self.writes() if call.at > moment]
            return min(later, default=None)

        return found


StartReplica = Callable[..., Replica]


def terms(replicas: Sequence[Replica]) -> list[str]:
    """Who wrote, in the order of time; who wrote several times in a row stands once."""
    writes = sorted((call.at, replica.name) for replica in replicas for call in replica.writes())
    names = [name for _, name in writes]
    return [name for number, name in enumerate(names) if number == 0 or names[number - 1] != name]


class Edits:
    """Edits deployments again and again, so that a leader always has something to write."""

    def __init__(self, world: World, names: Sequence[str], seconds: float = 0.3) -> None:
        self._world = world
        self._names = names
        self._seconds = seconds
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._run, name="edits", daemon=True)
        self.made = 0

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._ended.set()
        self._thread.join()

    def _run(self) -> None:
        with self._world.plane.api_client() as api:
            while not self._ended.wait(self._seconds):
                name = self._names[self.made % len(self._names)]
                replicas = 1 + (self.made // len(self._names)) % 2
                namespaced = f"{GROUP_PATH}/namespaces/{self._world.namespace}"
                try:
                    api.request(
                        "PATCH",
                        f"{namespaced}/llamadeployments/{name}",
                        {"spec": {"replicas": replicas}},
                        "application/merge-patch+json",
                    )
                except ApiError:
                    continue  # the API server may be away; the next edit comes soon
                self.made += 1


def elapsed(since: float, seconds: float) -> Callable[[], bool]:
    """Whether a span of monotonic time is over, for a property about that span."""
    return lambda: time.monotonic() - since >= seconds
