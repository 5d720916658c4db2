"""The projecting watch against a real API server: pages, gaps, restarts, silence."""

import asyncio
import itertools
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from cluster.watching import (
    CONFIG_MAPS,
    Heard,
    admin,
    as_bearer,
    config_maps,
    play,
    running,
    until,
)
from controlplane import ApiError, ControlPlane, wait_until
from llama_operator.cluster import client as client_module
from llama_operator.cluster import resources
from llama_operator.cluster import watch as watch_module
from llama_operator.cluster.client import ApiClient, Json
from llama_operator.cluster.watch import Watch
from llama_operator.planning.nodes import node_offers

pytestmark = pytest.mark.cluster

API_SERVER = "kube-apiserver"
_numbers = itertools.count(1)


@pytest.fixture(scope="module")
def plane() -> Iterator[ControlPlane]:
    """A control plane of its own, since its API server is stopped and frozen."""
    with ControlPlane.start(kwok=False) as started:
        yield started


@pytest.fixture
def namespace(plane: ControlPlane) -> str:
    name = f"watched-{next(_numbers)}"
    plane.api.create("/api/v1/namespaces", {"metadata": {"name": name}})
    return name


def path(namespace: str, name: str = "") -> str:
    return f"/api/v1/namespaces/{namespace}/configmaps" + (f"/{name}" if name else "")


def create(plane: ControlPlane, namespace: str, name: str, value: str, **labels: str) -> None:
    metadata = {"name": name, "labels": labels}
    plane.api.create(path(namespace), {"metadata": metadata, "data": {"value": value}})


def change(plane: ControlPlane, namespace: str, name: str, **fields: Any) -> Json:
    changed: Json = plane.api.request(
        "PATCH", path(namespace, name), fields, "application/merge-patch+json"
    )
    return changed


async def restart(plane: ControlPlane) -> None:
    """Start the killed API server, and leave behind what our connection to it has become."""
    await asyncio.to_thread(plane.start_component, API_SERVER)
    wait_until("it answers", lambda: plane.api.get("/version"), pending=(ApiError,))


def test_a_long_list_comes_in_pages(
    plane: ControlPlane, namespace: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(watch_module, "PAGE_SIZE", 3)
    for number in range(8):
        create(plane, namespace, f"c{number}", str(number))

    async def scenario(client: ApiClient, heard: Heard) -> None:
        watch = config_maps(
            client, heard, namespace, fieldSelector="metadata.name!=kube-root-ca.crt"
        )
        async with running(watch):
            await watch.synced.wait()
            assert watch.store == {(namespace, f"c{number}"): str(number) for number in range(8)}
            assert heard.lists() == 3  # 3 + 3 + 2
            create(plane, namespace, "later", "8")
            await until("the watch goes on", lambda: (namespace, "later") in watch.store)
            assert heard.lists() == 3

    play(admin(plane), scenario)


def test_an_object_without_projection_is_kept_out_and_dropped_when_it_loses_it(
    plane: ControlPlane, namespace: str
) -> None:
    create(plane, namespace, "kept", "1")
    plane.api.create(path(namespace), {"metadata": {"name": "bare"}})

    async def scenario(client: ApiClient, heard: Heard) -> None:
        watch = config_maps(client, heard, namespace)
        async with running(watch):
            await watch.synced.wait()
            assert watch.store == {(namespace, "kept"): "1"}
            change(plane, namespace, "kept", data={"value": None})
            await until("it is dropped", lambda: not watch.store)
            change(plane, namespace, "bare", data={"value": "2"})
            await until("it is taken", lambda: watch.store == {(namespace, "bare"): "2"})

    heard = play(admin(plane), scenario)
    assert heard.changes == [("kept", None, "1"), ("kept", "1", None), ("bare", None, "2")]


def test_only_what_the_selector_chooses_is_seen(plane: ControlPlane, namespace: str) -> None:
    create(plane, namespace, "ours", "1", team="ml")
    create(plane, namespace, "theirs", "1", team="web")

    async def scenario(client: ApiClient, heard: Heard) -> None:
        watch = config_maps(client, heard, namespace, labelSelector="team=ml")
        async with running(watch):
            await watch.synced.wait()
            change(plane, namespace, "theirs", metadata={"labels": {"team": "ml"}})
            await until("a changed label brings it in", lambda: len(watch.store) == 2)
            change(plane, namespace, "ours", metadata={"labels": {"team": "web"}})
            await until("a changed label takes it out", lambda: len(watch.store) == 1)

    heard = play(admin(plane), scenario)
    assert heard.changes == [("ours", None, "1"), ("theirs", None, "1"), ("ours", "1", None)]


def test_heartbeats_of_nodes_cause_no_call(plane: ControlPlane) -> None:
    node = {
        "metadata": {"name": "beating", "labels": {"nvidia.com/gpu.product": "NVIDIA-L4"}},
        "status": {"allocatable": {"nvidia.com/gpu": "1", "cpu": "4"}},
    }
    where = "/api/v1/nodes/beating"
    plane.api.create("/api/v1/nodes", node)

    def beat(second: int) -> None:
        condition = {
            "type": "Ready",
            "status": "True",
            "reason": "KubeletReady",
            "message": f"beat {second}",
            "lastHeartbeatTime": f"2026-01-02T03:04:{second:02}Z",
        }
        images = [{"names": [f"image-{second}"], "sizeBytes": second}]
        status = {"status": {"conditions": [condition], "images": images}}
        plane.api.request("PATCH", f"{where}/status", status, "application/merge-patch+json")

    async def scenario(client: ApiClient, heard: Heard) -> None:
        nodes = Watch(client, resources.NODES, node_offers, heard.on_change)
        async with running(nodes):
            await nodes.synced.wait()
            beat(1)
            await until(
                "the node is ready", lambda: heard.changes and heard.changes[-1][2][0].usable
            )
            heard.changes.clear()
            for second in range(2, 20):
                beat(second)
            plane.kubectl("cordon", "beating")
            await until("the cordon is seen", lambda: heard.changes)

    heard = play(admin(plane), scenario)
    [(_, before, after)] = heard.changes
    assert before[0].usable
    assert not after[0].usable
    plane.api.delete(where)


def test_a_watch_goes_on_after_the_api_server_was_killed_and_started(
    plane: ControlPlane, namespace: str
) -> None:
    create(plane, namespace, "before", "1")

    async def scenario(client: ApiClient, heard: Heard) -> None:
        watch = config_maps(client, heard, namespace)
        async with running(watch):
            await watch.synced.wait()
            await asyncio.to_thread(plane.stop_component, API_SERVER, kill=True)
            await until("the end of the stream is noticed", lambda: heard.restarts)
            await restart(plane)
            create(plane, namespace, "after", "2")
            change(plane, namespace, "before", data={"value": "3"})
            await until("new objects are seen", lambda: len(heard.changes) == 3)

    heard = play(admin(plane), scenario)
    assert heard.changes[0] == ("before", None, "1")
    assert set(heard.changes[1:]) == {("after", None, "2"), ("before", "1", "3")}


def test_what_vanished_during_a_gap_that_the_server_cannot_replay_is_noticed(
    plane: ControlPlane, namespace: str
) -> None:
    """A restarted API server knows no older events: it answers 410."""
    for name in ("deleted", "changed", "kept"):
        create(plane, namespace, name, "1")

    async def scenario(client: ApiClient, heard: Heard) -> None:
        watch = config_maps(client, heard, namespace)
        async with running(watch):
            await watch.synced.wait()
        heard.changes.clear()
        plane.api.delete(path(namespace, "deleted"))
        change(plane, namespace, "changed", data={"value": "2"})
        await asyncio.to_thread(plane.stop_component, API_SERVER, kill=True)
        await restart(plane)
        assert heard.lists() == 1
        async with running(watch):
            await until("both are noticed", lambda: len(heard.changes) == 2)
            assert heard.lists() == 2, "it was listed again"
            create(plane, namespace, "last", "3")
            await until("the watch goes on", lambda: len(heard.changes) == 3)

    heard = play(admin(plane), scenario)
    assert set(heard.changes) == {
        ("deleted", "1", None),
        ("changed", "1", "2"),
        ("last", None, "3"),
    }


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Waits for bookmarks, answers and connections cut to a second."""
    monkeypatch.setattr(watch_module, "SILENCE_LIMIT_SECONDS", 1.0)
    monkeypatch.setattr(client_module, "REQUEST_TIMEOUT_SECONDS", 1.0)
    monkeypatch.setattr(client_module, "CONNECT_TIMEOUT_SECONDS", 1.0)


@asynccontextmanager
async def frozen(plane: ControlPlane) -> AsyncIterator[None]:
    """A frozen API server: connections stay open and nothing is answered."""
    plane.pause(API_SERVER)
    try:
        yield
    finally:
        plane.resume(API_SERVER)
    wait_until("it answers", lambda: plane.api.get("/version"), pending=(ApiError,))


@pytest.mark.usefixtures("impatient")
def test_an_api_server_that_freezes_is_noticed_by_its_silence_and_the_watch_goes_on(
    plane: ControlPlane, namespace: str
) -> None:
    async def scenario(client: ApiClient, heard: Heard) -> None:
        watch = config_maps(client, heard, namespace)
        async with running(watch):
            await watch.synced.wait()
            create(plane, namespace, "before", "1")
            await until("the stream is open", lambda: heard.changes)
            async with frozen(plane):
                await until("the silence is noticed", lambda: heard.restarts)
            create(plane, namespace, "after", "1")
            await until("new objects are seen", lambda: len(heard.changes) == 2)

    heard = play(admin(plane), scenario)
    assert heard.changes == [("before", None, "1"), ("after", None, "1")]


@pytest.mark.usefixtures("impatient")
def test_an_api_server_that_never_answers_a_watch_is_noticed_and_the_watch_goes_on(
    plane: ControlPlane, namespace: str
) -> None:
    async def scenario(client: ApiClient, heard: Heard) -> None:
        watch = config_maps(client, heard, namespace)
        async with running(watch):
            await watch.synced.wait()
        # This leaves an open connection in the pool, so that only the answer is missing.
        await client.request("GET", "/version", resource="version", verb="get")
        started = asyncio.get_running_loop().time()
        async with frozen(plane), running(watch):
            await until("the silence is noticed", lambda: heard.restarts)
            # One second until it gives up, at most another before it tries again.
            assert asyncio.get_running_loop().time() - started < 3.0
        async with running(watch):
            create(plane, namespace, "after", "1")
            await until("new objects are seen", lambda: heard.changes)

    heard = play(admin(plane), scenario)
    assert heard.changes == [("after", None, "1")]


def test_what_a_write_returned_is_not_overtaken_by_older_events(
    plane: ControlPlane, namespace: str
) -> None:
    create(plane, namespace, "one", "1")

    async def scenario(client: ApiClient, heard: Heard) -> None:
        watch = config_maps(client, heard, namespace)
        async with running(watch):
            await watch.synced.wait()
        for value in ("2", "3", "4"):
            written = change(plane, namespace, "one", data={"value": value})
        watch.put(written)
        async with running(watch):  # the events of 2, 3 and 4 come now
            change(plane, namespace, "one", data={"value": "5"})
            await until("the last change is seen", lambda: heard.changes[-1][2] == "5")

    heard = play(admin(plane), scenario)
    assert heard.changes == [("one", None, "1"), ("one", "1", "4"), ("one", "4", "5")]


def test_a_deletion_ends_what_a_write_put_there(plane: ControlPlane, namespace: str) -> None:
    async def scenario(client: ApiClient, heard: Heard) -> None:
        watch = config_maps(client, heard, namespace)
        async with running(watch):
            await watch.synced.wait()
            body = {"metadata": {"name": "one", "namespace": namespace}, "data": {"value": "1"}}
            watch.put(await client.create(CONFIG_MAPS, namespace, body, "test"))
            assert watch.store == {(namespace, "one"): "1"}
            plane.api.delete(path(namespace, "one"))
            await until("it is gone", lambda: not watch.store)

    assert play(admin(plane), scenario).changes == [("one", None, "1"), ("one", "1", None)]


def test_the_answer_to_a_write_does_not_bring_back_what_the_watch_saw_deleted(
    plane: ControlPlane, namespace: str
) -> None:
    """A created object may be deleted again before the answer to its create is read."""

    async def scenario(client: ApiClient, heard: Heard) -> None:
        watch = config_maps(client, heard, namespace)
        async with running(watch):
            await watch.synced.wait()
            body = {"metadata": {"name": "one", "namespace": namespace}, "data": {"value": "1"}}
            answer = await client.create(CONFIG_MAPS, namespace, body, "test")
            plane.api.delete(path(namespace, "one"))
            await until("creation and deletion are seen", lambda: len(heard.changes) == 2)
            watch.put(answer)
            assert watch.store == {}

    assert play(admin(plane), scenario).changes == [("one", None, "1"), ("one", "1", None)]


def test_an_object_that_was_deleted_and_created_again_is_seen(
    plane: ControlPlane, namespace: str
) -> None:
    create(plane, namespace, "one", "1")

    async def scenario(client: ApiClient, heard: Heard) -> None:
        watch = config_maps(client, heard, namespace)
        async with running(watch):
            await watch.synced.wait()
            plane.api.delete(path(namespace, "one"))
            create(plane, namespace, "one", "2")
            await until("the new one is seen", lambda: watch.store == {(namespace, "one"): "2"})

    heard = play(admin(plane), scenario)
    assert heard.changes == [("one", None, "1"), ("one", "1", None), ("one", None, "2")]


def test_a_token_that_is_refused_is_read_anew_and_the_watch_goes_on(
    plane: ControlPlane, namespace: str
) -> None:
    create(plane, namespace, "one", "1")
    tokens = iter(["Bearer expired", "Bearer expired"])

    async def scenario(client: ApiClient, heard: Heard) -> None:
        watch = config_maps(client, heard, namespace)
        async with running(watch):
            await watch.synced.wait()

    rotating = as_bearer(plane, lambda: next(tokens, f"Bearer {plane.admin_token}"))
    heard = play(rotating, scenario)
    assert heard.requests[:3] == [("list", 401), ("list", 401), ("list", 200)]
    assert heard.changes[-1] == ("one", None, "1")


def test_a_right_that_is_granted_later_starts_the_watch(
    plane: ControlPlane, namespace: str
) -> None:
    create(plane, namespace, "one", "1")
    account = ("-n", namespace, "create")
    plane.kubectl(*account, "serviceaccount", "reader")
    token = plane.kubectl(*account, "token", "reader").stdout.strip()

    async def scenario(client: ApiClient, heard: Heard) -> None:
        watch = config_maps(client, heard, namespace)
        async with running(watch):
            await until("it is refused", lambda: ("list", 403) in heard.requests)
            assert not watch.synced.is_set()
            role = "--verb=list,watch", "--resource=configmaps"
            plane.kubectl(*account, "role", "reader", *role)
            binding = "--role=reader", f"--serviceaccount={namespace}:reader"
            plane.kubectl(*account, "rolebinding", "reader", *binding)
            await until("it starts", watch.synced.is_set)

    heard = play(as_bearer(plane, lambda: f"Bearer {token}"), scenario)
    assert ("one", None, "1") in heard.changes
