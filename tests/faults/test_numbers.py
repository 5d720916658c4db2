"""Numbers at and beyond every bound: refused by name, planned, or refused with a reason."""

import re
from collections.abc import Iterator
from contextlib import closing
from typing import Any

import pytest

from api.constraints import constraints, replace_at
from api.server import NAMESPACE, Server
from api.test_hostile_values import FIELDS, INTEGERS, NUMBERS, full
from cluster.world import World, gpu_node
from controlplane import ControlPlane, GpuNode
from faults.field_rows import put
from faults.oracle import Oracle
from llama_operator.api.reasons import REASONS
from workstation import OperatorProcess

pytestmark = [pytest.mark.cluster, pytest.mark.fault(31)]

A100 = "NVIDIA-A100-SXM4-80GB"
BASE: dict[str, Any] = {
    "size": "8b",
    "format": "awq",
    "hardware": [{"gpu": A100}],
    "replicas": 0,
}
"""Nothing runs: a thousand replicas of a plan are planned as one is."""
BESIDE: dict[str, dict[str, Any]] = {
    "spec.lora.rank": {"lora": {"adapters": [{"name": "sql", "repository": "org/sql"}]}},
    "spec.speculative.draftModel.numTokens": {
        "speculative": {
            "draftModel": {"model": "llama-3.2-instruct", "size": "1b", "format": "pytorch"}
        }
    },
}
"""What a number needs beside it."""
ENDS_ALONE = {"spec.lora.rank"}
"""Not every number between the bounds is allowed."""
MORE = {
    "the largest 32-bit integer": 2**31 - 1,
    "beyond 32 bits": 2**31,
    "minus 1e308": -1e308,
    "a quantity": "1e3Gi",
    "nano": "0.1n",
    "a negative text": "-1",
    "no text": "",
    "a hexadecimal text": "0x10",
}
ALLOWED = re.compile("should be (greater|less) than or equal to [0-9]+|must be of type integer")


def bounds(field: str) -> list[int]:
    return [int(one.detail) for one in constraints(FIELDS[field], field) if one.keyword != "rule"]


@pytest.fixture(scope="module")
def server(installed: ControlPlane) -> Iterator[Server]:
    """The API server with a namespace for what it refuses."""
    namespace = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": NAMESPACE}}
    with closing(Server(installed)) as made:
        made.request("POST", "/api/v1/namespaces", namespace)
        yield made
        made.request("DELETE", f"/api/v1/namespaces/{NAMESPACE}")


@pytest.mark.parametrize("field", INTEGERS)
def test_a_refusal_names_the_field_and_what_is_allowed(server: Server, field: str) -> None:
    low, high = sorted(bounds(field))
    for what, value in {**NUMBERS, **MORE}.items():
        answer = server.create({**replace_at(full(field), field, value), "metadata": {"name": "x"}})
        whole = isinstance(value, int) and low <= value <= high
        if whole:
            continue
        assert answer.code in (400, 422), f"{what}: {answer.body}"
        assert field.replace("[]", "[0]") in answer.message, f"{what}: {answer.message}"
        assert ALLOWED.search(answer.message), f"{what}: {answer.message}"
        assert len(answer.message) < 4096


def test_no_field_of_the_spec_is_a_quantity_yet() -> None:
    """A field that takes quantities needs rows here: 1e3Gi, 0.1n, -1 and the empty text."""
    texts = {field: part for field, part in FIELDS.items() if part["type"] == "string"}
    worded = [
        field for field, part in texts.items() if "quantity" in str(part).replace("quantiz", "")
    ]
    assert worded == []
    assert not any(part.get("x-kubernetes-int-or-string") for part in FIELDS.values())


def test_every_number_at_its_bounds_is_planned_or_refused_with_a_reason(
    world: World, operator: OperatorProcess, oracle: Oracle, record_property: Any
) -> None:
    world.add_nodes(*(gpu_node(f"a100-{number}", A100, 8) for number in range(2)))
    specs: dict[str, dict[str, Any]] = {}
    for field in INTEGERS:
        if field != "spec.replicas":
            low, high = sorted(bounds(field))
            word = field.removeprefix("spec.").replace("[]", "").replace(".", "-").lower()
            between = () if field in ENDS_ALONE else (low + 1, high - 1)
            base = {**BASE, **BESIDE.get(field, {})}
            specs |= {f"{word}-{n}": put(base, field, n) for n in (low, *between, high)}
    # How many heads share out evenly is a rule of its own.
    specs = {name: spec for name, spec in specs.items() if spec["hardware"][0].get("count") != 15}
    specs["a-thousand-replicas"] = put(BASE, "spec.replicas", 1000) | {"suspend": True}
    world.apply_text("---\n".join(world.manifest(name, spec) for name, spec in specs.items()))

    def reasons() -> dict[str, str]:
        found = {}
        for name, llama in oracle.deployments().items():
            conditions = (llama.get("status") or {}).get("conditions") or ()
            found[name] = next((e["reason"] for e in conditions if e["type"] == "Ready"), "")
        return found

    world.wait("all are told", lambda: all(reasons().values()), 120)
    told = reasons()
    stalled = {reason for reason, facts in REASONS.items() if facts.stalled}
    assert set(told.values()) <= {"ScaledToZero", "Suspended", *stalled}
    record_property("figure.numbers-planned", list(told.values()).count("ScaledToZero"))
    record_property("figure.numbers-refused", sum(one in stalled for one in told.values()))
    oracle.check(operator, reasons=told)


ODD_NODES: dict[str, GpuNode] = {
    "NVIDIA-L4": gpu_node("odd-memory", "NVIDIA-L4", 1, memory="0.1n"),
    "NVIDIA-A10G": gpu_node("odd-disk", "NVIDIA-A10G", 1, ephemeral_storage="0"),
    "NVIDIA-A100-SXM4-40GB": gpu_node("odd-cpu", "NVIDIA-A100-SXM4-40GB", 1, cpu="1n"),
    "NVIDIA-H100-80GB-HBM3": gpu_node(
        "odd-plenty", "NVIDIA-H100-80GB-HBM3", 1, memory="7E", ephemeral_storage="8e18", cpu="1e15"
    ),
}


def test_odd_quantities_of_nodes_are_read_as_kubernetes_reads_them(
    world: World, operator: OperatorProcess, oracle: Oracle
) -> None:
    world.add_nodes(gpu_node("a100-0", A100, 1), *ODD_NODES.values())
    world.apply("plain", {"size": "8b", "format": "awq", "hardware": [{"gpu": A100}]})
    names = {f"on-{node.name}": product for product, node in ODD_NODES.items()}
    for name, product in names.items():
        world.apply(name, {"size": "8b", "format": "awq", "hardware": [{"gpu": product}]})
    reasons = dict.fromkeys(names, "HostTooSmall") | {"on-odd-plenty": "Serving"}
    oracle.check(operator, reasons=reasons)
