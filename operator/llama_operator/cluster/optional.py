"""A resource that a cluster may have or not: its watch runs while its CRD is there.

The CRD itself is watched by name, so that nothing is asked again and again while it is missing.
"""

import asyncio
import contextlib
import logging
from collections.abc import Callable, Collection
from typing import Any, Final, NamedTuple

from llama_operator.cluster.client import ApiClient, Json
from llama_operator.cluster.resources import CUSTOM_RESOURCES
from llama_operator.cluster.watch import ObjectKey, Watch

REFUSAL_LOOK_SECONDS: Final = 0.2

_log = logging.getLogger(__name__)


class Served(NamedTuple):
    """What a CRD serves in the version that is used.

    `restart_policies` are the words that `spec.leaderWorkerTemplate.restartPolicy` takes.
    """

    restart_policies: frozenset[str]


class OptionalResource:
    """Runs the watch of a resource while its CRD is served.

    Args:
        client: an open client.
        watch: of the resource.
        on_change: called when the resource came or went.
        on_restart: called with a resource's name whenever the watch of its CRD is opened again.

    Attributes:
        crd_watch: of the CRD.
    """

    def __init__(
        self,
        client: ApiClient,
        watch: Watch[Any],
        on_change: Callable[[], None],
        on_restart: Callable[[str], None] | None = None,
    ) -> None:
        resource = watch.resource
        self._watch = watch
        self._version, self._plural = resource.version, resource.plural
        self._on_change = on_change
        self._changed = asyncio.Event()
        self._served: Served | None = None
        self.crd_watch: Watch[Served] = Watch(
            client,
            CUSTOM_RESOURCES,
            self._project,
            self._take,
            selectors={"fieldSelector": f"metadata.name={resource.plural}.{resource.group}"},
            on_restart=on_restart,
        )

    @property
    def served(self) -> Served | None:
        """What is served, once its objects are known; None while it is not."""
        return self._served if self._watch.synced.is_set() else None

    @property
    def watches(self) -> Collection[Watch[Any]]:
        """Watches that run now."""
        return (self.crd_watch,) if self._served is None else (self.crd_watch, self._watch)

    async def run(self) -> None:
        """Run the watch whenever there is something to watch, until cancelled."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self.crd_watch.run(), name=f"watch CRD of {self._plural}")
            while True:
                await self._wait()
                if self._served is not None:
                    _log.info("%s are served", self._plural)
                    await self._watch_until_gone()
                    _log.info("%s are not served any more", self._plural)

    async def settled(self) -> None:
        """Wait until it is known whether there is such a resource, and what objects it has.

        What may not be watched is not waited for: the rest works without it.
        """
        for watch in (self.crd_watch, self._watch):
            while not watch.synced.is_set() and not watch.refusal:
                if watch is self._watch and self._served is None:
                    return
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(REFUSAL_LOOK_SECONDS):
                        await watch.synced.wait()

    async def _watch_until_gone(self) -> None:
        async with asyncio.TaskGroup() as group:
            tasks = [
                group.create_task(self._watch.run(), name=f"watch {self._plural}"),
                group.create_task(self._tell(), name=f"first list of {self._plural}"),
            ]
            while self._served is not None:
                await self._wait()
                self._on_change()
            for task in tasks:
                task.cancel()
        self._watch.clear()
        self._on_change()

    async def _wait(self) -> None:
        await self._changed.wait()
        self._changed.clear()

    async def _tell(self) -> None:
        await self._watch.synced.wait()
        self._on_change()

    def _project(self, crd: Json) -> Served | None:
        conditions = (crd.get("status") or {}).get("conditions") or ()
        established = any(
            entry.get("type") == "Established" and entry.get("status") == "True"
            for entry in conditions
        )
        for version in crd["spec"]["versions"]:
            if established and version["name"] == self._version and version["served"]:
                return Served(frozenset(_restart_policies(version)))
        return None

    def _take(self, _: ObjectKey, __: Served | None, new: Served | None) -> None:
        self._served = new
        self._changed.set()


def _restart_policies(version: Json) -> Collection[str]:
    node: Any = version.get("schema") or {}
    path = ("openAPIV3Schema", "spec", "leaderWorkerTemplate", "restartPolicy")
    for step in path:
        node = node.get(step) or (node.get("properties") or {}).get(step) or {}
    return [str(word) for word in node.get("enum") or ()]
