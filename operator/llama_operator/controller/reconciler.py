"""One pass over one deployment: read caches, decide, act, write the status once."""

import asyncio
import itertools
import logging
import time
from collections.abc import Callable, Iterable
from dataclasses import replace
from datetime import UTC, datetime
from typing import Final

from pydantic import ValidationError

from llama_operator.api.deployment import LlamaDeployment
from llama_operator.api.plan import Plan
from llama_operator.api.reasons import Reason
from llama_operator.api.status import LlamaDeploymentStatus
from llama_operator.cluster.client import (
    ApiError,
    ConflictError,
    ForbiddenError,
    Json,
    NotFoundError,
)
from llama_operator.cluster.cluster import Cluster
from llama_operator.cluster.fetch_progress import ask_progress
from llama_operator.cluster.ledger import Key
from llama_operator.cluster.user_catalog import UserCatalog
from llama_operator.cluster.writes import missing_right
from llama_operator.controller.fetch_poller import FetchPoller
from llama_operator.controller.freshness import Freshness
from llama_operator.controller.known import Known
from llama_operator.controller.logs import object_reference
from llama_operator.controller.metrics import Metrics
from llama_operator.controller.pace import EditPace
from llama_operator.controller.rejections import Rejections
from llama_operator.controller.reserving import reserve
from llama_operator.controller.setbacks import Setbacks, requeue_seconds
from llama_operator.controller.telling import tell_plan, tell_reasons, tell_repairs
from llama_operator.errors import SpecError, UnreadableRecordError
from llama_operator.planning.cached import refuse_host_path
from llama_operator.planning.outcome import Outcome
from llama_operator.planning.plan import plan_on
from llama_operator.reconcile.actions import Failure
from llama_operator.reconcile.contention import Memory, Settlement, settle
from llama_operator.reconcile.decide import Decision, decide, effective_replicas
from llama_operator.reconcile.desired import Desired, desire
from llama_operator.reconcile.observed import Child, PodFacts
from llama_operator.reconcile.revision import Revision, latest_record, read_revision
from llama_operator.reconcile.status import Situation, invalid_status, status_of
from llama_operator.reconcile.status_drift import says
from llama_operator.render.rendering import CURRENT, Rendering

_log = logging.getLogger(__name__)
_passes = itertools.count(1)

_STOPPING: Final = frozenset(
    {Reason.NAME_CONFLICT, Reason.WAITING_FOR_DELETION, Reason.API_SERVER_ERROR}
)
"""Failures after which pods would be of no use or more writes fail; else the rest goes on."""


class Reconciler:
    """Holds the deployments as the watch showed them, and reconciles one at a time by key."""

    def __init__(
        self,
        cluster: Cluster,
        catalog: UserCatalog,
        metrics: Metrics,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
        rendering: Rendering = CURRENT,
        plan: Callable[..., Outcome] = plan_on,
        *,
        allow_host_path: bool = False,
        on_progress: Callable[[Key], None] = lambda key: None,
    ) -> None:
        self._cluster = cluster
        self._catalog = catalog
        self._metrics = metrics
        self._now = now
        self._rendering = rendering
        self._plan = plan
        self._allow_host_path = allow_host_path
        self._known: dict[Key, Known] = {}
        self._undecided: set[Key] = set()
        self._records: dict[Key, Child] = {}
        self._freshness = Freshness(cluster)
        self._memories: dict[Key, Memory] = {}
        self._rejections = Rejections(cluster)
        self._pace = EditPace()
        self._setbacks = Setbacks()
        self.fetches = FetchPoller(ask_progress, on_progress)

    def deployments(self) -> tuple[Key, ...]:
        """Keys of all known deployments."""
        return tuple(self._known)

    def undecided(self) -> tuple[Key, ...]:
        """Deployments that other hardware or another catalog may help."""
        return tuple(self._undecided)

    def remembered(self) -> set[Key]:
        """Keys of which anything is remembered, those that are gone included."""
        return {*self._known, *self._records, *self._undecided}

    def reset(self) -> None:
        """Forget what passes derived, but not what was observed: another process wrote since."""
        for key in self.remembered():
            self._forget(key)
        self._cluster.writes.unholdable.clear()

    def take(self, key: Key, body: Json | None, uid: str = "") -> bool:
        """Take an object as the watch shows it; tells whether a pass is due.

        Echoes of our own status writes and changes of foreign metadata need none. The end of
        another object than the known one, which had its name before, means nothing.
        """
        old = self._known.get(key)
        if body is None:
            if old is None or uid not in ("", old.uid):
                return False
            del self._known[key]
            return True
        new = Known.of(body)
        if old is not None and new.version < old.version:
            return False
        self._known[key] = new
        return old is None or (old.wish, old.status) != (new.wish, new.status)

    def _take_status(self, key: Key, written: Json) -> None:
        """Take our own status write, unless the object changed besides: the watch tells of that."""
        old, new = self._known.get(key), Known.of(written)
        if old is not None and old.wish == new.wish:
            self._known[key] = new

    async def reconcile(self, key: Key) -> float | None:
        """One pass. Safe to run twice; returns the seconds after which to look again."""
        started = time.monotonic()
        known = self._known.get(key)
        body = known.body() if known is not None else None
        if body is None or body["metadata"].get("deletionTimestamp"):
            self._forget(key)
            self._metrics.reconcile_total.labels("gone").inc()
            return None
        metadata = body["metadata"]
        generation = int(metadata.get("generation") or 0)
        if pause := self._pace.pause_seconds(key, generation, started):
            return pause
        token = object_reference.set(
            {
                "namespace": key[0],
                "name": key[1],
                "uid": metadata["uid"],
                "generation": generation,
                "pass": next(_passes),
            }
        )
        try:
            changed, delay = await self._pass(key, body)
        except (ConflictError, NotFoundError):
            self._freshness.doubt(key)
            raise
        except ApiError as error:
            self._setbacks.add(key, error)
            raise
        finally:
            object_reference.reset(token)
            self._metrics.reconcile_seconds.observe(time.monotonic() - started)
        self._metrics.reconcile_total.labels("changed" if changed else "unchanged").inc()
        # Doubt that came up in this pass is looked into at once.
        return 0.0 if self._freshness.doubts(key) else delay

    async def _pass(self, key: Key, body: Json) -> tuple[bool, float | None]:
        children, pods = self._cluster.children(key), self._cluster.pods(key)
        doubted = self._freshness.doubts(key)
        if doubted and await self._is_outdated(key, body, children):
            return False, 0.0
        try:
            deployment = LlamaDeployment.parse(body)
            recorded = self._recorded(key, deployment.metadata.uid, children)
        except SpecError as problem:
            return await self._refuse(key, body, problem, pods), None
        rendering = replace(self._rendering, group_restart=self._cluster.group_restart)
        desired = desire(deployment, recorded, self._planner(key, pods), rendering)
        unholdable, fetch_pods = self._cluster.writes.unholdable, self._cluster.fetch_pods(key)
        decision = decide(
            deployment,
            desired.revision,
            children,
            unholdable,
            fetch_pods,
            self._now(),
            pods=pods,
            groups=rendering.group_restart is not None,
        )
        settled = self._settle(key, deployment, desired, decision, children)
        decision = settled.decision
        failures: tuple[Failure, ...] = ()
        try:
            if (
                not doubted
                and self._freshness.needs_look(key, deployment, decision)
                and await self._is_outdated(
                    key, body, children, {action.kind for action in decision.actions}
                )
            ):
                return False, 0.0
        except ForbiddenError as error:
            if not decision.actions:
                raise
            failures = (Failure(decision.actions[0], Reason.FORBIDDEN, missing_right(error)),)
        self._memories[key] = settled.memory
        ledger = self._cluster.ledger
        waiting = reserve(ledger, self._catalog, key, deployment, desired, pods)
        failures = failures or await self._perform(key, decision, deployment.metadata.uid)
        if decision.makes_all and not failures:
            self._freshness.trust(key)
        rejected = await self._rejections.look(
            key, children, pods, effective_replicas(deployment), self._now()
        )
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
            self._cluster.fetch_pods(key),
            failures,
            settled.contested,
            rejected.message,
            waiting,
            self._catalog.errors_for(key[0]),
            self.fetches.follow(key, self._cluster.fetch_pods(key)),
        )
        status = status_of(situation, self._now())
        wrote = await self._write_status(key, body, status)
        await tell_plan(self._cluster.client, body, recorded, desired.revision, self._now())
        await tell_repairs(self._cluster.client, body, settled, failures, self._now())
        again = decision.again_seconds(self._now())
        delays = (requeue_seconds(failures), settled.again_seconds, rejected.again_seconds, again)
        return wrote or bool(decision.actions), min(filter(None, delays), default=None)

    def _settle(
        self,
        key: Key,
        deployment: LlamaDeployment,
        desired: Desired,
        decision: Decision,
        children: tuple[Child, ...],
    ) -> Settlement:
        """Leave out repairs of what somebody sets back again and again."""
        uid = deployment.metadata.uid
        own = (child for child in children if child.owner_uid == uid)
        name = desired.revision.name if desired.revision is not None else ""
        intent = f"{uid}/{name}/{effective_replicas(deployment)}"
        return settle(decision, own, intent, self._memories.get(key, Memory()), time.monotonic())

    def _recorded(self, key: Key, uid: str, children: tuple[Child, ...]) -> Revision | None:
        """The newest revision; one that was deleted by hand is remembered and comes back.

        Raises:
            UnreadableRecordError: it cannot be read, so nobody knows what should run.
        """
        record = latest_record(children, uid)
        if record is None:
            record = self._records.get(key)
            if record is None or record.owner_uid != uid:
                return None
        revision = read_revision(record)
        if revision is None:
            self._records.pop(key, None)
            raise UnreadableRecordError(record.name)
        self._records[key] = record
        return revision

    def _planner(
        self, key: Key, pods: tuple[PodFacts, ...]
    ) -> Callable[[LlamaDeployment, Plan | None], Outcome]:
        def planner(deployment: LlamaDeployment, current: Plan | None) -> Outcome:
            if not self._allow_host_path and (refusal := refuse_host_path(deployment.spec)):
                return refusal
            started = time.perf_counter()
            catalog = self._catalog.for_namespace(key[0])
            surveyed = self._cluster.ledger.survey(key, catalog, pods)
            outcome = self._plan(deployment.spec, catalog, surveyed, current=current)
            self._metrics.plan_seconds.observe(time.perf_counter() - started)
            return outcome

        return planner

    async def _perform(self, key: Key, decision: Decision, uid: str) -> tuple[Failure, ...]:
        failures: list[Failure] = []
        for stage in decision.stages:
            results = await asyncio.gather(
                *(self._cluster.writes.perform(action, uid) for action in stage),
                return_exceptions=True,
            )
            for action, result in zip(stage, results, strict=True):
                if not isinstance(result, BaseException):
                    failure = result
                elif (failure := self._setbacks.failure(key, action, result)) is None:
                    raise result
                if failure is not None:
                    failures.append(failure)
            if any(failure.reason in _STOPPING for failure in failures):
                break
        if not any(failure.reason is Reason.API_SERVER_ERROR for failure in failures):
            self._setbacks.forget(key)
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
        ready = sum(pod.serves for pod in pods)
        generation = int(body["metadata"].get("generation") or 0)
        status = invalid_status(generation, old, problem, ready, self._now())
        return await self._write_status(key, body, status)

    async def _write_status(self, key: Key, body: Json, status: LlamaDeploymentStatus) -> bool:
        """Write the status if it differs from the one observed; tell of a new reason."""
        self._metrics.deployments.show(*key, status)
        if says(status.to_object(), body.get("status") or {}):
            return False
        try:
            written = await self._cluster.writes.write_status(body, status)
        except (NotFoundError, ConflictError):
            live = await self._cluster.get_deployment(key)
            if live is None or not Known.of(live).same_as(Known.of(body)):
                self._freshness.doubt(key)
                return False
            written = await self._cluster.writes.write_status(live, status)
        self._take_status(key, written)
        await tell_reasons(self._cluster.client, body, status, self._now())
        return True

    async def _is_outdated(
        self, key: Key, body: Json, children: tuple[Child, ...], kinds: Iterable[str] = ()
    ) -> bool:
        """Ask the API server for what a pass was shown; whether it is otherwise by now."""
        live, outdated = await self._freshness.look(key, body, children, kinds)
        known = self._known.get(key)
        if live is not None:
            self.take(key, live)
        elif known is not None and known.uid == body["metadata"]["uid"]:
            _log.info("deployment %s/%s is gone", *key)
            del self._known[key]
        return outdated

    def _forget(self, key: Key) -> None:
        self._undecided.discard(key)
        self._freshness.forget(key)
        self._records.pop(key, None)
        self._memories.pop(key, None)
        self._rejections.forget(key)
        self._pace.forget(key)
        self._setbacks.forget(key)
        self.fetches.forget(key)
        self._cluster.ledger.reserve(key, None)
        self._metrics.deployments.drop(*key)
