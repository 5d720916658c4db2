"""Actions on children that changed since they were read: refused by the API server, tried again."""

import asyncio
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from cluster.watching import admin
from cluster.world import World
from llama_operator.api.names import FIELD_MANAGER, child_labels
from llama_operator.api.v1alpha1 import API_VERSION, KIND
from llama_operator.cluster import resources
from llama_operator.cluster.client import (
    ApiClient,
    ApiError,
    ConflictError,
    NotFoundError,
    encode,
)
from llama_operator.cluster.cluster import Cluster
from llama_operator.reconcile.actions import Action, Apply, Create, Delete, Failure
from llama_operator.reconcile.decide import with_uid
from llama_operator.reconcile.observed import Child, child_of

pytestmark = pytest.mark.cluster


def service(world: World, port: int = 8000) -> dict[str, Any]:
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {
            "namespace": world.namespace,
            "name": "stale",
            "labels": child_labels("stale"),
        },
        "spec": {"selector": {"app": "x"}, "ports": [{"name": "http", "port": port}]},
    }


def act(
    world: World, meanwhile: Callable[[], object], action: Callable[[Child], Action]
) -> Failure | None:
    """Create a Service, let something happen, then act on what was read before it."""

    async def scenario() -> Failure | None:
        async with ApiClient(admin(world.plane)) as client:
            cluster = Cluster(client, on_deployment=lambda *_: None, on_inventory=lambda: None)
            created = await client.create(
                resources.SERVICES, world.namespace, service(world), FIELD_MANAGER
            )
            child = child_of("Service", created)
            assert child is not None
            await asyncio.to_thread(meanwhile)
            return await cluster.writes.perform(action(child), "u1")

    return asyncio.run(scenario())


@pytest.fixture
def clean(world: World) -> Iterator[World]:
    yield world
    world.kubectl("delete", "service", "stale", "--ignore-not-found")


def live(world: World) -> dict[str, Any] | None:
    return world.try_get(f"/api/v1/namespaces/{world.namespace}/services/stale")


def nothing() -> None: ...


def annotate(world: World) -> Callable[[], object]:
    """Somebody else becomes the first of those who own fields: appliers stand before the rest."""
    path = f"/api/v1/namespaces/{world.namespace}/services/stale?fieldManager=other"
    body = encode(
        {
            "apiVersion": "v1",
            "kind": "Service",
            "metadata": {"name": "stale", "annotations": {"a": "b"}},
        }
    )
    return lambda: world.api.request("PATCH", path, body, "application/apply-patch+yaml")


def delete(world: World) -> Callable[[], object]:
    return lambda: world.kubectl("delete", "service", "stale")


def replace(world: World) -> Callable[[], object]:
    def both() -> None:
        delete(world)()
        world.plane.apply(service(world, port=9))

    return both


def apply_port(world: World) -> Callable[[Child], Action]:
    return lambda child: Apply(with_uid(service(world, port=8001), child.uid), child, "test")


def port(world: World) -> int:
    found = live(world)
    assert found is not None
    number: int = found["spec"]["ports"][0]["port"]
    return number


def test_a_child_that_nobody_touched_is_applied(clean: World) -> None:
    assert act(clean, nothing, apply_port(clean)) is None
    assert port(clean) == 8001


def test_an_edit_by_others_in_between_is_a_conflict_and_no_refusal(clean: World) -> None:
    """The edit moved the entry of our fields: to be read again, and no fault of the object."""
    with pytest.raises(ConflictError):
        act(clean, annotate(clean), apply_port(clean))
    assert port(clean) == 8000


@pytest.mark.parametrize(
    "action",
    [
        pytest.param(apply_port, id="apply"),
        pytest.param(lambda _: lambda child: Delete(child, "test"), id="delete"),
    ],
)
def test_another_object_of_the_name_is_left_alone(
    clean: World, action: Callable[[World], Callable[[Child], Action]]
) -> None:
    with pytest.raises(ConflictError):
        act(clean, replace(clean), action(clean))
    assert port(clean) == 9


def test_applying_does_not_bring_back_what_is_gone(clean: World) -> None:
    with pytest.raises(ApiError) as raised:
        act(clean, delete(clean), apply_port(clean))
    assert isinstance(raised.value, ConflictError | NotFoundError)
    assert live(clean) is None


def test_deleting_what_is_gone_is_done(clean: World) -> None:
    assert act(clean, delete(clean), lambda child: Delete(child, "test")) is None


@pytest.mark.parametrize(
    ("owner", "reason"),
    [
        pytest.param(None, "NameConflict", id="of nobody"),
        pytest.param("stale", "WaitingForDeletion", id="of a deleted deployment of the name"),
        pytest.param("other", "NameConflict", id="of another deployment"),
    ],
)
def test_a_create_that_finds_something_tells_whose_it_is(
    clean: World, owner: str | None, reason: str
) -> None:
    """Ownership and which deployment are told by the ownerReference, whatever labels say."""
    there = service(clean, port=9)
    if owner is not None:
        # A real owner, since the garbage collector deletes what belongs to none.
        clean.apply(owner, {"size": "8b", "format": "awq", "suspend": True})
        there["metadata"]["ownerReferences"] = [
            {
                "apiVersion": API_VERSION,
                "kind": KIND,
                "name": owner,
                "uid": clean.llama(owner)["metadata"]["uid"],
                "controller": True,
            }
        ]

    async def scenario() -> Failure | None:
        async with ApiClient(admin(clean.plane)) as client:
            cluster = Cluster(client, on_deployment=lambda *_: None, on_inventory=lambda: None)
            await client.create(resources.SERVICES, clean.namespace, there, "somebody")
            return await cluster.writes.perform(Create(service(clean), "test"), "u1")

    failure = asyncio.run(scenario())
    assert failure is not None
    assert failure.reason == reason
    assert "Service stale" in failure.message
    if owner == "other":
        assert "LlamaDeployment other" in failure.message
