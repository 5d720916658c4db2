"""Desired against observed: what to create, apply, delete or wait for. Pure."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime

from llama_operator.api.deployment import LlamaDeployment
from llama_operator.api.names import ANNOTATION_REVISION
from llama_operator.reconcile.actions import Action, Apply, Create, Delete
from llama_operator.reconcile.drift import holds, leaves_out
from llama_operator.reconcile.fetch import (
    JOB_KIND,
    converge_claim,
    converge_job,
    next_retry,
    prune_jobs,
    running_revision,
    workload_of,
)
from llama_operator.reconcile.observed import Child, Json, PodFacts
from llama_operator.reconcile.revision import (
    HISTORY_LIMIT,
    LEADER_WORKER_SET_KIND,
    WORKLOADS,
    Revision,
    digest,
    read_revision,
)
from llama_operator.render.objects import controller_revision

REVISION_KIND = "ControllerRevision"
SERVICE_KIND = "Service"


@dataclass(frozen=True, slots=True)
class Decision:
    """What to do, in stages: the actions of a stage are independent of each other.

    Services come first: pods that nobody could reach would only hold GPUs, and a Service that is
    there although none was seen tells, before a record is made, that what was seen is outdated.

    `waiting_for` names children of a deleted deployment of the same name; nothing is done until
    the garbage collector removed them. `conflicts` names objects that carry our labels and names
    but belong to nobody or to another deployment; they are never touched. `again_at` is when a
    download that failed is to be tried again.
    """

    stages: tuple[tuple[Action, ...], ...] = ()
    waiting_for: tuple[str, ...] = ()
    conflicts: tuple[str, ...] = ()
    again_at: datetime | None = None

    def again_seconds(self, now: datetime) -> float | None:
        """Seconds until `again_at`; None where there is none, or it is over."""
        if self.again_at is None or self.again_at <= now:
            return None
        return (self.again_at - now).total_seconds()

    @property
    def actions(self) -> tuple[Action, ...]:
        """All actions in order."""
        return tuple(action for stage in self.stages for action in stage)

    @property
    def makes_all(self) -> bool:
        """Whether it makes a first set of children, which fails where there is one already."""
        return any(action.kind == REVISION_KIND for action in self.actions) and all(
            isinstance(action, Create) for action in self.actions
        )


def effective_replicas(deployment: LlamaDeployment) -> int:
    """Replicas that the workload is asked for."""
    return 0 if deployment.spec.suspend else deployment.spec.replicas


def decide(
    deployment: LlamaDeployment,
    revision: Revision | None,
    children: Iterable[Child],
    unholdable: Mapping[str, str],
    fetch_pods: Iterable[PodFacts] = (),
    now: datetime | None = None,
    *,
    pods: Iterable[PodFacts] = (),
    groups: bool = True,
) -> Decision:
    """Actions that make the children equal to the revision.

    A StatefulSet and a LeaderWorkerSet follow each other: the one is deleted first, and the other
    made once the pods of the first are gone, so that no GPUs are asked for twice.

    Args:
        deployment: the valid object.
        revision: what should run; None while nothing fits.
        children: every object that carries the deployment's instance label.
        unholdable: by uid, the digest of an intent that the API server or a webhook rewrites at
            once; applying it again would only be a war.
        fetch_pods: that download the model.
        now: without it nothing is done that is due by time.
        pods: of the deployment.
        groups: whether the cluster has LeaderWorkerSet; without it no set is touched.
    """
    children, fetch_pods = tuple(children), tuple(fetch_pods)
    uid = deployment.metadata.uid
    old = sorted(
        f"{child.kind}/{child.name}"
        for child in children
        if child.owner_uid not in ("", uid) and child.owner_name == deployment.metadata.name
    )
    if old:
        return Decision(waiting_for=tuple(old))
    if revision is None:
        return Decision()
    replicas = effective_replicas(deployment)
    by_name = {(child.kind, child.name): child for child in children}
    own = tuple(child for child in children if child.owner_uid == uid)
    workload = workload_of(revision, by_name, deployment.metadata.name)
    running = running_revision(revision, by_name, workload, uid)
    others = _other_workloads(running, own, groups=groups)
    held = bool(others) or _has_other_pods(running, pods)
    actions: list[Action] = []
    conflicts: list[str] = []
    for body in _children(revision, running, deployment, replicas):
        if body["kind"] == LEADER_WORKER_SET_KIND and not groups:
            continue
        child = by_name.get((body["kind"], body["metadata"]["name"]))
        if child is not None and child.owner_uid != uid:
            conflicts.append(f"{child.kind}/{child.name}")
            continue
        action = _converge(body, child, unholdable, _intended(child, by_name))
        if action is not None and not (
            held and body["kind"] in WORKLOADS and isinstance(action, Create)
        ):
            actions.append(action)
    actions.extend(
        Delete(child, "replicas take another number of nodes")
        for child in others
        if not child.deleting
    )
    if replicas <= 1:
        actions.extend(
            Delete(child, "one replica needs no disruption budget")
            for child in children
            if child.kind == "PodDisruptionBudget" and child.owner_uid == uid and not child.deleting
        )
    taken = by_name.get((REVISION_KIND, revision.name))
    if taken is not None and taken.owner_uid != uid:
        conflicts.append(f"{taken.kind}/{taken.name}")
        record = None
    else:
        record = _record(deployment, revision, taken)
    # One after the other: that a claim is there although none was seen ends the pass.
    volume = [
        (action,)
        for action in (
            converge_claim(revision, running, by_name, unholdable),
            converge_job(revision, by_name, fetch_pods, now),
        )
        if action is not None
        and ((taken := by_name.get((action.kind, action.name))) is None or taken.owner_uid == uid)
    ]
    conflicts.extend(
        f"{child.kind}/{child.name}"
        for body in (revision.objects.claim, revision.objects.fetch_job)
        if body is not None
        and (child := by_name.get((body["kind"], body["metadata"]["name"]))) is not None
        and child.owner_uid != uid
    )
    services = tuple(action for action in actions if action.kind == SERVICE_KIND)
    rest = tuple(action for action in actions if action.kind != SERVICE_KIND)
    if conflicts:
        rest = tuple(action for action in rest if not isinstance(action, Create))
        volume = []
    pruned, kept = _prune(revision, running, own)
    jobs = prune_jobs(revision, kept, (child for child in own if child.kind == JOB_KIND))
    stages = (
        services,
        () if record is None else (record,),
        *volume,
        rest,
        (*pruned, *jobs),
    )
    return Decision(
        stages=tuple(stage for stage in stages if stage),
        conflicts=tuple(sorted(conflicts)),
        again_at=next_retry(revision, by_name, fetch_pods, uid),
    )


def first_children(deployment: LlamaDeployment, revision: Revision | None) -> tuple[Json, ...]:
    """All that passes create for a deployment that has no children, what waits for a model too."""
    actions = decide(deployment, revision, (), {}).actions
    bodies = [action.body for action in actions if isinstance(action, Create)]
    if revision is not None:
        all_of_them = _children(revision, revision, deployment, effective_replicas(deployment))
        bodies += [body for body in all_of_them if body not in bodies]
    return tuple(bodies)


def _children(
    revision: Revision, running: Revision | None, deployment: LlamaDeployment, replicas: int
) -> tuple[Json, ...]:
    """What should be there; no workload while nothing may run yet."""
    objects = revision.objects
    if running is not None and running.objects.workload_kind != objects.workload_kind:
        objects = running.objects  # Services select pods of one kind
    bodies = [objects.headless_service, objects.service]
    if running is not None:
        workload = running.objects.workload
        bodies.append({**workload, "spec": {**workload["spec"], "replicas": replicas}})
    if replicas > 1:
        bodies.append(objects.disruption_budget)
    return tuple(bodies)


def _other_workloads(
    running: Revision | None, own: Iterable[Child], *, groups: bool
) -> tuple[Child, ...]:
    """Workloads of another kind than what should run has; none while that cannot be made."""
    if running is None:
        return ()
    kind = running.objects.workload_kind
    if kind == LEADER_WORKER_SET_KIND and not groups:
        return ()
    return tuple(child for child in own if child.kind in WORKLOADS and child.kind != kind)


def _has_other_pods(running: Revision | None, pods: Iterable[PodFacts]) -> bool:
    """Whether pods of the other kind of workload are there, which may hold GPUs."""
    if running is None:
        return False
    grouped = running.objects.workload_kind == LEADER_WORKER_SET_KIND
    return any(bool(pod.component) != grouped and not pod.finished for pod in pods)


def _intended(child: Child | None, by_name: Mapping[tuple[str, str], Child]) -> Json | None:
    """What a workload was last made to be; None when that is not on record."""
    if child is None or child.kind not in WORKLOADS:
        return None
    annotations = child.body["metadata"].get("annotations") or {}
    record = by_name.get((REVISION_KIND, str(annotations.get(ANNOTATION_REVISION))))
    found = read_revision(record) if record is not None else None
    return found.objects.workload if found is not None else None


def _converge(
    body: Json, child: Child | None, unholdable: Mapping[str, str], intended: Json | None
) -> Action | None:
    if child is None:
        return Create(body, "it is missing")
    if child.deleting or holds(body, child.body):
        return None
    if unholdable.get(child.uid) == digest(body):
        return None
    return Apply(
        with_uid(body, child.uid),
        child,
        "it differs from the plan",
        leaves_out=intended is None or leaves_out(intended, body),
    )


def with_uid(body: Json, uid: str) -> Json:
    """The intent, bound to one object: applying it to another one fails."""
    return {**body, "metadata": {**body["metadata"], "uid": uid}}


def _record(deployment: LlamaDeployment, revision: Revision, child: Child | None) -> Action | None:
    if child is not None and child.revision == revision.number:
        return None
    # What was recorded cannot be changed any more; another wording of why counts as the same.
    data = revision.data() if child is None else child.body["data"]
    body = controller_revision(deployment, name=revision.name, revision=revision.number, data=data)
    if child is None:
        return Create(body, "a new revision")
    return Apply(with_uid(body, child.uid), child, "the spec went back to this revision")


def _prune(
    revision: Revision, running: Revision | None, own: Iterable[Child]
) -> tuple[tuple[Action, ...], tuple[Child, ...]]:
    """Old records to delete, and those that stay beside the desired one and what runs."""
    needed = {revision.name, running.name if running is not None else ""}
    recorded = sorted(
        (
            child
            for child in own
            if child.kind == REVISION_KIND and child.name not in needed and not child.deleting
        ),
        key=lambda child: child.revision,
    )
    surplus = max(0, len(recorded) - (HISTORY_LIMIT - len(needed - {""})))
    return (
        tuple(Delete(child, "an old revision") for child in recorded[:surplus]),
        (
            *recorded[surplus:],
            *(child for child in own if child.kind == REVISION_KIND and child.name in needed),
        ),
    )
