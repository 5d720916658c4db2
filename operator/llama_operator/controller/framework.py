"""kopf, kept running: its watch of LlamaDeployments is started again whenever it ends or dies.

kopf's own runner is not used. When one of its parts fails, it cancels every task of the event loop
that is younger than itself, ours included, and arranges for a SIGKILL. Its parts are started and
ended here instead; what was learned from its events stays.
"""

import asyncio
import logging
import random
import time
from collections.abc import Callable, Collection
from typing import Any, Final

import aiohttp
import kopf

from llama_operator.cluster.client import ApiClient, Observer
from llama_operator.cluster.connection import Connection
from llama_operator.cluster.discovery import until_served
from llama_operator.cluster.resources import LLAMA_DEPLOYMENTS
from llama_operator.cluster.session import framework_session
from llama_operator.controller.handlers import Changed, registry
from llama_operator.controller.settings import (
    BACKOFF_BASE_SECONDS,
    BACKOFF_CAP_SECONDS,
    kopf_settings,
)

CHECK_SECONDS: Final = 5.0
START_LIMIT_SECONDS: Final = 45.0
"""kopf asks again within 30 s while it cannot list; when it asks no more, it found no CRD."""
SILENCE_LIMIT_SECONDS: Final = 100.0
"""Bookmarks come every minute, and kopf itself opens a watch again after 70 s of silence."""
STOP_SECONDS: Final = 3.0

_log = logging.getLogger(__name__)


class Framework:
    """Runs kopf until cancelled.

    Args:
        client: an open client.
        connection: server and identity.
        observer: told of each request of kopf.
        changed: told of each deployment that kopf's watch shows.
        on_started: called after each start, since kopf takes the signal handlers.
        on_restart: called whenever it is started again.

    Attributes:
        listed: set once all deployments were listed.
        last_activity: monotonic time at which something arrived on the list or watch.
        last_sign: monotonic time of that, or of the last request.
        refusal: why the API server refuses the list or watch; empty while it does not.
    """

    def __init__(
        self,
        client: ApiClient,
        connection: Connection,
        observer: Observer,
        changed: Changed,
        *,
        on_started: Callable[[], None],
        on_restart: Callable[[], None],
    ) -> None:
        self._client = client
        self._connection = connection
        self._observer = observer
        self._changed = changed
        self._on_started = on_started
        self._on_restart = on_restart
        self._sessions: list[aiohttp.ClientSession] = []
        self._watching = False
        self._begun = False
        self.refusal = ""
        self.listed = asyncio.Event()
        self.last_activity = self.last_sign = time.monotonic()

    async def run(self) -> None:
        """Run kopf, and again after a growing, jittered pause when it ends."""
        failures = 0
        self._begun, self.last_sign = True, time.monotonic()
        while True:
            # kopf looks for the CRD only when it starts.
            await until_served(self._client, LLAMA_DEPLOYMENTS, self._refused)
            problem = await self._run_once()
            if self._watching:
                failures = 0
            delay = min(BACKOFF_CAP_SECONDS, BACKOFF_BASE_SECONDS * 2 ** min(failures, 8))
            delay *= random.uniform(0.5, 1.0)  # noqa: S311 - jitter
            failures += 1
            _log.warning("kopf is started again in %.1f s: %s", delay, problem)
            await asyncio.sleep(delay)
            self._on_restart()

    def idle_seconds(self) -> float:
        """For how long kopf asked for nothing and heard nothing; 0 before it is to run."""
        return time.monotonic() - self.last_sign if self._begun else 0.0

    async def _run_once(self) -> str:
        """Run kopf until it ends or its watch is dead; tells why."""
        self._watching, self.last_sign = False, time.monotonic()
        stopping = asyncio.Event()
        tasks = await kopf.spawn_tasks(
            registry=registry(self._changed, self._login),
            settings=kopf_settings(),
            standalone=True,
            clusterwide=True,
            stop_flag=stopping,
        )
        self._on_started()
        try:
            while True:
                ended, _ = await asyncio.wait(
                    tasks, timeout=CHECK_SECONDS, return_when=asyncio.FIRST_COMPLETED
                )
                if ended:
                    return _why(ended)
                limit = SILENCE_LIMIT_SECONDS if self._watching else START_LIMIT_SECONDS
                if time.monotonic() - self.last_sign > limit:
                    return f"it watches nothing since {limit:.0f} s"
        finally:
            # A stop that is announced: kopf would otherwise kill the process a while later.
            stopping.set()
            await self._stop(tasks)

    async def _stop(self, tasks: "Collection[asyncio.Task[Any]]") -> None:
        for task in tasks:
            task.cancel()
        _, stuck = await asyncio.wait(tasks, timeout=STOP_SECONDS)
        for task in stuck:
            _log.warning("kopf's task does not end: %s", task.get_name())
        for session in self._sessions:
            await session.close()
        self._sessions.clear()

    def _login(self) -> kopf.AiohttpSession:
        session = framework_session(
            self._connection,
            self._observer,
            on_request=self._asked,
            on_activity=self._heard,
            on_refusal=self._refused,
        )
        self._sessions.append(session)
        return kopf.AiohttpSession(
            server=self._connection.server,
            default_namespace=self._connection.namespace,
            aiohttp_session=session,
        )

    def _asked(self) -> None:
        self.last_sign = time.monotonic()

    def _refused(self, message: str) -> None:
        self.last_sign = time.monotonic()
        self.refusal = message

    def _heard(self, watching: bool) -> None:
        self.last_activity = self.last_sign = time.monotonic()
        if watching:
            self.refusal = ""
            self._watching = True
            self.listed.set()


def _why(ended: "set[asyncio.Task[Any]]") -> str:
    for task in ended:
        if not task.cancelled() and task.exception() is not None:
            return f"{task.get_name()}: {task.exception()}"
    return f"{', '.join(sorted(task.get_name() for task in ended))} ended"
