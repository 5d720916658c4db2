"""The watch of kopf, made safe: kopf ends for good at a line that it cannot read.

Only whole lines that are events reach it. Anything else ends the stream in order, and kopf opens
the next one where it was; 410 as an answer becomes the event that makes it list again.
"""

import asyncio
import json
import logging
import random
import time
from collections.abc import AsyncIterator, Callable, Iterable
from typing import Any, Final

import aiohttp
from pydantic_core import from_json

from llama_operator.cluster.client import LINE_LIMIT_BYTES
from llama_operator.cluster.watch import (
    BACKOFF_BASE_SECONDS,
    BACKOFF_CAP_SECONDS,
    STEADY_SECONDS,
)

GONE: Final = (
    b'{"type":"ERROR","object":{"kind":"Status","apiVersion":"v1","status":"Failure",'
    b'"reason":"Expired","code":410}}\n'
)

_OBJECT_TYPES: Final = frozenset({"ADDED", "MODIFIED", "DELETED"})
_UNDERSTOOD: Final = frozenset({401, 403, 404, 429})
"""Refusals that kopf knows what to do about."""
_IDENTITY: Final = ("name", "namespace", "uid", "resourceVersion")

_log = logging.getLogger(__name__)


def problem_of(line: bytes) -> str:
    """Why a line is no event that can be worked on; empty when it is one."""
    try:
        event: Any = from_json(line)
        kind, metadata = event["type"], event["object"].get("metadata")
        if kind == "ERROR":
            code = event["object"].get("code")
            return "" if code == 410 else f"an error: {event['object'].get('message') or code}"
        wanted = _IDENTITY if kind in _OBJECT_TYPES else ("resourceVersion",)
        if kind not in _OBJECT_TYPES and kind != "BOOKMARK":
            return f"an event of the unknown type {str(kind)[:40]!r}"
        if not _has_identity(metadata, wanted):
            return "an object without identity"
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        return f"garbage: {type(error).__name__}: {str(error)[:100]}"
    return ""


class Pace:
    """How soon kopf, which waits for nothing, may open a watch after one that was of no use."""

    def __init__(self) -> None:
        self._failures = 0

    async def rest(self, useful: bool) -> None:
        """Wait after a watch, the longer the more of them were of no use."""
        self._failures = 0 if useful else self._failures + 1
        if self._failures:
            pause = min(BACKOFF_CAP_SECONDS, BACKOFF_BASE_SECONDS * 2 ** min(self._failures, 8))
            await asyncio.sleep(pause * random.uniform(0.25, 0.5))  # noqa: S311 - jitter


async def guard_watch(
    response: aiohttp.ClientResponse, pace: Pace, on_activity: Callable[[], None]
) -> None:
    """Let only whole events through to kopf.

    Args:
        response: the answer to a watch, of any status.
        pace: shared by all watches of one resource.
        on_activity: called whenever something arrives.
    """
    if response.status == 410:
        await response.read()
        await pace.rest(useful=False)
        response.status = 200
        response.content = _Body(response.content, GONE)  # type: ignore[assignment]  # is read so
    elif response.status == 200:
        content = _GuardedContent(response.content, pace, on_activity)
        response.content = content  # type: ignore[assignment]  # reads like the body itself


async def check_answer(response: aiohttp.ClientResponse, plural: str) -> None:
    """Look at an answer to discovery or to a list before kopf does, which would end at garbage.

    Raises:
        ClientConnectionError: the answer is of no use; kopf then asks again.
    """
    if response.status != 200:
        if 400 <= response.status < 500 and response.status not in _UNDERSTOOD:
            raise aiohttp.ClientConnectionError(f"HTTP {response.status} from {response.url.path}")
        return
    try:
        answer: Any = json.loads(await response.read())
        if response.url.name == plural:
            good = isinstance(answer["metadata"]["resourceVersion"], str) and all(
                _has_identity(item["metadata"], _IDENTITY) for item in answer["items"] or ()
            )
        else:
            told = {"api": "versions", "apis": "groups"}.get(response.url.name, "resources")
            good = response.content_type == "application/json" and isinstance(answer[told], list)
    except (ValueError, KeyError, TypeError, AttributeError):
        good = False
    if not good:
        raise aiohttp.ClientConnectionError(f"garbage from {response.url.path}")


def _has_identity(metadata: dict[str, Any], wanted: Iterable[str]) -> bool:
    return all(isinstance(metadata[key], str) and metadata[key] for key in wanted)


class _Content:
    """The body of an answer, read in another way; everything else is the body's own."""

    def __init__(self, content: aiohttp.StreamReader) -> None:
        self._content = content

    def __getattr__(self, name: str) -> Any:  # noqa: ANN401 - whatever the body has
        return getattr(self._content, name)


class _Body(_Content):
    """Other bytes than those of the body."""

    def __init__(self, content: aiohttp.StreamReader, instead: bytes) -> None:
        super().__init__(content)
        self._instead = instead

    async def iter_chunked(self, _: int) -> AsyncIterator[bytes]:
        """These bytes at once."""
        yield self._instead


class _GuardedContent(_Content):
    """The body of a watch in whole, valid lines."""

    def __init__(
        self, content: aiohttp.StreamReader, pace: Pace, on_activity: Callable[[], None]
    ) -> None:
        super().__init__(content)
        self._pace = pace
        self._on_activity = on_activity

    async def iter_chunked(self, size: int) -> AsyncIterator[bytes]:
        """Whole events, until the end of the stream or the first line that is none."""
        opened, useful, rest, problem = time.monotonic(), False, b"", ""
        async for chunk in self._content.iter_chunked(size):
            self._on_activity()
            *complete, rest = (rest + chunk).split(b"\n")
            for line in filter(bytes.strip, complete):
                problem = problem_of(line)
                if problem:
                    break
                useful = True
                yield line + b"\n"
            if len(rest) > LINE_LIMIT_BYTES:
                problem = "a line is too long"
            if problem:
                break
        if problem:
            _log.warning("the watch of deployments is opened again: %s", problem)
        await self._pace.rest(useful or time.monotonic() - opened >= STEADY_SECONDS)
