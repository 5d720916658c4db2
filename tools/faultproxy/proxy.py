"""The proxy: one thread with its own event loop, in the process of whoever started it."""

import asyncio
import contextlib
import json
import random
import ssl
import threading
import time
import weakref
from collections.abc import Callable, Iterable
from pathlib import Path
from types import TracebackType
from typing import Self, TypeVar

import aiohttp
from aiohttp import web

from faultproxy.calls import Call, read_call
from faultproxy.faults import (
    Answer,
    CutAfterCommit,
    CutBeforeCommit,
    Delay,
    Hang,
    Notify,
    Rule,
    Stale,
)
from faultproxy.snapshot import ListKey, Snapshot, list_key
from faultproxy.streams import Stream

T = TypeVar("T")

START_SECONDS = 10.0
_HOP_BY_HOP = frozenset(
    {"connection", "keep-alive", "transfer-encoding", "content-length", "host", "te", "upgrade"}
)


class FaultProxy:
    """Sends requests on to an API server, but for those that a rule strikes.

    The first rule that strikes wins. Rules may be set and removed at any time; a rule on watches
    acts on those opened afterwards, and `streams` acts on the open ones.

    Args:
        server: URL of the API server.
        ca_file: certificate that the API server's is checked against.
        certificate: certificate that the proxy serves with; clients trust the same authority.
        key: its private key.
        seed: of the chances of rules with a probability.
    """

    def __init__(
        self, server: str, ca_file: Path, certificate: Path, key: Path, seed: int = 0
    ) -> None:
        self._server = server
        self._serving = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        self._serving.load_cert_chain(certificate, key)
        self._upstream = ssl.create_default_context(cafile=str(ca_file))
        self._chance = random.Random(seed)  # noqa: S311 - faults, not secrets
        self._rules: list[Rule] = []
        self._removed = asyncio.Event()
        self._calls: list[Call] = []
        self._lists: dict[ListKey, str] = {}
        self._authorization = ""
        self._streams: set[Stream] = set()
        self._transports: weakref.WeakSet[asyncio.Transport] = weakref.WeakSet()
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._serve, name="fault proxy", daemon=True)
        self._ended = asyncio.Event()
        self._started = threading.Event()
        self.port = 0

    def __enter__(self) -> Self:
        """Start to listen on a free port of the loopback interface."""
        self._thread.start()
        if not self._started.wait(START_SECONDS):
            raise RuntimeError("the fault proxy did not start")
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """End, and cut off whoever is connected."""
        self._loop.call_soon_threadsafe(self._ended.set)
        self._thread.join(START_SECONDS)

    @property
    def url(self) -> str:
        """What clients take for the API server."""
        return f"https://127.0.0.1:{self.port}"

    def kubeconfig(self, source: Path, path: Path) -> Path:
        """Write a kubeconfig with the identity of `source` that leads here; gives its path."""
        content = json.loads(source.read_text(encoding="utf-8"))
        for cluster in content["clusters"]:
            cluster["cluster"]["server"] = self.url
        path.touch(mode=0o600)
        path.write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")
        return path

    def add(self, *rules: Rule) -> None:
        """Set rules, after those that are set already."""
        self._do(lambda: self._rules.extend(rules))

    def remove(self, *rules: Rule) -> None:
        """Remove rules; what hangs or is frozen by them goes on."""
        self._do(lambda: self._keep(rule for rule in self._rules if rule not in rules))

    def clear(self) -> None:
        """Remove all rules."""
        self._do(lambda: self._keep(()))

    def _keep(self, rules: Iterable[Rule]) -> None:
        self._rules = list(rules)
        self._removed.set()
        self._removed = asyncio.Event()

    def calls(self, since: int = 0) -> list[Call]:
        """Requests with a number above `since`, in the order of their arrival."""
        return self._do(lambda: self._calls[since:])

    def position(self) -> int:
        """Number of the latest request, for `calls`."""
        return self._do(lambda: len(self._calls))

    def watches(self) -> list[Call]:
        """The watches that are open."""
        return self._do(lambda: [stream.call for stream in self._streams])

    def streams(self, act: Callable[[Stream], None], resource: str | None = None) -> int:
        """Do something to each open watch, or to those of one resource; gives how many."""

        def chosen() -> int:
            found = [s for s in self._streams if resource in (None, s.call.resource)]
            for stream in found:
                act(stream)
            return len(found)

        return self._do(chosen)

    def snapshot(self) -> Snapshot:
        """Ask again for every list that went through, with the client's identity, and keep it."""
        return asyncio.run_coroutine_threadsafe(self._snapshot(), self._loop).result(60)

    def serve_with(self, certificate: Path, key: Path) -> None:
        """Show another certificate to whoever connects from now on."""
        self._do(lambda: self._serving.load_cert_chain(certificate, key))

    def drop_connections(self) -> None:
        """Reset every open connection, also those that only wait for a next request."""

        def drop() -> None:
            for transport in tuple(self._transports):
                transport.abort()

        self._do(drop)

    def _do(self, act: Callable[[], T]) -> T:
        async def acted() -> T:
            return act()

        return asyncio.run_coroutine_threadsafe(acted(), self._loop).result(START_SECONDS)

    def _serve(self) -> None:
        with asyncio.Runner(loop_factory=lambda: self._loop) as runner:
            runner.run(self._main())

    async def _main(self) -> None:
        connector = aiohttp.TCPConnector(limit=0, ssl=self._upstream)
        timeout = aiohttp.ClientTimeout(total=None, sock_connect=5)
        async with aiohttp.ClientSession(
            connector=connector, timeout=timeout, auto_decompress=False, read_bufsize=1 << 18
        ) as self._session:
            runner = web.ServerRunner(
                web.Server(self._handle, handler_cancellation=True), shutdown_timeout=0.1
            )
            await runner.setup()
            site = web.TCPSite(runner, "127.0.0.1", 0, ssl_context=self._serving)
            await site.start()
            self.port = runner.addresses[0][1]
            self._started.set()
            await self._ended.wait()
            self._keep(())
            for stream in tuple(self._streams):
                stream.reset()
            await runner.cleanup()
        # TLS connections take a moment to say goodbye.
        await asyncio.sleep(0.1)

    async def _snapshot(self) -> Snapshot:
        headers = {"Authorization": self._authorization, "Accept": "application/json"}
        lists = {}
        for key, path in self._lists.items():
            query = {"labelSelector": key[1], "fieldSelector": key[2]}
            async with self._session.get(
                self._server + path, params={k: v for k, v in query.items() if v}, headers=headers
            ) as response:
                response.raise_for_status()
                lists[key] = await response.read()
        return Snapshot(lists)

    async def _handle(self, request: web.BaseRequest) -> web.StreamResponse:
        body = await request.read() if request.method == "POST" else b""
        call = read_call(
            len(self._calls) + 1,
            time.monotonic(),
            request.method,
            request.path,
            request.query,
            request.headers.get("User-Agent", ""),
            body,
        )
        self._calls.append(call)
        if request.transport is not None:
            self._transports.add(request.transport)
        self._authorization = request.headers.get("Authorization", self._authorization)
        if call.verb in ("list", "watch"):
            self._lists.setdefault(list_key(request.path, request.query), request.path)
        rule = next((rule for rule in self._rules if rule.strikes(call, self._chance)), None)
        if rule is not None:
            call.fault = type(rule.fault).__name__
        try:
            response = await self._answer(request, call, rule)
        except aiohttp.ClientError:
            return self._cut(request)
        return response

    async def _answer(
        self, request: web.BaseRequest, call: Call, rule: Rule | None
    ) -> web.StreamResponse:
        match rule.fault if rule is not None else None:
            case Delay(seconds):
                await asyncio.sleep(seconds)
            case Answer() as fault:
                call.code = fault.code
                return _status(fault)
            case CutBeforeCommit():
                return self._cut(request)
            case CutAfterCommit():
                await self._forward(request, call)
                call.code = 0
                return self._cut(request)
            case Hang():
                while rule in self._rules:
                    await self._removed.wait()
                return self._cut(request)
            case Notify(function, before, cut):
                if before:
                    function(call)
                if before and cut:
                    return self._cut(request)
                response = await self._forward(request, call)
                if not before:
                    function(call)
                return response
            case Stale(snapshot) if call.verb == "list":
                call.code = 200
                body = snapshot.lists[list_key(request.path, request.query)]
                return web.Response(body=body, content_type="application/json")
        if call.verb == "watch":
            return await self._watch(request, call, rule)
        return await self._forward(request, call)

    async def _forward(self, request: web.BaseRequest, call: Call) -> web.Response:
        async with self._session.request(
            request.method,
            self._server + request.path_qs,
            data=await request.read() or None,
            headers=_passed(request.headers.items()),
            allow_redirects=False,
        ) as upstream:
            body = await upstream.read()
            call.code = call.committed = upstream.status
            return web.Response(
                status=upstream.status, body=body, headers=_passed(upstream.headers.items())
            )

    async def _watch(
        self, request: web.BaseRequest, call: Call, rule: Rule | None
    ) -> web.StreamResponse:
        response = web.StreamResponse(headers={"Content-Type": "application/json"})
        stream = Stream(call, request, response)
        if rule is not None and isinstance(rule.fault, Stale):
            call.code = 200
            await response.prepare(request)
            while rule in self._rules:
                await self._removed.wait()
        async with self._session.get(
            self._server + request.path_qs, headers=_passed(request.headers.items())
        ) as upstream:
            call.committed = upstream.status
            if upstream.status != 200 and not response.prepared:
                call.code = upstream.status
                return web.Response(status=upstream.status, body=await upstream.read())
            call.code = 200
            if not response.prepared:
                await response.prepare(request)
            self._streams.add(stream)
            try:
                await stream.run(upstream.content, rule.fault if rule is not None else None)
            finally:
                self._streams.discard(stream)
        with contextlib.suppress(ConnectionError):
            await response.write_eof()
        return response

    def _cut(self, request: web.BaseRequest) -> web.Response:
        if request.transport is not None:
            request.transport.abort()
        return web.Response(status=599)


def _passed(headers: Iterable[tuple[str, str]]) -> dict[str, str]:
    return {name: value for name, value in headers if name.lower() not in _HOP_BY_HOP}


def _status(fault: Answer) -> web.Response:
    headers = {}
    if fault.retry_after_seconds is not None:
        headers["Retry-After"] = str(fault.retry_after_seconds)
    body = fault.body
    if body is None:
        body = json.dumps(
            {
                "kind": "Status",
                "apiVersion": "v1",
                "metadata": {},
                "status": "Failure",
                "message": fault.message,
                "reason": fault.reason,
                "code": fault.code,
            }
        ).encode()
    return web.Response(
        status=fault.code, body=body, headers=headers, content_type="application/json"
    )
