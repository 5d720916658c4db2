"""The operator process: stand by, lead, reconcile, stop."""

import asyncio
import contextlib
import gc
import logging
import signal
import socket
import time
import uuid
from functools import partial
from typing import Any, Final

from llama_operator import __version__
from llama_operator.api.reasons import Reason
from llama_operator.catalog.user_rows import RowError
from llama_operator.cluster.client import ApiClient
from llama_operator.cluster.cluster import Cluster
from llama_operator.cluster.connection import Connection, connect_async
from llama_operator.cluster.events import emit_event
from llama_operator.cluster.fence import Fence
from llama_operator.cluster.lease import REQUEST_SECONDS, Lease, LostLeaseError
from llama_operator.cluster.ledger import Key
from llama_operator.cluster.resources import LLAMA_DEPLOYMENTS
from llama_operator.cluster.user_catalog import UserCatalog
from llama_operator.cluster.watch import Watch
from llama_operator.controller.clock import Clock
from llama_operator.controller.framework import Framework
from llama_operator.controller.health import Health, measure_loop_lag
from llama_operator.controller.logs import set_up_logs
from llama_operator.controller.metrics import Metrics
from llama_operator.controller.queue import KeyedQueue
from llama_operator.controller.reconciler import Reconciler
from llama_operator.controller.settings import Settings
from llama_operator.planning.plan import plan_on
from llama_operator.planning.survey import Survey

_log = logging.getLogger(__name__)

NOBODY: Final[Key] = ("", "")
"""Key of no deployment, to which everything that is held or reserved counts as taken."""
LEASE_NAME: Final = "llama-operator"
FENCE_CHECK_SECONDS: Final = 0.1
SETTLE_SECONDS: Final = 0.5
"""Changes of nodes come in bursts; deployments that wait for hardware are looked at after one."""
GC_THRESHOLDS: Final = (20_000, 10, 10)
"""New objects before a look at the youngest; how many of these before one at the next older."""


class _Stop(Exception):
    """A signal asked the process to end."""


async def run_operator(settings: Settings) -> int:
    """Run until a signal; returns the exit status."""
    set_up_logs(settings.log_level)
    metrics = Metrics()
    health = Health(metrics)
    connection = await connect_async(settings.kubeconfig)
    fence = Fence()
    async with contextlib.AsyncExitStack() as stack:
        ports = await stack.enter_async_context(
            health.serve(settings.listen_address, settings.health_port, settings.metrics_port)
        )
        client = await stack.enter_async_context(
            ApiClient(
                connection,
                metrics.observe_request,
                fence=fence if settings.leader_election else None,
            )
        )
        lease_client = await stack.enter_async_context(
            ApiClient(connection, metrics.observe_request, timeout_seconds=REQUEST_SECONDS)
        )
        _log.info(
            "llama-operator %s: %s, health on port %d, metrics on port %d",
            __version__,
            connection.server,
            *ports,
        )
        identity = settings.identity or f"{socket.gethostname()}_{uuid.uuid4().hex[:8]}"
        namespace = settings.namespace or connection.namespace
        now = Clock(settings.clock_offset)
        lease = Lease(lease_client, namespace, LEASE_NAME, identity, fence, now=now)
        await _Process(settings, connection, client, lease, now, metrics, health).run()
    return 0


class _Process:
    """The parts of one process and their order of starting and ending.

    Caches and watches run from the start to the end, whether the process leads or stands by; only
    the queue is worked on in terms of leadership.
    """

    def __init__(
        self,
        settings: Settings,
        connection: Connection,
        client: ApiClient,
        lease: Lease,
        now: Clock,
        metrics: Metrics,
        health: Health,
    ) -> None:
        self._settings = settings
        self._metrics = metrics
        self._health = health
        self._lease = lease
        self._now = now
        self._settling: asyncio.TimerHandle | None = None
        self._cluster = Cluster(
            client,
            on_deployment=self._enqueue,
            on_inventory=self._inventory_changed,
            on_restart=self._watch_restarted,
        )
        self._catalog = UserCatalog(
            client,
            settings.namespace or connection.namespace,
            self._catalog_changed,
            self._catalog_wrong,
            self._watch_restarted,
        )
        self._reconciler = Reconciler(
            self._cluster,
            self._catalog,
            metrics,
            self._now,
            settings.rendering,
            partial(
                plan_on,
                image_registry=settings.image_registry,
                price_tolerance_percent=settings.price_tolerance_percent,
            ),
            allow_host_path=settings.allow_host_path,
            on_progress=self._enqueue,
        )
        self._queue: KeyedQueue[Key] = KeyedQueue(self._reconcile, settings.workers, self._failed)
        self._queue.latency = metrics.queue_latency.observe
        self._framework = Framework(
            client,
            connection,
            metrics.observe_request,
            self._changed,
            on_started=self._take_signals,
            on_restart=lambda: self._watch_restarted(LLAMA_DEPLOYMENTS.plural),
        )
        self._client = client
        self._leading = False
        self._untold: dict[Key, tuple[str, tuple[RowError, ...]]] = {}
        self._stop = asyncio.Event()
        self._background: set[asyncio.Task[None]] = set()

    async def run(self) -> None:
        """Fill the caches, lead whenever the Lease is ours, and end in order."""
        self._take_signals()
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(self._stopper(), name="stopper")
                group.create_task(measure_loop_lag(self._metrics), name="loop lag")
                self._health.silences = self._silences
                self._health.idleness = self._idleness
                self._health.refusals = self._refusals
                self._health.before_scrape = self._show_queue
                self._metrics.inventory.survey = self._survey
                group.create_task(self._cluster.run(), name="cluster")
                group.create_task(self._catalog.run(), name="catalog")
                await self._cluster.synced()
                await self._catalog.watch.synced.wait()
                # Last: children must be known before the deployments that own them.
                group.create_task(self._framework.run(), name="kopf")
                await self._framework.listed.wait()
                self._health.ready = True
                _log.info("caches are filled")
                while not self._stop.is_set():
                    await self._serve_term()
        except* _Stop:
            _log.info("stopped")

    async def _serve_term(self) -> None:
        """Wait until this process leads, and reconcile until it leads no more."""
        if not self._settings.leader_election:
            await self._work()
            return
        if not await self._lease.acquire():
            self._reconciler.reset()
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(self._lease.hold(), name="lease")
                await self._work()
        except* LostLeaseError as errors:
            if not self._stop.is_set():
                _log.warning("standing by, nothing is written: %s", errors.exceptions[0])
        finally:
            self._leading = False
            self._reconciler.fetches.close()
            self._metrics.leader.set(0)
            for key in self._reconciler.deployments():
                self._metrics.deployments.drop(*key)

    async def _work(self) -> None:
        self._leading = True
        self._metrics.leader.set(1)
        for key, (uid, errors) in self._untold.items():
            self._tell_rows(key, uid, errors)
        self._untold.clear()
        for key in self._reconciler.remembered():
            self._enqueue(key)
        await self._queue.run()

    async def _reconcile(self, key: Key) -> float | None:
        """One pass, once the fence is open: what is not to be written need not be worked out."""
        while self._settings.leader_election and not self._lease.is_held():
            await asyncio.sleep(FENCE_CHECK_SECONDS)
        return await self._reconciler.reconcile(key)

    async def _stopper(self) -> None:
        await self._stop.wait()
        _log.info("stopping: finishing the passes in work")
        self._queue.close()
        deadline = time.monotonic() + self._settings.grace_seconds
        while self._queue.longest_running_seconds() > 0 and time.monotonic() < deadline:
            await asyncio.sleep(0.05)
        # Only now, and before the rest ends: whoever takes the Lease starts to write at once.
        await self._lease.release()
        raise _Stop

    def _take_signals(self) -> None:
        """End in order on a signal; kopf takes them whenever it starts."""
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._stop.set)

    def _watch_restarted(self, resource: str) -> None:
        self._metrics.watch_restarts.labels(resource).inc()

    def _silences(self) -> dict[str, float]:
        now = time.monotonic()
        return {
            **{watch.resource.plural: now - watch.last_activity for watch in self._watches()},
            LLAMA_DEPLOYMENTS.plural: now - self._framework.last_activity,
        }

    def _idleness(self) -> dict[str, float]:
        now = time.monotonic()
        return {
            **{
                watch.resource.plural: now - max(watch.last_activity, watch.last_attempt)
                for watch in self._watches()
            },
            LLAMA_DEPLOYMENTS.plural: self._framework.idle_seconds(),
        }

    def _refusals(self) -> dict[str, str]:
        return {
            **{watch.resource.plural: watch.refusal for watch in self._watches()},
            LLAMA_DEPLOYMENTS.plural: self._framework.refusal,
        }

    def _watches(self) -> tuple[Watch[Any], ...]:
        return (*self._cluster.watches, self._catalog.watch)

    def _changed(self, key: Key, body: dict[str, object] | None, uid: str) -> None:
        if self._reconciler.take(key, body, uid):
            self._enqueue(key)

    def _enqueue(self, key: Key, delay_seconds: float = 0.0) -> None:
        if self._leading:
            self._queue.add(key, delay_seconds)

    def _inventory_changed(self) -> None:
        if self._settling is None:
            loop = asyncio.get_running_loop()
            self._settling = loop.call_later(SETTLE_SECONDS, self._inventory_settled)

    def _inventory_settled(self) -> None:
        self._settling = None
        for key in self._reconciler.undecided():
            self._enqueue(key)

    def _catalog_changed(self) -> None:
        for key in self._reconciler.deployments():
            self._enqueue(key)

    def _catalog_wrong(self, key: Key, uid: str, errors: tuple[RowError, ...]) -> None:
        if self._leading:
            self._tell_rows(key, uid, errors)
        else:
            self._untold[key] = uid, errors

    def _tell_rows(self, key: Key, uid: str, errors: tuple[RowError, ...]) -> None:
        note = "; ".join(sorted(str(error) for error in errors))
        regarding = {
            "apiVersion": "v1",
            "kind": "ConfigMap",
            "metadata": {"namespace": key[0], "name": key[1], "uid": uid},
        }
        task = asyncio.get_running_loop().create_task(
            emit_event(
                self._client,
                regarding,
                now=self._now(),
                warning=True,
                reason=Reason.CATALOG_ROWS_INVALID,
                note=note,
                action="ReadCatalog",
            )
        )
        self._background.add(task)
        task.add_done_callback(self._background.discard)

    def _failed(self, key: Key, error: Exception) -> None:
        name = type(error).__name__
        self._metrics.reconcile_total.labels("error").inc()
        self._metrics.reconcile_errors.labels(name).inc()
        if getattr(error, "code", None) is not None:
            _log.warning("%s/%s: %s; again later", *key, error)
        else:
            _log.error("%s/%s: a bug", *key, exc_info=error)

    def _survey(self) -> Survey:
        """The GPUs as a new deployment would see them, with the rows that hold everywhere."""
        own = self._catalog.for_namespace(self._catalog.namespace)
        return self._cluster.ledger.survey(NOBODY, own)

    def _show_queue(self) -> None:
        self._metrics.queue_depth.set(self._queue.ready())
        self._metrics.queue_longest.set(self._queue.longest_running_seconds())


def run(settings: Settings) -> int:
    """Run the operator in a new event loop; returns the exit status."""
    # What was imported stays; looking through it for garbage again and again took a tenth of the
    # time. Each event makes some thousand objects that go without the collector's help.
    gc.collect()
    gc.freeze()
    gc.set_threshold(*GC_THRESHOLDS)
    return asyncio.run(run_operator(settings))
