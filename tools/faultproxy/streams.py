"""A watch that goes through the proxy, line by line."""

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator

import aiohttp
from aiohttp import web

from faultproxy.calls import Call
from faultproxy.faults import CloseAfter, Drop, Fault, Freeze, Inject


class Stream:
    """One open watch; its methods are called in the proxy's own thread, by `streams`."""

    def __init__(self, call: Call, request: web.BaseRequest, response: web.StreamResponse) -> None:
        self.call = call
        self._request = request
        self._response = response
        self._closed = asyncio.Event()
        self._dropped: frozenset[str] = frozenset()
        self._frozen = False
        self._injected: list[bytes] = []
        self._wake = asyncio.Event()

    def close(self) -> None:
        """End the watch in order."""
        self._closed.set()

    def reset(self) -> None:
        """Reset the connection."""
        if self._request.transport is not None:
            self._request.transport.abort()
        self._closed.set()

    def freeze(self) -> None:
        """Deliver nothing more, and leave the connection open."""
        self._frozen = True

    def drop(self, *types: str) -> None:
        """Leave out events of these types from now on; with none given, deliver all again."""
        self._dropped = frozenset(types)

    def inject(self, content: bytes) -> None:
        """Put bytes into the stream before the next line."""
        self._injected.append(content)
        self._wake.set()

    async def run(self, upstream: aiohttp.StreamReader, fault: Fault | None) -> None:
        """Pass lines on until either side ends."""
        match fault:
            case Freeze():
                self._frozen = True
            case Drop(types):
                self._dropped = frozenset(types)
            case Inject(content, reset):
                await self._response.write(content)
                if reset:
                    # What was written must leave before the connection is reset.
                    await asyncio.sleep(0.05)
                    self.reset()
                    return
        seconds = fault.seconds if isinstance(fault, CloseAfter) else None
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._pass_on(upstream)

    async def _pass_on(self, upstream: aiohttp.StreamReader) -> None:
        lines = _lines(upstream)
        line = asyncio.ensure_future(anext(lines, None))
        closed = asyncio.ensure_future(self._closed.wait())
        wake = asyncio.ensure_future(self._wake.wait())
        try:
            while True:
                await asyncio.wait({line, closed, wake}, return_when=asyncio.FIRST_COMPLETED)
                if closed.done():
                    return
                if wake.done():
                    self._wake.clear()
                    wake = asyncio.ensure_future(self._wake.wait())
                    while self._injected:
                        await self._response.write(self._injected.pop(0))
                if line.done():
                    content = line.result()
                    if content is None and not self._frozen:
                        return
                    if content is None:
                        await self._closed.wait()
                        return
                    if not self._frozen and not self._drops(content):
                        await self._response.write(content)
                    line = asyncio.ensure_future(anext(lines, None))
        finally:
            for task in (line, closed, wake):
                task.cancel()
            await asyncio.gather(line, closed, wake, return_exceptions=True)

    def _drops(self, line: bytes) -> bool:
        return bool(self._dropped) and _type(line) in self._dropped


async def _lines(upstream: aiohttp.StreamReader) -> AsyncIterator[bytes]:
    rest = b""
    async for chunk in upstream.iter_any():
        *complete, rest = (rest + chunk).split(b"\n")
        for line in complete:
            yield line + b"\n"


def _type(line: bytes) -> str:
    try:
        return str(json.loads(line)["type"])
    except (ValueError, KeyError, TypeError):
        return ""
