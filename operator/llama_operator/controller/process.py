"""The operator process: stand by, lead, reconcile, stop."""

import asyncio
import contextlib
import logging
import signal
import socket
import time
import uuid
from collections.abc import Callable, Coroutine
from typing import Final

import kopf

from llama_operator import __version__
from llama_operator.api.reasons import Reason
from llama_operator.catalog.user_rows import RowError
from llama_operator.cluster.client import ApiClient
from llama_operator.cluster.cluster import Cluster
from llama_operator.cluster.connection import Connection, connect_async
from llama_operator.cluster.events import emit_event
from llama_operator.cluster.lease import Lease, LostLeaseError
from llama_operator.cluster.ledger import Key
from llama_operator.cluster.resources import LLAMA_DEPLOYMENTS
from llama_operator.cluster.session import framework_session
from llama_operator.cluster.user_catalog import UserCatalog
from llama_operator.controller.handlers import registry
from llama_operator.controller.health import Health, measure_loop_lag
from llama_operator.controller.logs import set_up_logs
from llama_operator.controller.metrics import Metrics
from llama_operator.controller.queue import KeyedQueue
from llama_operator.controller.reconciler import Reconciler
from llama_operator.controller.settings import Settings, kopf_settings

_log = logging.getLogger(__name__)

LEASE_NAME: Final = "llama-operator"
SETTLE_SECONDS: Final = 0.5
"""Changes of nodes come in bursts; deployments that wait for hardware are looked at after one."""
EXIT_LOST_LEASE: Final = 1


class _Stop(Exception):
    """A signal asked the process to end."""


async def run_operator(settings: Settings) -> int:
    """Run until a signal or a lost lease; returns the exit status."""
    set_up_logs(settings.log_level)
    metrics = Metrics()
    health = Health(metrics)
    connection = await connect_async(settings.kubeconfig)
    async with contextlib.AsyncExitStack() as stack:
        ports = await stack.enter_async_context(
            health.serve(settings.listen_address, settings.health_port, settings.metrics_port)
        )
        client = await stack.enter_async_context(ApiClient(connection, metrics.observe_request))
        _log.info(
            "llama-operator %s: %s, health on port %d, metrics on port %d",
            __version__,
            connection.server,
            *ports,
        )
        return await _Process(settings, connection, client, metrics, health).run()


class _Process:
    """The parts of one process and their order of starting and ending."""

    def __init__(
        self,
        settings: Settings,
        connection: Connection,
        client: ApiClient,
        metrics: Metrics,
        health: Health,
    ) -> None:
        self._settings = settings
        self._connection = connection
        self._metrics = metrics
        self._health = health
        identity = settings.identity or f"{socket.gethostname()}_{uuid.uuid4().hex[:8]}"
        self._lease = Lease(
            client, settings.namespace or connection.namespace, LEASE_NAME, identity
        )
        self._settling: asyncio.TimerHandle | None = None
        self._cluster = Cluster(
            client,
            on_deployment=self._enqueue,
            on_inventory=self._inventory_changed,
            on_restart=lambda resource: metrics.watch_restarts.labels(resource).inc(),
        )
        self._catalog = UserCatalog(
            client,
            settings.namespace or connection.namespace,
            self._catalog_changed,
            self._catalog_wrong,
        )
        self._reconciler = Reconciler(self._cluster, self._catalog, metrics)
        self._queue: KeyedQueue[Key] = KeyedQueue(
            self._reconciler.reconcile, settings.workers, self._failed
        )
        self._queue.latency = metrics.queue_latency.observe
        self._client = client
        self._deployments_seen = time.monotonic()
        self._stop = asyncio.Event()
        self._background: set[asyncio.Task[None]] = set()

    async def run(self) -> int:
        """Stand by, lead, and end in order."""
        _on_signals(self._stop.set)
        self._health.ready = True
        if self._settings.leader_election and not await self._until_stopped(self._lease.acquire()):
            return 0
        self._metrics.leader.set(1)
        self._health.ready = False
        status = 0
        try:
            await self._lead()
        except* _Stop:
            _log.info("stopped")
        except* LostLeaseError as errors:
            _log.error("lease lost: %s", errors.exceptions[0])
            status = EXIT_LOST_LEASE
        finally:
            self._metrics.leader.set(0)
        if status == 0 and self._settings.leader_election:
            await self._lease.release()
        return status

    async def _until_stopped(self, wait: Coroutine[None, None, None]) -> bool:
        """Wait for a coroutine; False when a signal came first."""
        waiter, stopper = asyncio.ensure_future(wait), asyncio.create_task(self._stop.wait())
        await asyncio.wait({waiter, stopper}, return_when=asyncio.FIRST_COMPLETED)
        done = waiter.done()
        for task in (waiter, stopper):
            task.cancel()
        await asyncio.gather(waiter, stopper, return_exceptions=True)
        if done:
            waiter.result()
        return done

    async def _lead(self) -> None:
        async with asyncio.TaskGroup() as group:
            if self._settings.leader_election:
                group.create_task(self._lease.hold(), name="lease")
            group.create_task(self._stopper(), name="stopper")
            group.create_task(measure_loop_lag(self._metrics), name="loop lag")
            self._saw_deployments()
            self._health.silences = self._silences
            self._health.before_scrape = self._show_queue
            group.create_task(self._cluster.run(), name="cluster")
            group.create_task(self._catalog.run(), name="catalog")
            await self._cluster.synced()
            await self._catalog.watch.synced.wait()
            group.create_task(self._watch_deployments(), name="kopf")
            self._health.ready = True
            _log.info("caches are filled")
            await self._queue.run()

    async def _watch_deployments(self) -> None:
        ready = asyncio.Event()
        operator = asyncio.create_task(
            kopf.operator(
                registry=registry(self._changed, self._login),
                settings=kopf_settings(self._settings),
                standalone=True,
                clusterwide=True,
                ready_flag=ready,
            ),
            name="kopf operator",
        )
        started = asyncio.create_task(ready.wait())
        await asyncio.wait({operator, started}, return_when=asyncio.FIRST_COMPLETED)
        started.cancel()
        # kopf takes the signals when it starts; ours must first let the passes in work finish.
        _on_signals(self._stop.set)
        try:
            await operator
        finally:
            operator.cancel()
            await asyncio.gather(operator, return_exceptions=True)
        msg = "kopf ended by itself"
        raise RuntimeError(msg)

    async def _stopper(self) -> None:
        await self._stop.wait()
        _log.info("stopping: finishing the passes in work")
        self._queue.close()
        deadline = time.monotonic() + self._settings.grace_seconds / 2
        while self._queue.longest_running_seconds() > 0 and time.monotonic() < deadline:
            await asyncio.sleep(0.05)
        raise _Stop

    def _login(self) -> kopf.AiohttpSession:
        return kopf.AiohttpSession(
            server=self._connection.server,
            default_namespace=self._connection.namespace,
            aiohttp_session=framework_session(
                self._connection, self._metrics.observe_request, self._saw_deployments
            ),
        )

    def _saw_deployments(self) -> None:
        self._deployments_seen = time.monotonic()

    def _silences(self) -> dict[str, float]:
        now = time.monotonic()
        silences = {
            watch.resource.plural: now - watch.last_activity
            for watch in (*self._cluster.watches, self._catalog.watch)
        }
        silences[LLAMA_DEPLOYMENTS.plural] = now - self._deployments_seen
        return silences

    def _changed(self, key: Key, body: dict[str, object] | None) -> None:
        if self._reconciler.take(key, body):
            self._enqueue(key)

    def _enqueue(self, key: Key) -> None:
        self._queue.add(key)

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

    def _show_queue(self) -> None:
        self._metrics.queue_depth.set(self._queue.ready())
        self._metrics.queue_longest.set(self._queue.longest_running_seconds())


def _on_signals(action: Callable[[], None]) -> None:
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, action)


def run(settings: Settings) -> int:
    """Run the operator in a new event loop; returns the exit status."""
    return asyncio.run(run_operator(settings))
