"""What everything stands on goes away: the CRD, the namespace, the operator itself."""

import json
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import yaml

from cluster.world import World, gpu_node
from cluster.writes import operator_writes, told
from controlplane import ControlPlane
from faultproxy import FaultProxy
from faults.conftest import StartOperator
from faults.oracle import Oracle
from workstation import OperatorProcess, install
from workstation.install import BASE, OPERATOR_USER

pytestmark = pytest.mark.cluster

A100 = "NVIDIA-A100-SXM4-80GB"
SMALL = {"size": "8b", "format": "awq"}
CRD = "llamadeployments.llama-operator.io"
RESUME_SECONDS = 60
"""Three times the longest pause between two looks for the CRD, and some."""
AWAY_SECONDS = 10.0
DOOMED = 12


def cpu_seconds(operator: OperatorProcess) -> float:
    fields = Path(f"/proc/{operator.process.pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / 100


@pytest.fixture
def with_crd(installed: ControlPlane) -> Iterator[ControlPlane]:
    """The CRD is there again afterwards."""
    yield installed
    install(installed)


def delete_crd(plane: ControlPlane) -> None:
    plane.kubectl("delete", "crd", CRD, "--timeout=60s")


@pytest.mark.fault(21)
def test_a_crd_that_is_deleted_takes_its_deployments_along_and_may_come_back(
    with_crd: ControlPlane,
    world: World,
    operator: OperatorProcess,
    oracle: Oracle,
    proxy: FaultProxy,
    record_property: Callable[[str, object], None],
) -> None:
    world.add_nodes(gpu_node("a100-0", A100, 4))
    for name in ("one", "two"):
        world.apply(name, {**SMALL, "replicas": 2})
    oracle.check(operator)
    delete_crd(with_crd)
    world.wait("the garbage collector took all children", lambda: not any(
        world.children().values()), timeout=90)  # fmt: skip
    world.wait("readyz names what is missing", lambda: told_missing(operator), timeout=60)
    position, cpu = proxy.position(), cpu_seconds(operator)
    time.sleep(AWAY_SECONDS)  # the property is about a span of time
    used = (cpu_seconds(operator) - cpu) / AWAY_SECONDS
    record_property("figure.cpu-share-without-crd", round(used, 3))
    assert used < 0.25
    calls = [call for call in proxy.calls(position) if "lease" not in call.resource]
    assert len(calls) <= 3 * AWAY_SECONDS, [(call.verb, call.resource) for call in calls]
    assert not [call for call in calls if call.is_write]
    assert operator.get("/healthz")[0] == 200
    install(with_crd)
    started = time.monotonic()
    world.apply("one", {**SMALL, "replicas": 2})
    world.wait_ready("one", timeout=RESUME_SECONDS)
    record_property("figure.seconds-until-resumed-with-crd", round(time.monotonic() - started, 2))
    oracle.check(operator)
    assert operator.get("/readyz")[0] == 200


def told_missing(operator: OperatorProcess) -> bool:
    code, text = operator.get("/readyz")
    return code == 503 and "\nllamadeployments: " in "\n" + text


@pytest.mark.fault(21)
def test_an_operator_that_starts_before_its_crd_waits_for_it(
    with_crd: ControlPlane, world: World, start_operator: StartOperator, oracle: Oracle
) -> None:
    world.add_nodes(gpu_node("a100-0", A100, 2))
    delete_crd(with_crd)
    operator = start_operator(wait=False)
    world.wait("readyz names what is missing", lambda: told_missing(operator), timeout=30)
    assert f"the CRD {CRD} is not installed" in operator.get("/readyz")[1]
    install(with_crd)
    world.apply("small", SMALL)
    world.wait_ready("small", timeout=RESUME_SECONDS)
    oracle.check(operator)


@pytest.mark.fault(23)
def test_a_namespace_that_is_deleted_with_many_deployments_inside_ends_without_a_loop(
    installed: ControlPlane,
    world: World,
    operator: OperatorProcess,
    oracle: Oracle,
    tmp_path: Path,
    record_property: Callable[[str, object], None],
) -> None:
    world.add_nodes(gpu_node("a100-0", A100, 4))
    world.apply("neighbour", SMALL)
    doomed = World(installed, f"{world.namespace}-doomed", tmp_path)
    doomed.add_nodes(*(gpu_node(f"doomed-{number}", A100, 8) for number in range(DOOMED // 4)))
    items = [
        yaml.safe_load(doomed.manifest(f"m{number}", {**SMALL, "replicas": 2}))
        for number in range(DOOMED)
    ]
    doomed.apply_text(json.dumps({"apiVersion": "v1", "kind": "List", "items": items}))
    for number in range(DOOMED):
        doomed.wait_ready(f"m{number}", timeout=120)
    world.wait_ready("neighbour")
    kept, position = oracle.picture(), installed.audit_position()
    started = time.monotonic()
    installed.kubectl("delete", "namespace", doomed.namespace, "--wait=false")
    doomed.wait(
        "the namespace is gone",
        lambda: not doomed.exists(f"/api/v1/namespaces/{doomed.namespace}"),
        timeout=120,
    )
    record_property("figure.seconds-until-namespace-gone", round(time.monotonic() - started, 2))
    oracle.check(operator, kept=kept)
    creates = told(operator_writes(doomed, position))
    refused = [
        event
        for event in installed.audit_events(OPERATOR_USER, position)
        if event.namespace == doomed.namespace and event.code == 403
    ]
    record_property("figure.creates-refused-in-ending-namespace", len(refused))
    # Children may go before their deployment: one vain attempt for each, and no second.
    assert len(refused) <= 5 * DOOMED, creates
    doomed.remove_nodes([f"doomed-{number}" for number in range(DOOMED // 4)])
    doomed.api.close()


@pytest.mark.fault(23)
def test_a_namespace_that_ends_while_a_deployment_is_held_in_it_hears_no_creates(
    installed: ControlPlane, world: World, operator: OperatorProcess, oracle: Oracle, tmp_path: Path
) -> None:
    """Somebody else's finalizer keeps the object; the operator lets go of it and of its GPUs."""
    world.add_nodes(gpu_node("a100-0", A100, 2))
    doomed = World(installed, f"{world.namespace}-held", tmp_path)
    doomed.apply("held", SMALL, finalizers=["example.com/hold"])
    doomed.wait_ready("held")
    installed.kubectl("delete", "namespace", doomed.namespace, "--wait=false")
    doomed.wait("its pods are gone", lambda: not doomed.pods("held"), timeout=60)
    doomed.wait("its children are gone", lambda: not any(doomed.children().values()), timeout=60)
    position = installed.audit_position()
    oracle.assert_quiet()
    assert not operator_writes(world, position)
    patch = '[{"op":"remove","path":"/metadata/finalizers"}]'
    doomed.kubectl("patch", "llama", "held", "--type=json", "-p", patch)
    doomed.wait(
        "the namespace is gone",
        lambda: not doomed.exists(f"/api/v1/namespaces/{doomed.namespace}"),
        timeout=60,
    )
    doomed.api.close()
    oracle.check(operator)


@pytest.mark.fault(24)
def test_an_uninstalled_operator_leaves_deployments_that_can_be_deleted(
    installed: ControlPlane, world: World, start_operator: StartOperator, oracle: Oracle
) -> None:
    world.add_nodes(gpu_node("a100-0", A100, 4))
    operator = start_operator()
    for name in ("kept", "small"):
        world.apply(name, {**SMALL, "replicas": 2})
    oracle.check(operator)
    assert operator.stop() == 0
    rights = [
        item
        for item in yaml.safe_load_all((BASE / "rbac.yaml").read_text(encoding="utf-8"))
        if "Cluster" in item["kind"]
    ]
    manifest = json.dumps({"apiVersion": "v1", "kind": "List", "items": rights})
    installed.kubectl("delete", "-f", "-", input=manifest)
    try:
        for name in ("kept", "small"):
            assert "finalizers" not in world.llama(name)["metadata"]
        kept = world.pod_uids("kept")
        world.kubectl("delete", "llama", "small", "--timeout=30s")
        world.wait(
            "its children are gone",
            lambda: not [item for names in world.children().values() for item in names
                         if item.startswith("small")],
        )  # fmt: skip
        assert world.pod_uids("kept") == kept
    finally:
        install(installed)
    picture = oracle.picture()
    oracle.check(start_operator(), kept=picture)
