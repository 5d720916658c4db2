"""Strings of users and catalogs never change the structure of an object, nor their own text."""

import re
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from golden.cases import CASES
from llama_operator.api.deployment import LlamaDeployment
from llama_operator.api.plan import Plan
from llama_operator.api.v1alpha1 import EnvironmentVariable, SecretKeyRef
from llama_operator.engines.vllm import VLLM
from llama_operator.render.objects import controller_revision, render
from unit.render.kubelet import expand

CASE = next(case for case in CASES if case.name == "8b-pytorch-token")
NASTY = (
    "a: b",
    "'; rm -rf / #",
    "$(reboot)",
    "$$(HF_TOKEN)$",
    "`id`",
    "{{ v.container.image }}",
    "{% for x in v %}",
    "{# comment #}",
    "}}",
    '"quoted"',
    "it's",
    "\\",
    "\\u0000",
    "a\nb",
    "\r\n---\n",
    "- item",
    "? key",
    "&anchor *alias !!python/object",
    "null",
    "true",
    "0x10",
    "1e3",
    "2026-01-02",
    "~",
    "=",
    "%YAML 1.2",
    " leading and trailing ",
    "\ttab",
    "\u2028\u0085\ufeff\u200b",
    "\x00\x1b[31m\x7f",
    "🦙𝄞é",
    "</script><!--",
    "x" * 2000,
)
ANY_TEXT = st.text(st.characters(exclude_categories=["Cs"]), min_size=1)
PLAIN_WORD = re.compile(r"[A-Za-z0-9_.-]+")
"""May have a meaning of its own, such as `auto` for a dtype or the name of one of our variables."""
HOSTILE = st.sampled_from(NASTY) | ANY_TEXT.filter(lambda text: not PLAIN_WORD.fullmatch(text))
STRINGS = st.lists(HOSTILE, min_size=20, max_size=20, unique=True)
BENIGN = [f"benign-{index}" for index in range(20)]


def with_strings(strings: list[str]) -> tuple[Plan, LlamaDeployment, str]:
    """A plan, a deployment and a revision's name in which every free string is one of these."""
    text = iter(strings)
    plan = CASE.plan()
    product = next(text)
    gpu = plan.gpu.model_copy(
        update={
            "product": product,
            "accepted_products": [product],
            "resource": next(text),
            "label": next(text),
        }
    )
    values = {
        name: next(text)
        for name in (
            "repository",
            "image",
            "dtype",
            "kv_cache_dtype",
            "tool_call_parser",
            "scheme",
        )
    }
    plan = plan.model_copy(update={"gpu": gpu, "summary": next(text), **values})
    body = CASE.deployment()
    engine = body.spec.engine.model_copy(
        update={
            "extra_args": [next(text)],
            "env": [EnvironmentVariable.model_construct(name=next(text), value=next(text))],
        }
    )
    spec = body.spec.model_copy(
        update={
            "engine": engine,
            "served_model_names": [next(text), next(text)],
            "token_secret_ref": SecretKeyRef.model_construct(name=next(text), key=next(text)),
        }
    )
    metadata = body.metadata.model_copy(
        update={"name": next(text), "namespace": next(text), "uid": next(text)}
    )
    return plan, body.model_copy(update={"spec": spec, "metadata": metadata}), strings[0]


def objects(plan: Plan, body: LlamaDeployment, revision: str) -> list[dict[str, Any]]:
    data = {"plan": plan.to_object()}
    return [
        *render(plan, body, replicas=2, revision=revision).objects(),
        controller_revision(body, name=revision, revision=1, data=data),
    ]


def shape(value: Any, resource: str) -> Any:
    """Keys, lengths and types; the GPU resource is the one key that a plan names."""
    if isinstance(value, dict):
        return {
            "the resource" if key == resource else key: shape(item, resource)
            for key, item in value.items()
        }
    if isinstance(value, list):
        return [shape(item, resource) for item in value]
    return type(value).__name__


def shapes(strings: list[str]) -> Any:
    plan, body, revision = with_strings(strings)
    return shape(objects(plan, body, revision), plan.gpu.resource)


EXPECTED = shapes(BENIGN)


@settings(deadline=None)
@given(strings=STRINGS)
def test_no_string_changes_the_structure(strings: list[str]) -> None:
    assert shapes(strings) == EXPECTED


@settings(deadline=None)
@given(strings=STRINGS)
def test_every_string_reaches_the_engine_unchanged(strings: list[str]) -> None:
    plan, body, revision = with_strings(strings)
    container = VLLM().container(plan, body)

    pod = objects(plan, body, revision)[2]["spec"]["template"]["spec"]["containers"][0]

    variables = {"HF_TOKEN": "secret", "reboot": "x"}
    assert pod["image"] == plan.image
    assert tuple(expand(argument, variables) for argument in pod["args"]) == container.args
    assert strings[10] in container.args
    env = {variable["name"]: variable for variable in pod["env"]}
    assert expand(env[strings[11]]["value"], variables) == strings[12]
    assert env["HF_TOKEN"]["valueFrom"]["secretKeyRef"] == {
        "name": strings[15],
        "key": strings[16],
        "optional": False,
    }
