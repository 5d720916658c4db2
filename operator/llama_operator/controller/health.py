"""Health and metrics over HTTP, on two ports: probes come from the node, scrapes from inside."""

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
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

    `ready` is set by the process once the caches are filled, whether it leads or stands by.
    `silences` gives, by resource, for how many seconds a watch brought nothing; `idleness` for how
    many it did not even try; `refusals` why the API server refuses to list or watch it. While the
    API server is away a process is not ready but alive: a restart would lose its caches and mend
    nothing.
    """

    def __init__(self, metrics: Metrics) -> None:
        self.ready = False
        self.silences: Callable[[], dict[str, float]] = dict
        self.idleness: Callable[[], dict[str, float]] = dict
        self.refusals: Callable[[], dict[str, str]] = dict
        self.before_scrape: Callable[[], None] = lambda: None
        self._metrics = metrics

    async def healthz(self, _: web.Request) -> web.Response:
        """200 while the event loop answers and every watch works or tries to."""
        return _answer(500, _too_long(self.idleness(), "the watch of {} is dead since {:.0f} s"))

    async def readyz(self, _: web.Request) -> web.Response:
        """200 once all caches are filled, and while they are fresh."""
        stale = "the watch of {} has been silent for {:.0f} s"
        problems = _too_long(self.silences(), stale)
        if not self.ready:
            problems = ["the caches are not filled yet"]
        refusals = sorted(self.refusals().items())
        return _answer(503, [*problems, *(f"{name}: {text}" for name, text in refusals if text)])

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


def _too_long(ages: Mapping[str, float], text: str) -> list[str]:
    return [
        text.format(resource, age)
        for resource, age in sorted(ages.items())
        if age > SILENCE_LIMIT_SECONDS
    ]


def _answer(status: int, problems: Sequence[str]) -> web.Response:
    return web.Response(status=status if problems else 200, text="\n".join(problems) or "ok")


async def measure_loop_lag(metrics: Metrics) -> None:
    """Measure how late the event loop is, until cancelled."""
    while True:
        before = time.monotonic()
        await asyncio.sleep(LAG_PERIOD_SECONDS)
        metrics.loop_lag.set(max(0.0, time.monotonic() - before - LAG_PERIOD_SECONDS))
