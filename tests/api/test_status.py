"""The status: its default, its subresource, and that each of its bounds is kept."""

import copy
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from api.constraints import Constraint, constraints, largest, replace_at, walk, with_defaults
from api.server import COLLECTION, Answer, Server
from llama_operator.api.crd import object_schema
from llama_operator.api.deployment import LlamaDeployment
from llama_operator.api.v1alpha1 import API_VERSION, KIND

SCHEMA = object_schema()["properties"]["status"]
CONSTRAINTS = sorted(constraints(SCHEMA, "status"))
SCHEMAS = dict(walk(SCHEMA, "status"))
NAME = "llama-status"
MINIMAL: dict[str, Any] = {
    "apiVersion": API_VERSION,
    "kind": KIND,
    "metadata": {"name": NAME},
    "spec": {"size": "8b"},
}
APPLY = "application/apply-patch+yaml"
FRESH = {"observedGeneration": -1}

pytestmark = pytest.mark.cluster


LARGEST = largest(SCHEMA)


@pytest.fixture
def deployment(server: Server) -> Iterator[dict[str, Any]]:
    """A stored deployment that nobody has acted on."""
    answer = server.create(MINIMAL, dry_run=False)
    assert answer.accepted, answer.message
    yield answer.body
    server.request("DELETE", f"{COLLECTION}/{NAME}")


def apply_status(server: Server, status: Any, manager: str = "llama-operator") -> Answer:
    """Server-side apply on the status subresource, as the operator writes it."""
    body = {"apiVersion": API_VERSION, "kind": KIND, "metadata": {"name": NAME}, "status": status}
    return server.request(
        "PATCH",
        f"{COLLECTION}/{NAME}/status",
        body,
        content_type=APPLY,
        fieldManager=manager,
        force="true",
        fieldValidation="Strict",
    )


def test_a_stored_object_is_what_was_written_and_the_defaults(
    server: Server, deployment: dict[str, Any]
) -> None:
    stored = server.request("GET", f"{COLLECTION}/{deployment['metadata']['name']}").body
    spec = object_schema()["properties"]["spec"]
    assert stored["spec"] == with_defaults(spec, MINIMAL["spec"])
    assert stored["spec"] == {
        "model": "llama-3.1-instruct",
        "size": "8b",
        "format": "Auto",
        "hub": "HuggingFace",
        "engine": {"type": "Auto"},
        "context": {"concurrency": 2},
        "memory": {"kvCacheDType": "Auto", "cudaGraphs": "Enabled", "prefixCaching": "Auto"},
        "template": {
            "metadata": {"labels": {}, "annotations": {}},
            "spec": {"resources": {}},
        },
        "replicas": 1,
        "suspend": False,
    }
    assert stored["status"] == FRESH
    assert stored["metadata"]["generation"] == 1, "kstatus: 1 is not -1, hence in progress"
    assert set(stored["metadata"]) <= {
        "creationTimestamp",
        "generation",
        "managedFields",
        "name",
        "namespace",
        "resourceVersion",
        "uid",
    }
    assert LlamaDeployment.parse(stored).spec == LlamaDeployment.parse(MINIMAL).spec


def test_a_status_that_a_user_writes_is_ignored(server: Server) -> None:
    answer = server.create({**MINIMAL, "status": {"url": "http://elsewhere", "replicas": 9}})
    assert answer.accepted
    assert answer.body["status"] == FRESH


def test_a_removed_status_gets_its_default_again(
    server: Server, deployment: dict[str, Any]
) -> None:
    assert apply_status(server, {"observedGeneration": 1, "url": "http://x"}).accepted
    answer = server.request(
        "PATCH",
        f"{COLLECTION}/{deployment['metadata']['name']}/status",
        {"status": None},
        content_type="application/merge-patch+json",
    )
    assert answer.body["status"] == FRESH


def test_writing_the_status_leaves_the_spec_and_its_generation(
    server: Server, deployment: dict[str, Any]
) -> None:
    answer = apply_status(server, {"observedGeneration": 1, "replicas": 1})
    assert answer.body["spec"] == deployment["spec"]
    assert answer.body["metadata"]["generation"] == 1


def test_the_largest_status_is_accepted_and_read_back(
    server: Server, deployment: dict[str, Any]
) -> None:
    answer = apply_status(server, LARGEST)
    assert answer.accepted, answer.message
    assert answer.body["status"] == LARGEST
    assert LlamaDeployment.parse(answer.body).status.to_object() == LARGEST
    assert deployment["metadata"]["uid"] == answer.body["metadata"]["uid"]


def test_conditions_of_two_writers_stand_side_by_side(
    server: Server, deployment: dict[str, Any]
) -> None:
    def condition(name: str) -> dict[str, Any]:
        return {
            "type": name,
            "status": "True",
            "reason": "Tested",
            "message": "",
            "lastTransitionTime": "2026-01-02T03:04:05Z",
            "observedGeneration": 1,
        }

    apply_status(server, {"conditions": [condition("Ready")]})
    answer = apply_status(server, {"conditions": [condition("Audited")]}, manager="auditor")
    assert {one["type"] for one in answer.body["status"]["conditions"]} == {"Ready", "Audited"}
    answer = apply_status(server, {"conditions": []})
    assert [one["type"] for one in answer.body["status"]["conditions"]] == ["Audited"]
    assert deployment["status"] == FRESH


def test_a_plan_is_replaced_as_a_whole(server: Server, deployment: dict[str, Any]) -> None:
    recommendation = {"reason": "NewRendering", "message": "one"}
    apply_status(
        server,
        {"recommendation": {**recommendation, "alternatives": [{"summary": "s", "patch": "{}"}]}},
    )
    answer = apply_status(server, {"recommendation": recommendation})
    assert answer.body["status"]["recommendation"] == recommendation
    assert deployment["status"] == FRESH


def broken(constraint: Constraint) -> Any:
    """The largest status with one thing in it that breaks a constraint."""
    field = constraint.field.removeprefix("status.")
    if constraint.keyword in ("required", "unique"):
        status = copy.deepcopy(LARGEST)
        parent, _, name = field.rpartition(".")
        if constraint.keyword == "unique":
            items = status[field.removesuffix("[]")]
            items[1] = items[0]
            return status
        place = status
        for part in parent.split(".") if parent else ():
            place = place[part.removesuffix("[]")]
            place = place[0] if part.endswith("[]") else place
        del place[name]
        return status
    schema = SCHEMAS[constraint.field]
    beyond: dict[str, Callable[[], Any]] = {
        "minimum": lambda: schema["minimum"] - 1,
        "maximum": lambda: schema["maximum"] + 1,
        "minLength": lambda: "a" * (schema["minLength"] - 1),
        "maxLength": lambda: "a" * (schema["maxLength"] + 1),
        "maxItems": lambda: [*largest(schema), _one_more(schema)],
        "enum": lambda: "NoSuchWord",
        "format": lambda: "yesterday",
    }
    return replace_at(LARGEST, field, beyond[constraint.keyword]())


def _one_more(schema: dict[str, Any]) -> Any:
    item = largest(schema["items"])
    for key in schema.get("x-kubernetes-list-map-keys", ()):
        item[key] = "OneMore"
    return item


def test_every_constraint_of_the_status_is_kept(server: Server, deployment: dict[str, Any]) -> None:
    assert len(CONSTRAINTS) > 100, "the plan alone has as many"
    assert apply_status(server, LARGEST).accepted
    for constraint in CONSTRAINTS:
        answer = apply_status(server, broken(constraint))
        assert not answer.accepted, constraint
        assert constraint.field.split("[]")[0] in answer.message, (constraint, answer.message[:500])
    assert deployment["status"] == FRESH
