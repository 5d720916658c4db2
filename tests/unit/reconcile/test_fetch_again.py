"""A download that failed is tried again after a growing pause, unless time mends nothing."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from llama_operator.api.names import ANNOTATION_ATTEMPT
from llama_operator.api.reasons import Reason
from llama_operator.reconcile.actions import Delete, Replace
from llama_operator.reconcile.decide import Decision, decide
from llama_operator.reconcile.desired import Desired
from llama_operator.reconcile.fetch import retry_at
from llama_operator.reconcile.observed import Child, PodFacts, PodFailure, child_of
from llama_operator.reconcile.status import Situation, status_of
from support.deployments import deployment, pod
from unit.reconcile.test_fetch import CLAIM, SECOND, Cluster, job_name, revised

ENDED = "2026-01-02T03:00:00Z"
REVISION = revised()


def job(condition: dict[str, Any], annotations: dict[str, str] | None = None) -> Child:
    found = child_of(
        "Job",
        {
            "metadata": {
                "name": job_name(REVISION),
                "uid": "u",
                "resourceVersion": "1",
                "labels": {"app.kubernetes.io/instance": "llama"},
                "annotations": annotations or {},
            },
            "status": {"conditions": [condition]},
        },
    )
    assert found is not None
    return found


def failed(**changes: Any) -> dict[str, Any]:
    return {
        "type": "Failed",
        "status": "True",
        "reason": "BackoffLimitExceeded",
        "lastTransitionTime": ENDED,
        "message": "seven tries",
        **changes,
    }


def tries(reason: str) -> tuple[PodFacts, ...]:
    one = replace(pod("x"), gpus=0, job=job_name(REVISION), created="1", finished=True)
    return (replace(one, failure=PodFailure(reason, "pod x: it failed")),)


@pytest.mark.parametrize(
    ("attempt", "again"),
    [
        pytest.param(None, "03:05", id="the first one: 5 min"),
        pytest.param("2", "03:10", id="the second one: 10 min"),
        pytest.param("3", "03:20", id="20 min"),
        pytest.param("4", "03:40", id="40 min"),
        pytest.param("5", "04:00", id="1 h instead of 80 min"),
        pytest.param("999999999", "04:00", id="never more than 1 h"),
        pytest.param("-3", "03:05", id="somebody wrote nonsense"),
        pytest.param("9" * 5000, "03:05", id="somebody wrote a lot"),
        pytest.param("0", "03:05", id="somebody wrote zero"),
    ],
)
def test_the_pause_doubles_up_to_an_hour(attempt: str | None, again: str) -> None:
    annotations = {} if attempt is None else {ANNOTATION_ATTEMPT: attempt}
    found = retry_at(job(failed(), annotations), ())
    assert found is not None
    assert found.strftime("%H:%M") == again


@pytest.mark.parametrize(
    ("condition", "reason", "is_retried"),
    [
        (failed(), "", True),
        (failed(), Reason.HUB_UNREACHABLE, True),
        (failed(), Reason.DOWNLOAD_FAILED, True),
        (failed(), Reason.VOLUME_UNUSABLE, True),
        (failed(), Reason.IMAGE_PULL_FAILED, True),
        (failed(), Reason.OUT_OF_MEMORY, True),
        (failed(reason="DeadlineExceeded"), "", True),
        (failed(), Reason.REPOSITORY_ACCESS_DENIED, False),
        (failed(), Reason.REPOSITORY_NOT_FOUND, False),
        (failed(), Reason.REPOSITORY_UNUSABLE, False),
        (failed(), Reason.DOWNLOAD_CORRUPT, False),
        (failed(), Reason.VOLUME_TOO_SMALL, False),
        (failed(), Reason.INVALID_SPEC, False),
        (failed(reason="PodFailurePolicy"), "", False),
        (failed(status="False"), "", False),
        (failed(type="Complete"), "", False),
        (failed(type="FailureTarget"), "", False),
        (failed(lastTransitionTime=None), "", False),
        (failed(lastTransitionTime="yesterday"), "", False),
        (failed(lastTransitionTime="9999-12-31T23:59:59Z"), "", False),
    ],
)
def test_what_time_may_mend(condition: dict[str, Any], reason: str, is_retried: bool) -> None:
    assert (retry_at(job(condition), tries(reason) if reason else ()) is not None) == is_retried


def ended_cluster(attempt: str | None = None) -> Cluster:
    """A download that failed at 03:00, and what was made for it."""
    cluster = Cluster()
    cluster.run(REVISION)
    body = cluster.get("Job", job_name(REVISION))
    body["status"] = {"conditions": [failed()]}
    if attempt is not None:
        body["metadata"]["annotations"][ANNOTATION_ATTEMPT] = attempt
    return cluster


def decided(cluster: Cluster, minutes: int, reason: str = "", **spec: Any) -> Decision:
    now = datetime(2026, 1, 2, 3, 0, tzinfo=UTC) + timedelta(minutes=minutes)
    pods = tries(reason) if reason else ()
    body = deployment({**CLAIM, **spec})
    return decide(body, REVISION, cluster.children(), {}, pods, now)


def test_the_job_is_made_anew_once_the_pause_is_over() -> None:
    cluster = ended_cluster()
    waiting = decided(cluster, 4)
    assert waiting.actions == ()
    assert waiting.again_seconds(datetime(2026, 1, 2, 3, 4, tzinfo=UTC)) == 60.0
    due = decided(cluster, 5)
    [action] = due.actions
    assert isinstance(action, Replace)
    assert action.name == job_name(REVISION)
    assert action.child.uid == f"u-('Job', '{action.name}')"
    assert action.body["metadata"]["annotations"] == {
        "llama-operator.io/attempt": "2",
        "llama-operator.io/revision": REVISION.name,
    }
    assert due.again_seconds(datetime(2026, 1, 2, 3, 5, tzinfo=UTC)) is None


def test_each_job_carries_how_many_there_were() -> None:
    [action] = decided(ended_cluster("4"), 40).actions
    assert isinstance(action, Replace)
    assert action.body["metadata"]["annotations"]["llama-operator.io/attempt"] == "5"


def test_a_refusal_is_not_asked_for_again() -> None:
    decision = decided(ended_cluster(), 600, Reason.REPOSITORY_ACCESS_DENIED)
    assert decision.actions == ()
    assert decision.again_at is None


def test_without_a_clock_nothing_is_due() -> None:
    assert decide(deployment(CLAIM), REVISION, ended_cluster().children(), {}).actions == ()


def test_an_edit_does_not_wait_and_begins_to_count_anew() -> None:
    cluster = ended_cluster("5")
    new = revised(before=REVISION, spec={"tokenSecretRef": {"name": "hf-token"}})
    now = datetime(2026, 1, 2, 3, 1, tzinfo=UTC)
    actions = decide(deployment(CLAIM), new, cluster.children(), {}, (), now).actions
    [delete] = [action for action in actions if action.kind == "Job"]
    assert isinstance(delete, Delete)
    cluster.run(new)
    cluster.run(new)
    annotations = cluster.get("Job", job_name(new))["metadata"]["annotations"]
    assert annotations == {"llama-operator.io/revision": new.name}


def test_a_job_that_nobody_waits_for_is_not_made_anew() -> None:
    cluster = ended_cluster()
    new = revised(SECOND, REVISION)
    now = datetime(2026, 1, 2, 9, 0, tzinfo=UTC)
    decision = decide(deployment(CLAIM), new, cluster.children(), {}, (), now)
    assert not any(isinstance(action, Replace) for action in decision.actions)
    assert decision.again_at is None


@pytest.mark.parametrize(
    ("reason", "condition", "words"),
    [
        pytest.param(
            Reason.HUB_UNREACHABLE, "Reconciling",
            "pod x: it failed; Job {} is made anew at 2026-01-02T03:05:00Z", id="a hub is away",
        ),
        pytest.param(
            "", "Reconciling", "seven tries; Job {} is made anew at 2026-01-02T03:05:00Z",
            id="nobody knows why",
        ),
        pytest.param(
            Reason.REPOSITORY_NOT_FOUND, "Stalled",
            "pod x: it failed; edit the spec or delete the Job to have it tried again: Job {}",
            id="there is none",
        ),
    ],
)  # fmt: skip
def test_the_status_tells_when(reason: str, condition: str, words: str) -> None:
    situation = Situation(
        deployment(CLAIM),
        Desired(REVISION),
        Decision(),
        tuple(ended_cluster().children()),
        fetch_pods=tries(reason) if reason else (),
    )
    status = status_of(situation, datetime(2026, 1, 2, 3, 1, tzinfo=UTC))
    found = {entry.type: entry for entry in status.conditions}
    assert set(found) == {"Ready", condition}
    assert found[condition].reason == (reason or "DownloadFailed")
    assert found[condition].message == words.format(job_name(REVISION))
