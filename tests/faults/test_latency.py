"""Slow and hanging answers: each deployment for itself, side by side, and the Lease is kept."""

import itertools
import time
from collections.abc import Callable

import pytest

from cluster.world import World, gpu_node
from controlplane import wait_until
from faultproxy import Answer, Delay, Fault, FaultProxy, Hang, Rule
from faults.conftest import StartOperator
from faults.oracle import Oracle
from faults.replicas import SMALL
from workstation import OperatorProcess

pytestmark = pytest.mark.cluster

A100 = "NVIDIA-A100-SXM4-80GB"
WORKERS = 8
UNANSWERED_SECONDS = 13.0
"""A write that is not answered is given up so long after the last renewal of the Lease."""
BOUND_SECONDS = 3 * UNANSWERED_SECONDS
LATENCY_SECONDS = 2.0
SLOW_WORKERS = 16
WRITES_EACH = 6
"""Until the pods are there; one after the other they would take so many times the latency."""

Record = Callable[[str, object], None]


@pytest.mark.fault(10)
@pytest.mark.parametrize(
    "fault",
    [
        pytest.param(Hang(), id="writes are never answered"),
        pytest.param(Answer(504, "Timeout"), id="writes are answered with 504"),
    ],
)
def test_deployments_whose_writes_time_out_leave_the_others_alone(
    world: World,
    operator: OperatorProcess,
    oracle: Oracle,
    proxy: FaultProxy,
    record_property: Record,
    fault: Fault,
) -> None:
    names = [f"stuck-{number}" for number in range(WORKERS)]
    world.add_nodes(*(gpu_node(f"a100-{number}", A100, 8) for number in range(3)))
    for name in names:
        world.apply(name, SMALL)
    oracle.check(operator)
    rules = [
        Rule(fault, verbs={"patch"}, resources={"statefulsets"}, name=f"{name}-a") for name in names
    ]
    proxy.add(*rules)
    for name in names:
        world.kubectl("scale", "llama", name, "--replicas=2")
    wait_until("every worker is stuck", lambda: all(rule.struck for rule in rules), timeout=30)
    began = time.monotonic()
    world.apply("free", SMALL)
    world.wait_condition("free", "Ready", "True", "Serving", timeout=BOUND_SECONDS)
    seconds = time.monotonic() - began
    record_property(
        f"figure.seconds-beside-eight-{type(fault).__name__.lower()}", round(seconds, 1)
    )
    stuck = [item for item in world.owned("statefulsets") if item["metadata"]["name"] != "free-a"]
    assert [item["spec"]["replicas"] for item in stuck] == [1] * WORKERS
    if isinstance(fault, Hang):
        wait_until("writes are given up", lambda: all(r.struck > 1 for r in rules), timeout=60)
    assert operator.is_leader()
    proxy.remove(*rules)
    oracle.check(operator, within=90)


@pytest.mark.fault(18)
@pytest.mark.soak
def test_with_slow_answers_work_goes_on_side_by_side_and_the_lease_is_kept(
    world: World,
    start_operator: StartOperator,
    oracle: Oracle,
    proxy: FaultProxy,
    soak: bool,
    record_property: Record,
) -> None:
    count = 1000 if soak else 60
    world.add_nodes(*(gpu_node(f"a100-{number}", A100, 8) for number in range(-(-count // 8))))
    slow = Rule(Delay(LATENCY_SECONDS))
    proxy.add(slow)
    operator = start_operator(f"--workers={SLOW_WORKERS}", wait=False)
    operator.wait_ready(90)
    position = proxy.position()
    world.apply_text(
        "---\n".join(world.manifest(f"slow-{number}", SMALL) for number in range(count))
    )
    began = time.monotonic()
    wait_until(
        "all have their pods",
        lambda: len(world.owned("pods")) == count,
        timeout=count * WRITES_EACH * LATENCY_SECONDS,
        interval=1,
    )
    seconds = time.monotonic() - began
    calls = [call for call in proxy.calls(position) if call.is_write]
    work = [call for call in calls if call.resource != "leases"]
    side_by_side = len(work) * LATENCY_SECONDS / seconds
    record_property("figure.deployments-under-latency", count)
    record_property("figure.seconds-under-latency", round(seconds, 1))
    record_property("figure.requests-in-flight-under-latency", round(side_by_side, 1))
    assert side_by_side > SLOW_WORKERS / 4
    assert operator.is_leader()
    assert not [line for line in operator.lines() if "standing by" in line["message"]]
    renewals = [call.at for call in calls if call.resource == "leases"]
    gaps = [later - earlier for earlier, later in itertools.pairwise(renewals)]
    assert max(gaps) < 10
    proxy.remove(slow)
    oracle.check(operator, within=120)
