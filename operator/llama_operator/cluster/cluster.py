"""The cluster as one object: caches kept by watches, what is read besides, and the writes."""

import asyncio
import logging
from collections.abc import Callable, Iterable
from functools import partial
from typing import Any, Final

from llama_operator.api.names import (
    LABEL_INSTANCE,
    LABEL_MANAGED_BY,
    MANAGED_BY,
)
from llama_operator.cluster import resources
from llama_operator.cluster.client import (
    ApiClient,
    ApiError,
    Json,
    NotFoundError,
)
from llama_operator.cluster.devices import Devices
from llama_operator.cluster.ledger import Key, Ledger
from llama_operator.cluster.optional import OptionalResource
from llama_operator.cluster.watch import ObjectKey, Watch
from llama_operator.cluster.writes import Writes
from llama_operator.planning.inventory import NodeFacts
from llama_operator.planning.label_values import mapping
from llama_operator.planning.nodes import node_offers
from llama_operator.reconcile.observed import Child, PodFacts, child_of
from llama_operator.reconcile.pods import pod_facts
from llama_operator.reconcile.revision import LEADER_WORKER_SET_KIND, WORKLOADS
from llama_operator.render.leader_worker_set import GroupRestart

_log = logging.getLogger(__name__)

GATHER_SECONDS: Final = 0.1
"""What controllers tell of children and pods comes in bursts, of which one look is enough."""
VANISHED_SECONDS: Final = 0.3
"""Children go after their deployment, whose end another watch tells, maybe a moment later."""
LOOK_AGAIN_SECONDS: Final = 5.0
"""Pause after a node could not be read."""
OWN: Final = {"labelSelector": f"{LABEL_MANAGED_BY}={MANAGED_BY}"}
_TELLING: Final = frozenset({"ControllerRevision", *WORKLOADS})
"""Kinds of children by which the next rollout is decided."""


class Cluster:
    """Caches and writes.

    Args:
        client: an open client.
        on_deployment: called with the key of a deployment whose children or pods changed, and the
            seconds after which to look at it.
        on_inventory: called when nodes changed in a way that planning can see.
        on_restart: called with a resource's name whenever its watch is opened again.
    """

    def __init__(
        self,
        client: ApiClient,
        *,
        on_deployment: Callable[[Key, float], None],
        on_inventory: Callable[[], None],
        on_restart: Callable[[str], None] | None = None,
    ) -> None:
        self.client = client
        self.ledger = Ledger()
        self._on_deployment = on_deployment
        self._on_inventory = on_inventory
        self._children: dict[Key, dict[tuple[str, str], Child]] = {}
        self._pods: dict[Key, dict[str, PodFacts]] = {}
        self._looks: asyncio.Queue[str] = asyncio.Queue()
        self._child_watches: dict[str, Watch[Child]] = {
            kind: Watch(
                client,
                resource,
                partial(child_of, kind),
                self._child_changed,
                selectors=OWN,
                on_restart=on_restart,
            )
            for kind, resource in resources.BY_KIND.items()
        }
        self.writes = Writes(client, self._child_watches)
        self._groups = OptionalResource(
            client,
            self._child_watches[LEADER_WORKER_SET_KIND],
            self._groups_changed,
            on_restart,
        )
        self._pod_watch: Watch[PodFacts] = Watch(
            client,
            resources.PODS,
            pod_facts,
            self._pod_changed,
            selectors=OWN,
            on_restart=on_restart,
        )
        self._node_watch: Watch[tuple[NodeFacts, ...]] = Watch(
            client, resources.NODES, self._offers, self._node_changed, on_restart=on_restart
        )
        self._devices = Devices(client, self._looks.put_nowait, on_restart)

    @property
    def watches(self) -> tuple[Watch[Any], ...]:
        """All watches, to be run and to be looked after."""
        return (*self._own_watches, *self._groups.watches)

    @property
    def _own_watches(self) -> tuple[Watch[Any], ...]:
        """Those of resources that every cluster has."""
        children = (
            watch for kind, watch in self._child_watches.items() if kind != LEADER_WORKER_SET_KIND
        )
        return (*children, self._pod_watch, self._node_watch)

    @property
    def group_restart(self) -> GroupRestart | None:
        """The best that the cluster's LeaderWorkerSet knows; None in a cluster without it."""
        if (served := self._groups.served) is None:
            return None
        known = GroupRestart.AFTER_START in served.restart_policies
        return GroupRestart.AFTER_START if known else GroupRestart.ON_POD_RESTART

    async def run(self) -> None:
        """Keep the caches until cancelled."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self._groups.run(), name="optional resources")
            for watch in self._own_watches:
                group.create_task(watch.run(), name=f"watch {watch.resource.plural}")
            group.create_task(self._devices.run(), name="watch devices")
            group.create_task(self._look_at_nodes(), name="look at nodes")

    async def _look_at_nodes(self) -> None:
        """Project nodes anew whose GPUs are told by other objects than the Node."""
        while True:
            name = await self._looks.get()
            while True:
                try:
                    selector = {"fieldSelector": f"metadata.name={name}"}
                    found = await self._node_watch.look("", selector)
                    break
                except ApiError as error:
                    _log.warning("node %s cannot be read: %s", name, error.message)
                    await asyncio.sleep(LOOK_AGAIN_SECONDS)
            if ("", name) not in found:
                self._node_watch.forget(("", name))

    async def synced(self) -> None:
        """Wait until every cache was filled once."""
        for watch in self._own_watches:
            await watch.synced.wait()
        await self._groups.settled()
        self.ledger.set_leader_worker_set(self.group_restart is not None)

    def children(self, key: Key) -> tuple[Child, ...]:
        """Objects that carry the deployment's instance label, as cached."""
        return tuple(self._children.get(key, {}).values())

    def pods(self, key: Key) -> tuple[PodFacts, ...]:
        """Pods of the engine that carry the deployment's instance label, as cached."""
        return tuple(pod for pod in self._pods.get(key, {}).values() if not pod.job)

    def fetch_pods(self, key: Key) -> tuple[PodFacts, ...]:
        """Pods that download the deployment's model, as cached."""
        return tuple(pod for pod in self._pods.get(key, {}).values() if pod.job)

    async def refresh(self, key: Key, kinds: Iterable[str] = ()) -> None:
        """Take children as the API server shows them now: those that tell what runs, and more."""
        before = self.children(key)
        selector = f"{OWN['labelSelector']},{LABEL_INSTANCE}={key[1]}"

        async def look(kind: str) -> None:
            watch = self._child_watches[kind]
            found = await watch.look(key[0], {"labelSelector": selector})
            for child in before:
                if child.kind == kind and (key[0], child.name) not in found:
                    watch.forget((key[0], child.name))

        served = {*kinds, *_TELLING}
        if self.group_restart is None:
            served.discard(LEADER_WORKER_SET_KIND)
        await asyncio.gather(*(look(kind) for kind in served))

    def _groups_changed(self) -> None:
        self.ledger.set_leader_worker_set(self.group_restart is not None)
        self._on_inventory()

    def _child_changed(self, key: ObjectKey, old: Child | None, new: Child | None) -> None:
        for child, keep in ((old, False), (new, True)):
            if child is None:
                continue
            parent = (key[0], child.instance)
            names = self._children.setdefault(parent, {})
            if keep:
                names[child.kind, child.name] = child
            else:
                names.pop((child.kind, child.name), None)
                if new is None:
                    self.writes.unholdable.pop(child.uid, None)
            if not names:
                del self._children[parent]
            self._on_deployment(parent, VANISHED_SECONDS if new is None else GATHER_SECONDS)

    def _pod_changed(self, key: ObjectKey, old: PodFacts | None, new: PodFacts | None) -> None:
        self.ledger.set_pod(key[0], old, new)
        for pod, keep in ((old, False), (new, True)):
            if pod is None:
                continue
            parent = (key[0], pod.instance)
            pods = self._pods.setdefault(parent, {})
            if keep:
                pods[pod.name] = pod
            else:
                pods.pop(pod.name, None)
            if not pods:
                del self._pods[parent]
            self._on_deployment(parent, VANISHED_SECONDS if new is None else GATHER_SECONDS)
        if new is None:
            self._on_inventory()

    def _offers(self, item: Json) -> tuple[NodeFacts, ...] | None:
        """What a node offers; None keeps nodes without GPUs out of the store."""
        name = mapping(item.get("metadata")).get("name")
        devices = self._devices.on_node(name) if isinstance(name, str) else None
        return node_offers(item, devices) or None

    def _node_changed(
        self,
        key: ObjectKey,
        _: tuple[NodeFacts, ...] | None,
        new: tuple[NodeFacts, ...] | None,
    ) -> None:
        self.ledger.set_node(key[1], new or ())
        self._on_inventory()

    async def events_about(self, namespace: str, child: Child, reason: str) -> list[Json]:
        """Events about a child, by their reason.

        Raises:
            ApiError: they cannot be read.
        """
        about = {"kind": child.kind, "name": child.name, "uid": child.uid}
        selector = ",".join([f"reason={reason}", *(f"regarding.{k}={v}" for k, v in about.items())])
        answer = await self.client.request(
            "GET",
            resources.EVENTS.path(namespace),
            resource=resources.EVENTS.plural,
            verb="list",
            params={"fieldSelector": selector, "limit": "100"},
        )
        return list(answer.get("items") or ())

    async def get_deployment(self, key: Key) -> Json | None:
        """The live object, or None when it is gone."""
        try:
            return await self.client.get(resources.LLAMA_DEPLOYMENTS, *key)
        except NotFoundError:
            return None
