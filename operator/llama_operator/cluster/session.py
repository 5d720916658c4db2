"""The HTTP session of kopf: our credentials, our metrics, and a sign of life of its watch."""

import time
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import aiohttp

from llama_operator import __version__
from llama_operator.cluster.client import Observer
from llama_operator.cluster.connection import Connection

Handler = Callable[[aiohttp.ClientRequest], Awaitable[aiohttp.ClientResponse]]


class _ObservedContent:
    """The body of an answer that tells of each chunk; everything else is the body's own."""

    def __init__(self, content: aiohttp.StreamReader, on_chunk: Callable[[], None]) -> None:
        self._content = content
        self._on_chunk = on_chunk

    def __getattr__(self, name: str) -> Any:  # noqa: ANN401 - whatever the body has
        return getattr(self._content, name)

    async def iter_chunked(self, size: int) -> AsyncIterator[bytes]:
        async for chunk in self._content.iter_chunked(size):
            self._on_chunk()
            yield chunk


def framework_session(
    connection: Connection, observer: Observer, on_activity: Callable[[], None]
) -> aiohttp.ClientSession:
    """A session for kopf, which closes it.

    Args:
        connection: server and identity; the token is read anew for each request, so that a
            rotated one is used.
        observer: told of each request.
        on_activity: called whenever something arrives on a list or watch.
    """

    async def observed(request: aiohttp.ClientRequest, handler: Handler) -> aiohttp.ClientResponse:
        if authorization := connection.authorization():
            request.headers["Authorization"] = authorization
        watching = request.url.query.get("watch") == "true"
        verb = "watch" if watching else "list" if request.method == "GET" else request.method
        started, code = time.monotonic(), 0
        try:
            response = await handler(request)
            code = response.status
        finally:
            observer(verb, request.url.name, code, time.monotonic() - started)
        on_activity()
        if watching and code == 200:
            content = _ObservedContent(response.content, on_activity)
            response.content = content  # type: ignore[assignment]  # reads like the body itself
        return response

    return aiohttp.ClientSession(
        connector=aiohttp.TCPConnector(limit=0, ssl=connection.ssl_context()),
        headers={"User-Agent": f"llama-operator/{__version__}"},
        middlewares=(observed,),
    )
