"""Strings that the API server takes for text stay text on the way to the pods.

Which strings it refuses is the business of tests/api; here the others go through the running
operator. Each must arrive as one argument or one value, and change nothing around it.
"""

import json
from collections.abc import Callable
from typing import Any

import pytest
import yaml

from api.test_hostile_values import STRINGS
from cluster.world import GROUP_PATH, World, gpu_node
from controlplane import ApiError
from faults.oracle import Oracle
from llama_operator.api.deployment import LlamaDeployment
from llama_operator.catalog.catalog import Catalog
from llama_operator.engines.arguments import check_engine
from llama_operator.errors import SpecError
from workstation import OperatorProcess

pytestmark = [pytest.mark.cluster, pytest.mark.fault(30)]

SPEC: dict[str, Any] = {"size": "8b", "format": "awq", "suspend": True}
MORE = {
    "an argument that begins another": "--seed=1 --model=evil",
    "an injected option": "--trust-remote-code",
    "a jinja expression": "{{ v.__class__.__mro__ }}",
    "a jinja statement": "{% for a in range(9) %}x{% endfor %}",
    "the longest text": "x" * 512,
}
TEXTS = {**STRINGS, **MORE}


def accepted(spec: dict[str, Any]) -> bool:
    """Whether the API takes it, and nothing in it is in the way of what the plan sets of vLLM."""
    try:
        body = LlamaDeployment.parse({"metadata": {"name": "x"}, "spec": spec})
        check_engine(body.spec, Catalog.load().engine("vLLM"))
    except SpecError:
        return False
    return True


def paths(value: Any, at: str = "") -> set[str]:
    if isinstance(value, dict):
        return {at} | {p for key, item in value.items() for p in paths(item, f"{at}.{key}")}
    if isinstance(value, list):
        return {at} | {p for n, item in enumerate(value) for p in paths(item, f"{at}[{n}]")}
    return {at}


def literal(text: str) -> str:
    """What the kubelet turns back into the text: it expands `$(VAR)`, and `$$` is one dollar."""
    return text.replace("$", "$$")


def container(world: World, name: str) -> dict[str, Any]:
    path = f"/apis/apps/v1/namespaces/{world.namespace}/statefulsets/{name}-a"
    template: dict[str, Any] = world.api.get(path)["spec"]["template"]
    world.wait(f"{name} is told", lambda: world.conditions(name))
    assert len(template["spec"]["containers"]) == 1
    return template


def refusal_of(world: World, path: str, body: dict[str, Any]) -> str | None:
    """What the API server says of an object that breaks a rule; None when it is created."""
    try:
        world.api.create(path, body)
    except ApiError as error:
        if error.code == 422:
            return str(error)
        raise
    return None


def test_texts_arrive_whole_and_change_nothing_around_them(
    world: World, operator: OperatorProcess, oracle: Oracle
) -> None:
    world.add_nodes(gpu_node("a100-0", "NVIDIA-A100-SXM4-80GB", 8))
    arguments = [
        text for text in TEXTS.values() if accepted({**SPEC, "engine": {"extraArgs": [text]}})
    ]
    values = [
        text
        for text in TEXTS.values()
        if text and accepted({**SPEC, "engine": {"env": [{"name": "A", "value": text}]}})
    ]
    assert len(arguments) >= 10
    assert len(values) >= 10
    benign = {
        "extraArgs": ["--seed=1"] * len(arguments),
        "env": [{"name": f"V{n}", "value": "x"} for n in range(len(values))],
    }
    hostile = {
        "extraArgs": arguments,
        "env": [{"name": f"V{n}", "value": text} for n, text in enumerate(values)],
    }
    for name, engine in (("benign", benign), ("hostile", hostile)):
        world.apply(name, {**SPEC, "engine": engine})
        world.wait_condition(name, "Ready", "False", "Suspended")
    expected, found = container(world, "benign"), container(world, "hostile")
    assert paths(found) == paths(expected)
    engine = found["spec"]["containers"][0]
    assert engine["args"][-len(arguments) :] == [literal(text) for text in arguments]
    by_name = {entry["name"]: entry.get("value", "") for entry in engine["env"]}
    assert [by_name[f"V{n}"] for n in range(len(values))] == [literal(text) for text in values]
    before = expected["spec"]["containers"][0]
    assert engine["args"][: -len(arguments)] == [
        argument.replace("benign", "hostile") for argument in before["args"][: -len(arguments)]
    ]
    assert "command" not in engine
    oracle.check(operator, reasons={"benign": "Suspended", "hostile": "Suspended"})
    for name in ("benign", "hostile"):
        resume = '{"spec": {"suspend": false}}'
        world.kubectl("patch", "llama", name, "--type=merge", "-p", resume)
    oracle.check(operator)


NESTED: dict[str, Callable[[str], dict[str, Any]]] = {
    "servedModelNames": lambda text: {"servedModelNames": [text]},
    "image": lambda text: {"engine": {"image": text}},
    "env-name": lambda text: {"engine": {"env": [{"name": text, "value": "x"}]}},
    "secret-name": lambda text: {"tokenSecretRef": {"name": text}},
    "secret-key": lambda text: {"tokenSecretRef": {"name": "a", "key": text}},
    "gpu": lambda text: {"hardware": [{"gpu": text}]},
    **{
        field: lambda text, field=field: {field: text}  # type: ignore[misc]
        for field in ("model", "size", "quantization", "format", "hub")
    },
}
"""Where a text goes, by field."""


def reason_of(world: World, name: str) -> str:
    return world.conditions(name).get("Ready", ("", "", ""))[1]


def test_texts_in_fields_with_a_pattern_end_in_a_refusal_or_a_stated_reason(
    world: World, operator: OperatorProcess, oracle: Oracle, record_property: Any
) -> None:
    world.add_nodes(gpu_node("a100-0", "NVIDIA-A100-SXM4-80GB", 8))
    path = f"{GROUP_PATH}/namespaces/{world.namespace}/llamadeployments"
    created, refused = [], 0
    for field, nested in NESTED.items():
        for number, (what, text) in enumerate(TEXTS.items()):
            spec = {**SPEC, **nested(text)}
            name = f"{field.lower()}-{number}"
            body = yaml.safe_load(world.manifest(name, SPEC)) | {"spec": spec}
            refusal = refusal_of(world, path, body)
            assert (refusal is None) == accepted(spec), f"{field}, {what}: {refusal}"
            if refusal is None:
                created.append(name)
            else:
                refused += 1
                assert "spec." in refusal, f"{field}, {what}: {refusal}"
    record_property("figure.hostile-texts-refused", refused)
    record_property("figure.hostile-texts-inert", len(created))
    world.wait("all are told", lambda: all(reason_of(world, name) for name in created))
    oracle.check(operator, reasons={name: reason_of(world, name) for name in created})
    for stateful_set in world.owned("statefulsets"):
        [container] = stateful_set["spec"]["template"]["spec"]["containers"]
        assert "command" not in container
        assert not any(word.rpartition("/")[2] == "sh" for word in container["args"])


def row_of(name: str, repository: str) -> str:
    """A row that a user adds to the catalog."""
    publication = {"format": "pytorch", "quantization": "none", "repository": repository}
    row = {"name": name, "size": "8b", "architecture": "llama-3.1-8b"}
    return json.dumps([{**row, "publications": [publication]}])


def test_a_repository_that_is_a_flag_or_a_shell_command_never_reaches_a_pod(
    world: World, operator: OperatorProcess
) -> None:
    world.add_nodes(gpu_node("a100-0", "NVIDIA-A100-SXM4-80GB", 8))
    rows = {f"evil-{number}": text for number, text in enumerate(TEXTS.values())}
    for name, text in {**rows, "plain": "o/r"}.items():
        catalog = {
            "apiVersion": "v1",
            "kind": "ConfigMap",
            "metadata": {"name": name, "labels": {"llama-operator.io/catalog": "true"}},
            "data": {"models.yaml": row_of(name, text)},
        }
        world.api.create(f"/api/v1/namespaces/{world.namespace}/configmaps", catalog)
    specs = {name: {"model": name, "size": "8b"} for name in (*rows, "plain")}
    world.apply_text("---\n".join(world.manifest(name, spec) for name, spec in specs.items()))
    for name in rows:
        world.wait_condition(name, "Ready", "False", "UnknownModel")
    world.wait_condition("plain", "Ready", "True", "Serving")
    told = world.conditions("plain")["CatalogDegraded"]
    assert "repository" in told[2]
    assert [item["metadata"]["name"] for item in world.owned("statefulsets")] == ["plain-a"]
    [pod] = world.pods("plain")
    assert pod["spec"]["containers"][0]["args"][0] == "o/r"
    broken = [line for line in operator.lines() if "traceback" in line]
    assert not broken, broken[0]["traceback"]
