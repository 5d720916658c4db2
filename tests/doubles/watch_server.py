"""An API server that plays lists and watches: captured bytes, and what may become of them."""

import asyncio
import json
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from enum import Enum, auto
from pathlib import Path

from aiohttp import web

CAPTURES = Path(__file__).parents[1] / "captures"
LIST = (CAPTURES / "kubernetes-1.36.4.list.json").read_bytes()
"""One ConfigMap, `zero`, at version 259."""
ADDED, CHANGED, SECOND, DELETED, BOOKMARK, GONE = (
    (CAPTURES / "kubernetes-1.36.4.watch.jsonl").read_bytes().splitlines(keepends=True)
)
"""`first` is added (260) and changed (261), `second` is added (262), `first` is deleted (263)."""


class End(Enum):
    """What becomes of a connection after the bytes were sent."""

    PROPER = auto()
    """The answer ends as HTTP says."""
    CUT = auto()
    """The connection breaks."""
    OPEN = auto()
    """Nothing more comes."""


@dataclass(frozen=True)
class Answer:
    """One answer; `chunks` are sent one by one."""

    chunks: Sequence[bytes] = ()
    end: End = End.PROPER
    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)


class WatchServer:
    """Answers lists and watches by their scripts; the last answer of each repeats.

    Attributes:
        watches: query parameters of each watch.
        lists: query parameters of each list.
        times: when each request came, on the loop's clock.
    """

    def __init__(self, *watches: Answer, lists: Sequence[Answer] = (Answer([LIST]),)) -> None:
        self.watches: list[dict[str, str]] = []
        self.lists: list[dict[str, str]] = []
        self.times: list[float] = []
        self._watch_answers = list(watches) or [Answer(end=End.OPEN)]
        self._list_answers = list(lists)
        self._stopped = asyncio.Event()

    @asynccontextmanager
    async def serve(self) -> AsyncIterator[str]:
        """Serve on a free port of this machine; gives the URL."""
        application = web.Application()
        application.router.add_get("/{path:.*}", self._answer)
        runner = web.AppRunner(application, access_log=None, shutdown_timeout=1.0)
        await runner.setup()
        try:
            site = web.TCPSite(runner, "127.0.0.1", 0)
            await site.start()
            yield f"http://127.0.0.1:{runner.addresses[0][1]}"
        finally:
            self._stopped.set()
            await runner.cleanup()

    async def _answer(self, request: web.Request) -> web.StreamResponse:
        self.times.append(asyncio.get_running_loop().time())
        if request.query.get("watch") == "true":
            asked, script = self.watches, self._watch_answers
        else:
            asked, script = self.lists, self._list_answers
        asked.append(dict(request.query))
        answer = script[min(len(asked), len(script)) - 1]
        response = web.StreamResponse(status=answer.status, headers=answer.headers)
        await response.prepare(request)
        for chunk in answer.chunks:
            await response.write(chunk)
        if answer.end is End.CUT:
            assert request.transport is not None
            request.transport.abort()
        if answer.end is End.OPEN:
            await self._stopped.wait()
        return response


def status(code: int, message: str) -> bytes:
    """A Status object as the API server's error answers have it."""
    body = {"kind": "Status", "apiVersion": "v1", "status": "Failure", "message": message}
    return json.dumps({**body, "code": code}).encode()
