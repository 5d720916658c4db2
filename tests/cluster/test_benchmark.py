"""The two sides of the benchmark make the same objects."""

import re
from collections.abc import Iterator
from typing import Any

import pytest

from benchmark.idle import idle_site
from benchmark.marks import has_status, serves
from benchmark.names import BARE, OPERATED
from benchmark.site import Site, collection, resource_of

pytestmark = pytest.mark.cluster

KINDS = {
    "statefulsets": "/apis/apps/v1",
    "controllerrevisions": "/apis/apps/v1",
    "services": "/api/v1",
}
# What the API server and controllers add, and what a plan tells of the nodes there were.
FOREIGN = {
    "uid", "resourceVersion", "creationTimestamp", "managedFields", "generation", "status",
    "clusterIP", "clusterIPs", "reasons", "summary",
}  # fmt: skip
WORDS = {
    BARE: OPERATED,
    "bare--operator": "llama-operator",
    "bench-operator.io/v1alpha1": "llama-operator.io/v1alpha1",
}


@pytest.fixture(scope="module")
def site() -> Iterator[Site]:
    with idle_site() as made:
        made.operator()
        made.bare_client()
        for side, wanted in ((OPERATED, serves), (BARE, has_status)):
            made.create(side, ["same"])
            made.marks.wait(resource_of(side), side, "same", wanted)
        yield made


def objects(site: Site, side: str, resource: str) -> dict[str, Any]:
    """What a side sent, by name, in the words of the operator's side."""
    items = site.plane.api.get(f"{KINDS[resource]}/namespaces/{side}/{resource}")["items"]
    own = [
        item
        for item in items
        if item["metadata"]["ownerReferences"][0]["kind"] == "LlamaDeployment"
    ]
    return {as_sent(item["metadata"]["name"]): as_sent(item) for item in own}


def as_sent(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: as_sent(item) for key, item in value.items() if key not in FOREIGN}
    if isinstance(value, list):
        return [as_sent(item) for item in value]
    if isinstance(value, str):
        # A revision's name ends in a hash over everything, names of others included.
        return re.sub(r"-plan-[0-9a-f]{10}$", "-plan", WORDS.get(value, value))
    return value


@pytest.mark.parametrize("resource", KINDS)
def test_the_bare_client_makes_the_same_children(site: Site, resource: str) -> None:
    operated, bare = (objects(site, side, resource) for side in (OPERATED, BARE))
    assert len(bare) == (2 if resource == "services" else 1)
    assert bare == operated


def test_the_bare_client_writes_the_same_plan_into_the_status(site: Site) -> None:
    operated, bare = (
        site.plane.api.get(f"{collection(side)}/same")["status"] for side in (OPERATED, BARE)
    )
    assert bare.keys() == operated.keys()
    assert as_sent(bare["plan"]) == as_sent(operated["plan"])


def test_the_operator_leaves_the_bare_clients_objects_alone(site: Site) -> None:
    for resource in KINDS:
        items = site.plane.api.get(f"{KINDS[resource]}/namespaces/{BARE}/{resource}")["items"]
        managers = {
            entry["manager"] for item in items for entry in item["metadata"]["managedFields"]
        }
        assert "bare-client" in managers
        assert "llama-operator" not in managers
