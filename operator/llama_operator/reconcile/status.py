"""The status of one pass: Ready with one reason, and what is true besides. Pure.

Messages are stable: the same situation gives the same text, so that nothing is written at rest.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from llama_operator.api.deployment import LlamaDeployment
from llama_operator.api.names import (
    selector_text,
    service_name,
    service_url,
)
from llama_operator.api.reasons import Reason
from llama_operator.api.status import (
    Condition,
    ConditionType,
    LlamaDeploymentStatus,
)
from llama_operator.errors import SpecError
from llama_operator.reconcile.actions import Create, Failure
from llama_operator.reconcile.decide import Decision, effective_replicas
from llama_operator.reconcile.desired import Desired
from llama_operator.reconcile.fetch import (
    JobState,
    job_end,
    last_failure,
    retry_at,
    running_revision,
    workload_of,
)
from llama_operator.reconcile.fetch_progress import FetchProgress
from llama_operator.reconcile.observed import Child, Json, PodFacts
from llama_operator.reconcile.revision import (
    LEADER_WORKER_SET_KIND,
    STATEFUL_SET_KIND,
    workload_name,
)
from llama_operator.units import format_gib


@dataclass(frozen=True, slots=True)
class Situation:
    """All that the status is computed from.

    `contested` says which children somebody sets back again and again; `rejected` why the
    StatefulSet cannot create its pods. `waiting` says which GPUs a replica waits for, empty when
    its GPUs are free or bound.
    `catalog_errors` are errors in users' rows. `fetch_pods` download the model; `progress` is how
    far they are, by uid, where they tell.
    """

    deployment: LlamaDeployment
    desired: Desired
    decision: Decision
    children: tuple[Child, ...] = ()
    pods: tuple[PodFacts, ...] = ()
    fetch_pods: tuple[PodFacts, ...] = ()
    failures: tuple[Failure, ...] = ()
    contested: tuple[str, ...] = ()
    rejected: str = ""
    waiting: str = ""
    catalog_errors: tuple[str, ...] = ()
    progress: Mapping[str, FetchProgress] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class _Verdict:
    """One line of the status table: Ready or not, and who must act.

    `progress` is the reason of Reconciling where it is another than that of Ready.
    """

    ready: bool
    reason: Reason
    message: str
    reconciling: bool = False
    stalled: bool = False
    progress: Reason | None = None


def status_of(situation: Situation, now: datetime) -> LlamaDeploymentStatus:
    """The status after a pass; transition times move only when a status moved."""
    deployment = situation.deployment
    plan = situation.desired.plan
    verdict = _verdict(situation)
    problem = None if deployment.spec.suspend else _problem(situation)
    conditions = [(ConditionType.READY, verdict.ready, verdict.reason, verdict.message)]
    if verdict.reconciling or (problem is not None and problem.reconciling):
        cause = problem if problem is not None and problem.reconciling else verdict
        conditions.append(
            (ConditionType.RECONCILING, True, cause.progress or cause.reason, cause.message)
        )
    if verdict.stalled or (problem is not None and problem.stalled):
        cause = problem if problem is not None and problem.stalled else verdict
        conditions.append((ConditionType.STALLED, True, cause.reason, cause.message))
    if situation.catalog_errors:
        conditions.append(
            (
                ConditionType.CATALOG_DEGRADED,
                True,
                Reason.CATALOG_ROWS_INVALID,
                _join(sorted(situation.catalog_errors)[:5]),
            )
        )
    ready = [pod for pod in situation.pods if pod.serves]
    return LlamaDeploymentStatus(
        observed_generation=deployment.metadata.generation,
        conditions=_stamp(
            deployment.status.conditions, conditions, deployment.metadata.generation, now
        ),
        plan=plan,
        recommendation=situation.desired.recommendation,
        replicas=effective_replicas(deployment) if plan is not None else 0,
        ready_replicas=len(ready),
        selector=selector_text(
            deployment.metadata.name, leaders=plan is not None and plan.pods > 1
        ),
        url=_url(situation),
    )


def _url(situation: Situation) -> str | None:
    """Where the revision that runs answers; it and the spec may differ in TLS."""
    revision = situation.desired.revision
    if revision is None:
        return None
    [port] = revision.objects.service["spec"]["ports"]
    metadata = situation.deployment.metadata
    return service_url(metadata.name, metadata.namespace, port["appProtocol"])


def invalid_status(
    generation: int,
    old: LlamaDeploymentStatus,
    problem: SpecError,
    ready_pods: int,
    now: datetime,
) -> LlamaDeploymentStatus:
    """The status of an object that breaks a rule: what it says, beside what goes on serving."""
    serving = ready_pods > 0
    ready = (
        ConditionType.READY,
        serving,
        Reason.SERVING if serving else problem.reason,
        "the last good revision answers" if serving else _short(str(problem)),
    )
    stalled = (ConditionType.STALLED, True, problem.reason, _short(str(problem)))
    return old.model_copy(
        update={
            "observed_generation": generation,
            "conditions": _stamp(old.conditions, [ready, stalled], generation, now),
            "ready_replicas": ready_pods,
        }
    )


def _verdict(situation: Situation) -> _Verdict:
    """The Ready condition by the table: the first line that applies."""
    replicas = effective_replicas(situation.deployment)
    if situation.deployment.spec.suspend:
        return _Verdict(False, Reason.SUSPENDED, "suspended by spec.suspend")
    if replicas == 0 and situation.desired.revision is not None:
        return _Verdict(False, Reason.SCALED_TO_ZERO, "zero replicas are asked for")
    ready = [pod for pod in situation.pods if pod.serves]
    if ready and not _url_is_not_ours(situation):
        rolling = _rolling(situation)
        return _Verdict(
            True,
            Reason.SERVING,
            f"{len(ready)} of {replicas} replicas answer",
            reconciling=rolling or len(ready) != replicas,
            progress=Reason.ROLLING_OUT if rolling else Reason.STARTING,
        )
    problem = _problem(situation)
    if problem is not None:
        return problem
    if situation.waiting:
        return _Verdict(False, Reason.WAITING_FOR_GPUS, situation.waiting, reconciling=True)
    return _Verdict(False, Reason.STARTING, _starting(situation, replicas), reconciling=True)


def _starting(situation: Situation, replicas: int) -> str:
    plan = situation.desired.plan
    text = f"0 of {replicas} replicas answer"
    if plan is None:
        return text
    text += f"; a replica may take up to {plan.startup_seconds} s to start"
    if plan.gated and situation.deployment.spec.token_secret_ref is None:
        text += f"; {plan.repository} is gated and spec.tokenSecretRef is not set"
    return text


def _url_is_not_ours(situation: Situation) -> bool:
    """Whether the Service that the URL names is not there, or belongs to somebody else."""
    name = service_name(situation.deployment.metadata.name)
    return f"Service/{name}" in situation.decision.conflicts or any(
        isinstance(failure.action, Create)
        and (failure.action.kind, failure.action.name) == ("Service", name)
        for failure in situation.failures
    )


def _problem(situation: Situation) -> _Verdict | None:
    """What hinders the spec as it is, whether or not an older revision answers."""
    decision = situation.decision
    if decision.waiting_for:
        return _Verdict(
            False,
            Reason.WAITING_FOR_DELETION,
            f"children of a deleted deployment of this name are still there: "
            f"{_join(decision.waiting_for)}",
            reconciling=True,
        )
    refusal = situation.desired.refusal
    if refusal is not None:
        message = refusal.message
        if refusal.alternatives:
            options = "; ".join(option.summary for option in refusal.alternatives)
            message = f"{message.rstrip('.')}. Instead: {options}"
        return _Verdict(False, refusal.reason, message, stalled=True)
    if decision.conflicts:
        return _Verdict(
            False,
            Reason.NAME_CONFLICT,
            f"{_join(decision.conflicts)} exists and belongs to somebody else; rename this "
            "deployment or remove that object",
            stalled=True,
        )
    if situation.failures:
        first = min(situation.failures, key=lambda item: (item.action.kind, item.action.name))
        stalled = first.needs_edit
        return _Verdict(
            False, Reason(first.reason), first.message, reconciling=not stalled, stalled=stalled
        )
    if situation.rejected:
        return _Verdict(False, Reason.PODS_REJECTED, situation.rejected, reconciling=True)
    if situation.contested:
        return _Verdict(
            False, Reason.FIELD_CONFLICT, _join(sorted(situation.contested)), reconciling=True
        )
    download = _download(situation)
    if download is not None and download.stalled:
        return download
    failing = sorted(
        (pod for pod in situation.pods if pod.failure is not None and not pod.deleting),
        key=lambda pod: pod.name,
    )
    if failing:
        failure = failing[0].failure
        assert failure is not None
        return _Verdict(
            False,
            Reason(failure.reason),
            failure.message,
            reconciling=not failure.needs_edit,
            stalled=failure.needs_edit,
        )
    return download


def _download(situation: Situation) -> _Verdict | None:
    """How the download is that pods of the desired revision wait for; None when none does."""
    deployment, revision = situation.deployment, situation.desired.revision
    if revision is None:
        return None
    uid = deployment.metadata.uid
    by_name = {(child.kind, child.name): child for child in situation.children}
    workload = workload_of(revision, by_name, deployment.metadata.name)
    running = running_revision(revision, by_name, workload, uid)
    if running is not None and running.name == revision.name:
        return None
    plan, body = revision.plan, revision.objects.fetch_job
    assert plan.cache is not None
    assert body is not None
    job = by_name.get(("Job", body["metadata"]["name"]))
    state, said = (JobState.RUNNING, "") if job is None else job_end(job)
    name = body["metadata"]["name"]
    failure = last_failure(name, situation.fetch_pods)
    told = _progress(situation, name)
    if state is JobState.FAILED and job is not None:
        reason = Reason(failure.reason) if failure is not None else Reason.DOWNLOAD_FAILED
        why = failure.message if failure is not None else said
        due = retry_at(job, situation.fetch_pods)
        if due is not None:
            message = f"{why}; Job {name} is made anew at {due:%Y-%m-%dT%H:%M:%SZ}"
            return _Verdict(False, reason, message, reconciling=True)
        again = f"edit the spec or delete the Job to have it tried again: Job {name}"
        return _Verdict(False, reason, f"{why}; {again}", stalled=True)
    if failure is not None and not told:
        message = f"{failure.message}; it is tried again"
        return _Verdict(False, Reason(failure.reason), message, reconciling=True)
    so_far = told or f", up to {format_gib(plan.cache.model_bytes)}"
    message = f"{plan.repository} is downloaded to {_volume(body)}{so_far}; no GPU is held for it"
    if any(pod.unschedulable and pod.job == name for pod in situation.fetch_pods):
        message += "; its pod waits for the volume or for a node without GPUs"
    return _Verdict(False, Reason.DOWNLOADING, message, reconciling=True)


def _progress(situation: Situation, job: str) -> str:
    """What the pod of a Job tells of how far it is, empty where none does."""
    found = (situation.progress.get(pod.uid) for pod in situation.fetch_pods if pod.job == job)
    return next((f": {one}" for one in found if one is not None), "")


def _volume(job: Json) -> str:
    volume = job["spec"]["template"]["spec"]["volumes"][0]
    return f"claim {volume['persistentVolumeClaim']['claimName']}"


def _rolling(situation: Situation) -> bool:
    """Whether some pod may not have the newest template of the workload yet.

    Pods tell it: the StatefulSet counts them later than they answer.
    """
    revision = situation.desired.revision
    kind = STATEFUL_SET_KIND if revision is None else revision.objects.workload_kind
    name = workload_name(kind, situation.deployment.metadata.name)
    for child in situation.children:
        if child.kind == LEADER_WORKER_SET_KIND and child.name == name:
            return _groups_are_rolling(child)
        if child.kind == STATEFUL_SET_KIND and child.name == name:
            status = child.body.get("status") or {}
            generation = int(child.body["metadata"].get("generation", 0))
            newest = status.get("updateRevision")
            if not newest:
                return generation > 1  # at first there is no other template
            return (
                int(status.get("observedGeneration") or 0) < generation
                or newest != status.get("currentRevision")
                or any(pod.template_hash != newest for pod in situation.pods)
            )
    return True


def _groups_are_rolling(child: Child) -> bool:
    """Whether the controller of LeaderWorkerSets has groups of an older template left."""
    status, generation = child.body.get("status") or {}, child.body["metadata"].get("generation", 0)
    conditions = status.get("conditions") or ()
    updating = any(
        entry.get("type") == "UpdateInProgress" and entry.get("status") == "True"
        for entry in conditions
    )
    seen = max(
        (int(entry.get("observedGeneration") or 0) for entry in (status, *conditions)), default=0
    )
    # Early versions tell no generation at all.
    return updating or (0 < seen < int(generation))


def _stamp(
    old: Sequence[Condition],
    new: Iterable[tuple[ConditionType, bool, str, str]],
    generation: int,
    now: datetime,
) -> list[Condition]:
    """Conditions with transition times; a time moves only when the status moved."""
    before = {condition.type: condition for condition in old}
    stamped = []
    for kind, value, reason, message in new:
        status = "True" if value else "False"
        previous = before.get(kind)
        time = (
            previous.last_transition_time
            if previous is not None and previous.status == status
            else now.strftime("%Y-%m-%dT%H:%M:%SZ")
        )
        stamped.append(
            Condition(
                type=kind,
                status=status,
                reason=str(reason),
                message=_short(message),
                last_transition_time=time,
                observed_generation=generation,
            )
        )
    return stamped


def _join(items: Iterable[str]) -> str:
    return ", ".join(items)


def _short(text: str, limit: int = 4096) -> str:
    return text if len(text) <= limit else text[: limit - 1] + "…"
