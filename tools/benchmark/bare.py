"""The bare client: what an operator would be that neither thinks nor looks.

For each new object of its own API it sends the creates of the children and a status, one after
another, as texts that are ready but for name and uid. It plans nothing, renders nothing, keeps no
cache, repairs nothing and writes no event. Nothing that keeps the promises of an operator can be
faster on the same control plane; how near one comes is what the benchmark asks.
"""

import asyncio
import json
import sys
import time
from typing import Any

from benchmark.bodies import BARE_GROUP, PLURAL, VERSION, Body, filled
from benchmark.sending import Client, Login, Request


async def _apply(client: Client, bodies: list[Body], metadata: dict[str, str]) -> None:
    where = metadata["namespace"], metadata["name"], metadata["uid"]
    started = time.monotonic()
    for body in bodies:
        request = Request(
            body.method, filled(body.path, *where), filled(body.text, *where), body.content_type
        )
        await client.send(request)
    line = {"name": metadata["name"], "started": started, "finished": time.monotonic()}
    print(json.dumps(line), flush=True)


async def _run(login: Login, bodies: list[Body], workers: int) -> None:
    queue: asyncio.Queue[dict[str, str]] = asyncio.Queue()
    opened = asyncio.Event()

    async def work(client: Client) -> None:
        while True:
            await _apply(client, bodies, await queue.get())

    async def follow(client: Client) -> None:
        async for line in client.watch(f"/apis/{BARE_GROUP}/{VERSION}/{PLURAL}", opened):
            if line.startswith(b'{"type":"ADDED"'):
                queue.put_nowait(json.loads(line)["object"]["metadata"])
        msg = "the watch ended"
        raise RuntimeError(msg)

    async with Client(login) as client, asyncio.TaskGroup() as group:
        group.create_task(follow(client))
        for _ in range(workers):
            group.create_task(work(client))
        await opened.wait()
        print(json.dumps("watching"), flush=True)


if __name__ == "__main__":
    asked: dict[str, Any] = json.loads(sys.stdin.readline())
    asyncio.run(
        _run(Login(**asked["login"]), [Body(**one) for one in asked["bodies"]], asked["workers"])
    )
