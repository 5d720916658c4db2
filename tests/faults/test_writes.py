"""Writes whose answer is lost, refused or put off: each is done once, and nothing moves twice."""

import json
from collections import Counter
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from cluster.world import GROUP_PATH, gpu_node
from cluster.writes import operator_writes, told
from faultproxy import Answer, Call, CutAfterCommit, Notify, Rule
from faults.conftest import Stage

pytestmark = pytest.mark.cluster

A100 = "NVIDIA-A100-SXM4-80GB"
SMALL = {"size": "8b", "format": "awq", "replicas": 2}
STATUS = "llamadeployments/status"


@pytest.fixture(scope="module", autouse=True)
def nodes(stage: Stage) -> None:
    stage.world.add_nodes(gpu_node("writes-0", A100, 8), gpu_node("writes-1", A100, 8))


@pytest.fixture
def served(calm: Stage) -> Iterator[Stage]:
    """With a deployment `small` of two replicas that serves."""
    calm.world.apply("small", SMALL)
    calm.world.wait_ready("small")
    return calm


def patch(stage: Stage, **spec: Any) -> None:
    path = f"{GROUP_PATH}/namespaces/{stage.world.namespace}/llamadeployments/small"
    stage.world.api.request("PATCH", path, {"spec": spec}, "application/merge-patch+json")


def rollouts(stage: Stage) -> int:
    """How many pod templates the StatefulSet ever had."""
    answer = stage.world.api.get(
        f"/apis/apps/v1/namespaces/{stage.world.namespace}/controllerrevisions"
    )
    return sum(
        item["metadata"]["ownerReferences"][0]["kind"] == "StatefulSet" for item in answer["items"]
    )


def events(stage: Stage) -> Counter[str]:
    """Reasons of the events about deployments."""
    answer = json.loads(stage.world.kubectl("get", "events.events.k8s.io", "-o", "json"))
    uid = stage.world.llama("small")["metadata"]["uid"]
    return Counter(
        event["reason"] for event in answer["items"] if event["regarding"].get("uid") == uid
    )


def settled(stage: Stage, **expected: Any) -> None:
    stage.oracle.check(stage.operator, quiet_seconds=1.0, **expected)


@pytest.mark.fault(3)
@pytest.mark.parametrize(
    ("verb", "resource", "nth"),
    [
        pytest.param("create", "services", 1, id="the first Service"),
        pytest.param("create", "services", 2, id="the second Service"),
        pytest.param("create", "controllerrevisions", 1, id="the record"),
        pytest.param("create", "statefulsets", 1, id="the StatefulSet"),
        pytest.param("create", "poddisruptionbudgets", 1, id="the disruption budget"),
        pytest.param("patch", STATUS, 1, id="the first status"),
        pytest.param("create", "events", 1, id="the event"),
    ],
)
def test_a_child_whose_create_is_not_answered_is_made_once(
    calm: Stage, verb: str, resource: str, nth: int
) -> None:
    rule = Rule(CutAfterCommit(), verbs={verb}, resources={resource}, nth=nth)
    calm.proxy.add(rule)
    calm.world.apply("small", SMALL)
    settled(calm)
    assert rule.struck == 1
    assert rollouts(calm) == 1
    assert len(calm.world.owned("controllerrevisions")) == 1
    assert events(calm) <= Counter({"Planned": 1})


def roll(stage: Stage) -> None:
    patch(stage, servedModelNames=["other"])


def replan(stage: Stage) -> None:
    patch(stage, context={"maxModelLen": 4096})


def scale(replicas: int) -> Callable[[Stage], None]:
    return lambda stage: patch(stage, replicas=replicas)


@pytest.mark.fault(3)
@pytest.mark.parametrize(
    ("act", "verb", "resource", "nth", "templates"),
    [
        pytest.param(roll, "create", "controllerrevisions", 1, 2, id="the record of an edit"),
        pytest.param(roll, "patch", "statefulsets", 1, 2, id="the rollout"),
        pytest.param(replan, "patch", "statefulsets", 1, 2, id="the rollout of another plan"),
        pytest.param(roll, "patch", STATUS, 1, 2, id="the status of a rollout"),
        pytest.param(scale(3), "patch", "statefulsets", 1, 1, id="scaling up"),
        pytest.param(scale(1), "patch", "statefulsets", 1, 1, id="scaling down"),
        pytest.param(
            scale(1), "delete", "poddisruptionbudgets", 1, 1, id="the deletion of a child"
        ),
    ],
)
def test_a_change_whose_answer_is_lost_is_made_once(
    served: Stage,
    act: Callable[[Stage], None],
    verb: str,
    resource: str,
    nth: int,
    templates: int,
) -> None:
    kept = served.oracle.picture()
    before = served.world.pod_uids("small")
    rule = Rule(CutAfterCommit(), verbs={verb}, resources={resource}, nth=nth)
    served.proxy.add(rule)
    act(served)
    settled(served)
    assert rule.struck == 1
    assert rollouts(served) == templates
    served.oracle.assert_kept(kept, ["services", "statefulsets"])
    after = served.world.pod_uids("small")
    if templates == 1:
        assert before <= after or after <= before, "a pod was replaced"
    assert events(served) <= Counter({"Planned": templates})


@pytest.mark.fault(3)
def test_records_that_go_although_nobody_says_so_are_deleted_once(served: Stage) -> None:
    for length in (1024, 2048, 3072, 4096):
        patch(served, context={"maxModelLen": length})
        served.world.wait_ready("small")
    rule = Rule(CutAfterCommit(), verbs={"delete"}, resources={"controllerrevisions"}, nth=1)
    served.proxy.add(rule)
    patch(served, context={"maxModelLen": 5120})
    settled(served)
    assert rule.struck == 1
    assert len(served.world.owned("controllerrevisions")) == 5


@pytest.mark.fault(7)
def test_a_status_that_is_refused_once_is_written_on_a_fresh_read(served: Stage) -> None:
    """Each first try of a status write conflicts; the second is the last."""
    rule = Rule(Answer(409, "Conflict"), verbs={"patch"}, resources={STATUS}, nth=range(1, 1000, 2))
    served.proxy.add(rule)
    position = served.proxy.position()
    roll(served)
    settled(served)
    calls = [
        call
        for call in served.proxy.calls(position)
        if call.resource == STATUS or (call.verb == "get" and call.resource == "llamadeployments")
    ]
    assert rule.struck >= 1
    assert [call.code for call in calls if call.resource == STATUS] == [409, 200] * rule.struck
    for number, call in enumerate(calls):
        if call.code == 409:
            assert calls[number + 1].verb == "get", "the second try follows a fresh read"
    assert rollouts(served) == 2


@pytest.mark.fault(7)
def test_a_status_is_not_written_over_an_edit_that_came_meanwhile(served: Stage) -> None:
    """The API server itself refuses: the object changed between the read and the write."""

    def edit(_: Call) -> None:
        with served.world.plane.api_client() as api:
            path = f"{GROUP_PATH}/namespaces/{served.world.namespace}/llamadeployments/small"
            body = {"spec": {"servedModelNames": ["meanwhile"]}}
            api.request("PATCH", path, body, "application/merge-patch+json")

    rule = Rule(Notify(edit, before=True), verbs={"patch"}, resources={STATUS}, nth=1)
    served.proxy.add(rule)
    position = served.proxy.position()
    patch(served, replicas=3)
    settled(served)
    assert rule.struck == 1
    codes = [call.code for call in served.proxy.calls(position) if call.resource == STATUS]
    assert codes[0] == 409, "the API server refused the outdated one"
    assert 409 not in codes[1:]
    assert rollouts(served) == 2


@pytest.mark.fault(7)
def test_labels_of_others_do_not_keep_a_status_from_being_written(served: Stage) -> None:
    def label(_: Call) -> None:
        with served.world.plane.api_client() as api:
            path = f"{GROUP_PATH}/namespaces/{served.world.namespace}/llamadeployments/small"
            body = {"metadata": {"labels": {"team": "ml"}}}
            api.request("PATCH", path, body, "application/merge-patch+json")

    served.proxy.add(Rule(Notify(label, before=True), verbs={"patch"}, resources={STATUS}, nth=1))
    position = served.proxy.position()
    audit = served.world.plane.audit_position()
    patch(served, replicas=3)
    settled(served)
    codes = [call.code for call in served.proxy.calls(position) if call.resource == STATUS]
    assert codes[:2] == [409, 200]
    assert told(operator_writes(served.world, audit))["patch statefulsets"] == 1


WEBHOOK = 'failed calling webhook "sidecar.mesh.example": connection refused'


@pytest.mark.parametrize(
    ("verb", "resource", "before", "told_of"),
    [
        pytest.param("create", "services", False, "Service small", id="no Service can be made"),
        pytest.param("create", "statefulsets", False, "StatefulSet small-a", id="no StatefulSet"),
        pytest.param("patch", "statefulsets", True, "StatefulSet small-a", id="no edit of one"),
    ],
)
def test_a_write_that_fails_again_and_again_is_told_in_the_webhook_s_own_words(
    calm: Stage, verb: str, resource: str, before: bool, told_of: str
) -> None:
    if before:
        calm.world.apply("small", SMALL)
        calm.world.wait_ready("small")
    failing = Answer(500, "InternalError", WEBHOOK)
    calm.proxy.add(Rule(failing, verbs=(verb,), resources=(resource,)))
    calm.world.apply("small", {**SMALL, "servedModelNames": ["told"]})
    message = calm.world.wait_condition("small", "Reconciling", "True", "APIServerError")
    assert message.startswith(told_of)
    assert message.endswith(WEBHOOK)
    assert "Stalled" not in calm.world.conditions("small")
    calm.proxy.clear()
    settled(calm)
