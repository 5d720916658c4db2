"""Asynchronous requests to the API server with as little around them as aiohttp allows."""

import asyncio
import json
import ssl
import time
from collections.abc import AsyncIterator, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Self

import aiohttp

PARALLEL = 16
"""Requests at the same time of those who prepare a scenario."""


@dataclass(frozen=True)
class Login:
    """Where the API server is and who asks.

    Attributes:
        server: its URL.
        ca_file: certificate of its authority.
        token: bearer token.
    """

    server: str
    ca_file: str
    token: str


@dataclass(frozen=True)
class Request:
    """One request; the body is JSON text."""

    method: str
    path: str
    body: str | None = None
    content_type: str = "application/json"


@dataclass(frozen=True)
class Answer:
    """An answer, and when by the monotonic clock its request was sent and it had come."""

    body: bytes
    sent: float
    answered: float


class Client:
    """One connection pool. Open it as an asynchronous context manager."""

    def __init__(self, login: Login) -> None:
        self._login = login
        self._session: aiohttp.ClientSession | None = None

    async def __aenter__(self) -> Self:
        """Open the pool."""
        self._session = aiohttp.ClientSession(
            self._login.server,
            connector=aiohttp.TCPConnector(
                limit=64, ssl=ssl.create_default_context(cafile=self._login.ca_file)
            ),
            headers={
                "Authorization": f"Bearer {self._login.token}",
                "Accept": "application/json",
            },
            timeout=aiohttp.ClientTimeout(total=None, sock_connect=10),
            read_bufsize=1 << 18,
        )
        return self

    async def __aexit__(self, *_: object) -> None:
        """Close the pool."""
        assert self._session is not None
        await self._session.close()

    async def send(self, request: Request) -> Answer:
        """Send one request.

        Raises:
            RuntimeError: the API server refused it; the text says why.
        """
        assert self._session is not None
        headers = {"Content-Type": request.content_type} if request.body is not None else {}
        sent = time.monotonic()
        async with self._session.request(
            request.method,
            request.path,
            data=None if request.body is None else request.body.encode(),
            headers=headers,
        ) as response:
            body = await response.read()
            if response.status >= 300:
                msg = f"{request.method} {request.path}: {response.status} {body[:500]!r}"
                raise RuntimeError(msg)
        return Answer(body, sent, time.monotonic())

    async def watch(self, path: str, opened: asyncio.Event | None = None) -> AsyncIterator[bytes]:
        """Lines of a watch from now on; what is there already is left out."""
        assert self._session is not None
        listed = await self.send(Request("GET", f"{path}?limit=1"))
        version = json.loads(listed.body)["metadata"]["resourceVersion"]
        query = f"?watch=true&timeoutSeconds=14400&resourceVersion={version}"
        rest = b""
        async with self._session.get(path + query) as response:
            if opened is not None:
                opened.set()
            async for chunk in response.content.iter_any():
                *lines, rest = (rest + chunk).split(b"\n")
                for line in lines:
                    yield line


async def _send_all(login: Login, requests: Sequence[Request], parallel: int) -> list[Answer]:
    answers: list[Answer | None] = [None] * len(requests)
    waiting = iter(enumerate(requests))
    async with Client(login) as client:

        async def work() -> None:
            for number, request in waiting:
                answers[number] = await client.send(request)

        async with asyncio.TaskGroup() as group:
            for _ in range(parallel):
                group.create_task(work())
    return [answer for answer in answers if answer is not None]


def send_all(login: Login, requests: Iterable[Request], parallel: int = PARALLEL) -> list[Answer]:
    """Send requests, some at the same time; the answers come in the order of the requests."""
    return asyncio.run(_send_all(login, list(requests), parallel))


def as_dict(answer: Answer) -> Any:  # noqa: ANN401 - JSON of any kind
    """The body of an answer, parsed."""
    return json.loads(answer.body)
