"""Nodes that lie, change or vanish under running engines: nothing is restarted for it."""

from collections.abc import Iterator
from typing import Any

import pytest

from cluster.world import World, gpu_node
from controlplane import ControlPlane
from faults.oracle import Oracle
from workstation import OperatorProcess

pytestmark = pytest.mark.cluster

A100 = "NVIDIA-A100-SXM4-80GB"
SMALL = {"size": "8b", "format": "awq"}
GPU = "nvidia.com/gpu"
NODE = "/api/v1/nodes/a100-0"

GARBAGE: dict[str, dict[str, str | None]] = {
    "memory is a word": {f"{GPU}.memory": "abc"},
    "memory is beyond all measure": {f"{GPU}.memory": "999999999999999999"},
    "memory has a unit": {f"{GPU}.memory": "80Gi"},
    "memory is zero": {f"{GPU}.memory": "0"},
    "memory is missing": {f"{GPU}.memory": None},
    "product is empty": {f"{GPU}.product": ""},
    "product is missing": {f"{GPU}.product": None},
    "count is huge": {f"{GPU}.count": "99999999999999999999"},
    "replicas are a word": {f"{GPU}.replicas": "many"},
    "compute capability is a word": {f"{GPU}.compute.major": "x", f"{GPU}.compute.minor": "y"},
}
MIG: list[dict[str, str | None]] = [
    {f"{GPU}.product": f"{A100}-MIG-1g.10gb", f"{GPU}.memory": "9728"},
    {f"{GPU}.product": f"{A100}-MIG-INVALID", f"{GPU}.memory": "0"},
    {f"{GPU}.product": A100, f"{GPU}.memory": "81920"},
]
ALLOCATABLE = ["0", "1"]
"""What a device plugin reports while it starts anew, or when cards fail."""


def label(world: World, labels: dict[str, str | None]) -> None:
    body = {"metadata": {"labels": labels}}
    world.api.request("PATCH", NODE, body, "application/merge-patch+json")


def patch_status(world: World, status: dict[str, Any]) -> None:
    world.api.request(
        "PATCH", f"{NODE}/status", {"status": status}, "application/strategic-merge-patch+json"
    )


@pytest.fixture
def running(world: World, operator: OperatorProcess, oracle: Oracle) -> World:
    world.add_nodes(gpu_node("a100-0", A100, 4))
    world.apply("small", {**SMALL, "replicas": 2})
    oracle.check(operator, quiet_seconds=0.5)
    return world


@pytest.fixture
def labels(running: World) -> dict[str, str | None]:
    """The labels of the node as they should be."""
    found = running.api.get(NODE)["metadata"]["labels"]
    keys = {key for change in (*GARBAGE.values(), *MIG) for key in change}
    return {key: found.get(key) for key in keys}


def is_looked_at(world: World, number: int) -> None:
    """The operator knows the node as it is now: it refuses what it would have placed before."""
    name = f"probe{number}"
    world.apply(name, SMALL)
    world.wait(f"{name} is planned or refused", lambda: world.conditions(name), timeout=30)
    world.kubectl("delete", "llama", name)


def wait_alone(world: World) -> None:
    """The probes are gone, and all that they had."""
    world.wait(
        "only one deployment has children",
        lambda: all(
            name.startswith("small") for names in world.children().values() for name in names
        ),
    )


@pytest.mark.fault(36)
def test_labels_that_are_garbage_restart_nothing_and_place_nothing(
    running: World, operator: OperatorProcess, oracle: Oracle, labels: dict[str, str | None]
) -> None:
    plan = running.llama("small")["status"]["plan"]
    kept = oracle.picture()
    for number, (what, change) in enumerate(GARBAGE.items()):
        label(running, change)
        is_looked_at(running, number)
        assert running.llama("small")["status"]["plan"] == plan, what
        assert running.conditions("small")["Ready"][:2] == ("True", "Serving"), what
        label(running, labels)
    wait_alone(running)
    oracle.check(operator, kept=kept)


@pytest.mark.fault(36)
def test_gpus_of_no_known_product_hold_no_new_model_until_they_are_known(
    running: World, operator: OperatorProcess, oracle: Oracle, labels: dict[str, str | None]
) -> None:
    kept = oracle.picture()
    label(running, {f"{GPU}.product": ""})
    running.apply("late", SMALL)
    running.wait_condition("late", "Stalled", "True", "NoGPUs")
    label(running, labels)
    running.wait_ready("late")
    oracle.check(operator)
    assert set(kept.of("pods").values()) == running.pod_uids("small")


@pytest.mark.fault(36)
def test_a_known_product_whose_memory_is_garbage_is_planned_by_the_table(
    running: World, operator: OperatorProcess, oracle: Oracle
) -> None:
    label(running, {f"{GPU}.memory": "abc"})
    running.apply("late", SMALL)
    body = running.wait_ready("late")
    assert body["status"]["plan"]["gpu"]["product"] == A100
    # 79.25 GiB, the total of the A100-SXM4-80GB in the table of GPUs.
    assert body["status"]["plan"]["memoryPerGpu"]["totalBytes"] == 85_094_039_552
    oracle.check(operator)


@pytest.mark.fault(36)
def test_mig_that_is_switched_under_a_running_model_restarts_nothing(
    running: World, operator: OperatorProcess, oracle: Oracle
) -> None:
    plan = running.llama("small")["status"]["plan"]
    kept = oracle.picture()
    for number, change in enumerate(MIG):
        label(running, change)
        is_looked_at(running, number)
        assert running.llama("small")["status"]["plan"] == plan
        assert running.pod_uids("small") == set(kept.of("pods").values())
    wait_alone(running)
    oracle.check(operator, kept=kept)


@pytest.mark.fault(36)
def test_fewer_allocatable_gpus_than_are_in_use_restart_nothing(
    running: World, operator: OperatorProcess, oracle: Oracle
) -> None:
    kept = oracle.picture()
    for number, value in enumerate(ALLOCATABLE):
        patch_status(running, {"allocatable": {GPU: value}})
        is_looked_at(running, number)
        assert running.pod_uids("small") == set(kept.of("pods").values())
    patch_status(running, {"allocatable": {GPU: "4"}})
    wait_alone(running)
    oracle.check(operator, kept=kept)


@pytest.fixture
def frozen(running: World) -> Iterator[World]:
    """No kubelet tells or does anything, as when the nodes lost their power."""
    running.plane.pause("kwok")
    yield running
    running.plane.resume("kwok")


def answer_again(world: World) -> None:
    """Tell that the pods are ready, as a kubelet that is back does; KWOK tells it only once.

    Those that are to end are ended instead.
    """
    world.plane.resume("kwok")
    world.wait(
        "the node is ready",
        lambda: any(
            entry["type"] == "Ready" and entry["status"] == "True"
            for entry in world.api.get(NODE)["status"]["conditions"]
        ),
        timeout=60,
    )
    staying = (pod for pod in world.pods("small") if "deletionTimestamp" not in pod["metadata"])
    for pod in staying:
        path = f"/api/v1/namespaces/{world.namespace}/pods/{pod['metadata']['name']}/status"
        status = {"conditions": [{"type": "Ready", "status": "True"}]}
        world.api.request(
            "PATCH", path, {"status": status}, "application/strategic-merge-patch+json"
        )


@pytest.mark.fault(37)
def test_a_node_that_is_lost_is_told_truthfully_and_comes_back(
    frozen: World, operator: OperatorProcess, oracle: Oracle
) -> None:
    kept = oracle.picture()
    # The node controller gives a node 50 s without a sign of life.
    frozen.wait_condition("small", "Ready", "False", "Starting", timeout=150)
    oracle.assert_kept(kept)
    oracle.assert_quiet(within=30)
    answer_again(frozen)
    frozen.wait_ready("small", timeout=90)
    oracle.check(operator, kept=kept)


@pytest.mark.fault(37)
def test_pods_of_a_lost_node_are_never_deleted_by_force(
    installed: ControlPlane, frozen: World, operator: OperatorProcess, oracle: Oracle
) -> None:
    """Evicted pods end when their node says so: two of one name must never run at once."""
    before = frozen.pod_uids("small")
    frozen.plane.kubectl("taint", "node", "a100-0", "example.com/gone=:NoExecute")
    frozen.wait(
        "all pods are to end",
        lambda: all(pod["metadata"].get("deletionTimestamp") for pod in frozen.pods("small")),
        timeout=90,
    )
    frozen.wait(
        "the status says that none is ready",
        lambda: (
            frozen.conditions("small")["Ready"][0] == "False"
            and not frozen.llama("small")["status"].get("readyReplicas")
        ),
        timeout=90,
    )
    oracle.assert_quiet(within=30)
    assert frozen.pod_uids("small") == before
    frozen.plane.kubectl("taint", "node", "a100-0", "example.com/gone-")
    answer_again(frozen)
    frozen.wait_ready("small", timeout=90)
    oracle.check(operator)
    assert not frozen.pod_uids("small") & before
