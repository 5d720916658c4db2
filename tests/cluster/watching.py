"""Watches under test: what they tell, with a deadline on every wait."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from controlplane import ControlPlane
from llama_operator.cluster.client import ApiClient, Json, Resource
from llama_operator.cluster.connection import Connection
from llama_operator.cluster.watch import ObjectKey, Watch

CONFIG_MAPS = Resource("", "v1", "configmaps", "ConfigMap")
DEADLINE_SECONDS = 30.0
POLL_SECONDS = 0.01


def admin(plane: ControlPlane) -> Connection:
    return as_bearer(plane, lambda: f"Bearer {plane.admin_token}")


def as_bearer(plane: ControlPlane, authorization: Callable[[], str]) -> Connection:
    return Connection(
        server=plane.server,
        ca_file=str(plane.ca_file),
        certificate_file=None,
        key_file=None,
        verify=True,
        namespace="default",
        authorization=authorization,
    )


def plain(url: str) -> Connection:
    """A connection to a double on this machine."""
    return Connection(url, None, None, None, False, "default", lambda: "")


def value_of(item: Json) -> str | None:
    """The projection of these tests: one field; None for objects without it."""
    found: str | None = (item.get("data") or {}).get("value")
    return found


@dataclass
class Heard:
    """What a watch told, in order, and what it asked the server for."""

    changes: list[tuple[str, Any, Any]] = field(default_factory=list)
    requests: list[tuple[str, int]] = field(default_factory=list)
    restarts: int = 0

    def on_change(self, key: ObjectKey, old: object, new: object) -> None:
        self.changes.append((key[1], old, new))

    def on_request(self, verb: str, _: str, code: int, __: float) -> None:
        self.requests.append((verb, code))

    def on_restart(self, _: str) -> None:
        self.restarts += 1

    def lists(self) -> int:
        return sum(verb == "list" for verb, _ in self.requests)


async def until(what: str, condition: Callable[[], object]) -> None:
    """Wait for a condition; the loop goes on meanwhile."""
    try:
        async with asyncio.timeout(DEADLINE_SECONDS):
            while not condition():
                await asyncio.sleep(POLL_SECONDS)
    except TimeoutError:
        raise AssertionError(f"{what}: not within {DEADLINE_SECONDS:g} s") from None


@asynccontextmanager
async def running(watch: Watch[Any]) -> AsyncIterator[None]:
    """Run a watch; it ends with the context, and what it raised is raised here."""
    task = asyncio.create_task(watch.run())
    try:
        yield
        assert not task.done(), "the watch ended by itself"
    finally:
        task.cancel()
        [result] = await asyncio.gather(task, return_exceptions=True)
    if isinstance(result, BaseException) and not isinstance(result, asyncio.CancelledError):
        raise result


Scenario = Callable[[ApiClient, Heard], Awaitable[None]]


def play(connection: Connection, scenario: Scenario) -> Heard:
    """Run a scenario with an open client; gives what was heard."""

    async def main() -> Heard:
        heard = Heard()
        async with ApiClient(connection, heard.on_request) as client:
            await scenario(client, heard)
        # TLS connections take a moment to say goodbye; a closed loop would leave them open.
        transports = asyncio.get_running_loop()._transports  # type: ignore[attr-defined]
        await until(
            "no connection is open", lambda: all(t.is_closing() for t in transports.values())
        )
        return heard

    return asyncio.run(main())


def config_maps(
    client: ApiClient,
    heard: Heard,
    namespace: str,
    project: Callable[[Json], Any] = value_of,
    **selectors: str,
) -> Watch[Any]:
    """A watch of the ConfigMaps of a namespace."""
    return Watch(
        client,
        CONFIG_MAPS,
        project,
        heard.on_change,
        namespace=namespace,
        selectors=selectors,
        on_restart=heard.on_restart,
    )
