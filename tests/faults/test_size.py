"""Objects as large as the API server lets them be: served, or refused with a message."""

import json
import time
from collections.abc import Mapping
from typing import Any

import pytest

from api.constraints import largest
from cluster.world import GROUP_PATH, World, gpu_node
from cluster.writes import operator_writes
from controlplane import ApiError
from faults.oracle import Oracle
from llama_operator.api.crd import object_schema
from workstation import OperatorProcess

pytestmark = [pytest.mark.cluster, pytest.mark.fault(32)]

A100 = "NVIDIA-A100-SXM4-80GB"
SMALL: dict[str, Any] = {"size": "8b", "format": "awq"}
ETCD_LIMIT = 1_572_864
"""Bytes of one request to etcd by default, 1.5 MiB."""
ANNOTATIONS_LIMIT = 262_144
"""Bytes of all annotations of an object, keys and values (Kubernetes)."""
TEXT = "🦙" * 512
DNS = ".".join(["d" * 62] * 4)
"""253 characters less one."""
LARGEST: dict[str, Any] = {
    **SMALL,
    "engine": {
        "image": f"{'a' * 200}/{'b' * 150}:{'c' * 128}",
        "extraArgs": [TEXT] * 64,
        "env": [{"name": f"{'V' * 125}_{n:02}", "value": TEXT} for n in range(64)],
    },
    "tokenSecretRef": {"name": "s" * 253, "key": "k" * 253},
    "servedModelNames": [f"{'n' * 125}{number:03}" for number in range(16)],
    "auth": {"apiKeySecretRef": {"name": "s" * 253, "key": "k" * 253}},
    "tls": {"secretName": "s" * 253},
    "chatTemplate": {"configMapKeyRef": {"name": "c" * 253, "key": "k" * 253}},
    "lora": {
        "adapters": [
            {"name": f"{'a' * 125}{n:03}", "repository": f"{'o' * 96}/{'r' * 96}"}
            for n in range(16)
        ]
    },
    "cache": {"image": f"{'i' * 200}/{'m' * 182}:{'t' * 128}"},
    "template": {
        "metadata": {
            "labels": {f"{DNS}/{'l' * 60}{n:03}": "v" * 63 for n in range(16)},
            "annotations": {f"{DNS}/{'a' * 60}{n:03}": "🦙" * 1024 for n in range(16)},
        },
        "spec": {"imagePullSecrets": [{"name": f"{'p' * 250}{n:03}"} for n in range(16)]},
    },
    "hardware": [*({"gpu": f"{'G' * 62}{number}"} for number in range(7)), {"gpu": A100}],
}


@pytest.fixture
def a100(world: World) -> World:
    world.add_nodes(gpu_node("a100-0", A100, 8))
    return world


def body_of(name: str, spec: dict[str, Any], **metadata: Any) -> dict[str, Any]:
    return {
        "apiVersion": "llama-operator.io/v1alpha1",
        "kind": "LlamaDeployment",
        "metadata": {"name": name, **metadata},
        "spec": spec,
    }


def create(world: World, body: dict[str, Any]) -> None:
    """Create without kubectl, whose annotation would double the size."""
    world.api.create(f"{GROUP_PATH}/namespaces/{world.namespace}/llamadeployments", body)


def size(value: Any) -> int:
    return len(json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode())


def largest_child(world: World) -> tuple[int, str]:
    return max(
        (size(item), f"{plural}/{item['metadata']['name']}")
        for plural in ("controllerrevisions", "statefulsets", "services", "pods")
        for item in world.owned(plural)
    )


def test_the_largest_spec_is_as_long_as_the_schema_lets_it_be() -> None:
    """So that a larger field of a later schema is noticed here."""
    bound = largest(object_schema()["properties"]["spec"])
    characters = [len(json.dumps(spec, ensure_ascii=False)) for spec in (LARGEST, bound)]
    # Some fields exclude each other's longest values, and a size is a few characters.
    assert characters[0] > 0.98 * characters[1]


def test_the_largest_deployment_is_served_and_edited_and_its_records_fit_into_etcd(
    a100: World, operator: OperatorProcess, oracle: Oracle, record_property: Any
) -> None:
    name = "llama-" + "x" * 57
    notes = {f"example.com/{n}": "n" * 32_000 for n in range(8)}
    create(a100, body_of(name, LARGEST, annotations=notes))
    oracle.check(operator, within=120)
    [pod] = a100.pods(name)
    container = pod["spec"]["containers"][0]
    assert container["args"][-64:] == [TEXT] * 64
    assert sum(entry.get("value") == TEXT for entry in container["env"]) == 64
    for length in (8192, 16384, 8191, 4096, 2048):
        patch = {"spec": {"context": {"maxModelLen": length}}}
        a100.kubectl("patch", "llama", name, "--type=merge", "-p", json.dumps(patch))
        a100.wait_condition(name, "Ready", "True", "Serving", 120)
    oracle.check(operator, within=120)
    assert len(a100.owned("controllerrevisions")) == 5
    live, (child, which) = a100.llama(name), largest_child(a100)
    record_property("figure.largest-deployment-bytes", size(live))
    record_property("figure.largest-child-bytes", child)
    assert child < ETCD_LIMIT / 2, which
    assert size(live["status"]) < 12 * 1024


def test_a_spec_of_20000_variables_is_refused_with_the_bound(world: World) -> None:
    env = [{"name": f"V{n}", "value": "x" * 40} for n in range(20_000)]
    body = body_of("many", {**SMALL, "engine": {"env": env}})
    assert size(body) > 1_200_000
    with pytest.raises(ApiError) as refusal:
        create(world, body)
    assert refusal.value.code == 422
    assert "spec.engine.env: Too many: 20000: must have at most 64 items" in str(refusal.value)
    assert len(str(refusal.value)) < 4096


def test_kubectl_apply_of_the_largest_spec_says_that_its_annotation_is_too_long(
    a100: World, operator: OperatorProcess, oracle: Oracle
) -> None:
    text = a100.manifest("large", LARGEST)
    said = a100.refused("apply", "-f", "-", stdin=text)
    assert "metadata.annotations: Too long" in said
    assert str(ANNOTATIONS_LIMIT) in said
    a100.kubectl("apply", "--server-side", "-f", "-", stdin=text)
    oracle.check(operator, within=120)
    # Half of it is within what the annotation holds.
    half = {**LARGEST, "engine": {**LARGEST["engine"], "env": []}}
    a100.kubectl("apply", "-f", "-", stdin=a100.manifest("half", half))
    oracle.check(operator, within=120)
    assert largest_child(a100)[0] < ETCD_LIMIT / 2


def labels(count: int) -> Mapping[str, str]:
    """Labels have no bound of their own; managedFields names each once more."""
    return {f"{'p' * 250}/{n:06}{'k' * 57}": "v" * 63 for n in range(count)}


def test_a_deployment_of_1_4_mb_is_served(
    a100: World, operator: OperatorProcess, oracle: Oracle, record_property: Any
) -> None:
    create(a100, body_of("heavy", SMALL, labels=labels(1950)))
    oracle.check(operator, within=120)
    record_property("figure.heavy-deployment-bytes", size(a100.llama("heavy")))
    assert largest_child(a100)[0] < 64 * 1024


def test_a_deployment_with_no_room_for_a_status_is_served_and_tells_once_it_has_room(
    a100: World, operator: OperatorProcess, oracle: Oracle, record_property: Any
) -> None:
    create(a100, body_of("probe", {**SMALL, "suspend": True}, labels=labels(1000)))
    many = size({k: v for k, v in a100.llama("probe").items() if k != "status"})
    create(a100, body_of("empty", {**SMALL, "suspend": True}))
    none = size({k: v for k, v in a100.llama("empty").items() if k != "status"})
    a100.kubectl("delete", "llama", "probe", "empty")
    a100.wait("their children are gone", lambda: not any(a100.children().values()), 120)
    each = (many - none) / 1000
    # What is left is less than the plan alone takes.
    count = int((ETCD_LIMIT - 1024 - none) / each)
    position = a100.plane.audit_position()
    started = time.monotonic()
    create(a100, body_of("heavy", SMALL, labels=labels(count)))
    a100.wait("it is served", lambda: len(a100.pods("heavy")) == 1)

    def refused() -> list[int]:
        return [
            event.code
            for event in operator_writes(a100, position)
            if (event.name, event.subresource) == ("heavy", "status") and event.code >= 400
        ]

    a100.wait("its status was refused three times", lambda: len(refused()) >= 3)
    assert not a100.llama("heavy")["status"].get("conditions")
    codes, seconds = refused(), time.monotonic() - started
    record_property("figure.refused-status-writes", len(codes))
    # Pauses double from 0.2 s, halved by jitter at most, up to 30 s.
    assert len(codes) <= 9 + 4 * seconds / 60, codes
    path = f"{GROUP_PATH}/namespaces/{a100.namespace}/llamadeployments/heavy"
    patch = {"metadata": {"labels": dict.fromkeys(list(labels(count))[:200])}}
    a100.api.request("PATCH", path, patch, "application/merge-patch+json")
    oracle.check(operator, within=120)
