"""Another operator process, or another version, leaves what runs alone until it is asked."""

import json
from collections import Counter
from collections.abc import Callable
from typing import Any

import pytest

from cluster.world import World
from cluster.writes import operator_writes, told
from faults.conftest import StartOperator
from faults.crashes import (
    IMPOSSIBLE,
    SHORT,
    SMALL,
    STATEFULSETS_USER,
    create,
    farm,
    listed,
    patch,
)
from faults.oracle import Oracle
from workstation import OperatorProcess

pytestmark = [pytest.mark.cluster, pytest.mark.fault(48)]

Json = dict[str, Any]
REHEARSAL = "--rendering=Rehearsal"
ANNOTATION = "llama-operator.io/rendering"
FLEET: dict[str, Json] = {
    "one": SMALL,
    "two": {**SMALL, "replicas": 2},
    "arguments": {**SMALL, "engine": {"extraArgs": ["--seed=7"]}},
    "context": SHORT,
    "suspended": {**SMALL, "suspend": True},
    "refused": SMALL,
}
RUNNING = 6
"""Their pods: one, two, arguments, context and refused."""


def recommendation(item: Json) -> str:
    return str(((item.get("status") or {}).get("recommendation") or {}).get("reason", ""))


def versions(world: World, *plurals: str) -> dict[tuple[str, str], str]:
    """Which version of each object is stored: whoever writes one raises it."""
    return {
        (plural, item["metadata"]["name"]): item["metadata"]["resourceVersion"]
        for plural in plurals or ("statefulsets", "services", "pods", "controllerrevisions")
        for item in world.owned(plural)
    }


def pods_ended(world: World, since: int) -> int:
    """Pods that the StatefulSet controller ended.

    Those that it made say less: KWOK removes a pod by name, under load its successor too.
    """
    return sum(
        (event.resource, event.verb, event.subresource, event.code, event.namespace)
        == ("pods", "delete", "", 200, world.namespace)
        for event in world.plane.audit_events(STATEFULSETS_USER, since)
    )


def replan(world: World, name: str, value: str) -> None:
    patch(world, name, {"metadata": {"annotations": {"llama-operator.io/replan": value}}})


def annotations(world: World, name: str) -> list[str | None]:
    return [(pod["metadata"].get("annotations") or {}).get(ANNOTATION) for pod in world.pods(name)]


@pytest.fixture
def fleet(
    world: World, oracle: Oracle, start_operator: StartOperator, soak: bool
) -> tuple[OperatorProcess, int]:
    """Models of several kinds, settled, with their operator; how many pods they have."""
    more = 100 if soak else 0
    farm(world, 16 + more)
    operator = start_operator()
    for name, spec in FLEET.items():
        create(world, name, spec)
    for number in range(more):
        create(world, f"model{number}", SMALL)
    oracle.wait_truth("refused", "Serving")
    patch(world, "refused", {"spec": IMPOSSIBLE})
    check(oracle, operator)
    return operator, RUNNING + more


def check(oracle: Oracle, operator: OperatorProcess) -> None:
    oracle.check(
        operator,
        reasons={"suspended": "Suspended"},
        last_good={"refused": {**oracle.world.llama("refused")["spec"], **SMALL}},
        keeps_plan=True,
        within=180,
    )


def take_over(
    start_operator: StartOperator, old: OperatorProcess, identity: str, *arguments: str
) -> OperatorProcess:
    """A standby that is ready leads once the old one has ended in order."""
    standby = start_operator(*arguments, identity=identity, wait=False)
    standby.ports()
    assert not standby.is_leader()
    assert old.stop() == 0
    standby.wait_ready(60)
    return standby


@pytest.mark.soak
def test_a_restart_a_takeover_and_another_version_move_nothing(
    world: World,
    oracle: Oracle,
    start_operator: StartOperator,
    fleet: tuple[OperatorProcess, int],
    record_property: Callable[[str, object], None],
) -> None:
    operator, pods = fleet
    before = versions(world)
    assert sum(plural == "pods" for plural, _ in before) == pods
    started = world.plane.audit_position()

    assert operator.stop() == 0
    operator = start_operator()
    operator = take_over(start_operator, operator, "standby")
    oracle.assert_quiet()
    assert versions(world) == before
    assert not operator_writes(world, started)

    # The refused one has other advice, which goes first.
    others = len(listed(world)) - 1
    for identity, arguments, expected in (
        ("newer", (REHEARSAL,), "NewRendering"),
        ("older", (), ""),
    ):
        since = world.plane.audit_position()
        operator = take_over(start_operator, operator, identity, *arguments)
        world.wait(
            f"the recommendations are {expected or 'gone'}",
            lambda expected=expected: (
                Counter(map(recommendation, listed(world).values()))
                == {expected: others, "MultiNodeUnavailable": 1}
            ),
        )
        oracle.assert_quiet()
        assert versions(world) == before
        assert told(operator_writes(world, since)) == {"patch llamadeployments/status": others}
    check(oracle, operator)
    assert pods_ended(world, started) == 0
    record_property("figure.pods-restarted-by-an-upgrade", pods_ended(world, started))
    record_property("figure.models-upgraded", len(listed(world)))


def test_a_new_rendering_is_adopted_when_asked_and_drift_goes_back_to_what_is_recorded(
    world: World, oracle: Oracle, start_operator: StartOperator
) -> None:
    farm(world, 8)
    operator = start_operator()
    create(world, "small", {**SMALL, "replicas": 2})
    oracle.check(operator)
    pods, since = world.pod_uids("small"), world.plane.audit_position()
    [recorded] = world.owned("statefulsets")

    operator.stop()
    operator = start_operator(REHEARSAL)
    world.wait("it advises", lambda: recommendation(world.llama("small")) == "NewRendering")
    world.kubectl("delete", "statefulset", "small-a", "--cascade=orphan")
    world.kubectl("delete", "service", "small")
    world.kubectl("patch", "pdb", "small", "--type=merge", '-p={"spec":{"maxUnavailable":2}}')
    world.wait(
        "drift is repaired",
        lambda: (
            "small-a" in world.children()["statefulsets"]
            and "small" in world.children()["services"]
            and world.owned("poddisruptionbudgets")[0]["spec"]["maxUnavailable"] == 1
        ),
    )
    oracle.wait_truth("small", "Serving")
    [live] = world.owned("statefulsets")
    assert live["spec"]["template"] == recorded["spec"]["template"]
    patch(world, "small", {"spec": {"replicas": 3}})
    oracle.wait_truth("small", "Serving")
    oracle.assert_quiet()
    assert pods < world.pod_uids("small")
    assert annotations(world, "small") == [None] * 3
    assert pods_ended(world, since) == 0

    replan(world, "small", "1")
    adopted(world, oracle, "Rehearsal")
    assert pods_ended(world, since) == 3

    operator.stop()
    operator = start_operator()
    world.wait("it advises", lambda: recommendation(world.llama("small")) == "NewRendering")
    newer = world.pod_uids("small")
    patch(world, "small", {"spec": {"replicas": 2}})
    oracle.wait_truth("small", "Serving")
    assert world.pod_uids("small") < newer
    assert annotations(world, "small") == ["Rehearsal"] * 2
    patch(world, "small", {"spec": {"engine": {"extraArgs": ["--seed=7"]}}})
    adopted(world, oracle, None)
    assert pods_ended(world, since) == 3 + 1 + 2
    oracle.check(operator, keeps_plan=True)


def adopted(world: World, oracle: Oracle, annotation: str | None) -> None:
    """All pods are of the rendering, which nobody advises any more."""
    world.wait(
        "the rendering is adopted",
        lambda: (
            set(annotations(world, "small")) == {annotation}
            and recommendation(world.llama("small")) == ""
        ),
    )
    oracle.wait_truth("small", "Serving")
    oracle.assert_quiet()


@pytest.mark.parametrize("beside", [True, False], ids=["beside a readable one", "alone"])
def test_a_record_of_a_later_form_makes_the_operator_leave_everything_alone(
    beside: bool, world: World, oracle: Oracle, start_operator: StartOperator
) -> None:
    farm(world, 8)
    operator = start_operator()
    create(world, "small", SMALL)
    oracle.check(operator)
    kept = oracle.picture()
    operator.stop()
    [record] = world.owned("controllerrevisions")
    if not beside:
        world.kubectl("delete", "controllerrevision", record["metadata"]["name"])
    metadata = {key: record["metadata"][key] for key in ("labels", "ownerReferences", "namespace")}
    future = {
        "apiVersion": "apps/v1",
        "kind": "ControllerRevision",
        "metadata": {**metadata, "name": "small-plan-future"},
        "revision": record["revision"] + 1,
        "data": {"form": 2, "template": "compressed"},
    }
    world.kubectl("create", "-f", "-", stdin=json.dumps(future))
    before = versions(world, "statefulsets", "services", "pods")

    since = world.plane.audit_position()
    operator = start_operator(REHEARSAL)
    message = world.wait_condition("small", "Stalled", "True", "RecordUnreadable")
    assert "small-plan-future" in message
    assert world.conditions("small")["Ready"][:2] == ("True", "Serving")
    # An edit that would restart the pods waits too, and says so.
    patch(world, "small", {"spec": {"engine": {"extraArgs": ["--seed=7"]}}})
    world.wait_condition("small", "Stalled", "True", "RecordUnreadable")
    oracle.assert_quiet()
    assert versions(world, "statefulsets", "services", "pods") == before
    assert set(told(operator_writes(world, since))) == {"patch llamadeployments/status"}

    patch(world, "small", {"spec": {"engine": {"extraArgs": None}}})
    operator.stop()
    operator = start_operator()
    world.kubectl("delete", "controllerrevision", "small-plan-future")
    oracle.check(operator, kept=kept, keeps_plan=True)
