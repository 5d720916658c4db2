"""One pass over one deployment: read caches, decide, act, write the status once."""

import asyncio
import itertools
import logging
import time
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Final

from pydantic import ValidationError

from llama_operator.api.deployment import LlamaDeployment
from llama_operator.api.plan import Plan
from llama_operator.api.reasons import Reason
from llama_operator.api.status import ConditionType, LlamaDeploymentStatus
from llama_operator.cluster.client import ConflictError, Json, NotFoundError
from llama_operator.cluster.cluster import Cluster
from llama_operator.cluster.events import emit_event
from llama_operator.cluster.ledger import Key, Reservation
from llama_operator.cluster.user_catalog import UserCatalog
from llama_operator.controller.logs import object_reference
from llama_operator.controller.metrics import Metrics
from llama_operator.errors import SpecError
from llama_operator.planning.capacity import waiting_message
from llama_operator.planning.outcome import Outcome
from llama_operator.planning.plan import plan
from llama_operator.reconcile.actions import Create, Failure
from llama_operator.reconcile.decide import (
    REVISION_KIND,
    Decision,
    decide,
    effective_replicas,
)
from llama_operator.reconcile.desired import Desired, desire
from llama_operator.reconcile.observed import Child, PodFacts
from llama_operator.reconcile.revision import Revision, latest_record, read_revision
from llama_operator.reconcile.status import Situation, invalid_status, status_of
from llama_operator.reconcile.status_drift import says

_log = logging.getLogger(__name__)
_passes = itertools.count(1)

SOON_SECONDS: Final = 1.0
LATER_SECONDS: Final = 30.0
_SOON: Final = frozenset({Reason.WAITING_FOR_DELETION, Reason.OPERATOR_ERROR})
_STOPPING: Final = frozenset({Reason.NAME_CONFLICT, Reason.WAITING_FOR_DELETION})
"""Failures after which pods would be of no use; after others the rest goes on."""
_QUIET: Final = frozenset({Reason.STARTING, Reason.SERVING, Reason.WAITING_FOR_DELETION})
"""Ready reasons whose coming is no event of its own."""


class Reconciler:
    """Holds the deployments as the watch showed them, and reconciles one at a time by key."""

    def __init__(
        self,
        cluster: Cluster,
        catalog: UserCatalog,
        metrics: Metrics,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._cluster = cluster
        self._catalog = catalog
        self._metrics = metrics
        self._now = now
        self._bodies: dict[Key, Json] = {}
        self._undecided: set[Key] = set()
        self._records: dict[Key, Child] = {}

    def deployments(self) -> tuple[Key, ...]:
        """Keys of all known deployments."""
        return tuple(self._bodies)

    def undecided(self) -> tuple[Key, ...]:
        """Deployments that other hardware or another catalog may help."""
        return tuple(self._undecided)

    def take(self, key: Key, body: Json | None) -> bool:
        """Take an object as the watch shows it; tells whether a pass is due.

        Echoes of our own status writes and changes of foreign metadata need none.
        """
        old = self._bodies.get(key)
        if body is None:
            self._bodies.pop(key, None)
            return old is not None
        new = _projected(body)
        if old is not None and _version(new) < _version(old) and _uid(new) == _uid(old):
            return False
        self._bodies[key] = new
        return old is None or _relevant(old) != _relevant(new)

    def _take_status(self, key: Key, written: Json) -> None:
        """Take our own status write, unless the object changed besides: the watch tells of that."""
        old, new = self._bodies.get(key), _projected(written)
        if old is not None and _relevant(old)[:-1] == _relevant(new)[:-1]:
            self._bodies[key] = new

    async def reconcile(self, key: Key) -> float | None:
        """One pass. Safe to run twice; returns the seconds after which to look again."""
        started = time.monotonic()
        body = self._bodies.get(key)
        if body is None or body["metadata"].get("deletionTimestamp"):
            self._forget(key)
            self._metrics.reconcile_total.labels("gone").inc()
            return None
        metadata = body["metadata"]
        token = object_reference.set(
            {
                "namespace": key[0],
                "name": key[1],
                "uid": metadata["uid"],
                "generation": metadata.get("generation", 0),
                "pass": next(_passes),
            }
        )
        try:
            changed, delay = await self._pass(key, body)
        finally:
            object_reference.reset(token)
            self._metrics.reconcile_seconds.observe(time.monotonic() - started)
        self._metrics.reconcile_total.labels("changed" if changed else "unchanged").inc()
        return delay

    async def _pass(self, key: Key, body: Json) -> tuple[bool, float | None]:
        children, pods = self._cluster.children(key), self._cluster.pods(key)
        try:
            deployment = LlamaDeployment.parse(body)
        except SpecError as problem:
            return await self._refuse(key, body, problem, pods), None
        recorded = self._recorded(key, deployment.metadata.uid, children)
        desired = desire(deployment, recorded, self._planner(key, pods))
        decision = decide(deployment, desired.revision, children, self._cluster.unholdable)
        if _restores(deployment, decision, recorded) and await self._is_gone(
            key, deployment.metadata.uid
        ):
            return False, None
        waiting = self._waiting(key, deployment, desired, pods)
        failures = await self._perform(decision, deployment.metadata.uid)
        if desired.refusal is not None or waiting:
            self._undecided.add(key)
        else:
            self._undecided.discard(key)
        situation = Situation(
            deployment,
            desired,
            decision,
            self._cluster.children(key),
            self._cluster.pods(key),
            failures,
            waiting,
            self._catalog.errors_for(key[0]),
        )
        status = status_of(situation, self._now())
        wrote = await self._write_status(key, body, status)
        if desired.revision is not None and (
            recorded is None or recorded.name != desired.revision.name
        ):
            await emit_event(
                self._cluster.client,
                body,
                warning=False,
                reason="Planned",
                note=desired.revision.plan.summary,
                action="Plan",
            )
        return wrote or bool(decision.actions), _requeue(failures)

    def _recorded(self, key: Key, uid: str, children: tuple[Child, ...]) -> Revision | None:
        """The newest revision; one that was deleted by hand is remembered and comes back."""
        record = latest_record(children, uid)
        if record is None:
            record = self._records.get(key)
            if record is None or record.owner_uid != uid:
                return None
        self._records[key] = record
        return read_revision(record)

    def _planner(
        self, key: Key, pods: tuple[PodFacts, ...]
    ) -> Callable[[LlamaDeployment, Plan | None], Outcome]:
        def planner(deployment: LlamaDeployment, current: Plan | None) -> Outcome:
            started = time.perf_counter()
            outcome = plan(
                deployment.spec,
                self._catalog.for_namespace(key[0]),
                self._cluster.ledger.inventory(key, pods),
                current=current,
            )
            self._metrics.plan_seconds.observe(time.perf_counter() - started)
            return outcome

        return planner

    def _waiting(
        self, key: Key, deployment: LlamaDeployment, desired: Desired, pods: tuple[PodFacts, ...]
    ) -> str:
        """Reserve what its replicas take; tell what they wait for, empty when nothing."""
        if desired.plan is None:
            self._cluster.ledger.reserve(key, None)
            return ""
        chosen = desired.plan
        replicas = effective_replicas(deployment)
        self._cluster.ledger.reserve(
            key, Reservation(tuple(chosen.gpu.accepted_products), chosen.gpu.count, replicas)
        )
        bound = sum(bool(pod.node) and not pod.deleting and not pod.finished for pod in pods)
        unbound = replicas - bound
        if unbound <= 0:
            return ""
        # What its own pods give back goes to those that replace them.
        leaving = tuple(pod for pod in pods if pod.deleting)
        message = waiting_message(
            chosen,
            unbound,
            self._cluster.ledger.inventory(key, leaving),
            self._catalog.for_namespace(key[0]),
        )
        if message:
            return message
        stuck = sorted(pod.name for pod in pods if pod.unschedulable and not pod.node)
        if stuck:
            return (
                f"the scheduler finds no node for pod {stuck[0]}, though {chosen.gpus} is planned; "
                f"`kubectl describe pod {stuck[0]}` tells why"
            )
        return ""

    async def _perform(self, decision: Decision, uid: str) -> tuple[Failure, ...]:
        failures: list[Failure] = []
        for stage in decision.stages:
            results = await asyncio.gather(
                *(self._cluster.perform(action, uid) for action in stage), return_exceptions=True
            )
            for result in results:
                if isinstance(result, BaseException):
                    raise result
                if result is not None:
                    failures.append(result)
            if any(failure.reason in _STOPPING for failure in failures):
                break
        return tuple(failures)

    async def _refuse(
        self, key: Key, body: Json, problem: SpecError, pods: tuple[PodFacts, ...]
    ) -> bool:
        """Write the status of an object that breaks a rule; what runs goes on."""
        self._cluster.ledger.reserve(key, None)
        try:
            old = LlamaDeploymentStatus.model_validate(body.get("status") or {})
        except ValidationError:
            old = LlamaDeploymentStatus()
        ready = sum(pod.ready and not pod.deleting for pod in pods)
        generation = int(body["metadata"].get("generation") or 0)
        status = invalid_status(generation, old, problem, ready, self._now())
        return await self._write_status(key, body, status)

    async def _write_status(self, key: Key, body: Json, status: LlamaDeploymentStatus) -> bool:
        """Write the status if it differs from the one observed; tell of a new reason."""
        self._metrics.show(*key, status)
        if says(status.to_object(), body.get("status") or {}):
            return False
        uid = body["metadata"]["uid"]
        try:
            written = await self._cluster.write_status(key, uid, status)
        except (NotFoundError, ConflictError):
            await self._is_gone(key, uid)
            return False
        self._take_status(key, written)
        await self._tell(body, status)
        return True

    async def _tell(self, body: Json, status: LlamaDeploymentStatus) -> None:
        """An event when the reason for not being ready, or for being stalled, is a new one."""
        before = {
            (entry.get("type"), entry.get("reason"))
            for entry in (body.get("status") or {}).get("conditions") or ()
        }
        shown: set[str] = set()
        for entry in status.conditions:
            if (
                entry.type == ConditionType.RECONCILING
                or entry.reason in _QUIET
                or entry.reason in shown
                or (entry.type, entry.reason) in before
            ):
                continue
            shown.add(entry.reason)
            await emit_event(
                self._cluster.client,
                body,
                warning=entry.reason not in (Reason.SUSPENDED, Reason.SCALED_TO_ZERO),
                reason=entry.reason,
                note=entry.message,
                action="Reconcile",
            )

    async def _is_gone(self, key: Key, uid: str) -> bool:
        """Ask the API server whether the object still is; a watch may have missed its end."""
        live = await self._cluster.get_deployment(key)
        if live is not None and live["metadata"]["uid"] == uid:
            return False
        known = self._bodies.get(key)
        if known is not None and _uid(known) == uid:
            _log.info("deployment %s/%s is gone", *key)
            del self._bodies[key]
            self._forget(key)
        return True

    def _forget(self, key: Key) -> None:
        self._undecided.discard(key)
        self._records.pop(key, None)
        self._cluster.ledger.reserve(key, None)
        self._metrics.drop(*key)


def _restores(deployment: LlamaDeployment, decision: Decision, recorded: Revision | None) -> bool:
    """Whether children that were there are missing: maybe a deletion not seen yet took them."""
    return deployment.status.observed_generation >= 0 and any(
        isinstance(action, Create) and not (action.kind == REVISION_KIND and recorded is not None)
        for action in decision.actions
    )


def _requeue(failures: tuple[Failure, ...]) -> float | None:
    if not failures:
        return None
    if any(failure.reason in _SOON for failure in failures):
        return SOON_SECONDS
    return LATER_SECONDS


def _projected(body: Json) -> Json:
    metadata = {key: value for key, value in body["metadata"].items() if key != "managedFields"}
    return {**body, "metadata": metadata}


def _uid(body: Json) -> str:
    return str(body["metadata"].get("uid"))


def _version(body: Json) -> int:
    text = str(body["metadata"].get("resourceVersion") or "")
    return int(text) if text.isdigit() else 0


def _relevant(body: Json) -> tuple[object, ...]:
    metadata = body["metadata"]
    return (
        metadata.get("uid"),
        metadata.get("generation"),
        metadata.get("deletionTimestamp"),
        metadata.get("annotations"),
        body.get("status"),
    )
