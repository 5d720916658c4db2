"""GPUs of drivers of dynamic resource allocation (DRA): ResourceSlices and DeviceClasses, watched.

Their API is there from Kubernetes 1.34 on. Nothing waits for them: a cluster without the API, or
without the right to read it, is served as before.
"""

import asyncio
from collections.abc import Callable
from typing import Final

from llama_operator.cluster import resources
from llama_operator.cluster.client import ApiClient
from llama_operator.cluster.discovery import is_served
from llama_operator.cluster.watch import ObjectKey, Watch
from llama_operator.planning.devices import (
    DRIVER,
    NodeDevices,
    SliceFacts,
    extended_resource,
    gpus_of,
    slice_facts,
)
from llama_operator.planning.gpu_resources import NVIDIA

LOOK_SECONDS: Final = 5.0
LOOK_CAP_SECONDS: Final = 300.0
"""Pauses between looks for the API where it is missing; it comes with an upgrade of the cluster."""
OF_DRIVER: Final = {"fieldSelector": f"spec.driver={DRIVER}"}


class Devices:
    """GPUs by node, kept up to date.

    Args:
        client: an open client.
        on_change: called with the name of a node whose GPUs changed.
        on_restart: called with a resource's name whenever its watch is opened again.
    """

    def __init__(
        self,
        client: ApiClient,
        on_change: Callable[[str], None],
        on_restart: Callable[[str], None] | None = None,
    ) -> None:
        self._client = client
        self._on_change = on_change
        self._by_node: dict[str, dict[str, SliceFacts]] = {}
        self._slices: Watch[SliceFacts] = Watch(
            client,
            resources.RESOURCE_SLICES,
            slice_facts,
            self._slice_changed,
            selectors=OF_DRIVER,
            on_restart=on_restart,
        )
        self._classes: Watch[str] = Watch(
            client,
            resources.DEVICE_CLASSES,
            extended_resource,
            self._class_changed,
            on_restart=on_restart,
        )

    async def run(self) -> None:
        """Keep the GPUs until cancelled, once the API is there."""
        pause = LOOK_SECONDS
        while not await is_served(self._client, resources.RESOURCE_SLICES):
            await asyncio.sleep(pause)
            pause = min(2 * pause, LOOK_CAP_SECONDS)
        async with asyncio.TaskGroup() as group:
            for watch in (self._classes, self._slices):
                group.create_task(watch.run(), name=f"watch {watch.resource.plural}")

    def on_node(self, name: str) -> NodeDevices | None:
        """GPUs that slices show on a node; None without any."""
        slices = self._by_node.get(name)
        if not slices:
            return None
        return NodeDevices(gpus_of(slices.values()), NVIDIA in self._classes.store.values())

    def _slice_changed(
        self, key: ObjectKey, old: SliceFacts | None, new: SliceFacts | None
    ) -> None:
        for facts, keep in ((old, False), (new, True)):
            if facts is None:
                continue
            slices = self._by_node.setdefault(facts.node, {})
            if keep:
                slices[key[1]] = facts
            else:
                slices.pop(key[1], None)
            if not slices:
                del self._by_node[facts.node]
        for node in {facts.node for facts in (old, new) if facts is not None}:
            self._on_change(node)

    def _class_changed(self, _: ObjectKey, old: str | None, new: str | None) -> None:
        if NVIDIA in (old, new):
            for node in tuple(self._by_node):
                self._on_change(node)
