import copy
from dataclasses import replace
from typing import Any

import pytest

from llama_operator.api.reasons import Reason
from llama_operator.planning.outcome import Planned, Refusal
from llama_operator.reconcile.actions import Apply, Create
from llama_operator.reconcile.decide import decide
from llama_operator.reconcile.desired import Desired, desire
from llama_operator.reconcile.observed import Child, child_of
from llama_operator.reconcile.revision import Revision, digest, read_revision
from support.deployments import deployment, plan

PLANNED = Planned(plan(), fits_now=True)


def first_revision(**spec: Any) -> Revision:
    revision = desire(deployment(spec), None, lambda *_: PLANNED).revision
    assert revision is not None
    return revision


def stored(body: dict[str, Any], number: int = 1) -> Child:
    """The child as the API server would show it after a create."""
    body = copy.deepcopy(body)
    metadata = {**body["metadata"], "uid": f"c{number}", "resourceVersion": str(number)}
    found = child_of(body["kind"], {**body, "metadata": metadata})
    assert found is not None
    return found


def after(spec: dict[str, Any] | None = None) -> tuple[Revision, list[Child]]:
    """Revision and children once the first pass was done."""
    revision = first_revision(**(spec or {}))
    decision = decide(deployment(spec), revision, (), {})
    children = [stored(action.body, n) for n, action in enumerate(decision.actions)]  # type: ignore[union-attr]
    return revision, children


def kinds(actions: tuple[object, ...]) -> list[tuple[str, str, str]]:
    return [(type(a).__name__, a.kind, a.name) for a in actions]  # type: ignore[attr-defined]


def test_the_first_pass_creates_services_then_records_and_then_creates_the_rest() -> None:
    revision = first_revision()
    decision = decide(deployment(), revision, (), {})
    assert [kinds(stage) for stage in decision.stages] == [
        [("Create", "Service", "llama-pods"), ("Create", "Service", "llama")],
        [("Create", "ControllerRevision", revision.name)],
        [("Create", "StatefulSet", "llama-a")],
    ]


def test_a_second_pass_does_nothing() -> None:
    revision, children = after({"replicas": 2})
    assert decide(deployment({"replicas": 2}), revision, children, {}).actions == ()


def test_above_one_replica_there_is_a_budget_and_it_goes_with_it() -> None:
    revision, children = after({"replicas": 2})
    assert "PodDisruptionBudget" in {child.kind for child in children}
    actions = decide(deployment({"replicas": 1}), revision, children, {}).actions
    assert kinds(actions) == [
        ("Apply", "StatefulSet", "llama-a"),
        ("Delete", "PodDisruptionBudget", "llama"),
    ]
    assert isinstance(actions[0], Apply)
    assert actions[0].body["spec"]["replicas"] == 1
    assert actions[0].body["metadata"]["uid"] == actions[0].child.uid


@pytest.mark.parametrize(
    ("spec", "replicas"),
    [
        pytest.param({"replicas": 3}, 3, id="what the spec asks for"),
        pytest.param({"replicas": 3, "suspend": True}, 0, id="none while suspended"),
        pytest.param({"replicas": 0}, 0, id="none when none are asked for"),
    ],
)
def test_replicas_of_the_stateful_set(spec: dict[str, Any], replicas: int) -> None:
    decision = decide(deployment(spec), first_revision(), (), {})
    [body] = [a.body for a in decision.actions if a.kind == "StatefulSet"]  # type: ignore[union-attr]
    assert body["spec"]["replicas"] == replicas


def test_drift_is_repaired_unless_the_cluster_rewrites_it_at_once() -> None:
    revision, children = after()
    service = next(child for child in children if child.name == "llama")
    spec = {**service.body["spec"], "ports": [{**service.body["spec"]["ports"][0], "port": 9999}]}
    changed = replace(service, resource_version="9", body={**service.body, "spec": spec})
    children = [changed if child is service else child for child in children]
    [action] = decide(deployment(), revision, children, {}).actions
    assert isinstance(action, Apply)
    assert action.name == "llama"
    unholdable = {service.uid: digest(revision.objects.service)}
    assert decide(deployment(), revision, children, unholdable).actions == ()


def test_a_child_that_is_being_deleted_is_waited_for() -> None:
    revision, children = after()
    gone = [
        Child(c.kind, c.name, c.uid, "9", c.instance, c.owner_uid, True, None, c.body)
        if c.kind == "StatefulSet"
        else c
        for c in children
    ]
    assert decide(deployment(), revision, gone, {}).actions == ()


def test_children_of_a_deleted_deployment_of_the_name_are_waited_for() -> None:
    revision, children = after()
    renewed = deployment(uid="u2")
    decision = decide(renewed, revision, children, {})
    assert decision.actions == ()
    assert "StatefulSet/llama-a" in decision.waiting_for


def test_an_object_with_our_labels_that_nobody_owns_is_never_touched() -> None:
    revision, children = after()
    orphans = [
        Child(c.kind, c.name, c.uid, "9", c.instance, "", False, None, c.body) for c in children
    ]
    decision = decide(deployment(), revision, orphans, {})
    assert decision.conflicts == (
        f"ControllerRevision/{revision.name}",
        "Service/llama",
        "Service/llama-pods",
        "StatefulSet/llama-a",
    )
    assert decision.actions == ()


def test_nothing_is_done_while_nothing_fits() -> None:
    assert decide(deployment(), None, (), {}).actions == ()


def test_old_revisions_are_pruned_and_the_running_one_never() -> None:
    revision, children = after()
    record = next(child for child in children if child.kind == "ControllerRevision")
    old = [
        stored(
            {
                **record.body,
                "revision": -n,
                "metadata": {**record.body["metadata"], "name": f"old-{n}"},
            },
            10 + n,
        )
        for n in range(6)
    ]
    actions = decide(deployment(), revision, [*children, *old], {}).actions
    assert kinds(actions) == [
        ("Delete", "ControllerRevision", "old-5"), ("Delete", "ControllerRevision", "old-4"),
    ]  # fmt: skip


def test_revisions_of_the_stateful_set_carry_our_labels_and_are_left_alone() -> None:
    revision, children = after()
    record = next(child for child in children if child.kind == "ControllerRevision")
    foreign = [
        Child(record.kind, f"llama-a-{n}", f"s{n}", "9", "llama", "", False, None, record.body)
        for n in range(9)
    ]
    assert decide(deployment(), revision, [*children, *foreign], {}).actions == ()


def unexpected(*_: object) -> Planned:
    raise AssertionError("planned although nothing changed")


def test_nothing_is_planned_again_while_the_inputs_stay() -> None:
    recorded = first_revision()
    for spec in ({"replicas": 5}, {"suspend": True}, {"context": {"concurrency": 2}}):
        assert desire(deployment(spec), recorded, unexpected).revision == recorded


def test_an_edit_of_the_template_keeps_the_plan() -> None:
    recorded = first_revision()
    edited = desire(deployment({"engine": {"extraArgs": ["--seed=1"]}}), recorded, unexpected)
    assert edited.revision is not None
    assert edited.revision.plan == recorded.plan
    assert edited.revision.number == 2
    assert edited.revision.objects.workload != recorded.objects.workload
    assert edited.revision.objects.service == recorded.objects.service


@pytest.mark.parametrize(
    "template",
    [
        pytest.param({"metadata": {"labels": {"team": "search"}}}, id="a label"),
        pytest.param({"spec": {"imagePullSecrets": [{"name": "registry"}]}}, id="a pull secret"),
    ],
)
def test_what_the_spec_adds_to_the_pods_keeps_the_plan(template: dict[str, Any]) -> None:
    recorded = first_revision()
    edited = desire(deployment({"template": template}), recorded, unexpected).revision
    assert edited is not None
    assert edited.plan == recorded.plan
    assert edited.objects.workload["spec"] != recorded.objects.workload["spec"]


def test_an_empty_template_changes_nothing() -> None:
    recorded = first_revision()
    for template in ({}, {"metadata": {"labels": {}}, "spec": {"resources": {}}}):
        assert desire(deployment({"template": template}), recorded, unexpected).revision == recorded


def test_other_cpu_or_memory_is_planned_again() -> None:
    recorded = first_revision()
    asked = deployment({"template": {"spec": {"resources": {"memory": "96Gi"}}}})
    with pytest.raises(AssertionError, match="planned although"):
        desire(asked, recorded, unexpected)


def test_an_edit_of_the_context_plans_again_with_todays_plan_first() -> None:
    recorded = first_revision()
    seen: list[object] = []

    def planner(_: object, current: object) -> Planned:
        seen.append(current)
        return Planned(plan(16384), fits_now=True)

    edited = desire(deployment({"context": {"maxModelLen": 16384}}), recorded, planner)
    assert seen == [recorded.plan]
    assert edited.revision is not None
    assert edited.revision.name != recorded.name


def test_the_replan_annotation_plans_again() -> None:
    recorded = first_revision()
    asked = deployment(annotations={"llama-operator.io/replan": "1"})
    with pytest.raises(AssertionError, match="planned"):
        desire(asked, recorded, unexpected)


def test_a_refused_edit_keeps_the_recorded_revision() -> None:
    recorded = first_revision()
    refusal = Refusal(Reason.WEIGHTS_TOO_LARGE, "no")
    desired = desire(deployment({"size": "70b"}), recorded, lambda *_: refusal)
    assert desired == Desired(recorded, refusal)


def test_a_revision_survives_the_way_through_the_api_server() -> None:
    revision, children = after()
    record = next(child for child in children if child.kind == "ControllerRevision")
    assert read_revision(record) == revision


def test_a_new_rendering_is_recommended_and_not_adopted() -> None:
    from dataclasses import replace

    recorded = replace(first_revision(), render_version=0)
    desired = desire(deployment(), recorded, unexpected)
    assert desired.revision == recorded
    assert desired.recommendation is not None
    assert desired.recommendation.reason == "NewRendering"


def test_the_first_action_on_a_lost_revision_records_it_again_under_the_same_name() -> None:
    revision, children = after()
    left = [child for child in children if child.kind != "ControllerRevision"]
    again = desire(deployment(), None, lambda *_: PLANNED).revision
    assert again is not None
    actions = decide(deployment(), again, left, {}).actions
    assert kinds(actions) == [("Create", "ControllerRevision", revision.name)]
    assert isinstance(actions[0], Create)
