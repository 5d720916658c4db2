"""Time travel: a restarted operator is shown the past, wholly or in part, and repeats nothing."""

from collections.abc import Collection
from typing import Any

import pytest

from cluster.world import GROUP_PATH, gpu_node
from controlplane import wait_until
from faultproxy import Rule, Stale
from faults.conftest import Stage

pytestmark = [pytest.mark.cluster, pytest.mark.fault(15)]

A100 = "NVIDIA-A100-SXM4-80GB"
SMALL = {"size": "8b", "format": "awq"}
CHILDREN = frozenset({"statefulsets", "services", "poddisruptionbudgets", "pods"})
RECORDS = frozenset({"controllerrevisions"})
DEPLOYMENTS = frozenset({"llamadeployments"})


@pytest.fixture(scope="module", autouse=True)
def nodes(stage: Stage) -> None:
    stage.world.add_nodes(*(gpu_node(f"stale-{number}", A100, 8) for number in range(2)))


def before(stage: Stage) -> None:
    """What the snapshot shows: `created` is there, and no operator has seen it yet."""
    for name, replicas in (
        ("deleted", 1),
        ("recreated", 1),
        ("grown", 1),
        ("shrunk", 3),
        ("rolled", 2),
        ("replanned", 1),
    ):
        stage.world.apply(name, {**SMALL, "replicas": replicas})
    stage.oracle.check(stage.operator, quiet_seconds=1.0)
    stage.operator.stop()
    stage.world.apply("created", SMALL)


def change(stage: Stage) -> None:
    """What happened since."""
    stage.world.kubectl("delete", "llama", "deleted", "recreated", "--cascade=foreground")
    stage.world.apply("recreated", {**SMALL, "servedModelNames": ["another"]})
    for name, spec in (
        ("grown", {"replicas": 3}),
        ("shrunk", {"replicas": 1}),
        ("rolled", {"servedModelNames": ["edited"]}),
        ("replanned", {"context": {"maxModelLen": 4096}}),
    ):
        path = f"{GROUP_PATH}/namespaces/{stage.world.namespace}/llamadeployments/{name}"
        body = {"spec": spec}
        stage.world.api.request("PATCH", path, body, "application/merge-patch+json")
    stage.oracle.check(stage.operator, quiet_seconds=1.0)


def stateful_sets(stage: Stage) -> dict[str, int]:
    """Generations by name: they count changes of what is asked for."""
    return {
        item["metadata"]["name"]: item["metadata"]["generation"]
        for item in stage.world.owned("statefulsets")
    }


def statuses(stage: Stage) -> dict[str, Any]:
    return {name: item["status"] for name, item in stage.oracle.deployments().items()}


def wait_rest(stage: Stage) -> None:
    """Until nothing but the Lease was asked for through one second."""
    last: list[int] = []

    def resting() -> bool:
        count = sum(call.resource != "leases" for call in stage.proxy.calls())
        last.append(count)
        return len(last) > 10 and len(set(last[-10:])) == 1

    wait_until("the operator rests", resting, timeout=60, interval=0.1)


@pytest.mark.parametrize(
    ("resources", "pods_are_seen"),
    [
        pytest.param(None, False, id="all of it"),
        pytest.param(DEPLOYMENTS, True, id="the deployments of then with the children of now"),
        pytest.param(CHILDREN | RECORDS, False, id="the children of then"),
        pytest.param(RECORDS, True, id="the records of then", marks=pytest.mark.soak(only=True)),
        pytest.param(
            DEPLOYMENTS | RECORDS,
            True,
            id="the deployments and records of then",
            marks=pytest.mark.soak(only=True),
        ),
    ],
)
def test_nothing_is_undone_by_an_operator_that_sees(
    calm: Stage, resources: Collection[str] | None, pods_are_seen: bool
) -> None:
    before(calm)
    snapshot = calm.proxy.snapshot()
    calm.operator = calm.start()
    change(calm)
    picture, generations, told = calm.oracle.picture(), stateful_sets(calm), statuses(calm)
    calm.operator.stop()
    # A list or watch of the whole cluster is what caches are filled by; others are live looks.
    rule = Rule(Stale(snapshot), verbs={"list", "watch"}, resources=resources, namespace="")
    calm.proxy.add(rule)
    position = calm.proxy.position()
    calm.operator = calm.start()
    wait_until("the past is shown", lambda: rule.struck >= 2)
    wait_rest(calm)
    assert calm.world.children() == picture.children
    assert stateful_sets(calm) == generations
    writes = [
        (call.verb, call.resource, call.name, call.code)
        for call in calm.proxy.calls(position)
        if call.is_write and call.resource != "leases"
    ]
    assert "delete" not in {verb for verb, *_ in writes}, writes
    if pods_are_seen:
        assert statuses(calm) == told, writes
    calm.proxy.remove(rule)
    calm.oracle.check(calm.operator, kept=picture)
    assert calm.world.children() == picture.children
    assert stateful_sets(calm) == generations
