"""The download of a model to a volume: whether it is done, and what runs meanwhile. Pure."""

from collections.abc import Iterable, Mapping
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import Final

from llama_operator.api.names import (
    ANNOTATION_ATTEMPT,
    ANNOTATION_REVISION,
)
from llama_operator.api.reasons import Reason
from llama_operator.reconcile.actions import Action, Apply, Create, Delete, Replace
from llama_operator.reconcile.drift import holds
from llama_operator.reconcile.observed import Child, Json, PodFacts, PodFailure
from llama_operator.reconcile.revision import (
    WORKLOADS,
    Revision,
    digest,
    read_revision,
    workload_name,
)
from llama_operator.render.quantities import canonical_bytes
from llama_operator.units import parse_quantity

CLAIM_KIND = "PersistentVolumeClaim"
JOB_KIND = "Job"
Children = Mapping[tuple[str, str], Child]
"""By kind and name."""
FIRST_PAUSE: Final = timedelta(minutes=5)
"""Before a Job that failed is made anew; each further one doubles it."""
LONGEST_PAUSE: Final = timedelta(hours=1)
DOUBLINGS_LIMIT: Final = 8
"""Of the first pause, more than enough for the longest."""
FINAL_REASONS: Final = frozenset(
    {
        Reason.REPOSITORY_ACCESS_DENIED,
        Reason.REPOSITORY_NOT_FOUND,
        Reason.REPOSITORY_UNUSABLE,
        Reason.DOWNLOAD_CORRUPT,
        Reason.VOLUME_TOO_SMALL,
        Reason.INVALID_SPEC,
    }
)
"""Of termination messages: what time does not mend."""
FINAL_CONDITION: Final = "PodFailurePolicy"
"""The Job controller's reason where the exit code says the same, also after the pods are gone."""


class JobState(StrEnum):
    """How far a Job is."""

    RUNNING = "Running"
    COMPLETE = "Complete"
    FAILED = "Failed"


def job_state(job: Child) -> JobState:
    """What a Job's own status says."""
    return job_end(job)[0]


def job_end(job: Child) -> tuple[JobState, str]:
    """How far a Job is, and what its controller says of its end."""
    end = _end(job)
    return (JobState(end["type"]), str(end.get("message") or "")) if end else (JobState.RUNNING, "")


def _end(job: Child) -> Json:
    """The condition that ended a Job, empty while it goes on."""
    for entry in (job.body.get("status") or {}).get("conditions") or ():
        if entry.get("type") in (JobState.COMPLETE, JobState.FAILED) and (
            entry.get("status") == "True"
        ):
            return dict(entry)
    return {}


def last_failure(job: str, pods: Iterable[PodFacts]) -> PodFailure | None:
    """Why the newest pod of a Job that failed did so; None where none did, or they are gone."""
    tries = (pod for pod in pods if pod.job == job and pod.failure is not None)
    newest = max(tries, key=lambda pod: (pod.created, pod.name), default=None)
    return newest.failure if newest is not None else None


def retry_at(job: Child, pods: Iterable[PodFacts]) -> datetime | None:
    """When a Job that failed is made anew; None where it did not, or time does not mend it.

    The pause begins at the Job's own end and doubles with each Job made anew, which it carries as
    an annotation; so it is the same in every process.
    """
    end = _end(job)
    if end.get("type") != JobState.FAILED or end.get("reason") == FINAL_CONDITION:
        return None
    failure = last_failure(job.name, pods)
    if failure is not None and failure.reason in FINAL_REASONS:
        return None
    doublings = min(_attempt(job) - 1, DOUBLINGS_LIMIT)
    try:
        ended = datetime.fromisoformat(str(end.get("lastTransitionTime"))).astimezone(UTC)
        return ended + min(FIRST_PAUSE * (1 << doublings), LONGEST_PAUSE)
    except (ValueError, OverflowError):
        return None


def next_retry(
    revision: Revision, by_name: Children, pods: Iterable[PodFacts], owner_uid: str
) -> datetime | None:
    """When the Job of a revision is made anew; None where it is not."""
    job = _job(revision, by_name)
    return retry_at(job, pods) if job is not None and job.owner_uid == owner_uid else None


def _attempt(job: Child) -> int:
    """Which Job of its revision this is, from 1 on; anybody may have changed the annotation."""
    text = str((job.body["metadata"].get("annotations") or {}).get(ANNOTATION_ATTEMPT))
    return max(int(text), 1) if text.isascii() and text.isdigit() and len(text) < 10 else 1


def is_fetched(revision: Revision, by_name: Children, owner_uid: str) -> bool:
    """Whether the model of a revision lies where its pods look for it, or they load it alone."""
    job = _job(revision, by_name)
    return revision.objects.fetch_job is None or (
        job is not None and job.owner_uid == owner_uid and job_state(job) is JobState.COMPLETE
    )


def workload_of(revision: Revision, by_name: Children, name: str) -> Child | None:
    """What makes the pods of a deployment now, preferably of the kind that a revision wants."""
    kinds = sorted(WORKLOADS, key=lambda kind: kind != revision.objects.workload_kind)
    found = (by_name.get((kind, workload_name(kind, name))) for kind in kinds)
    return next((child for child in found if child is not None), None)


def running_revision(
    revision: Revision, by_name: Children, workload: Child | None, owner_uid: str
) -> Revision | None:
    """The revision that pods should have now: the desired one once its model is fetched.

    Before that the one that the workload is of, or, where somebody deleted it, the newest older
    one whose model is there. None when there was none, or its record is gone.
    """
    if is_fetched(revision, by_name, owner_uid):
        return revision
    if workload is not None:
        annotations = workload.body["metadata"].get("annotations") or {}
        name = str(annotations.get(ANNOTATION_REVISION))
        if name == revision.name:
            return revision
        record = by_name.get(("ControllerRevision", name))
        return read_revision(record) if record is not None else None
    older = sorted(
        (
            child
            for child in by_name.values()
            if child.kind == "ControllerRevision"
            and child.owner_uid == owner_uid
            and child.revision < revision.number
        ),
        key=lambda child: -child.revision,
    )
    found = (read_revision(child) for child in older)
    return next(
        (one for one in found if one is not None and is_fetched(one, by_name, owner_uid)), None
    )


def converge_claim(
    revision: Revision,
    running: Revision | None,
    by_name: Children,
    unholdable: Mapping[str, str],
) -> Action | None:
    """Make the claim, or have it grow before a download; it never shrinks.

    It holds the model that runs and the one that is fetched.
    """
    body = revision.objects.claim
    if body is None:
        return None
    child = _claim(revision, by_name)
    if child is None:
        return Create(body, "it is missing")
    wanted = _storage_bytes(body)
    if running is not None and _is_other_model(revision, running):
        wanted += _storage_bytes(running.objects.claim)
    live = str(_requests(child.body).get("storage") or "0")
    is_there = running is not None and running.name == revision.name
    if is_there or wanted <= parse_quantity(live):
        body = _with_storage(body, live)
    else:
        body = _with_storage(body, canonical_bytes(wanted))
    if child.deleting or holds(body, child.body) or unholdable.get(child.uid) == digest(body):
        return None
    body = {**body, "metadata": {**body["metadata"], "uid": child.uid}}
    return Apply(body, child, "it differs from the plan", leaves_out=False)


def converge_job(
    revision: Revision,
    by_name: Children,
    pods: Iterable[PodFacts] = (),
    now: datetime | None = None,
) -> Action | None:
    """Make the Job, or remove one that is of no use any more, so that the next pass makes it.

    A Job cannot be changed: what it fetches is in its name. One that failed is tried again for
    another revision, and one whose volume is gone as well; else after a pause, see `retry_at`.
    Without `now` no pause is over.
    """
    body = revision.objects.fetch_job
    if body is None:
        return None
    job = _job(revision, by_name)
    if job is None:
        return Create(_of_revision(body, revision), "the model is to be fetched")
    if job.deleting:
        return None
    if revision.objects.claim is not None and _claim(revision, by_name) is None:
        return Delete(job, "the volume that it filled is gone")
    tried = (job.body["metadata"].get("annotations") or {}).get(ANNOTATION_REVISION)
    if job_state(job) is JobState.FAILED and tried != revision.name:
        return Delete(job, "it failed for another revision and is tried again")
    again = retry_at(job, pods)
    if again is not None and now is not None and now >= again:
        body = _of_revision(_annotated(body, ANNOTATION_ATTEMPT, str(_attempt(job) + 1)), revision)
        return Replace(body, job, "it failed a while ago and is tried again")
    return None


def prune_jobs(
    revision: Revision, kept: Iterable[Child], jobs: Iterable[Child]
) -> tuple[Action, ...]:
    """Jobs of revisions that are gone, and those that are not done and nobody waits for."""
    own = [job for job in jobs if not job.deleting and job.name != _job_name(revision)]
    if not own:
        return ()
    names = {_job_name(found) for child in kept if (found := read_revision(child)) is not None}
    return tuple(
        Delete(job, "nobody waits for it")
        for job in own
        if job.name not in names or job_state(job) is not JobState.COMPLETE
    )


def _job(revision: Revision, by_name: Children) -> Child | None:
    return by_name.get((JOB_KIND, _job_name(revision)))


def _job_name(revision: Revision) -> str:
    body = revision.objects.fetch_job
    return str(body["metadata"]["name"]) if body is not None else ""


def _claim(revision: Revision, by_name: Children) -> Child | None:
    body = revision.objects.claim
    return by_name.get((CLAIM_KIND, body["metadata"]["name"])) if body is not None else None


def _is_other_model(revision: Revision, running: Revision) -> bool:
    """Whether both keep a model on the same claim, each another one."""
    mine, its = revision.objects.claim, running.objects.claim
    return (
        mine is not None
        and its is not None
        and mine["metadata"]["name"] == its["metadata"]["name"]
        and _job_name(revision) != _job_name(running)
    )


def _requests(body: Json) -> Json:
    found: Json = (body.get("spec") or {}).get("resources", {}).get("requests") or {}
    return found


def _storage_bytes(body: Json | None) -> int:
    return int(parse_quantity(str(_requests(body).get("storage") or "0"))) if body else 0


def _with_storage(body: Json, storage: str) -> Json:
    resources = {"requests": {"storage": storage}}
    return {**body, "spec": {**body["spec"], "resources": resources}}


def _of_revision(body: Json, revision: Revision) -> Json:
    return _annotated(body, ANNOTATION_REVISION, revision.name)


def _annotated(body: Json, key: str, value: str) -> Json:
    metadata = body["metadata"]
    annotations = {**metadata.get("annotations", {}), key: value}
    return {**body, "metadata": {**metadata, "annotations": annotations}}
