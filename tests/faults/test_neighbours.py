"""Two hundred good deployments beside one whose every write fails: it is theirs alone to wait."""

import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from cluster.world import GROUP_PATH, World, gpu_node
from controlplane import ControlPlane
from faultproxy import WRITES, Answer, Fault, FaultProxy, Hang, Rule
from faults.oracle import Oracle
from workstation import OperatorProcess

pytestmark = [pytest.mark.cluster, pytest.mark.fault(10)]

A100 = "NVIDIA-A100-SXM4-80GB"
SMALL: dict[str, Any] = {"size": "8b", "format": "awq"}
GOOD = 200
GPUS_PER_NODE = 16
OBSERVED_SECONDS = 20.0
FAULTS: dict[str, Fault] = {
    "every write answered with 500": Answer(500, "InternalError", "the webhook does not answer"),
    "every write left unanswered": Hang(),
}


@pytest.fixture(scope="module")
def alone() -> dict[str, float]:
    """Seconds until all were ready without a bad neighbour, once measured."""
    return {}


@pytest.fixture
def bad(installed: ControlPlane, tmp_path: Path) -> Iterator[World]:
    """The namespace of the deployment whose writes fail."""
    made = World(installed, f"bad-{time.time_ns()}", tmp_path)
    yield made
    made.close()


def seconds_until_ready(world: World, oracle: Oracle, prefix: str) -> float:
    """Create the good ones as fast as one client can; seconds until the last is ready."""
    names = [f"{prefix}-{number}" for number in range(GOOD)]
    path = f"{GROUP_PATH}/namespaces/{world.namespace}/llamadeployments"
    started = time.monotonic()
    for name in names:
        body = {
            "apiVersion": "llama-operator.io/v1alpha1",
            "kind": "LlamaDeployment",
            "metadata": {"name": name},
            "spec": SMALL,
        }
        world.api.create(path, body)
    oracle.wait_truths(dict.fromkeys(names, "Serving"), 600)
    return time.monotonic() - started


@pytest.mark.parametrize("what", FAULTS)
def test_two_hundred_become_ready_beside_one_with(
    world: World,
    bad: World,
    installed: ControlPlane,
    tmp_path: Path,
    operator: OperatorProcess,
    oracle: Oracle,
    proxy: FaultProxy,
    alone: dict[str, float],
    record_property: Any,
    what: str,
) -> None:
    count = GOOD // GPUS_PER_NODE + 2
    world.add_nodes(*(gpu_node(f"a100-{number}", A100, GPUS_PER_NODE) for number in range(count)))
    if not alone:
        other = World(installed, f"alone-{time.time_ns()}", tmp_path)
        alone["seconds"] = seconds_until_ready(other, Oracle(other), "alone")
        clear(other, Oracle(other))
        other.close()
    rule = Rule(FAULTS[what], verbs=WRITES, namespace=bad.namespace)
    proxy.add(rule)
    position, since = proxy.position(), time.monotonic()
    bad.apply("bad", SMALL)
    bad.wait("its writes fail", lambda: rule.struck, 60)
    seconds = seconds_until_ready(world, oracle, "good")
    time.sleep(max(0.0, OBSERVED_SECONDS - (time.monotonic() - since)))
    span = time.monotonic() - since
    calls = [call for call in proxy.calls(position) if call.namespace == bad.namespace]
    record_property("figure.ready-200-alone-seconds", round(alone["seconds"], 1))
    record_property("figure.ready-200-beside-a-bad-one-seconds", round(seconds, 1))
    record_property("figure.requests-of-the-bad-one", len(calls))
    record_property("figure.seconds-of-the-bad-one", round(span, 1))
    # A pass tries both Services at once, and from the fifth on the status; pauses double from
    # 0.2 s (halved by jitter at most) up to 30 s, so there are seven passes in the first 20 s and
    # four in each minute after.
    assert len(calls) <= 3 * (9 + 4 * span / 60), Counter(
        f"{call.verb} {call.resource}" for call in calls
    )
    assert seconds <= max(3 * alone["seconds"], 30.0)
    proxy.clear()
    Oracle(bad).check(operator, within=120, quiet_seconds=0.0)
    oracle.check(operator, within=120)
    clear(world, oracle)


def clear(world: World, oracle: Oracle) -> None:
    """Delete all at once: one by one takes longer than the test."""
    world.api.delete(f"{GROUP_PATH}/namespaces/{world.namespace}/llamadeployments")
    world.wait("all pods are gone", lambda: not any(oracle.see().pods.values()), 600)
    world.wait("all children are gone", lambda: not any(world.children().values()), 600)
