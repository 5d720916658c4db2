"""Workloads of every engine pass the API server and the Pod Security Standard they are said to."""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from controlplane import ControlPlane, wait_until
from llama_operator.api.plan import Plan
from llama_operator.render.objects import render
from unit.engines.engine_plans import PLANS, deployment

pytestmark = pytest.mark.cluster

PAGE = Path(__file__).parents[2] / "docs" / "explanation" / "security.md"
EXCEPTIONS = dict(re.findall(r"^\* (\w+): `(\w+)`\.", PAGE.read_text(encoding="utf-8"), re.M))
"""By engine: the standard that its pods pass instead of `restricted`."""
LEVELS = ("baseline", "restricted")
ALL = [pytest.param(plan, id=name) for name, plan in PLANS.items()]


@pytest.fixture(scope="module")
def namespaces(installed: ControlPlane) -> Iterator[dict[str, str]]:
    """A namespace that enforces each standard."""
    made = {level: f"pod-security-{level}" for level in LEVELS}
    for level, name in made.items():
        label = {"pod-security.kubernetes.io/enforce": level}
        body = {
            "apiVersion": "v1",
            "kind": "Namespace",
            "metadata": {"name": name, "labels": label},
        }
        installed.kubectl("create", "-f", "-", input=json.dumps(body))
    for name in made.values():
        arguments = ("--namespace", name, "get", "serviceaccount", "default")
        wait_until(
            "it has its ServiceAccount",
            lambda asked=arguments: installed.kubectl(*asked, check=False).returncode == 0,
        )
    yield made
    for name in made.values():
        installed.kubectl("delete", "namespace", name, "--wait=false")


def created(plane: ControlPlane, namespace: str, body: dict[str, Any]) -> str:
    """What the API server says of an object that it does not keep: `created`, or why not."""
    answer = plane.kubectl(
        *("--namespace", namespace, "create", "--dry-run=server", "--validate=strict", "-f", "-"),
        input=json.dumps(body),
        check=False,
    )
    said = answer.stdout.strip() if answer.returncode == 0 else answer.stderr.strip()
    return said.removesuffix(" (server dry run)").rpartition(" ")[2] if answer.stdout else said


def statefulset(plan: Plan) -> dict[str, Any]:
    body = deployment(tokenSecretRef={"name": "hub-token"})
    found = render(plan, body, replicas=1, revision="llama-r1").workload
    return {**found, "metadata": {**found["metadata"], "namespace": None}}


def pod(plan: Plan) -> dict[str, Any]:
    template = statefulset(plan)["spec"]["template"]
    return {"apiVersion": "v1", "kind": "Pod", **template, "metadata": {"name": "llama-0"}}


def test_the_exceptions_are_of_engines_here() -> None:
    assert EXCEPTIONS == {"TGI": "baseline"}
    assert EXCEPTIONS.keys() <= {plan.engine for plan in PLANS.values()}


@pytest.mark.parametrize("plan", ALL)
def test_the_api_server_knows_every_field(
    installed: ControlPlane, namespaces: dict[str, str], plan: Plan
) -> None:
    body = statefulset(plan)
    assert created(installed, namespaces["restricted"], body) == "created"
    body["spec"]["template"]["spec"]["containers"][0]["commnad"] = ["x"]
    assert "commnad" in created(installed, namespaces["restricted"], body)


@pytest.mark.parametrize("plan", ALL)
def test_pods_pass_the_standard_and_an_exception_no_stricter_one(
    installed: ControlPlane, namespaces: dict[str, str], plan: Plan
) -> None:
    level = EXCEPTIONS.get(plan.engine, "restricted")

    assert created(installed, namespaces[level], pod(plan)) == "created"

    for stricter in LEVELS[LEVELS.index(level) + 1 :]:
        refusal = created(installed, namespaces[stricter], pod(plan))
        assert f'violates PodSecurity "{stricter}:latest"' in refusal
        assert "runAsNonRoot" in refusal


def test_a_pod_of_another_kind_is_refused(
    installed: ControlPlane, namespaces: dict[str, str]
) -> None:
    body = pod(PLANS["vLLM"])
    body["spec"]["hostPID"] = True
    assert 'violates PodSecurity "baseline:latest"' in created(
        installed, namespaces["baseline"], body
    )
