"""A node whose kubelet is this test: its operator pods are real processes."""

import contextlib
import signal
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from cluster.world import Json, World
from controlplane import ApiError, wait_until
from faults.replicas import Replica, StartReplica
from workstation.install import NAMESPACE

NODE = "workstation"
PODS = f"/api/v1/namespaces/{NAMESPACE}/pods"
PERIOD_SECONDS = 0.2
HEARTBEAT_SECONDS = 5.0
_MERGE = "application/merge-patch+json"


@dataclass
class Container:
    """The process of one pod.

    Attributes:
        replica: the process and its proxy.
        asked_to_end: monotonic time of its SIGTERM; 0 before.
        ended_after: seconds from then to its end; None while it runs.
        sick: what its liveness probe said.
    """

    replica: Replica
    ready: bool = False
    asked_to_end: float = 0.0
    ended_after: float | None = None
    sick: list[str] = field(default_factory=list)


class Kubelet:
    """Starts a process for each pod of the node, probes it, and ends it with its pod."""

    def __init__(self, world: World, start_replica: StartReplica) -> None:
        self._plane = world.plane
        self._start = start_replica
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._run, name="kubelet", daemon=True)
        self._beat = 0.0
        self.containers: dict[str, Container] = {}
        self.problem: Exception | None = None

    @contextlib.contextmanager
    def running(self) -> Iterator["Kubelet"]:
        """Register the node, and play its kubelet meanwhile."""
        self._plane.api.create("/api/v1/nodes", _node())
        self._thread.start()
        try:
            yield self
        finally:
            self._ended.set()
            self._thread.join(60)
            self._plane.api.delete(f"/api/v1/nodes/{NODE}")
        if self.problem is not None:
            raise self.problem

    def replicas(self) -> list[Replica]:
        """All that were started, in that order."""
        return [container.replica for container in self.containers.values()]

    def _run(self) -> None:
        try:
            with self._plane.api_client() as api:
                while not self._ended.wait(PERIOD_SECONDS):
                    self._heartbeat(api)
                    selector = f"?fieldSelector=spec.nodeName%3D{NODE}"
                    for pod in api.get(PODS + selector)["items"]:
                        self._sync(api, pod)
        except Exception as error:
            self.problem = error

    def _heartbeat(self, api: Any) -> None:
        if time.monotonic() - self._beat > HEARTBEAT_SECONDS:
            status = {"conditions": [_condition("Ready", True)], **_capacity()}
            api.request("PATCH", f"/api/v1/nodes/{NODE}/status", {"status": status}, _MERGE)
            self._beat = time.monotonic()

    def _sync(self, api: Any, pod: Json) -> None:
        name = pod["metadata"]["name"]
        container = self.containers.get(name)
        if pod["metadata"].get("deletionTimestamp"):
            self._end(api, name, container)
            return
        if container is None:
            container = self.containers[name] = Container(self._start(name))
            self._report(api, name, False)
        if not container.replica.process.log.read_text().count("health on port"):
            return
        status, text = container.replica.process.get("/healthz")
        if status != 200:
            container.sick.append(text)
        ready = container.replica.process.get("/readyz")[0] == 200
        if ready != container.ready:
            container.ready = ready
            self._report(api, name, ready)

    def _end(self, api: Any, name: str, container: Container | None) -> None:
        if container is not None and not container.asked_to_end:
            container.asked_to_end = time.monotonic()
            container.replica.process.process.send_signal(signal.SIGTERM)
        if container is None or container.replica.process.process.poll() is not None:
            if container is not None:
                container.ended_after = time.monotonic() - container.asked_to_end
            with contextlib.suppress(ApiError):
                api.request("DELETE", f"{PODS}/{name}", {"gracePeriodSeconds": 0})

    def _report(self, api: Any, name: str, ready: bool) -> None:
        conditions = [
            _condition(kind, kind in ("Initialized", "PodScheduled") or ready)
            for kind in ("Initialized", "PodScheduled", "ContainersReady", "Ready")
        ]
        status = {"phase": "Running", "conditions": conditions}
        api.request("PATCH", f"{PODS}/{name}/status", {"status": status}, _MERGE)


def _condition(kind: str, holds: bool) -> Json:
    now = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    return {
        "type": kind,
        "status": "True" if holds else "False",
        "lastHeartbeatTime": now,
        "lastTransitionTime": now,
    }


def _capacity() -> Json:
    resources = {"cpu": "4", "memory": "8Gi", "pods": "20"}
    return {"capacity": resources, "allocatable": resources}


def _node() -> Json:
    return {
        "apiVersion": "v1",
        "kind": "Node",
        "metadata": {"name": NODE, "labels": {"kubernetes.io/hostname": NODE}},
        "status": {"conditions": [_condition("Ready", True)], **_capacity()},
    }


def wait_schedulable(world: World) -> None:
    """Wait until the controllers took the first heartbeat and let pods on the node."""
    wait_until(
        "the node takes pods",
        lambda: not world.plane.api.get(f"/api/v1/nodes/{NODE}")["spec"].get("taints"),
        timeout=60,
    )
