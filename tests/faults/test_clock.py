"""A clock that jumps by an hour, and clocks that differ by half a minute, move nothing."""

import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import Any

import pytest

from cluster.world import World
from cluster.writes import operator_writes
from controlplane import ControlPlane
from faults.conftest import StartOperator
from faults.crashes import SMALL, create, farm, patch
from faults.oracle import Oracle
from faults.test_upgrade import versions
from workstation import OperatorProcess
from workstation.install import NAMESPACE

pytestmark = [pytest.mark.cluster, pytest.mark.fault(20)]

Json = dict[str, Any]
HOUR = 3600
JUMP_AFTER = 10
LEASE_SECONDS = 15
RENEW_SECONDS = 5
WINDOW_SECONDS = LEASE_SECONDS + RENEW_SECONDS
"""So long after the jump a standby that trusted clocks would have taken the Lease."""
TOLERANCE = 600
"""Far less than an hour, far more than anything here takes."""


def lease(plane: ControlPlane) -> Json:
    path = f"/apis/coordination.k8s.io/v1/namespaces/{NAMESPACE}/leases/llama-operator"
    spec: Json = plane.api.get(path)["spec"]
    return spec


def ahead(text: str) -> float:
    """Seconds that a time is ahead of now."""
    return (datetime.fromisoformat(text) - datetime.now(UTC)).total_seconds()


def transitions(item: Json) -> dict[str, str]:
    return {entry["type"]: entry["lastTransitionTime"] for entry in item["status"]["conditions"]}


def leaders(operators: Sequence[OperatorProcess]) -> int:
    return sum("llama_operator_leader 1.0" in each.get("/metrics")[1] for each in operators)


@pytest.mark.parametrize(
    ("jump", "skew", "takes_over"),
    [
        pytest.param(HOUR, -30, True, id="an hour ahead, the standby half a minute behind"),
        pytest.param(-HOUR, 30, False, id="an hour back, the standby half a minute ahead"),
    ],
)
def test_a_jump_and_a_skew_move_nothing_and_nobody_takes_over_from_one_that_renews(
    jump: int,
    skew: int,
    takes_over: bool,
    world: World,
    oracle: Oracle,
    start_operator: StartOperator,
    record_property: Callable[[str, object], None],
) -> None:
    farm(world, 8)
    leader = start_operator(f"--clock-offset={jump}@{JUMP_AFTER}", identity="leader")
    standby = start_operator(f"--clock-offset={skew}", identity="standby", wait=False)
    standby.ports()
    create(world, "small", SMALL)
    oracle.wait_truth("small", "Serving")
    world.wait(
        "the leader's clock has jumped",
        lambda: abs(ahead(lease(world.plane)["renewTime"]) - jump) < TOLERANCE,
    )
    settled = world.wait_ready("small")
    before, since = versions(world), world.plane.audit_position()
    started = lease(world.plane)["leaseTransitions"]
    deadline = time.monotonic() + WINDOW_SECONDS

    def over() -> bool:
        assert leaders([leader, standby]) == 1
        assert lease(world.plane)["holderIdentity"] == "leader"
        return time.monotonic() > deadline

    world.wait("the window is over", over, timeout=3 * WINDOW_SECONDS)
    assert versions(world) == before
    assert not operator_writes(world, since)
    assert world.llama("small") == settled

    patch(world, "small", {"spec": {"replicas": 2}})
    create(world, "after", SMALL)
    oracle.check(leader, standby)
    # Ready was true all the time; a time moves only with its status.
    assert transitions(world.llama("small")) == transitions(settled)
    for moment in transitions(world.llama("after")).values():
        assert abs(ahead(moment) - jump) < TOLERANCE
    path = f"/apis/events.k8s.io/v1/namespaces/{world.namespace}/events"
    told = [
        event["eventTime"]
        for event in world.api.get(path)["items"]
        if event["reason"] == "Planned" and event["regarding"]["name"] == "after"
    ]
    assert len(told) == 1
    assert abs(ahead(told[0]) - jump) < TOLERANCE
    if takes_over:
        settled, before = world.llama("small"), versions(world)
        since = world.plane.audit_position()
        leader.kill()
        killed = time.monotonic()
        standby.wait_ready(120)
        taken = time.monotonic() - killed
        # It has to see the last renewal grow old by its own clock, whatever is written there.
        assert taken >= LEASE_SECONDS - RENEW_SECONDS - 1
        record_property("figure.seconds-to-take-over-with-skewed-clocks", round(taken, 1))
        assert lease(world.plane)["leaseTransitions"] == started + 1
        assert world.llama("small") == settled
        assert not operator_writes(world, since)
        assert versions(world) == before
        oracle.check(standby)
