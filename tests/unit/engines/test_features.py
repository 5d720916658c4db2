"""Keys, certificates, templates and prefix caching: what each engine is told, or why it cannot."""

import json
from collections.abc import Callable, Sequence
from typing import Any

import pytest

from golden.cases import CASES
from llama_operator.api.deployment import LlamaDeployment
from llama_operator.api.plan import DraftModel, Plan
from llama_operator.catalog.catalog import Catalog
from llama_operator.engines.arguments import check_engine
from llama_operator.engines.engine import Container
from llama_operator.engines.registry import engine
from llama_operator.errors import SpecError
from llama_operator.render.objects import render
from llama_operator.render.pod import pod_template
from support.llama_server_help import llama_server_arguments
from support.tgi_environment import check as check_tgi
from unit.engines.features_cases import (
    DRAFTED,
    FOLLOWED,
    KEY,
    REFUSED,
    SET_TWICE,
    TEMPLATE,
    TLS,
    Followed,
    ngram,
)
from unit.engines.vllm_parser import vllm_parser
from unit.engines.wheel_parsers import mlx_parser, sglang_parser
from unit.render.kubelet import expand

CATALOG = Catalog.load()
PARSERS: dict[str, Callable[[Sequence[str]], object]] = {
    "vLLM": lambda args: vllm_parser().parse(args),
    "SGLang": lambda args: sglang_parser().parse(args),
    "LlamaCpp": lambda args: llama_server_arguments().parse(args),
    "MLX": lambda args: mlx_parser().parse(args),
}
HOSTILE_NAMES = (
    'a", "method": "ngram',
    "--trust-remote-code",
    "a b",
    "$(HF_TOKEN)",
    "a\nb",
    "{{ 7 * 7 }}",
    "🦙",
)
"""Of rows that users add, as they would stand in no catalog that is checked."""
DATA = {"name": "llama", "namespace": "ml"}


def plan_for(name: str, version: str) -> Plan:
    """The plan of the 70B AWQ as if it were another engine's: only its name and version count."""
    plan = next(case for case in CASES if case.name == "llama-70b-awq").plan()
    file = "model.gguf" if name == "LlamaCpp" else ""
    return plan.model_copy(
        update={"engine": name, "engine_version": version, "file": file, "tool_call_parser": ""}
    )


def deployment(**spec: Any) -> LlamaDeployment:
    return LlamaDeployment.parse({"metadata": DATA, "spec": {"size": "70b", **spec}})


def container(name: str, version: str, **spec: Any) -> Container:
    return engine(name).container(plan_for(name, version), deployment(**spec))


@pytest.mark.parametrize(
    "case", [pytest.param(case, id=f"{case.engine}: {case.what}") for case in FOLLOWED]
)
def test_an_engine_is_told_of_a_field_and_nothing_else_changes(case: Followed) -> None:
    plain = container(case.engine, case.version)
    found = container(case.engine, case.version, **case.spec)

    assert found.args == (*plain.args, *case.arguments)
    assert [argument.text for argument in found.secret_args] == (
        [case.secret_argument] if case.secret_argument else []
    )
    added = [variable for variable in found.env if variable not in plain.env]
    assert [(one.name, one.value, one.secret_name, one.secret_key) for one in added] == (
        [(case.variable, "", "llama-key", "token")] if case.variable else []
    )
    if case.engine in PARSERS:
        PARSERS[case.engine](expanded(found))
    if case.engine == "TGI":
        check_tgi(case.version, {one.name: one.value for one in added})


def drafting(name: str, version: str, file: str, repository: str = "org/draft") -> Container:
    """The container of a plan with a draft model that drafts three tokens."""
    draft = DraftModel(
        model="small", size="1b", format="pytorch", quantization="none", repository=repository,
        file=file, gated=False,
    )  # fmt: skip
    plan = plan_for(name, version).model_copy(update={"draft": draft})
    asked = {"model": "small", "size": "1b", "format": "pytorch", "numTokens": 3}
    return engine(name).container(plan, deployment(speculative={"draftModel": asked}))


@pytest.mark.parametrize(
    ("name", "version", "file", "added"),
    [pytest.param(*row, id=row[0]) for row in DRAFTED],
)
def test_an_engine_is_told_of_its_draft_model(
    name: str, version: str, file: str, added: tuple[str, ...]
) -> None:
    plain = container(name, version).args
    if name == "MLX":  # which takes up prompts wrongly beside a draft
        plain = tuple(word.replace("--prompt-cache-size=1", "--prompt-cache-size=0")
                      for word in plain)  # fmt: skip
    found = drafting(name, version, file)

    assert found.args == (*plain, *added)
    assert found.env == container(name, version).env
    PARSERS[name](expanded(found))


@pytest.mark.parametrize("repository", HOSTILE_NAMES)
@pytest.mark.parametrize(
    ("name", "version", "file", "added"),
    [pytest.param(*row, id=row[0]) for row in DRAFTED],
)
def test_whatever_a_row_calls_its_repository_is_a_part_of_one_argument(
    name: str, version: str, file: str, added: tuple[str, ...], repository: str
) -> None:
    found = drafting(name, version, file, repository)
    assert len(found.args) == len(container(name, version).args) + len(added)
    if name == "vLLM":
        config = json.loads(found.args[-1].removeprefix("--speculative-config="))
        assert config == {
            "method": "draft_model", "model": repository, "num_speculative_tokens": 3,
        }  # fmt: skip
    else:
        assert sum(word.endswith(repository) for word in found.args) == 1


def expanded(found: Container) -> list[str]:
    """The command line of the process, a key in its place."""
    return [*found.args, *(expand(one.text, {one.variable: "k"}) for one in found.secret_args)]


def test_sglang_gets_the_key_itself() -> None:
    assert sglang_parser().parse(expanded(container("SGLang", "0.5.23", **KEY))).api_key == "k"


@pytest.mark.parametrize("version", ["2.2.0", "3.3.7"])
def test_tgi_is_told_how_many_tokens_to_draft(version: str) -> None:
    plain = container("TGI", version)
    added = {one.name: one.value for one in container("TGI", version, **ngram(numTokens=3)).env}
    for one in plain.env:
        assert added.pop(one.name) == one.value
    assert added == {"SPECULATE": "3"}
    check_tgi(version, added)


@pytest.mark.parametrize(
    ("name", "version", "spec", "at", "why"),
    [pytest.param(*row, id=f"{row[0]} {row[1]}: {row[3]}") for row in REFUSED],
)
def test_what_an_engine_cannot_follow_is_refused_with_the_field(
    name: str, version: str, spec: dict[str, Any], at: str, why: str
) -> None:
    with pytest.raises(SpecError) as refusal:
        check_engine(deployment(**spec).spec, CATALOG.engine(name, version))
    assert str(refusal.value).startswith(f"{at}: {name} {version} cannot follow it: {why}")


@pytest.mark.parametrize(
    ("name", "settings", "at", "instead"),
    [pytest.param(*row, id=f"{row[0]}: {row[1]}") for row in SET_TWICE],
)
def test_what_a_field_sets_is_set_nowhere_else(
    name: str, settings: dict[str, Any], at: str, instead: str
) -> None:
    wanted = deployment(engine={"type": name, **settings})
    with pytest.raises(SpecError) as refusal:
        check_engine(wanted.spec, CATALOG.engine(name, None))
    assert str(refusal.value).startswith(f"spec.engine.{at}: ")
    assert f"use {instead}" in str(refusal.value)


def test_a_key_stands_in_no_object() -> None:
    wanted = deployment(**KEY)
    template = pod_template(plan_for("SGLang", "0.5.23"), wanted)
    [engine_container] = template["spec"]["containers"]

    assert engine_container["args"][-1] == "--api-key=$(LLAMA_OPERATOR_API_KEY)"
    [variable] = [one for one in engine_container["env"] if one["name"] == "LLAMA_OPERATOR_API_KEY"]
    assert variable == {
        "name": "LLAMA_OPERATOR_API_KEY",
        "valueFrom": {"secretKeyRef": {"name": "llama-key", "key": "token", "optional": False}},
    }


def test_what_a_user_writes_names_no_variable_of_the_key() -> None:
    wanted = deployment(**KEY, engine={"extraArgs": ["--seed=$(LLAMA_OPERATOR_API_KEY)"]})
    [engine_container] = pod_template(plan_for("SGLang", "0.5.23"), wanted)["spec"]["containers"]

    assert expand(engine_container["args"][-2], {"LLAMA_OPERATOR_API_KEY": "k"}) == (
        "--seed=$(LLAMA_OPERATOR_API_KEY)"
    )


def test_files_are_mounted_read_only_under_names_of_ours() -> None:
    pod = pod_template(plan_for("vLLM", "0.33.0"), deployment(**TLS, **TEMPLATE))["spec"]

    assert pod["volumes"][-2:] == [
        {
            "name": "tls",
            "secret": {
                "secretName": "llama-tls",
                "items": [
                    {"key": "tls.crt", "path": "tls.crt"},
                    {"key": "tls.key", "path": "tls.key"},
                ],
            },
        },
        {
            "name": "chat-template",
            "configMap": {
                "name": "templates",
                "items": [{"key": "short", "path": "chat-template.jinja"}],
            },
        },
    ]
    assert pod["containers"][0]["volumeMounts"][-2:] == [
        {"name": "tls", "mountPath": "/etc/llama-operator/tls", "readOnly": True},
        {
            "name": "chat-template",
            "mountPath": "/etc/llama-operator/chat-template",
            "readOnly": True,
        },
    ]


@pytest.mark.parametrize(("name", "version"), [("vLLM", "0.33.0"), ("LlamaCpp", "11434")])
def test_probes_and_service_speak_what_the_engine_speaks(name: str, version: str) -> None:
    plan = plan_for(name, version)
    for spec, scheme, protocol in ((TLS, "HTTPS", "https"), ({}, None, "http")):
        rendered = render(plan, deployment(**spec), replicas=1, revision="r")
        [found] = rendered.workload["spec"]["template"]["spec"]["containers"]
        for probe in ("startupProbe", "readinessProbe", "livenessProbe"):
            assert found[probe]["httpGet"].get("scheme") == scheme
        [port] = rendered.service["spec"]["ports"]
        assert port["appProtocol"] == protocol
