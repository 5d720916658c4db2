"""What is told while a model is downloaded to a volume, and when that fails."""

from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest

from cluster.kstatus import kstatus
from llama_operator.api.reasons import Reason
from llama_operator.reconcile.decide import Decision
from llama_operator.reconcile.desired import Desired
from llama_operator.reconcile.fetch_progress import FetchProgress
from llama_operator.reconcile.observed import Child, PodFacts, PodFailure, child_of
from llama_operator.reconcile.revision import Revision
from llama_operator.reconcile.status import Situation, status_of
from support.deployments import deployment, pod
from unit.reconcile.test_fetch import CLAIM, FIRST, SECOND, Cluster, job_name, revised, serving

NOW = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
OLD = revised()
NEW = revised(SECOND, OLD)
READY = pod(ready=True)
DENIED = PodFailure(Reason.REPOSITORY_ACCESS_DENIED, "pod x: the licence is not accepted")


def fetching(revision: Revision, failure: PodFailure | None = None, created: str = "1") -> PodFacts:
    name = job_name(revision)
    return replace(
        pod(f"{name}-{created}"), gpus=0, job=name, created=created, failure=failure, finished=True
    )


def children(*revisions: Revision, end: str = "Running") -> tuple[Child, ...]:
    """After a pass over the last of these, whose Job ended so; the first one serves."""
    cluster = serving(revisions[0]) if len(revisions) > 1 else Cluster()
    cluster.run(revisions[-1])
    cluster.end(revisions[-1], end)
    return tuple(cluster.children())


def told(
    revision: Revision, found: tuple[Child, ...], spec: dict[str, Any] | None = None, **more: Any
) -> tuple[dict[str, tuple[str, str]], str, str]:
    """Conditions, what kstatus makes of them, and the message of what goes on."""
    situation = Situation(
        deployment({**CLAIM, **(spec or {})}), Desired(revision), Decision(), found, **more
    )
    status = status_of(situation, NOW)
    conditions = {entry.type: entry for entry in status.conditions}
    cause = conditions.get("Stalled") or conditions.get("Reconciling") or conditions["Ready"]
    body = {"metadata": {"generation": 3}, "status": status.to_object()}
    return (
        {name: (entry.status, entry.reason) for name, entry in conditions.items()},
        kstatus(body),
        cause.message,
    )


def test_nothing_runs_yet() -> None:
    conditions, kind, message = told(OLD, children(OLD))
    assert conditions == {
        "Ready": ("False", "Downloading"),
        "Reconciling": ("True", "Downloading"),
    }
    assert kind == "InProgress"
    assert message == f"{FIRST} is downloaded to claim llama-models, up to 7.00 GiB; no GPU is " \
        "held for it"  # fmt: skip


def test_a_download_that_finds_no_volume_or_node_is_told() -> None:
    waiting = replace(fetching(OLD), finished=False, unschedulable=True, node="")
    conditions, _, message = told(OLD, children(OLD), fetch_pods=(waiting,))
    assert conditions["Ready"] == ("False", "Downloading")
    assert message.endswith("its pod waits for the volume or for a node without GPUs")


FAR = FetchProgress(3 << 30, 7 << 30, 3 << 30, 60, 0)
"""4 GiB are left, at 3 GiB a minute."""


def test_how_far_it_is_takes_the_place_of_how_large_it_may_be() -> None:
    running = replace(fetching(OLD), finished=False, uid="u-running")
    conditions, _, message = told(
        OLD, children(OLD), fetch_pods=(running,), progress={"u-running": FAR}
    )
    assert conditions["Ready"] == ("False", "Downloading")
    assert message == (
        f"{FIRST} is downloaded to claim llama-models: 3.00 of 7.00 GiB (42 %), about 2 min left; "
        "no GPU is held for it"
    )


def test_how_far_it_is_comes_before_why_an_earlier_try_failed() -> None:
    running = replace(fetching(OLD, created="2"), finished=False, uid="u-running")
    conditions, _, message = told(
        OLD,
        children(OLD),
        fetch_pods=(fetching(OLD, DENIED), running),
        progress={"u-running": FAR},
    )
    assert conditions["Ready"] == ("False", "Downloading")
    assert "(42 %)" in message


@pytest.mark.parametrize("revision", [OLD, NEW])
def test_what_another_pod_tells_is_not_told(revision: Revision) -> None:
    running = replace(fetching(NEW), finished=False, uid="u-running")
    uid = "u-running" if revision is OLD else "u-gone"
    _, _, message = told(
        revision, children(OLD, revision), fetch_pods=(running,), progress={uid: FAR}
    )
    assert "%" not in message


def test_another_model_comes_while_the_old_one_answers() -> None:
    conditions, kind, message = told(NEW, children(OLD, NEW), pods=(READY,))
    assert conditions == {"Ready": ("True", "Serving"), "Reconciling": ("True", "Downloading")}
    assert kind == "InProgress"
    assert SECOND in message


def test_gpus_that_are_busy_are_told_after_the_download() -> None:
    conditions, _, _ = told(OLD, children(OLD), waiting="1 GPU is busy")
    assert conditions["Ready"] == ("False", "Downloading")


def test_a_download_that_is_done_is_told_no_more() -> None:
    conditions, _, _ = told(OLD, children(OLD, end="Complete"))
    assert conditions["Ready"] == ("False", "Starting")


def test_a_job_that_is_made_anew_says_nothing_of_what_runs() -> None:
    cluster = serving(OLD)
    cluster.remove("Job", job_name(OLD))
    conditions, _, _ = told(OLD, tuple(cluster.children()), pods=(READY,))
    assert "Downloading" not in str(conditions)


@pytest.mark.parametrize(
    ("end", "pods", "condition", "reason", "words"),
    [
        pytest.param(
            "Running", (fetching(OLD, DENIED),), "Reconciling", "RepositoryAccessDenied",
            ("licence", "tried again"), id="a try failed",
        ),
        pytest.param(
            "Failed", (fetching(OLD, DENIED),), "Stalled", "RepositoryAccessDenied",
            ("licence", "edit the spec or delete the Job"), id="all tries failed",
        ),
        pytest.param(
            "Failed", (), "Stalled", "DownloadFailed", ("it ended", "delete the Job"),
            id="its pods are gone",
        ),
        pytest.param(
            "Failed",
            (
                fetching(OLD, DENIED, "2026-01-02T03:04:06Z"),
                fetching(OLD, PodFailure(Reason.DOWNLOAD_FAILED, "pod y: reset"), "2026-01-01"),
            ),
            "Stalled", "RepositoryAccessDenied", ("licence",), id="the last try counts",
        ),
    ],
)  # fmt: skip
def test_a_download_that_fails(
    end: str, pods: tuple[PodFacts, ...], condition: str, reason: str, words: tuple[str, ...]
) -> None:
    conditions, kind, message = told(OLD, children(OLD, end=end), fetch_pods=pods)
    assert conditions == {"Ready": ("False", reason), condition: ("True", reason)}
    assert kind == ("Failed" if condition == "Stalled" else "InProgress")
    assert all(word in message for word in words), message


def test_a_failed_download_of_an_edit_leaves_what_answers_ready() -> None:
    found = children(OLD, NEW, end="Failed")
    conditions, _, _ = told(NEW, found, pods=(READY,), fetch_pods=(fetching(NEW, DENIED),))
    assert conditions == {
        "Ready": ("True", "Serving"),
        "Stalled": ("True", "RepositoryAccessDenied"),
    }


def test_a_suspended_deployment_downloads_without_a_word() -> None:
    conditions, _, _ = told(OLD, children(OLD), {"suspend": True})
    assert conditions == {"Ready": ("False", "Suspended")}


def test_a_job_without_our_labels_is_no_child() -> None:
    body = {"metadata": {"name": "x", "uid": "u", "resourceVersion": "1"}}
    assert child_of("Job", body) is None
