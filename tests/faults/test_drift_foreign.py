"""An object of a child's name that is not ours is never touched, whatever the order of events."""

import copy
import json
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from cluster.world import World, gpu_node
from faultproxy import FaultProxy, Notify, Rule
from faults.conftest import StartOperator
from faults.fresh import fresh_children
from faults.oracle import Oracle
from llama_operator.api.names import child_labels
from llama_operator.cluster import resources
from workstation import OperatorProcess
from workstation.install import OPERATOR_USER

pytestmark = [pytest.mark.cluster, pytest.mark.fault(29)]

A100 = "NVIDIA-A100-SXM4-80GB"
SMALL = {"size": "8b", "format": "awq"}
HEAL_SECONDS = 90
"""Three times the pause after which a refused create is tried again."""

SPECS: dict[str, dict[str, Any]] = {
    "StatefulSet": {
        "spec": {
            "replicas": 0,
            "serviceName": "none",
            "selector": {"matchLabels": {"app": "foreign"}},
            "template": {
                "metadata": {"labels": {"app": "foreign"}},
                "spec": {"containers": [{"name": "c", "image": "example.com/c:1"}]},
            },
        }
    },
    "Service": {"spec": {"selector": {"app": "foreign"}, "ports": [{"port": 80}]}},
    "PodDisruptionBudget": {
        "spec": {"maxUnavailable": 1, "selector": {"matchLabels": {"app": "foreign"}}}
    },
    "ControllerRevision": {"data": {"of": "somebody else"}, "revision": 77},
}
CHILDREN = (
    ("StatefulSet", "{}-a"),
    ("Service", "{}"),
    ("Service", "{}-pods"),
    ("PodDisruptionBudget", "{}"),
    ("ControllerRevision", ""),
)
"""Kind and name of each child; the record's name tells what it holds."""


class Intruder:
    """A foreign object of the name of one child of one deployment."""

    def __init__(self, world: World, deployment: str, kind: str, name: str) -> None:
        self.world = world
        # Objects are made in the proxy's thread too, and a client serves one thread.
        self._aside = copy.copy(world)
        self._aside.api = world.plane.api_client()
        self.deployment, self.kind, self.name = deployment, kind, name.format(deployment)
        self.made: dict[str, Any] = {}

    def apply(self) -> None:
        self.world.apply(self.deployment, {**SMALL, "replicas": 2})

    def make(self, *, labels: bool = False, owner: dict[str, Any] | None = None) -> None:
        if self.made:
            return
        if not self.name:
            llama = self._aside.llama(self.deployment)
            keys = fresh_children(self._aside, llama, False)
            [self.name] = [name for kind, name in keys if kind == self.kind]
        metadata: dict[str, Any] = {"name": self.name, "labels": {"app": "foreign"}}
        if labels:
            metadata["labels"] |= child_labels(self.deployment)
        if owner is not None:
            metadata["ownerReferences"] = [owner]
        api_version = resources.BY_KIND[self.kind].api_version
        body = {"apiVersion": api_version, "kind": self.kind, "metadata": metadata}
        path = resources.BY_KIND[self.kind].path(self._aside.namespace)
        self.made = self._aside.api.request("POST", path, {**body, **SPECS[self.kind]})

    def close(self) -> None:
        self._aside.api.close()

    def path(self) -> str:
        return resources.BY_KIND[self.kind].path(self.world.namespace, self.name)

    def find_own(self) -> None:
        """Learn the name of the record that there is."""
        if not self.name:
            [self.name] = [
                item["metadata"]["name"]
                for item in self.world.owned("controllerrevisions")
                if item["metadata"]["ownerReferences"][0]["name"] == self.deployment
            ]

    def assert_told(self) -> None:
        message = self.world.wait_condition(
            self.deployment, "Stalled", "True", "NameConflict", timeout=90
        )
        assert self.name in message
        assert self.kind in message

    def assert_untouched(self) -> None:
        found = self.world.try_get(self.path())
        assert found is not None
        assert said(found) == said(self.made)
        plural = resources.BY_KIND[self.kind].plural
        assert not [
            event
            for event in self.world.plane.audit_events(OPERATOR_USER)
            if (event.namespace, event.resource, event.name)
            == (self.world.namespace, plural, self.name)
            and event.verb in ("patch", "update", "delete")
        ]

    def remove(self) -> None:
        self.world.api.delete(self.path())


def said(item: dict[str, Any]) -> tuple[Any, ...]:
    """All but what Kubernetes' own controllers write."""
    metadata = {
        key: item["metadata"].get(key)
        for key in ("uid", "labels", "annotations", "ownerReferences", "deletionTimestamp")
    }
    managers = {entry["manager"] for entry in item["metadata"].get("managedFields") or ()}
    return metadata, item.get("spec"), item.get("data"), "llama-operator" in managers


@pytest.fixture
def intrude(world: World) -> Iterator[Callable[..., list[Intruder]]]:
    """Makes one intruder for each kind of child, each for a deployment of its own."""
    world.add_nodes(*(gpu_node(f"a100-{number}", A100, 8) for number in range(6)))
    made: list[Intruder] = []

    def make(prefix: str = "small") -> list[Intruder]:
        new = [
            Intruder(world, f"{prefix}{number}", *child) for number, child in enumerate(CHILDREN)
        ]
        made.extend(new)
        return new

    yield make
    for intruder in made:
        intruder.close()


def settle(intruders: list[Intruder], oracle: Oracle, operator: OperatorProcess) -> None:
    """All are told of and left alone; and the deployments are mended when they go."""
    for intruder in intruders:
        intruder.assert_told()
    for intruder in intruders:
        intruder.assert_untouched()
        intruder.remove()
    for intruder in intruders:
        intruder.world.wait_ready(intruder.deployment, timeout=HEAL_SECONDS)
    others = set(oracle.deployments()) - {intruder.deployment for intruder in intruders}
    oracle.check(operator, reasons=dict.fromkeys(others, "Suspended"))


def owner_of(body: dict[str, Any]) -> dict[str, Any]:
    return {
        "apiVersion": body["apiVersion"],
        "kind": body["kind"],
        "name": body["metadata"]["name"],
        "uid": body["metadata"]["uid"],
        "controller": True,
    }


def test_foreign_objects_that_are_there_first_whatever_they_look_like(
    world: World,
    intrude: Callable[..., list[Intruder]],
    start_operator: StartOperator,
    oracle: Oracle,
) -> None:
    world.apply("other", {**SMALL, "suspend": True})
    world.kubectl("create", "configmap", "other")
    holder = world.api.get(f"/api/v1/namespaces/{world.namespace}/configmaps/other")
    disguises: dict[str, dict[str, Any]] = {
        "plain": {},
        "labelled": {"labels": True},
        "anothers": {"labels": True, "owner": owner_of(world.llama("other"))},
        "alien": {
            "labels": True,
            "owner": owner_of({**holder, "apiVersion": "v1", "kind": "ConfigMap"}),
        },
    }
    intruders = []
    for prefix, how in disguises.items():
        for intruder in intrude(prefix):
            intruder.apply()
            intruder.make(**how)
            intruders.append(intruder)
    operator = start_operator()
    settle(intruders, oracle, operator)


def before_create(proxy: FaultProxy, intruder: Intruder) -> Rule:
    """The object comes after the plan was made and before the child is created."""
    rule = Rule(
        Notify(lambda _: intruder.make(), before=True),
        verbs={"create"},
        resources={resources.BY_KIND[intruder.kind].plural},
        namespace=intruder.world.namespace,
    )
    proxy.add(rule)
    return rule


def test_foreign_objects_that_come_between_planning_and_creating(
    intrude: Callable[..., list[Intruder]],
    proxy: FaultProxy,
    operator: OperatorProcess,
    oracle: Oracle,
) -> None:
    intruders = intrude()
    for intruder in intruders:
        rule = before_create(proxy, intruder)
        intruder.apply()
        intruder.assert_told()
        proxy.remove(rule)
    settle(intruders, oracle, operator)


def test_foreign_objects_that_come_once_our_child_was_deleted_by_hand(
    intrude: Callable[..., list[Intruder]],
    proxy: FaultProxy,
    operator: OperatorProcess,
    oracle: Oracle,
) -> None:
    intruders = intrude()
    for intruder in intruders:
        intruder.apply()
    oracle.check(operator, quiet_seconds=0.5)
    for intruder in intruders:
        intruder.find_own()
        rule = before_create(proxy, intruder)
        intruder.remove()
        intruder.assert_told()
        proxy.remove(rule)
    settle(intruders, oracle, operator)


def test_children_whose_owner_reference_is_removed_are_nobodys(
    intrude: Callable[..., list[Intruder]], operator: OperatorProcess, oracle: Oracle
) -> None:
    intruders = intrude()
    for intruder in intruders:
        intruder.apply()
    oracle.check(operator, quiet_seconds=0.5)
    for intruder in intruders:
        intruder.find_own()
        child = f"{intruder.kind}/{intruder.name}"
        patch = json.dumps({"metadata": {"ownerReferences": None}})
        intruder.made = json.loads(
            intruder.world.kubectl(
                "patch", child, "-p", patch, "-o", "json", "--show-managed-fields"
            )
        )
    settle(intruders, oracle, operator)
