"""Rights that are taken away: told by verb and resource, the rest goes on, and it is mended."""

import json
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from cluster.world import World, gpu_node
from controlplane import ControlPlane, wait_until
from faultproxy import FaultProxy
from faults.conftest import StartOperator
from faults.oracle import Oracle
from workstation import OperatorProcess
from workstation.install import OPERATOR_USER

pytestmark = [pytest.mark.cluster, pytest.mark.fault(39)]

A100 = "NVIDIA-A100-SXM4-80GB"
SMALL = {"size": "8b", "format": "awq"}
RESTORED_SECONDS = 90.0
"""Three times the pause after which everything that was refused is tried again."""


class Rights:
    """The operator's ClusterRole, less what a test takes away."""

    def __init__(self, plane: ControlPlane) -> None:
        self._plane = plane
        self._whole = self._rules()
        self._taken: list[tuple[str, str]] = []

    def take(self, verb: str, resource: str) -> None:
        """Take one verb of one resource, such as `statefulsets.apps`."""
        whole, slash, subresource = resource.partition("/")
        plural, _, group = whole.partition(".")
        plural += slash + subresource
        rules: list[dict[str, Any]] = []
        for rule in self._rules():
            if rule["apiGroups"] != [group] or plural not in rule["resources"]:
                rules.append(rule)
                continue
            others = [name for name in rule["resources"] if name != plural]
            if others:
                rules.append({**rule, "resources": others})
            left = [known for known in rule["verbs"] if known != verb]
            if left:
                rules.append({**rule, "resources": [plural], "verbs": left})
        self._set(rules)
        self._taken.append((verb, resource))
        self._wait(verb, resource, "no")

    def restore(self) -> None:
        """Give back all of them."""
        self._set(self._whole)
        while self._taken:
            self._wait(*self._taken.pop(), "yes")

    def _rules(self) -> list[dict[str, Any]]:
        answer = self._plane.kubectl("get", "clusterrole", "llama-operator", "-o", "json").stdout
        rules: list[dict[str, Any]] = json.loads(answer)["rules"]
        return rules

    def _set(self, rules: list[dict[str, Any]]) -> None:
        patch = json.dumps({"rules": rules})
        self._plane.kubectl("patch", "clusterrole", "llama-operator", "--type=merge", "-p", patch)

    def _wait(self, verb: str, resource: str, answer: str) -> None:
        plural, _, subresource = resource.partition("/")
        more = (f"--subresource={subresource}",) if subresource else ()
        wait_until(
            f"whether the operator may {verb} {resource}: {answer}",
            lambda: (
                self._plane.kubectl(
                    "auth", "can-i", verb, plural, "-A", *more, f"--as={OPERATOR_USER}",
                    check=False,
                ).stdout.strip()
                == answer
            ),
        )  # fmt: skip


@pytest.fixture
def rights(installed: ControlPlane) -> Iterator[Rights]:
    made = Rights(installed)
    yield made
    made.restore()


@pytest.fixture
def busy(world: World, operator: OperatorProcess, oracle: Oracle) -> World:
    world.add_nodes(*(gpu_node(f"a100-{number}", A100, 8) for number in range(3)))
    world.apply("small", {**SMALL, "replicas": 2})
    oracle.check(operator, quiet_seconds=0.5)
    return world


WRITES = [
    ("create", "controllerrevisions.apps", 2, "True"),
    ("create", "statefulsets.apps", 2, "False"),
    ("create", "services", 2, "False"),
    ("create", "poddisruptionbudgets.policy", 2, "True"),
    ("patch", "statefulsets.apps", 1, "True"),
    ("delete", "poddisruptionbudgets.policy", 1, "True"),
]
"""Verb, resource, replicas that need it, 1 coming from 2; whether the URL answers without it."""


def test_a_right_to_write_a_child_that_is_missing_is_named_and_the_rest_goes_on(
    busy: World,
    operator: OperatorProcess,
    oracle: Oracle,
    rights: Rights,
    record_property: Callable[[str, object], None],
) -> None:
    kept, names = oracle.picture(), []
    for number, (verb, resource, replicas, ready) in enumerate(WRITES):
        name = f"m{number}"
        names.append(name)
        if replicas == 1:
            busy.apply(name, {**SMALL, "replicas": 2})
            busy.wait_ready(name)
        rights.take(verb, resource)
        busy.apply(name, {**SMALL, "replicas": replicas})
        message = busy.wait_condition(name, "Reconciling", "True", "Forbidden")
        assert message == f"the operator may not {verb} {resource}"
        busy.wait(
            f"the URL of {name}: {ready}",
            lambda name=name, ready=ready: busy.conditions(name)["Ready"][0] == ready,
        )
        if resource != "statefulsets.apps":
            assert busy.pods(name), "the rest goes on"
        assert oracle.picture().of("pods").items() >= kept.of("pods").items()
        rights.restore()
    started = time.monotonic()
    for name in names:
        busy.wait_ready(name, timeout=RESTORED_SECONDS)
    record_property("figure.seconds-until-right-works-again", round(time.monotonic() - started, 1))
    oracle.check(operator)


def test_without_the_right_to_write_the_status_children_are_kept_and_the_log_tells(
    busy: World, operator: OperatorProcess, oracle: Oracle, rights: Rights
) -> None:
    rights.take("patch", "llamadeployments.llama-operator.io/status")
    busy.kubectl("scale", "llama", "small", "--replicas=3")
    busy.wait("three pods serve", lambda: len(busy.pods("small")) == 3)
    busy.wait(
        "the metric counts it",
        lambda: 'reconcile_errors_total{reason="ForbiddenError"}' in operator.get("/metrics")[1],
    )
    told = [line["message"] for line in operator.lines() if line["level"] == "warning"]
    assert any("cannot patch resource" in text and "small" in text for text in told)
    rights.restore()
    busy.wait_ready("small", timeout=RESTORED_SECONDS)
    oracle.check(operator)


def test_without_the_right_to_ask_for_a_deployment_nothing_that_is_missing_is_made(
    busy: World, operator: OperatorProcess, oracle: Oracle, rights: Rights
) -> None:
    """It might have been deleted: then its children must not come back."""
    rights.take("get", "llamadeployments.llama-operator.io")
    busy.kubectl("delete", "service", "small-pods")
    message = busy.wait_condition("small", "Reconciling", "True", "Forbidden")
    assert message == "the operator may not get llamadeployments.llama-operator.io"
    rights.restore()
    busy.wait_ready("small", timeout=RESTORED_SECONDS)
    oracle.check(operator)


def test_watches_that_are_refused_at_run_time_are_told_and_opened_again(
    busy: World, operator: OperatorProcess, oracle: Oracle, rights: Rights, proxy: FaultProxy
) -> None:
    kept = oracle.picture()
    for resource in ("nodes", "services", "llamadeployments.llama-operator.io"):
        rights.take("watch", resource)
    proxy.streams(lambda stream: stream.close())
    for plural in ("nodes", "services", "llamadeployments"):
        busy.wait(
            f"readyz names {plural}",
            lambda plural=plural: f"\n{plural}: " in "\n" + operator.get("/readyz")[1],
        )
    assert operator.get("/readyz")[0] == 503
    assert operator.get("/healthz")[0] == 200
    busy.kubectl("delete", "pod", "small-a-0")
    busy.kubectl("scale", "llama", "small", "--replicas=3")
    rights.restore()
    busy.wait("it is ready again", lambda: operator.get("/readyz")[0] == 200, timeout=90)
    oracle.check(operator)
    oracle.assert_kept(kept, ("statefulsets", "services", "poddisruptionbudgets"))


def test_an_operator_that_starts_without_a_right_to_list_says_so_and_waits(
    world: World, start_operator: StartOperator, oracle: Oracle, rights: Rights
) -> None:
    world.add_nodes(gpu_node("a100-0", A100, 4))
    for resource in ("services", "llamadeployments.llama-operator.io"):
        rights.take("list", resource)
    operator = start_operator(wait=False)
    world.apply("small", SMALL)
    refused = 'cannot list resource "services"'
    world.wait("readyz tells", lambda: refused in operator.get("/readyz")[1])
    assert operator.get("/readyz")[0] == 503
    assert operator.get("/healthz")[0] == 200
    told = [line["message"] for line in operator.lines() if line["level"] == "warning"]
    assert any(refused in text for text in told)
    assert not any(world.children().values())
    rights.restore()
    operator.wait_ready(timeout=RESTORED_SECONDS)
    world.wait_ready("small")
    oracle.check(operator)
