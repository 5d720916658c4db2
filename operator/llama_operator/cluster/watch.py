"""A list and watch of one resource that keeps a small projection of each object.

The list is paged, the watch resumes from bookmarks, 410 lists again, and what vanished during a
gap is noticed by comparing the new list with the store. A stream that stays silent longer than the
API server's bookmarks (one a minute) is closed and opened again.
"""

import asyncio
import json
import logging
import math
import random
import time
from collections.abc import Callable, Mapping
from typing import Any, Final, Generic, TypeVar

from pydantic_core import from_json

from llama_operator.cluster.client import (
    REFUSALS,
    ApiClient,
    ApiError,
    GoneError,
    Json,
    Resource,
    UnavailableError,
    error_of,
)

T = TypeVar("T")
ObjectKey = tuple[str, str]
"""Namespace (empty for cluster-scoped resources) and name."""

PAGE_SIZE: Final = 100
"""A decoded page of nodes takes some MiB; larger ones raise the memory of the process for good."""
SERVER_TIMEOUT_SECONDS: Final = 300
SILENCE_LIMIT_SECONDS: Final = 70.0
"""Bookmarks come every minute; a longer silence means a dead stream."""
BACKOFF_BASE_SECONDS: Final = 1.0
BACKOFF_CAP_SECONDS: Final = 30.0
STEADY_SECONDS: Final = 0.5
"""A stream that was open for so long is no failure, even if nothing came."""
_TYPES: Final = frozenset({"ADDED", "MODIFIED", "DELETED", "BOOKMARK"})
_ENDED: Final = UnavailableError(0, "Ended", "the watch ended at once")

_log = logging.getLogger(__name__)


class Watch(Generic[T]):
    """Keeps `store` equal to the cluster's objects, projected.

    Args:
        client: an open client.
        resource: what to watch.
        project: makes the projection of an object; None keeps the object out of the store. Must
            not raise.
        on_change: called with the key, the old and the new projection (None: absent), only when
            they differ.
        namespace: watch one namespace only.
        selectors: `labelSelector`, `fieldSelector`.
        on_restart: called whenever the stream is opened again.

    Attributes:
        refusal: why the API server refuses to list or watch; empty while it does not.
    """

    def __init__(
        self,
        client: ApiClient,
        resource: Resource,
        project: Callable[[Json], T | None],
        on_change: Callable[[ObjectKey, T | None, T | None], None],
        *,
        namespace: str | None = None,
        selectors: Mapping[str, str] | None = None,
        on_restart: Callable[[str], None] | None = None,
    ) -> None:
        self.resource = resource
        self.store: dict[ObjectKey, T] = {}
        self._versions: dict[ObjectKey, int] = {}
        self.synced = asyncio.Event()
        self.last_activity = self.last_attempt = time.monotonic()
        self._client = client
        self._project = project
        self._on_change = on_change
        self._path = resource.path(namespace)
        self._selectors = dict(selectors or {})
        self._on_restart = on_restart
        self._version = ""
        self._opened = math.inf
        self._heard = False
        self.refusal = ""

    async def run(self) -> None:
        """List and watch until cancelled."""
        failures, was_gone = 0, False
        while True:
            started = self.last_attempt = time.monotonic()
            self._opened, self._heard = math.inf, False
            problem: ApiError | None = None
            try:
                if not self._version:
                    await self._list()
                    self.synced.set()
                await self._stream()
            except ApiError as error:
                problem = error
                if error.code in REFUSALS:
                    self.refusal = error.message
                if isinstance(error, GoneError):
                    self._version = ""
            now = time.monotonic()
            gone = isinstance(problem, GoneError)
            answered = self._heard or (gone and not was_gone)
            steady = now - self._opened >= STEADY_SECONDS
            if answered or steady or now - started >= BACKOFF_CAP_SECONDS:
                failures = 0
            was_gone = gone
            # The end of a stream and 410 are no failures, unless they come again and again.
            if failures or not (problem is None or isinstance(problem, GoneError)):
                await self._back_off(failures, problem or _ENDED)
            failures += 1
            if self._on_restart is not None:
                self._on_restart(self.resource.plural)

    async def _back_off(self, failures: int, problem: ApiError) -> None:
        delay = min(BACKOFF_CAP_SECONDS, BACKOFF_BASE_SECONDS * 2 ** min(failures, 8))
        delay *= random.uniform(0.5, 1.0)  # noqa: S311 - jitter
        delay = max(delay, problem.retry_after_seconds or 0.0)
        _log.warning(
            "watch of %s broken, again in %.1f s: %s", self.resource.plural, delay, problem.message
        )
        await asyncio.sleep(delay)

    async def _list(self) -> None:
        found: dict[ObjectKey, tuple[T, int]] = {}
        token = ""
        while True:
            params = {**self._selectors, "limit": str(PAGE_SIZE)}
            if token:
                params["continue"] = token
            page = await self._client.request(
                "GET", self._path, resource=self.resource.plural, verb="list", params=params
            )
            self.last_activity = time.monotonic()
            found.update(self._read(page))
            metadata = page.get("metadata") or {}
            token = metadata.get("continue") or ""
            if not token:
                break
            await asyncio.sleep(0)
        self._version = str(metadata.get("resourceVersion") or "0")
        listed = _number(self._version)
        for key in self.store.keys() - found.keys():
            if self._versions.get(key, 0) <= listed:
                self._set(key, None, listed)
        for key, (projection, version) in found.items():
            self._set(key, projection, version)

    def _read(self, page: Json) -> dict[ObjectKey, tuple[T, int]]:
        """Projections and versions of the objects of a list."""
        try:
            projected = [(item, self._project(item)) for item in page.get("items") or ()]
            return {
                _key(item): (made, _version(item)) for item, made in projected if made is not None
            }
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise UnavailableError(0, "Garbage", f"the list is garbage: {error!r}") from error

    async def look(self, namespace: str, selectors: Mapping[str, str]) -> set[ObjectKey]:
        """Take some objects as the API server shows them now, and tell which these are.

        A watch may lag, or have missed something; this does not.
        """
        page = await self._client.request(
            "GET",
            self.resource.path(namespace),
            resource=self.resource.plural,
            verb="list",
            params=selectors,
        )
        found = self._read(page)
        for key, (projection, version) in found.items():
            self._set(key, projection, version)
        return set(found)

    async def _stream(self) -> None:
        params = {
            **self._selectors,
            "watch": "true",
            "allowWatchBookmarks": "true",
            "resourceVersion": self._version,
            "timeoutSeconds": str(SERVER_TIMEOUT_SECONDS),
        }
        async with self._client.lines(
            self._path, resource=self.resource.plural, params=params
        ) as lines:
            self._opened, self.refusal = time.monotonic(), ""
            iterator = aiter(lines)
            while True:
                try:
                    async with asyncio.timeout(SILENCE_LIMIT_SECONDS):
                        line = await anext(iterator, None)
                except TimeoutError:
                    raise UnavailableError(0, "Silent", "the watch is silent") from None
                if line is None:
                    return
                self.last_activity = time.monotonic()
                if line.strip():
                    self._event(line)
                    self._heard = True

    def _event(self, line: bytes) -> None:
        try:
            event: Any = from_json(line)
            kind, item = event["type"], event["object"]
            if kind == "ERROR":
                raise error_of(int(item.get("code") or 500), json.dumps(item))
            key, version = _key(item), _version(item)
            if kind not in _TYPES:
                raise ValueError(f"an event of the unknown type {str(kind)[:40]!r}")
            if kind != "BOOKMARK" and not key[1]:
                raise ValueError("an object without a name")
            # Most events of children are echoes of our own writes, taken by `put` before.
            echo = kind != "DELETED" and version == self._versions.get(key)
            shown = kind in ("ADDED", "MODIFIED") and not echo
            projection = self._project(item) if shown else None
            self._version = item["metadata"]["resourceVersion"]
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise UnavailableError(0, "Garbage", f"the watch sent garbage: {error}") from error
        if kind != "BOOKMARK" and not echo:
            self._set(key, projection, version)

    def put(self, item: Json) -> None:
        """Take an object that a write returned, so that the next pass reads what was written.

        Older versions that the watch still delivers are ignored afterwards. An object that is not
        in the store although the watch is past its version was deleted meanwhile.
        """
        key, version = _key(item), _version(item)
        if version == self._versions.get(key):
            return
        if key in self.store or version > _number(self._version):
            self._set(key, self._project(item), version)

    def clear(self) -> None:
        """Drop everything, once nothing watches any more: the resource itself is gone."""
        self._version = ""
        self.synced.clear()
        for key in tuple(self.store):
            self.forget(key)

    def forget(self, key: ObjectKey) -> None:
        """Drop an object that the API server says is gone."""
        self._set(key, None, self._versions.get(key, 0))

    def _set(self, key: ObjectKey, new: T | None, version: int) -> None:
        if version < self._versions.get(key, 0):
            return
        old = self.store.get(key)
        if new is None:
            self.store.pop(key, None)
            self._versions.pop(key, None)
        else:
            self.store[key] = new
            self._versions[key] = version
        if old != new:
            self._on_change(key, old, new)


def _key(item: Json) -> ObjectKey:
    metadata = item.get("metadata") or {}
    return metadata.get("namespace") or "", metadata.get("name") or ""


def _version(item: Json) -> int:
    """The resourceVersion as a number; Kubernetes orders them from 1.35, etcd always did."""
    return _number((item.get("metadata") or {}).get("resourceVersion"))


def _number(version: object) -> int:
    text = str(version or "")
    return int(text) if text.isdigit() else 0
