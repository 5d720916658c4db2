"""An API server that fails at times: all converges, with few more writes than without faults."""

from collections.abc import Callable
from typing import Any

import pytest

from cluster.world import GROUP_PATH, World, gpu_node
from controlplane import ControlPlane
from faultproxy import Answer, Rule
from faults.conftest import StartOperator, fault_proxy, operators
from faults.oracle import Oracle

pytestmark = pytest.mark.cluster

A100 = "NVIDIA-A100-SXM4-80GB"
SMALL = {"size": "8b", "format": "awq"}


def patch(world: World, name: str, **spec: Any) -> None:
    path = f"{GROUP_PATH}/namespaces/{world.namespace}/llamadeployments/{name}"
    world.api.request("PATCH", path, {"spec": spec}, "application/merge-patch+json")


def play(world: World, start: StartOperator, names: list[str]) -> None:
    """A life: an operator starts, deployments come, are edited, and scaled up and down."""
    operator = start()
    oracle = Oracle(world)
    for name in names:
        world.apply(name, SMALL)
    oracle.check(operator, within=90, quiet_seconds=1.0)
    for name in names:
        patch(world, name, servedModelNames=["edited"], replicas=2)
    oracle.check(operator, within=90, quiet_seconds=1.0)
    for name in names:
        patch(world, name, replicas=1)
    oracle.check(operator, within=90)


WRITES_WITHOUT_FAULTS = 16
"""Of one such life, statuses included; six of them took 99 in a run without faults."""


@pytest.mark.fault(9)
@pytest.mark.soak
@pytest.mark.parametrize(
    "seed",
    [
        *(pytest.param(seed, id=f"seed {seed}") for seed in (1, 2)),
        *(pytest.param(n, id=f"seed {n}", marks=pytest.mark.soak(only=True)) for n in (3, 4, 5)),
    ],
)
def test_one_request_in_ten_fails(
    installed: ControlPlane,
    tmp_path: Any,
    seed: int,
    record_property: Callable[[str, object], None],
) -> None:
    names = [f"model-{number}" for number in range(6)]
    with (
        fault_proxy(installed, f"seed {seed}") as proxy,
        operators(installed, proxy, tmp_path) as start,
    ):
        world = World(installed, f"unavailable-{seed}", tmp_path)
        world.add_nodes(*(gpu_node(f"flaky-{seed}-{number}", A100, 8) for number in range(2)))
        rules = [
            Rule(Answer(500, "InternalError"), probability=0.05),
            Rule(Answer(503, "ServiceUnavailable"), probability=0.05),
        ]
        proxy.add(*rules)
        play(world, start, names)
        tried = [c for c in proxy.calls() if c.is_write and c.resource not in ("leases", "events")]
        struck = sum(rule.struck for rule in rules)
        world.close()
    assert struck >= 5
    amplification = len(tried) / (WRITES_WITHOUT_FAULTS * len(names))
    record_property("figure.write-amplification", round(amplification, 2))
    assert amplification < 2.0, len(tried)
