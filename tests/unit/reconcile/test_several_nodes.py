"""StatefulSet and LeaderWorkerSet: which is made, which goes, and that GPUs are held once."""

from dataclasses import replace
from typing import Any

import pytest

from llama_operator.api.names import LABEL_COMPONENT
from llama_operator.api.plan import Plan
from llama_operator.api.reasons import Reason
from llama_operator.planning.outcome import Planned
from llama_operator.reconcile.actions import Create
from llama_operator.reconcile.decide import Decision, decide
from llama_operator.reconcile.desired import Desired, desire
from llama_operator.reconcile.drift import holds
from llama_operator.reconcile.observed import Child, PodFacts
from llama_operator.reconcile.revision import Revision, read_revision
from llama_operator.reconcile.status import Situation, status_of
from llama_operator.render.rendering import CURRENT
from support import deployments
from support.deployments import deployment, plan, pod
from unit.reconcile.test_decide import kinds, stored
from unit.reconcile.test_status import NOW

GROUPED = plan().model_copy(
    update={"nodes": 2, "pipeline_parallel_size": 2, "gpus": f"2 nodes of 1x {deployments.A100}"}
)
SEVERAL: dict[str, Any] = {"hardware": [{"gpu": deployments.A100, "nodes": 2}]}


def revision_of(chosen: Plan, recorded: Revision | None = None, **spec: Any) -> Revision:
    outcome = Planned(chosen, fits_now=True)
    found = desire(deployment(spec), recorded, lambda *_: outcome).revision
    assert found is not None
    return found


def made(revision: Revision) -> list[Child]:
    actions = decide(deployment(), revision, (), {}).actions
    return [
        stored(action.body, number)
        for number, action in enumerate(actions)
        if isinstance(action, Create)
    ]


def group(component: str, **fields: Any) -> PodFacts:
    return replace(pod(**fields), component=component)


def workloads(decision: Decision) -> list[tuple[str, str, str]]:
    return [
        told for told in kinds(decision.actions) if told[1] in ("LeaderWorkerSet", "StatefulSet")
    ]


def test_a_set_is_made_for_several_nodes() -> None:
    revision = revision_of(GROUPED)
    assert workloads(decide(deployment(), revision, (), {})) == [
        ("Create", "LeaderWorkerSet", "llama-lws")
    ]
    children = made(revision)
    assert decide(deployment(), revision, children, {}).actions == ()
    [record] = [child for child in children if child.kind == "ControllerRevision"]
    assert read_revision(record) == replace(revision, name=record.name)


def test_nothing_is_made_without_the_crd() -> None:
    decision = decide(deployment(), revision_of(GROUPED), (), {}, groups=False)
    assert workloads(decision) == []


@pytest.mark.parametrize(
    ("old", "new", "gone", "comes", "component"),
    [
        (plan(), GROUPED, ("StatefulSet", "llama-a"), ("LeaderWorkerSet", "llama-lws"), ""),
        (GROUPED, plan(), ("LeaderWorkerSet", "llama-lws"), ("StatefulSet", "llama-a"), "worker"),
    ],
    ids=["to several nodes", "to one node"],
)
def test_the_other_kind_comes_once_the_pods_of_the_first_are_gone(
    old: Plan, new: Plan, gone: tuple[str, str], comes: tuple[str, str], component: str
) -> None:
    first = revision_of(old)
    children = made(first)
    second = revision_of(new, first, **SEVERAL)
    holding = group(component)
    decision = decide(deployment(SEVERAL), second, children, {}, pods=[holding])
    assert workloads(decision) == [("Delete", *gone)]
    left = [child for child in children if child.kind != gone[0]]
    deleting = [replace(child, deleting=True) for child in children if child.kind == gone[0]]
    assert workloads(decide(deployment(SEVERAL), second, [*left, *deleting], {})) == []
    assert workloads(decide(deployment(SEVERAL), second, left, {}, pods=[holding])) == []
    ended = replace(holding, finished=True)
    for pods in ([], [ended]):
        found = workloads(decide(deployment(SEVERAL), second, left, {}, pods=pods))
        assert found == [("Create", *comes)]


def test_the_old_one_serves_on_while_the_crd_is_missing() -> None:
    first = revision_of(plan())
    second = revision_of(GROUPED, first, **SEVERAL)
    decision = decide(deployment(SEVERAL), second, made(first), {}, groups=False)
    assert workloads(decision) == []


def test_a_plan_of_several_nodes_is_refused_once_the_crd_is_gone() -> None:
    recorded = revision_of(GROUPED)
    lost = replace(CURRENT, group_restart=None)
    found = desire(deployment(), recorded, lambda *_: pytest.fail("planned anew"), lost)
    assert found.revision == recorded
    assert found.refusal is not None
    assert found.refusal.reason is Reason.MULTI_NODE_UNAVAILABLE
    assert found.refusal.message.startswith(f"the plan takes 2 nodes of 1x {deployments.A100}; ")


def status(children: list[Child], *pods: PodFacts) -> Any:
    desired = Desired(revision_of(GROUPED))
    situation = Situation(deployment(), desired, Decision(), tuple(children), pods)
    return status_of(situation, NOW)


def test_leaders_alone_are_counted() -> None:
    children = made(revision_of(GROUPED))
    worker, leader = group("worker", ready=True), group("leader", ready=True)
    loading = status(children, worker, group("leader", ready=False))
    assert (loading.ready_replicas, loading.conditions[0].reason) == (0, Reason.STARTING)
    found = status(children, worker, leader)
    assert (found.ready_replicas, found.conditions[0].reason) == (1, Reason.SERVING)
    assert f"{LABEL_COMPONENT}=leader" in found.selector


@pytest.mark.parametrize(
    ("told", "generation", "rolls"),
    [
        ({}, 1, False),
        ({"observedGeneration": 2}, 2, False),
        ({"observedGeneration": 1}, 2, True),
        ({"conditions": [{"type": "UpdateInProgress", "status": "True"}]}, 2, True),
        ({"conditions": [{"type": "UpdateInProgress", "status": "False"}]}, 2, False),
        (
            {"conditions": [{"type": "Available", "status": "True", "observedGeneration": 1}]},
            2,
            True,
        ),
    ],
)
def test_the_set_tells_whether_it_changes(
    told: dict[str, Any], generation: int, rolls: bool
) -> None:
    children = []
    for child in made(revision_of(GROUPED)):
        if child.kind == "LeaderWorkerSet":
            body = {**child.body, "status": told}
            body["metadata"]["generation"] = generation
            child = stored(body)
        children.append(child)
    found = status(children, group("leader", ready=True))
    assert any(entry.reason == Reason.ROLLING_OUT for entry in found.conditions) is rolls


def test_a_key_more_in_a_selector_is_drift() -> None:
    ours = {"spec": {"selector": {"a": "1"}}, "metadata": {"labels": {"a": "1"}}}
    theirs = {"spec": {"selector": {"a": "1", "b": "2"}}, "metadata": {"labels": {"a": "1"}}}
    assert not holds(ours, theirs)
    assert holds(
        ours, {**theirs, "spec": ours["spec"], "metadata": {"labels": {"a": "1", "b": ""}}}
    )
