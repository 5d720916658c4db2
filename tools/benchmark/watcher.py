"""A process that watches some resources and tells, by the monotonic clock, what it saw when.

It reads one JSON object from its standard input and writes one JSON line for each event that a
scenario may ask for. It parses as little as it can, to leave the machine to those it measures.
"""

import asyncio
import json
import re
import sys
import time
from dataclasses import asdict
from typing import Any

from benchmark.marks import Mark
from benchmark.sending import Client, Login

_TYPED = re.compile(
    rb'"metadata":\{"name":"([^"]+)","namespace":"([^"]+)","uid":"([^"]+)","resourceVersion":"\d+"'
    rb'(?:,"generation":(\d+))?'
)
_TYPE = re.compile(rb'\{"type":"([A-Z]+)"')


class Resource:
    """Events of one resource, reduced to those that are news."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._told: dict[tuple[str, str], tuple[object, ...]] = {}

    def mark(self, line: bytes) -> Mark | None:
        """What a line of the watch tells, None when it is no news."""
        now = time.monotonic()
        found = _TYPE.match(line)
        if found is None:
            return None
        event = found.group(1).decode()
        if event == "ERROR":
            raise RuntimeError(line[:500].decode(errors="replace"))
        if event == "BOOKMARK":
            return None
        made = self._custom(now, event, line) if self._custom_resource else None
        made = made or self._typed(now, event, line)
        key, news = (made.namespace, made.name), (made.uid, made.generation, made.reason)
        if event == "DELETED":
            self._told.pop(key, None)
            return made
        if self._told.get(key) == news:
            return None
        self._told[key] = news
        return made

    @property
    def _custom_resource(self) -> bool:
        return self._name.startswith("llamadeployments")

    def _typed(self, now: float, event: str, line: bytes) -> Mark:
        found = _TYPED.search(line)
        if found is None:
            msg = f"{self._name}: cannot read {line[:300]!r}"
            raise RuntimeError(msg)
        name, namespace, uid, generation = found.groups()
        return Mark(
            at=now,
            resource=self._name,
            event=event,
            namespace=namespace.decode(),
            name=name.decode(),
            uid=uid.decode(),
            generation=int(generation or 0),
        )

    def _custom(self, now: float, event: str, line: bytes) -> Mark:
        body: dict[str, Any] = json.loads(line)["object"]
        metadata, status = body["metadata"], body.get("status") or {}
        reason = next(
            (one["reason"] for one in status.get("conditions", ()) if one["type"] == "Ready"), ""
        )
        return Mark(
            at=now,
            resource=self._name,
            event=event,
            namespace=metadata["namespace"],
            name=metadata["name"],
            uid=metadata["uid"],
            generation=int(status.get("observedGeneration", -1)),
            reason=reason,
        )


async def _follow(client: Client, name: str, path: str, opened: asyncio.Event) -> None:
    resource = Resource(name)
    async for line in client.watch(path, opened):
        mark = resource.mark(line)
        if mark is not None:
            sys.stdout.write(json.dumps(asdict(mark)) + "\n")
            sys.stdout.flush()
    msg = f"the watch of {name} ended"
    raise RuntimeError(msg)


async def _run(login: Login, paths: dict[str, str]) -> None:
    async with Client(login) as client, asyncio.TaskGroup() as group:
        waiting = []
        for name, path in paths.items():
            opened = asyncio.Event()
            group.create_task(_follow(client, name, path, opened))
            waiting.append(opened)
        for opened in waiting:
            await opened.wait()
        print(json.dumps("watching"), flush=True)


if __name__ == "__main__":
    asked = json.loads(sys.stdin.readline())
    asyncio.run(_run(Login(**asked["login"]), asked["paths"]))
