"""At rest: a hundred deployments in every situation, and the operator asks for and writes nothing.

The audit log is the judge. What is allowed is the renewal of the Lease and the end of watches.
"""

import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any

import pytest

from cluster.world import World, gpu_node
from controlplane import ControlPlane, wait_until
from controlplane.audit import AuditEvent
from faults.oracle import Oracle, assert_sound
from workstation import OperatorProcess
from workstation.install import OPERATOR_USER

pytestmark = pytest.mark.cluster

A100, L4 = "NVIDIA-A100-SXM4-80GB", "NVIDIA-L4"
SMALL: dict[str, Any] = {"size": "8b", "format": "awq", "hardware": [{"gpu": A100}]}
SITUATIONS: dict[str, tuple[int, dict[str, Any], str]] = {
    "ready": (40, SMALL, "Serving"),
    "waiting": (20, SMALL, "WaitingForGPUs"),
    "unknown": (10, {**SMALL, "size": "9b"}, "UnknownModel"),
    "absent": (10, {**SMALL, "hardware": [{"gpu": "NVIDIA-B200"}]}, "GPUNotInCluster"),
    "suspended": (10, {**SMALL, "suspend": True}, "Suspended"),
    "zero": (10, {**SMALL, "replicas": 0}, "ScaledToZero"),
}
"""How many, of which spec, with which reason: a hundred in all, and cards for forty."""
NODES = 200
REST_SECONDS = 60.0
LEASE_VERBS = frozenset({"update", "patch"})


class Resting:
    """A world that is at rest, and what its operator does in a span of time."""

    def __init__(self, world: World, operator: OperatorProcess) -> None:
        self.world = world
        self.operator = operator
        self.oracle = Oracle(world)

    def _flush(self) -> None:
        """Wait until the audit log is written up to now: it is written behind the answers."""
        marker = f"/api/v1/namespaces/{self.world.namespace}/configmaps/marker-{time.time_ns()}"
        position = self.world.plane.audit_position()
        self.world.try_get(marker)
        wait_until(
            "the audit log is written up to now",
            lambda: any(
                event.uri == marker for event in self.world.plane.audit_events(None, position)
            ),
            timeout=30,
        )

    @contextmanager
    def observed(self) -> Iterator[list[AuditEvent]]:
        """Requests of the operator in this block, watches apart; filled in at its end."""
        found: list[AuditEvent] = []
        self._flush()
        position, start = self.world.plane.audit_position(), datetime.now(UTC)
        yield found
        end = datetime.now(UTC)
        self._flush()
        found.extend(
            event
            for event in self.world.plane.audit_events(OPERATOR_USER, position)
            if start <= event.time <= end and event.verb != "watch"
        )

    def passes(self) -> float:
        """How many passes there were so far, whatever they did."""
        _, text = self.operator.get("/metrics")
        return sum(
            float(line.rpartition(" ")[2])
            for line in text.splitlines()
            if line.startswith("llama_operator_reconcile_total")
        )


def told(events: list[AuditEvent]) -> Counter[str]:
    return Counter(
        f"{event.verb} {event.resource}/{event.subresource} {event.namespace}/{event.name}"
        for event in events
    )


def beside_the_lease(events: list[AuditEvent]) -> Counter[str]:
    """What nobody at rest has to ask for."""
    return told([e for e in events if not (e.resource == "leases" and e.verb in LEASE_VERBS)])


@pytest.fixture(scope="module")
def resting(installed: ControlPlane, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Resting]:
    """A hundred deployments and two hundred nodes, settled."""
    folder = tmp_path_factory.mktemp("rest")
    world = World(installed, "at-rest", folder)
    with OperatorProcess(installed, folder, arguments=["--identity=operator"]) as operator:
        operator.wait_ready()
        world.add_nodes(
            *(gpu_node(f"a100-{number}", A100, 8) for number in range(5)),
            *(gpu_node(f"l4-{number}", L4, 1) for number in range(NODES - 5)),
        )
        made = Resting(world, operator)
        for situation, (count, spec, reason) in SITUATIONS.items():
            names = [f"{situation}-{number}" for number in range(count)]
            world.apply_text("---\n".join(world.manifest(name, spec) for name in names))
            made.oracle.wait_truths(dict.fromkeys(names, reason), 120)
        made.oracle.assert_quiet(5.0)
        yield made
        world.close()


def reasons() -> dict[str, str]:
    """Reason of Ready of every deployment."""
    return {
        f"{situation}-{number}": reason
        for situation, (count, _, reason) in SITUATIONS.items()
        for number in range(count)
    }


def test_over_a_minute_the_lease_is_all_that_is_asked_for(
    resting: Resting, record_property: Any
) -> None:
    with resting.observed() as events:
        time.sleep(REST_SECONDS)  # the property is about a span of time
    record_property("figure.rest-lease-writes-per-minute", len(events))
    assert beside_the_lease(events) == {}
    assert events, "not even the Lease: was this the right operator, and the right log?"
    assert_sound(resting.operator)


@pytest.mark.fault(35)
def test_heartbeats_and_foreign_labels_of_two_hundred_nodes_cause_no_pass(
    resting: Resting, record_property: Any
) -> None:
    api = resting.world.api
    nodes = [item["metadata"]["name"] for item in api.get("/api/v1/nodes")["items"]]
    assert len(nodes) == NODES
    before, cpu = resting.passes(), cpu_seconds(resting.operator)
    with resting.observed() as events:
        for turn in range(3):
            for name in nodes:
                labels = {"example.com/rack": f"rack-{turn}", "topology.example.com/row": str(turn)}
                metadata = {"labels": labels, "annotations": {"example.com/seen": str(turn)}}
                path = f"/api/v1/nodes/{name}"
                patch = "application/strategic-merge-patch+json"
                api.request("PATCH", path, {"metadata": metadata}, patch)
                beat = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
                alive = [{"type": "Ready", "status": "True", "lastHeartbeatTime": beat}]
                api.request("PATCH", f"{path}/status", {"status": {"conditions": alive}}, patch)
        resting.oracle.wait_truths(reasons(), 30)
    record_property("figure.node-changes", 6 * NODES)
    record_property(
        "figure.cpu-ms-per-node-change",
        round((cpu_seconds(resting.operator) - cpu) * 1000 / (6 * NODES), 2),
    )
    assert beside_the_lease(events) == {}
    assert resting.passes() == before


def cpu_seconds(operator: OperatorProcess) -> float:
    """CPU time of the process so far; the clock of /proc ticks a hundred times a second."""
    with open(f"/proc/{operator.process.pid}/stat", encoding="ascii") as file:  # noqa: PTH123
        fields = file.read().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / 100


def restart(component: str) -> Callable[[ControlPlane], None]:
    def act(plane: ControlPlane) -> None:
        plane.stop_component(component)
        plane.start_component(component)

    return act


@pytest.mark.fault(35)
@pytest.mark.parametrize("component", ["kube-controller-manager", "kwok", "kube-scheduler"])
def test_a_restart_beside_the_operator_causes_no_write(resting: Resting, component: str) -> None:
    kept = resting.oracle.picture()
    with resting.observed() as events:
        restart(component)(resting.world.plane)
        time.sleep(10.0)  # the property is about a span of time
    assert beside_the_lease(events) == {}
    resting.oracle.check(resting.operator, kept=kept, reasons=reasons())


def test_after_all_that_an_edit_still_works(resting: Resting) -> None:
    resting.world.kubectl("delete", "llama", "ready-0")
    resting.world.wait(
        "one that waited serves",
        lambda: (
            sum(
                resting.oracle.see().llamas[f"waiting-{n}"]["status"].get("readyReplicas", 0)
                for n in range(20)
            )
            == 1
        ),
    )
