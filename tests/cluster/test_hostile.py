"""Strings that the API server takes for text stay text on the way to the pods.

Which strings it refuses is the business of tests/api; here the others go through the running
operator. Each must arrive as one argument or one value, and change nothing around it.
"""

from typing import Any

import pytest
import yaml

from api.test_hostile_values import STRINGS
from cluster.world import GROUP_PATH, World, gpu_node
from controlplane import ApiError
from llama_operator.api.deployment import LlamaDeployment
from llama_operator.errors import SpecError
from workstation import OperatorProcess

pytestmark = pytest.mark.cluster

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
    try:
        LlamaDeployment.parse({"metadata": {"name": "x"}, "spec": spec})
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
    world: World, operator: OperatorProcess
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


@pytest.mark.parametrize(
    "field",
    ["model", "size", "quantization", "servedModelNames", "image", "tokenSecretRef", "gpu"],
)
def test_texts_in_fields_with_a_pattern_end_in_a_refusal_or_a_condition(
    world: World, operator: OperatorProcess, field: str
) -> None:
    def spec(text: str) -> dict[str, Any]:
        nested: dict[str, dict[str, Any]] = {
            "servedModelNames": {"servedModelNames": [text]},
            "image": {"engine": {"image": text}},
            "tokenSecretRef": {"tokenSecretRef": {"name": text}},
            "gpu": {"hardware": [{"gpu": text}]},
        }
        return {**SPEC, **nested.get(field, {field: text})}

    world.add_nodes(gpu_node("a100-0", "NVIDIA-A100-SXM4-80GB", 8))
    path = f"{GROUP_PATH}/namespaces/{world.namespace}/llamadeployments"
    for number, (what, text) in enumerate(TEXTS.items()):
        body = yaml.safe_load(world.manifest(f"case-{number}", SPEC)) | {"spec": spec(text)}
        refusal = refusal_of(world, path, body)
        if refusal is not None:
            assert "spec." in refusal, f"{what}: {refusal}"
            continue
        assert accepted(spec(text)), what
        world.wait(f"{what} is told", lambda n=number: world.conditions(f"case-{n}"))
