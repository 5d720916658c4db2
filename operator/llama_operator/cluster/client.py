"""Requests to the API server over one shared connection pool."""

import asyncio
import re
import time
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from typing import Any, Final, Self

import aiohttp
from pydantic_core import from_json, to_json

from llama_operator import __version__
from llama_operator.cluster.answers import (
    ApiError,
    ConflictError,
    FencedError,
    ForbiddenError,
    GoneError,
    InvalidError,
    NotFoundError,
    UnavailableError,
    error_of,
)
from llama_operator.cluster.connection import Connection
from llama_operator.cluster.fence import Fence, TimedPayload

__all__ = [
    "ApiClient",
    "ApiError",
    "ConflictError",
    "FencedError",
    "ForbiddenError",
    "GoneError",
    "InvalidError",
    "Json",
    "NotFoundError",
    "Resource",
    "UnavailableError",
    "encode",
    "error_of",
]

REQUEST_TIMEOUT_SECONDS: Final = 30
CONNECT_TIMEOUT_SECONDS: Final = 10
KEEP_OPEN_SECONDS: Final = 60
"""How long an idle connection is kept, so that a deployment after a quiet minute waits for no
handshake; the API server closes idle ones after 90 s."""
LINE_LIMIT_BYTES: Final = 4 * 1024 * 1024
"""Longest line of a watch; an object in etcd is at most 1.5 MB."""

REFUSALS: Final = frozenset({401, 403, 404})
"""Answers to a list or watch that somebody must mend: credentials, rights, a missing CRD."""

_ESCAPED: Final = re.compile("[\x7f-\uffff]")

Json = dict[str, Any]
Observer = Callable[[str, str, int, float], None]
"""Called after each request with verb, resource, status code (0: no answer) and seconds."""


def encode(body: Json | list[Json]) -> bytes:
    """A body as JSON that is YAML as well, as which the API server reads what is applied.

    YAML knows no pairs of surrogates, so characters beyond 16 bits stand for themselves; and it
    takes some others for line breaks or refuses them, so all others beyond ASCII are escaped.
    """
    text = to_json(body).decode()
    return _ESCAPED.sub(lambda found: f"\\u{ord(found.group()):04x}", text).encode()


@dataclass(frozen=True, slots=True)
class Resource:
    """One API resource; `group` is empty for the core group."""

    group: str
    version: str
    plural: str
    kind: str
    namespaced: bool = True

    @property
    def api_version(self) -> str:
        """`apps/v1`, or `v1` for the core group."""
        return f"{self.group}/{self.version}" if self.group else self.version

    def path(self, namespace: str | None = None, name: str | None = None) -> str:
        """URL path of the collection or of one object."""
        root = f"/apis/{self.group}/{self.version}" if self.group else f"/api/{self.version}"
        middle = f"/namespaces/{namespace}" if namespace else ""
        return f"{root}{middle}/{self.plural}" + (f"/{name}" if name else "")


class ApiClient:
    """A client for one API server. Open it as an asynchronous context manager.

    Args:
        connection: server and identity.
        observer: told of each request.
        fence: writes pass only while it is open; None lets all pass.
        timeout_seconds: how long a request may take, watches aside.
    """

    def __init__(
        self,
        connection: Connection,
        observer: Observer | None = None,
        *,
        fence: Fence | None = None,
        timeout_seconds: float = REQUEST_TIMEOUT_SECONDS,
    ) -> None:
        self._connection = connection
        self._observer = observer
        self._fence = fence
        self._timeout_seconds = timeout_seconds
        self._session: aiohttp.ClientSession | None = None

    async def __aenter__(self) -> Self:
        """Open the connection pool."""
        connector = aiohttp.TCPConnector(
            limit=64,
            ssl=self._connection.ssl_context(),
            keepalive_timeout=KEEP_OPEN_SECONDS,
        )
        self._session = aiohttp.ClientSession(
            connector=connector,
            headers={"User-Agent": f"llama-operator/{__version__}", "Accept": "application/json"},
            timeout=aiohttp.ClientTimeout(
                total=REQUEST_TIMEOUT_SECONDS, connect=CONNECT_TIMEOUT_SECONDS
            ),
            read_bufsize=1 << 18,
        )
        return self

    async def __aexit__(self, *_: object) -> None:
        """Close the connection pool."""
        if self._session is not None:
            await self._session.close()

    @asynccontextmanager
    async def _send(
        self,
        method: str,
        path: str,
        *,
        resource: str,
        verb: str,
        params: Mapping[str, str] | None = None,
        body: Json | list[Json] | None = None,
        content_type: str = "application/json",
        timeout_seconds: float | None = None,
        late: Callable[[], bool] | None = None,
    ) -> AsyncIterator[aiohttp.ClientResponse]:
        assert self._session is not None, "the client is not open"
        headers = {}
        if authorization := self._connection.authorization():
            headers["Authorization"] = authorization
        data = None
        if body is not None:
            data = TimedPayload(encode(body), late or (lambda: False))
            headers["Content-Type"] = content_type
        timeout = aiohttp.ClientTimeout(
            total=timeout_seconds,
            connect=CONNECT_TIMEOUT_SECONDS,
            sock_read=None if timeout_seconds else REQUEST_TIMEOUT_SECONDS * 4,
        )
        started, code = time.monotonic(), 0
        try:
            async with self._session.request(
                method,
                self._connection.server + path,
                params=params,
                data=data,
                headers=headers,
                timeout=timeout,
                allow_redirects=False,
            ) as response:
                code = response.status
                if code >= 300:
                    text = await response.text(errors="replace")
                    raise error_of(code, text, response.headers.get("Retry-After"))
                yield response
        except (aiohttp.ClientError, TimeoutError, ConnectionError) as error:
            if data is not None and data.withheld:
                raise FencedError from error
            raise UnavailableError(0, "NoAnswer", f"{type(error).__name__}: {error}") from error
        finally:
            if self._observer is not None:
                self._observer(verb, resource, code, time.monotonic() - started)

    async def request(
        self,
        method: str,
        path: str,
        *,
        resource: str,
        verb: str,
        params: Mapping[str, str] | None = None,
        body: Json | list[Json] | None = None,
        content_type: str = "application/json",
        send_before: float | None = None,
    ) -> Json:
        """One request and its answer.

        Args:
            method: of HTTP.
            path: of the collection or object.
            resource: its plural name, with the subresource after a slash.
            verb: Kubernetes' verb.
            params: of the query.
            body: the object.
            content_type: of the body.
            send_before: monotonic time from which on the body is not sent any more.

        Raises:
            ApiError: a subclass by status code.
        """
        limit, fence = self._timeout_seconds, self._fence if method != "GET" else None
        until = time.monotonic() + limit if send_before is None else send_before
        answer_before, answered = 0.0, False
        if fence is not None:
            if not fence.is_open():
                raise FencedError
            answer_before = fence.begin()
            limit = min(limit, answer_before - time.monotonic())
            # The API server gives up at the same time, even if this process is stopped meanwhile.
            params = {**(params or {}), "timeout": f"{limit:.3f}s"}

        def late() -> bool:
            return time.monotonic() >= until or (fence is not None and not fence.is_open())

        try:
            async with self._send(
                method,
                path,
                resource=resource,
                verb=verb,
                params=params,
                body=body,
                content_type=content_type,
                timeout_seconds=limit,
                late=late,
            ) as response:
                raw = await response.read()
            answered = True
        except ApiError as error:
            answered = isinstance(error, FencedError) or 0 < error.code < 500
            raise
        finally:
            if fence is not None:
                fence.end(answer_before, answered=answered)
        try:
            answer = from_json(raw)
        except ValueError as error:
            raise UnavailableError(0, "Garbage", "the answer is not JSON") from error
        if not isinstance(answer, dict):
            raise UnavailableError(0, "Garbage", "the answer is not an object")
        return answer

    @asynccontextmanager
    async def lines(
        self, path: str, *, resource: str, params: Mapping[str, str]
    ) -> AsyncIterator[AsyncIterator[bytes]]:
        """The lines of a watch, as they come. A line over the limit ends the stream.

        Raises:
            ApiError: the watch cannot be opened or breaks.
        """

        async def split(response: aiohttp.ClientResponse) -> AsyncIterator[bytes]:
            rest = b""
            async for chunk in response.content.iter_any():
                *complete, rest = (rest + chunk).split(b"\n")
                for line in complete:
                    yield line
                if len(rest) > LINE_LIMIT_BYTES:
                    raise UnavailableError(0, "Garbage", "a line of the watch is too long")

        async with AsyncExitStack() as stack:
            opening = self._send("GET", path, resource=resource, verb="watch", params=params)
            try:
                # A watch is answered at once, before its first event.
                async with asyncio.timeout(REQUEST_TIMEOUT_SECONDS):
                    response = await stack.enter_async_context(opening)
            except TimeoutError:
                raise UnavailableError(0, "NoAnswer", "the watch is not answered") from None
            yield split(response)

    async def get(self, resource: Resource, namespace: str | None, name: str) -> Json:
        """One object, read from the API server."""
        return await self.request(
            "GET", resource.path(namespace, name), resource=resource.plural, verb="get"
        )

    async def create(
        self, resource: Resource, namespace: str | None, body: Json, field_manager: str
    ) -> Json:
        """Create an object; `ConflictError` when one of that name exists."""
        return await self.request(
            "POST",
            resource.path(namespace),
            resource=resource.plural,
            verb="create",
            params={"fieldManager": field_manager},
            body=body,
        )

    async def apply(
        self, resource: Resource, body: Json, field_manager: str, *, subresource: str = ""
    ) -> Json:
        """Server-side apply with force; the body is the whole intent and should carry the uid."""
        metadata = body["metadata"]
        path = resource.path(metadata.get("namespace"), metadata["name"])
        return await self.request(
            "PATCH",
            f"{path}/{subresource}" if subresource else path,
            resource=f"{resource.plural}/{subresource}" if subresource else resource.plural,
            verb="patch",
            params={"fieldManager": field_manager, "force": "true"},
            body=body,
            content_type="application/apply-patch+yaml",
        )

    async def json_patch(
        self,
        resource: Resource,
        namespace: str | None,
        name: str,
        operations: list[Json],
        field_manager: str,
        *,
        subresource: str = "",
    ) -> Json:
        """A JSON patch; failing `test` operations are an `InvalidError`."""
        path = resource.path(namespace, name)
        return await self.request(
            "PATCH",
            f"{path}/{subresource}" if subresource else path,
            resource=f"{resource.plural}/{subresource}" if subresource else resource.plural,
            verb="patch",
            params={"fieldManager": field_manager},
            body=operations,
            content_type="application/json-patch+json",
        )

    async def replace(
        self,
        resource: Resource,
        body: Json,
        field_manager: str,
        *,
        send_before: float | None = None,
    ) -> Json:
        """Replace an object; the body's resourceVersion is the precondition."""
        metadata = body["metadata"]
        return await self.request(
            "PUT",
            resource.path(metadata.get("namespace"), metadata["name"]),
            resource=resource.plural,
            verb="update",
            params={"fieldManager": field_manager},
            body=body,
            send_before=send_before,
        )

    async def delete(self, resource: Resource, namespace: str | None, name: str, uid: str) -> None:
        """Delete exactly the object of this uid; absence is no error."""
        try:
            await self.request(
                "DELETE",
                resource.path(namespace, name),
                resource=resource.plural,
                verb="delete",
                body={
                    "apiVersion": "v1",
                    "kind": "DeleteOptions",
                    "preconditions": {"uid": uid},
                    "propagationPolicy": "Background",
                },
            )
        except NotFoundError:
            return
