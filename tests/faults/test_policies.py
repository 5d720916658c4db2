"""Policies of a cluster: they add to what is ours, or refuse pods, and the user is told."""

import json
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import yaml

from cluster.world import World, gpu_node
from cluster.writes import operator_writes, told
from faultproxy import Answer, FaultProxy, Rule
from faults.oracle import Oracle
from workstation import OperatorProcess

pytestmark = pytest.mark.cluster

A100 = "NVIDIA-A100-SXM4-80GB"
SMALL = {"size": "8b", "format": "awq"}
TOLD_SECONDS = 30.0
"""Three times the promised ten."""
HEALED_SECONDS = 90.0

ADDED = {
    "a sidecar in each pod": (
        "pods",
        "",
        """JSONPatch{op: "add", path: "/spec/containers/-", value: Object.spec.containers{
           name: "proxy", image: "example.com/proxy:1"}}""",
    ),
    "a sidecar in the StatefulSet": (
        "statefulsets",
        "apps",
        """JSONPatch{op: "add", path: "/spec/template/spec/containers/-",
           value: Object.spec.template.spec.containers{
           name: "proxy", image: "example.com/proxy:1"}}""",
    ),
    "a label on each Service": (
        "services",
        "",
        """JSONPatch{op: "add", path: "/metadata/labels/mesh", value: "on"}""",
    ),
}


@pytest.fixture(params=ADDED, ids=list(ADDED))
def adding(world: World, request: pytest.FixtureRequest) -> Iterator[str]:
    """A policy that adds something; gives to which resource."""
    resource, group, patch = ADDED[request.param]
    policy = {
        "apiVersion": "admissionregistration.k8s.io/v1",
        "kind": "MutatingAdmissionPolicy",
        "metadata": {"name": "mesh"},
        "spec": {
            "matchConstraints": {
                "namespaceSelector": {
                    "matchLabels": {"kubernetes.io/metadata.name": world.namespace}
                },
                "resourceRules": [
                    {
                        "apiGroups": [group],
                        "apiVersions": ["v1"],
                        "operations": ["CREATE", "UPDATE"],
                        "resources": [resource],
                    }
                ],
            },
            "matchConditions": [
                {"name": "once", "expression": UNLESS_THERE[resource]},
            ],
            "failurePolicy": "Fail",
            "reinvocationPolicy": "Never",
            "mutations": [{"patchType": "JSONPatch", "jsonPatch": {"expression": f"[{patch}]"}}],
        },
    }
    binding = {
        "apiVersion": "admissionregistration.k8s.io/v1",
        "kind": "MutatingAdmissionPolicyBinding",
        "metadata": {"name": "mesh"},
        "spec": {"policyName": "mesh"},
    }
    world.plane.apply([policy, binding])
    probe = yaml.safe_dump(PROBES[resource])
    dry = ("create", "--dry-run=server", "-o", "yaml", "-f", "-")
    world.wait(
        "the policy works",
        lambda: MARKS[resource] in world.kubectl(*dry, stdin=probe, check=False),
    )
    yield resource
    world.plane.kubectl("delete", "mutatingadmissionpolicybinding/mesh")
    world.plane.kubectl("delete", "mutatingadmissionpolicy/mesh")


UNLESS_THERE = {
    "pods": "!object.spec.containers.exists(c, c.name == 'proxy')",
    "statefulsets": "!object.spec.template.spec.containers.exists(c, c.name == 'proxy')",
    "services": "has(object.metadata.labels) && !('mesh' in object.metadata.labels)",
}
MARKS = {"pods": "example.com/proxy", "statefulsets": "example.com/proxy", "services": "mesh"}
_POD = {"containers": [{"name": "c", "image": "example.com/c:1"}]}
PROBES: dict[str, dict[str, Any]] = {
    "pods": {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "probe"}, "spec": _POD},
    "statefulsets": {
        "apiVersion": "apps/v1",
        "kind": "StatefulSet",
        "metadata": {"name": "probe"},
        "spec": {
            "replicas": 0,
            "selector": {"matchLabels": {"app": "probe"}},
            "template": {"metadata": {"labels": {"app": "probe"}}, "spec": _POD},
        },
    },
    "services": {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": "probe", "labels": {"app": "probe"}},
        "spec": {"ports": [{"port": 80}]},
    },
}


@pytest.mark.fault(26)
def test_what_a_policy_adds_stays_and_is_not_fought(
    world: World, adding: str, operator: OperatorProcess, oracle: Oracle
) -> None:
    world.add_nodes(gpu_node("a100-0", A100, 4))
    position = world.plane.audit_position()
    world.apply("small", SMALL)
    oracle.check(operator)
    written = told(operator_writes(world, position))
    assert written["create statefulsets"] == 1
    assert not [kind for kind in written if kind.startswith("patch") and "status" not in kind]
    world.kubectl("scale", "llama", "small", "--replicas=2")
    world.wait_ready("small")
    oracle.check(operator)
    written = told(operator_writes(world, position))
    assert written["patch statefulsets"] <= 2  # field ownership once, and the replicas
    found = json.dumps(
        [pod["spec"]["containers"] for pod in world.pods("small")]
        if adding != "services"
        else world.owned("services")
    )
    assert MARKS[adding] in found


Act = Callable[[World], None]


def quota(world: World) -> None:
    world.kubectl("create", "quota", "none", "--hard=requests.nvidia.com/gpu=0")
    path = f"/api/v1/namespaces/{world.namespace}/resourcequotas/none"
    world.wait("the quota is counted", lambda: world.api.get(path).get("status", {}).get("hard"))


def no_quota(world: World) -> None:
    world.kubectl("delete", "quota", "none")


def limit(world: World) -> None:
    limits = {"limits": [{"type": "Container", "max": {"memory": "1Gi"}}]}
    body = {"apiVersion": "v1", "kind": "LimitRange", "metadata": {"name": "tiny"}, "spec": limits}
    world.apply_text(json.dumps(body))


def no_limit(world: World) -> None:
    world.kubectl("delete", "limitrange", "tiny")


def deny(world: World) -> None:
    """A validating policy as clusters have them."""
    where = {"matchLabels": {"kubernetes.io/metadata.name": world.namespace}}
    rule = {"apiGroups": [""], "apiVersions": ["v1"], "operations": ["CREATE"],
            "resources": ["pods"]}  # fmt: skip
    policy = {
        "apiVersion": "admissionregistration.k8s.io/v1",
        "kind": "ValidatingAdmissionPolicy",
        "metadata": {"name": "no-pods"},
        "spec": {
            "matchConstraints": {"namespaceSelector": where, "resourceRules": [rule]},
            "validations": [{"expression": "false", "message": "no pods on Fridays"}],
        },
    }
    binding = {
        "apiVersion": "admissionregistration.k8s.io/v1",
        "kind": "ValidatingAdmissionPolicyBinding",
        "metadata": {"name": "no-pods"},
        "spec": {"policyName": "no-pods", "validationActions": ["Deny"]},
    }
    world.plane.apply([policy, binding])
    dry = ("create", "--dry-run=server", "-f", "-")
    probe = yaml.safe_dump(PROBES["pods"])
    world.wait("pods are denied", lambda: not world.kubectl(*dry, stdin=probe, check=False))


def undeny(world: World) -> None:
    world.plane.kubectl("delete", "validatingadmissionpolicybinding/no-pods")
    world.plane.kubectl("delete", "validatingadmissionpolicy/no-pods")


@pytest.mark.fault(38)
def test_pods_meet_the_strictest_pod_security_level(
    world: World, operator: OperatorProcess, oracle: Oracle
) -> None:
    level = "pod-security.kubernetes.io/enforce=restricted"
    world.plane.kubectl("label", "namespace", world.namespace, level)
    world.add_nodes(gpu_node("a100-0", A100, 4))
    world.apply("small", SMALL)
    oracle.check(operator)


@pytest.mark.fault(38)
@pytest.mark.parametrize(
    ("refuse", "allow", "words"),
    [
        pytest.param(quota, no_quota, "exceeded quota: none", id="ResourceQuota"),
        pytest.param(limit, no_limit, "maximum memory usage per Container is 1Gi", id="LimitRange"),
        pytest.param(deny, undeny, "no pods on Fridays", id="ValidatingAdmissionPolicy"),
    ],
)
def test_pods_that_are_refused_are_told_of_and_healed(
    world: World,
    operator: OperatorProcess,
    oracle: Oracle,
    proxy: FaultProxy,
    refuse: Act,
    allow: Act,
    words: str,
    record_property: Callable[[str, object], None],
) -> None:
    world.add_nodes(gpu_node("a100-0", A100, 4))
    refuse(world)
    started = time.monotonic()
    spec = {**SMALL, "replicas": 2}
    world.apply("small", spec)
    message = world.wait_condition("small", "Ready", "False", "PodsRejected", timeout=TOLD_SECONDS)
    record_property("figure.seconds-until-rejection-told", round(time.monotonic() - started, 2))
    assert words in message
    assert world.conditions("small")["Reconciling"][:2] == ("True", "PodsRejected")
    position = proxy.position()
    span = 10.0
    deadline = time.monotonic() + span  # the property is about a span of time
    world.wait("the time is over", lambda: time.monotonic() > deadline)
    calls = [call for call in proxy.calls(position) if "lease" not in call.resource]
    # The Event of the new reason may come after the status that was waited for.
    assert [call.resource for call in calls if call.is_write] in ([], ["events"])
    assert len([call for call in calls if call.verb != "watch"]) <= 4, calls
    allow(world)
    world.kubectl("annotate", "statefulset/small-a", "hurry=up")
    world.wait_ready("small", timeout=HEALED_SECONDS)
    oracle.check(operator)


@pytest.mark.fault(38)
def test_a_replica_that_is_refused_leaves_the_others_serving(
    world: World, operator: OperatorProcess, oracle: Oracle
) -> None:
    world.add_nodes(gpu_node("a100-0", A100, 4))
    world.apply("small", SMALL)
    oracle.check(operator)
    kept = oracle.picture()
    quota(world)
    world.kubectl("scale", "llama", "small", "--replicas=2")
    world.wait_condition("small", "Reconciling", "True", "PodsRejected", timeout=TOLD_SECONDS)
    assert world.conditions("small")["Ready"][:2] == ("True", "Serving")
    no_quota(world)
    world.kubectl("annotate", "statefulset/small-a", "hurry=up")
    oracle.check(operator, within=HEALED_SECONDS)
    oracle.assert_kept(kept, ("statefulsets", "services"))
    assert set(kept.of("pods").values()) <= world.pod_uids("small")


@pytest.mark.fault(38)
def test_without_the_right_to_list_events_the_way_to_the_reason_is_told(
    world: World, operator: OperatorProcess, proxy: FaultProxy
) -> None:
    forbidden = Answer(403, "Forbidden", 'User "x" cannot list resource "events"')
    proxy.add(Rule(forbidden, verbs={"list"}, resources={"events"}))
    world.add_nodes(gpu_node("a100-0", A100, 4))
    quota(world)
    world.apply("small", SMALL)
    message = world.wait_condition("small", "Ready", "False", "PodsRejected", timeout=TOLD_SECONDS)
    assert message == (
        "StatefulSet small-a has 0 of 1 pods; `kubectl describe statefulset small-a` tells why"
    )
    no_quota(world)
