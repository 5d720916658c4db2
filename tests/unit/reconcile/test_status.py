"""The status table, line by line, and what kstatus makes of each line."""

from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest

from cluster.kstatus import kstatus
from llama_operator.api.reasons import REASONS, Reason
from llama_operator.api.status import Alternative, LlamaDeploymentStatus
from llama_operator.errors import SpecError
from llama_operator.planning.outcome import Planned, Refusal
from llama_operator.reconcile.actions import Create, Failure
from llama_operator.reconcile.decide import Decision
from llama_operator.reconcile.desired import Desired, desire
from llama_operator.reconcile.observed import Child, PodFailure
from llama_operator.reconcile.status import Situation, invalid_status, status_of
from support.deployments import deployment, plan, pod

NOW = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
LATER = datetime(2026, 1, 2, 4, 4, 5, tzinfo=UTC)
FITS = desire(deployment(), None, lambda *_: Planned(plan(), fits_now=True))
REFUSED = Refusal(
    Reason.WEIGHTS_TOO_LARGE,
    "131.42 GiB of weights, 72.9 GiB there.",
    alternatives=(Alternative(summary="format awq: 37.16 GiB", patch="{}"),),
)
BUDGET = Create({"kind": "PodDisruptionBudget", "metadata": {"name": "llama"}}, "it is missing")
CREATE = Create({"kind": "Service", "metadata": {"name": "llama"}}, "it is missing")


def stateful_set(updated: int, *, rolling: bool = False) -> Child:
    body = {
        "metadata": {"generation": 1},
        "status": {
            "observedGeneration": 1,
            "updatedReplicas": updated,
            "updateRevision": "h2" if rolling else "h1",
            "currentRevision": "h1",
        },
    }
    return Child("StatefulSet", "llama-a", "s", "1", "llama", "u1", False, None, body)


def case(**fields: Any) -> Situation:
    base = Situation(deployment(), FITS, Decision(), (stateful_set(1),))
    return replace(base, **fields)


TABLE = [
    pytest.param(
        case(pods=(pod(ready=True),)), ("True", "Serving"), {}, "Current", id="the URL answers"
    ),
    pytest.param(
        case(pods=(pod(ready=True),), children=(stateful_set(0, rolling=True),)),
        ("True", "Serving"), {"Reconciling": "RollingOut"}, "InProgress",
        id="the URL answers while rolling",
    ),
    pytest.param(
        case(
            deployment=deployment({"replicas": 2}),
            pods=(pod(ready=True), pod("llama-a-1")),
            children=(stateful_set(2),),
        ),
        ("True", "Serving"), {"Reconciling": "Starting"}, "InProgress",
        id="one of two answers",
    ),
    pytest.param(
        case(pods=(pod(),)), ("False", "Starting"), {"Reconciling": "Starting"}, "InProgress",
        id="pods starting, no replica yet",
    ),
    pytest.param(
        case(pods=(pod(ready=True, deleting=True),)),
        ("False", "Starting"), {"Reconciling": "Starting"}, "InProgress",
        id="a pod that ends does not answer",
    ),
    pytest.param(
        case(waiting="1 GPU is busy"), ("False", "WaitingForGPUs"),
        {"Reconciling": "WaitingForGPUs"}, "InProgress", id="fits but GPUs busy",
    ),
    pytest.param(
        case(desired=Desired(None, REFUSED)), ("False", "WeightsTooLarge"),
        {"Stalled": "WeightsTooLarge"}, "Failed", id="nothing here can ever hold it",
    ),
    pytest.param(
        case(desired=Desired(FITS.revision, REFUSED), pods=(pod(ready=True),)),
        ("True", "Serving"), {"Stalled": "WeightsTooLarge"}, "Failed",
        id="a refused edit while the last good revision answers",
    ),
    pytest.param(
        case(deployment=deployment({"suspend": True})), ("False", "Suspended"), {}, "InProgress",
        id="suspended",
    ),
    pytest.param(
        case(deployment=deployment({"suspend": True}), desired=Desired(None, REFUSED)),
        ("False", "Suspended"), {}, "InProgress", id="suspended, whatever would be refused",
    ),
    pytest.param(
        case(deployment=deployment({"replicas": 0})), ("False", "ScaledToZero"), {}, "InProgress",
        id="zero replicas asked",
    ),
    pytest.param(
        case(pods=(pod(failure=PodFailure(Reason.OUT_OF_MEMORY, "pod llama-a-0: CUDA")),)),
        ("False", "OutOfMemory"), {"Reconciling": "OutOfMemory"}, "InProgress", id="pods fail",
    ),
    pytest.param(
        case(pods=(pod(failure=PodFailure(Reason.IMAGE_PULL_FAILED, "x", needs_edit=True)),)),
        ("False", "ImagePullFailed"), {"Stalled": "ImagePullFailed"}, "Failed",
        id="pods fail and only an edit can mend it",
    ),
    pytest.param(
        case(decision=Decision(conflicts=("Service/llama",))),
        ("False", "NameConflict"), {"Stalled": "NameConflict"}, "Failed",
        id="a child's name is taken",
    ),
    pytest.param(
        case(failures=(Failure(CREATE, Reason.NAME_CONFLICT, "taken", needs_edit=True),)),
        ("False", "NameConflict"), {"Stalled": "NameConflict"}, "Failed",
        id="a child's name is taken, as the create told",
    ),
    pytest.param(
        case(
            failures=(Failure(CREATE, Reason.NAME_CONFLICT, "taken", needs_edit=True),),
            pods=(pod(ready=True),),
        ),
        ("False", "NameConflict"), {"Stalled": "NameConflict"}, "Failed",
        id="pods are ready but the URL leads to somebody else's Service",
    ),
    pytest.param(
        case(decision=Decision(conflicts=("PodDisruptionBudget/llama",)), pods=(pod(ready=True),)),
        ("True", "Serving"), {"Stalled": "NameConflict"}, "Failed",
        id="the URL answers and only the budget's name is taken",
    ),
    pytest.param(
        case(failures=(Failure(CREATE, Reason.FORBIDDEN, "may not create services"),)),
        ("False", "Forbidden"), {"Reconciling": "Forbidden"}, "InProgress", id="a missing right",
    ),
    pytest.param(
        case(failures=(Failure(BUDGET, Reason.FORBIDDEN, "no"),), pods=(pod(ready=True),)),
        ("True", "Serving"), {"Reconciling": "Forbidden"}, "InProgress",
        id="a missing right while the URL answers",
    ),
    pytest.param(
        case(failures=(Failure(CREATE, Reason.FORBIDDEN, "no"),), pods=(pod(ready=True),)),
        ("False", "Forbidden"), {"Reconciling": "Forbidden"}, "InProgress",
        id="a missing right keeps the Service of the URL away from pods that are ready",
    ),
    pytest.param(
        case(rejected="exceeded quota"), ("False", "PodsRejected"),
        {"Reconciling": "PodsRejected"}, "InProgress", id="a quota refuses the pods",
    ),
    pytest.param(
        case(contested=("a fight",), pods=(pod(ready=True),)), ("True", "Serving"),
        {"Reconciling": "FieldConflict"}, "InProgress", id="somebody sets a child back",
    ),
    pytest.param(
        case(decision=Decision(waiting_for=("StatefulSet/llama-a",))),
        ("False", "WaitingForDeletion"), {"Reconciling": "WaitingForDeletion"}, "InProgress",
        id="children of a deleted deployment of the name",
    ),
]  # fmt: skip


@pytest.mark.parametrize(("situation", "ready", "others", "verdict"), TABLE)
def test_each_line_of_the_status_table(
    situation: Situation, ready: tuple[str, str], others: dict[str, str], verdict: str
) -> None:
    status = status_of(situation, NOW)
    conditions = {entry.type: entry for entry in status.conditions}
    assert (conditions["Ready"].status, conditions["Ready"].reason) == ready
    assert {kind: entry.reason for kind, entry in conditions.items() if kind != "Ready"} == others
    assert all(entry.status == "True" for kind, entry in conditions.items() if kind != "Ready")
    body = {"metadata": {"generation": 3}, "status": status.to_object()}
    assert kstatus(body) == verdict
    assert status.observed_generation == 3


@pytest.mark.parametrize(("situation", "ready", "others", "verdict"), TABLE)
def test_a_second_pass_over_the_same_situation_writes_nothing(
    situation: Situation, ready: tuple[str, str], others: dict[str, str], verdict: str
) -> None:
    first = status_of(situation, NOW)
    again = situation.deployment.model_copy(update={"status": first})
    assert status_of(replace(situation, deployment=again), LATER) == first


def test_a_time_moves_only_when_the_status_moves() -> None:
    starting = status_of(case(pods=(pod(),)), NOW)
    seen = deployment(status=starting.to_object())
    waiting = status_of(case(deployment=seen, waiting="busy"), LATER)
    serving = status_of(case(deployment=seen, pods=(pod(ready=True),)), LATER)
    assert waiting.conditions[0].last_transition_time == "2026-01-02T03:04:05Z"
    assert serving.conditions[0].last_transition_time == "2026-01-02T04:04:05Z"


def test_an_invalid_spec_stalls_and_keeps_what_was_known() -> None:
    old = status_of(case(pods=(pod(ready=True),)), NOW)
    problem = SpecError("spec.size", "write 8b")
    down = invalid_status(4, old, problem, 0, LATER)
    assert [(entry.type, entry.status, entry.reason) for entry in down.conditions] == [
        ("Ready", "False", "InvalidSpec"), ("Stalled", "True", "InvalidSpec"),
    ]  # fmt: skip
    assert down.plan == old.plan
    up = invalid_status(4, old, problem, 1, LATER)
    assert up.conditions[0].status == "True"
    assert up.conditions[1].message == "spec.size: write 8b"


def test_the_refusal_names_the_alternatives_in_the_message() -> None:
    status = status_of(case(desired=Desired(None, REFUSED)), NOW)
    assert status.conditions[0].message == (
        "131.42 GiB of weights, 72.9 GiB there. Instead: format awq: 37.16 GiB"
    )


def test_starting_says_that_a_gated_repository_lacks_a_token() -> None:
    gated = plan().model_copy(update={"gated": True})
    desired = desire(deployment(), None, lambda *_: Planned(gated, fits_now=True))
    message = status_of(case(desired=desired), NOW).conditions[0].message
    assert message.endswith("-AWQ-INT4 is gated and spec.tokenSecretRef is not set")
    token = deployment({"tokenSecretRef": {"name": "hf-token"}})
    message = status_of(case(desired=desired, deployment=token), NOW).conditions[0].message
    assert "gated" not in message


def test_every_reason_has_a_meaning_and_a_remedy() -> None:
    assert set(REASONS) == set(Reason)
    assert all(facts.meaning and facts.remedy for facts in REASONS.values())


def test_the_status_stays_below_12_kib() -> None:
    status: LlamaDeploymentStatus = status_of(case(pods=(pod(ready=True),)), NOW)
    assert len(status.model_dump_json(by_alias=True)) < 12 * 1024


@pytest.mark.parametrize(
    ("spec", "url"),
    [
        pytest.param({}, "http://llama.ml.svc:8000/v1", id="HTTP"),
        pytest.param(
            {"tls": {"secretName": "llama-tls"}}, "https://llama.ml.svc:8000/v1", id="HTTPS"
        ),
    ],
)
def test_the_url_is_that_of_the_revision_that_runs(spec: dict[str, Any], url: str) -> None:
    served = deployment(spec)
    runs = desire(served, None, lambda *_: Planned(plan(), fits_now=True))
    assert status_of(case(deployment=served, desired=runs), NOW).url == url
    edited = case(deployment=deployment({"tls": {"secretName": "other"}}), desired=runs)
    assert status_of(edited, NOW).url == url, "not yet what the spec says"
