"""Children that a deleted deployment left behind belong to nobody: they are named, not touched."""

from dataclasses import replace

import pytest

from llama_operator.planning.outcome import Planned
from llama_operator.reconcile.actions import Apply, Create
from llama_operator.reconcile.decide import decide
from llama_operator.reconcile.desired import desire
from llama_operator.reconcile.observed import Child, child_of
from llama_operator.reconcile.revision import Revision
from support.deployments import deployment, plan


def first_revision() -> Revision:
    found = desire(deployment(), None, lambda *_: Planned(plan(), fits_now=True)).revision
    assert found is not None
    return found


def children(number: int, *, owned: bool) -> list[Child]:
    """All children of revision `number`, or what `kubectl delete --cascade=orphan` leaves."""
    left = []
    for action in decide(deployment(), first_revision(), (), {}).actions:
        assert isinstance(action, Create)
        metadata = {**action.body["metadata"], "uid": action.name, "resourceVersion": "1"}
        if not owned:
            del metadata["ownerReferences"]
        body = {**action.body, "metadata": metadata}
        if action.kind == "ControllerRevision":
            body["revision"] = number
        child = child_of(action.kind, body)
        assert child is not None
        left.append(child)
    return left


@pytest.mark.parametrize(
    "number",
    [
        pytest.param(1, id="the record has the number that a new one would get"),
        pytest.param(7, id="the record has another number: its name is the hash of its content"),
    ],
)
def test_all_of_them_are_named_and_none_is_touched(number: int) -> None:
    revision = first_revision()
    decision = decide(deployment(uid="u2"), revision, children(number, owned=False), {})
    assert decision.conflicts == (
        f"ControllerRevision/{revision.name}",
        "Service/llama",
        "Service/llama-pods",
        "StatefulSet/llama-a",
    )
    assert decision.actions == ()


@pytest.mark.parametrize("kind", ["ControllerRevision", "Service", "StatefulSet"])
def test_one_that_is_left_is_named_and_not_touched(kind: str) -> None:
    left = [child for child in children(7, owned=False) if child.kind == kind][:1]
    decision = decide(deployment(), first_revision(), left, {})
    assert decision.conflicts == (f"{kind}/{left[0].name}",)
    assert left[0].name not in [action.name for action in decision.actions]
    assert not any(action.kind == "StatefulSet" for action in decision.actions)


@pytest.mark.parametrize(
    ("owner", "conflicts", "waiting"),
    [
        pytest.param("other", 4, 0, id="of a deployment of another name: never waited for"),
        pytest.param("llama", 0, 4, id="of a deleted deployment of this name: waited for"),
    ],
)
def test_children_of_another_deployment_are_not_touched(
    owner: str, conflicts: int, waiting: int
) -> None:
    theirs = [replace(child, owner_uid="u9", owner_name=owner) for child in children(1, owned=True)]
    decision = decide(deployment(), first_revision(), theirs, {})
    assert (len(decision.conflicts), len(decision.waiting_for)) == (conflicts, waiting)
    assert decision.actions == ()


def test_our_own_record_is_raised_to_a_new_number() -> None:
    again = replace(first_revision(), number=3)
    decision = decide(deployment(), again, children(1, owned=True), {})
    assert decision.conflicts == ()
    assert [(type(action), action.kind) for action in decision.actions] == [
        (Apply, "ControllerRevision")
    ]
