"""Health and metrics over HTTP, on two ports: probes come from the node, scrapes from inside."""

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Final

from aiohttp import web
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest

from llama_operator.controller.metrics import Metrics

SILENCE_LIMIT_SECONDS: Final = 225.0
"""Three times the silence after which a watch is opened again: then it is stuck for good."""
LAG_PERIOD_SECONDS: Final = 1.0


class Health:
    """What the probes answer.

    `ready` is set by the process: in standby always, as leader once the caches are filled.
    `silences` gives the age of the last sign of life of each watch by resource, in seconds.
    """

    def __init__(self, metrics: Metrics) -> None:
        self.ready = False
        self.silences: Callable[[], dict[str, float]] = dict
        self.before_scrape: Callable[[], None] = lambda: None
        self._metrics = metrics

    def problems(self) -> list[str]:
        """Why the process is not alive; empty when it is."""
        return [
            f"the watch of {resource} has been silent for {silence:.0f} s"
            for resource, silence in sorted(self.silences().items())
            if silence > SILENCE_LIMIT_SECONDS
        ]

    async def healthz(self, _: web.Request) -> web.Response:
        """200 while the event loop answers and no watch is stuck."""
        problems = self.problems()
        return web.Response(status=500 if problems else 200, text="\n".join(problems) or "ok")

    async def readyz(self, _: web.Request) -> web.Response:
        """200 in standby; as leader once all caches are filled and fresh."""
        problems = self.problems() if self.ready else ["the caches are not filled yet"]
        return web.Response(status=503 if problems else 200, text="\n".join(problems) or "ok")

    async def metrics(self, _: web.Request) -> web.Response:
        """The metrics in Prometheus' text format."""
        self.before_scrape()
        for resource, silence in self.silences().items():
            self._metrics.watch_silence.labels(resource).set(silence)
        return web.Response(
            body=generate_latest(self._metrics.registry),
            headers={"Content-Type": CONTENT_TYPE_LATEST},
        )

    @asynccontextmanager
    async def serve(
        self, address: str, health_port: int, metrics_port: int
    ) -> AsyncIterator[tuple[int, int]]:
        """Serve both ports; yields the ports that were bound."""
        probes, scrapes = web.Application(), web.Application()
        probes.router.add_get("/healthz", self.healthz)
        probes.router.add_get("/readyz", self.readyz)
        scrapes.router.add_get("/metrics", self.metrics)
        async with contextlib.AsyncExitStack() as stack:
            bound = []
            for application, port in ((probes, health_port), (scrapes, metrics_port)):
                runner = web.AppRunner(application, access_log=None)
                await runner.setup()
                stack.push_async_callback(runner.cleanup)
                site = web.TCPSite(runner, address, port)
                await site.start()
                bound.append(int(runner.addresses[0][1]))
            yield bound[0], bound[1]


async def measure_loop_lag(metrics: Metrics) -> None:
    """Measure how late the event loop is, until cancelled."""
    while True:
        before = time.monotonic()
        await asyncio.sleep(LAG_PERIOD_SECONDS)
        metrics.loop_lag.set(max(0.0, time.monotonic() - before - LAG_PERIOD_SECONDS))
