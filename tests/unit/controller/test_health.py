import asyncio
from types import SimpleNamespace

import aiohttp
import pytest

from llama_operator.controller import health as module
from llama_operator.controller.health import SILENCE_LIMIT_SECONDS, Health
from llama_operator.controller.metrics import Metrics

FRESH = {"nodes": 0.1, "pods": SILENCE_LIMIT_SECONDS}
OLD = {"nodes": 0.1, "pods": SILENCE_LIMIT_SECONDS + 1, "configmaps": 1000.0}
SILENT = "\n".join(
    f"the watch of {resource} has been silent for {seconds} s"
    for resource, seconds in (("configmaps", 1000), ("pods", 226))
)
DEAD = "\n".join(
    f"the watch of {resource} is dead since {seconds} s"
    for resource, seconds in (("configmaps", 1000), ("pods", 226))
)
FILLING = "the caches are not filled yet"


def ask(health: Health, *paths: str) -> list[tuple[int, str]]:
    """Answers of both ports, as a kubelet and Prometheus get them."""

    async def scenario() -> list[tuple[int, str]]:
        async with (
            health.serve("127.0.0.1", 0, 0) as (probes, scrapes),
            aiohttp.ClientSession() as session,
        ):
            assert probes != scrapes
            answers = []
            for path in paths:
                port = scrapes if path == "/metrics" else probes
                async with session.get(f"http://127.0.0.1:{port}{path}") as answer:
                    answers.append((answer.status, await answer.text()))
            return answers

    return asyncio.run(scenario())


def health(ready: bool, silences: dict[str, float], idleness: dict[str, float]) -> Health:
    made = Health(Metrics())
    made.ready = ready
    made.silences = lambda: silences
    made.idleness = lambda: idleness
    return made


@pytest.mark.parametrize(
    ("ready", "silences", "idleness", "alive", "takes_part"),
    [
        pytest.param(False, {}, {}, (200, "ok"), (503, FILLING), id="while it starts"),
        pytest.param(
            True, FRESH, FRESH, (200, "ok"), (200, "ok"), id="leading or standing by, watches fresh"
        ),
        pytest.param(
            True,
            OLD,
            FRESH,
            (200, "ok"),
            (503, SILENT),
            id="while the API server is away for long: alive, since it tries",
        ),
        pytest.param(True, OLD, OLD, (500, DEAD), (503, SILENT), id="with watches that are dead"),
        pytest.param(
            False,
            OLD,
            OLD,
            (500, DEAD),
            (503, FILLING),
            id="with watches that are dead before the caches are filled",
        ),
    ],
)
def test_probes(
    ready: bool,
    silences: dict[str, float],
    idleness: dict[str, float],
    alive: tuple[int, str],
    takes_part: tuple[int, str],
) -> None:
    made = health(ready, silences, idleness)
    assert ask(made, "/healthz", "/readyz") == [alive, takes_part]


def test_a_new_process_is_alive_and_not_ready() -> None:
    made = Health(Metrics())
    assert made.ready is False
    assert ask(made, "/healthz", "/readyz") == [(200, "ok"), (503, FILLING)]


def test_metrics_show_silences_and_what_is_asked_for_before_a_scrape() -> None:
    metrics = Metrics()
    made = Health(metrics)
    made.silences = lambda: {"nodes": 12.5}
    made.before_scrape = lambda: metrics.queue_depth.set(3)
    [(status, text)] = ask(made, "/metrics")
    assert status == 200
    assert 'llama_operator_watch_silence_seconds{resource="nodes"} 12.5' in text
    assert "llama_operator_workqueue_depth 3.0" in text


def test_each_port_answers_its_own_paths_only() -> None:
    async def scenario() -> list[int]:
        async with (
            Health(Metrics()).serve("127.0.0.1", 0, 0) as (probes, scrapes),
            aiohttp.ClientSession() as session,
        ):
            codes = []
            for port, path in ((probes, "/metrics"), (scrapes, "/healthz"), (scrapes, "/readyz")):
                async with session.get(f"http://127.0.0.1:{port}{path}") as answer:
                    codes.append(answer.status)
            return codes

    assert asyncio.run(scenario()) == [404, 404, 404]


def test_ports_are_free_again_afterwards() -> None:
    async def scenario() -> None:
        async with Health(Metrics()).serve("127.0.0.1", 0, 0) as (probes, scrapes):
            pass
        async with Health(Metrics()).serve("127.0.0.1", probes, scrapes) as again:
            assert again == (probes, scrapes)

    asyncio.run(scenario())


def test_a_blocked_event_loop_is_measured(monkeypatch: pytest.MonkeyPatch) -> None:
    now, naps = 100.0, 0

    async def sleep(seconds: float) -> None:
        nonlocal now, naps
        naps += 1
        if naps == 2:
            raise asyncio.CancelledError
        now += seconds + 2.5

    monkeypatch.setattr(module, "time", SimpleNamespace(monotonic=lambda: now))
    monkeypatch.setattr(module, "asyncio", SimpleNamespace(sleep=sleep))
    metrics = Metrics()
    with pytest.raises(asyncio.CancelledError):
        asyncio.run(module.measure_loop_lag(metrics))
    assert metrics.registry.get_sample_value("llama_operator_event_loop_lag_seconds") == 2.5
