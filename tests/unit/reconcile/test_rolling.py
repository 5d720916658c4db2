"""When a rollout is over: every pod has the newest template, whatever the StatefulSet counted."""

from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest

from llama_operator.planning.outcome import Planned
from llama_operator.reconcile.decide import Decision
from llama_operator.reconcile.desired import desire
from llama_operator.reconcile.observed import Child, PodFacts
from llama_operator.reconcile.status import Situation, status_of
from support.deployments import deployment, plan, pod

NOW = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
OLD, NEW = pod("llama-a-0", ready=True), replace(pod("llama-a-1", ready=True), template_hash="h2")


def stateful_set(generation: int = 1, **status: Any) -> Child:
    body = {"metadata": {"generation": generation}, "status": status}
    return Child("StatefulSet", "llama-a", "s", "1", "llama", "u1", False, None, body)


def settled(generation: int = 1, revision: str = "h1", **status: Any) -> Child:
    told = {
        "observedGeneration": generation,
        "updateRevision": revision,
        "currentRevision": revision,
    }
    return stateful_set(generation, **{**told, **status})


@pytest.mark.parametrize(
    ("child", "pods", "reason"),
    [
        pytest.param(stateful_set(), (OLD,), None, id="a new one whose status is not written yet"),
        pytest.param(
            stateful_set(2), (OLD,), "RollingOut", id="one edited before its first status"
        ),
        pytest.param(settled(), (OLD,), None, id="all have the only template"),
        pytest.param(settled(updatedReplicas=0), (OLD,), None, id="its count of pods comes later"),
        pytest.param(
            settled(observedGeneration=0), (OLD,), "RollingOut", id="an edit not yet seen"
        ),
        pytest.param(settled(2, "h2"), (OLD,), "RollingOut", id="a pod of the template before"),
        pytest.param(settled(2, "h2"), (NEW,), None, id="the pod of the new template"),
        pytest.param(
            settled(2, "h2", currentRevision="h1"),
            (NEW,),
            "RollingOut",
            id="not yet told to be over",
        ),
        pytest.param(
            settled(2, "h2"),
            (NEW, replace(OLD, deleting=True)),
            "RollingOut",
            id="a pod of the template before that ends",
        ),
        pytest.param(None, (OLD,), "RollingOut", id="none: it was deleted"),
    ],
)
def test_reconciling_while_the_url_answers(
    child: Child | None, pods: tuple[PodFacts, ...], reason: str | None
) -> None:
    situation = Situation(
        deployment(),
        desire(deployment(), None, lambda *_: Planned(plan(), fits_now=True)),
        Decision(),
        (child,) if child is not None else (),
        pods,
    )
    conditions = {entry.type: entry for entry in status_of(situation, NOW).conditions}
    assert conditions["Ready"].status == "True"
    found = conditions.get("Reconciling")
    assert (found.reason if found is not None else None) == reason
