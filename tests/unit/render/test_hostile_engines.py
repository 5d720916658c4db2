"""Strings of users and catalogs reach every engine as one word, or are refused."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from api.constraints import replace_at
from api.test_hostile_values import FULL, INERT, STRINGS
from llama_operator.api.deployment import LlamaDeployment
from llama_operator.api.plan import Plan
from llama_operator.api.v1alpha1 import EnvironmentVariable, LlamaDeploymentSpec, SecretKeyRef
from llama_operator.catalog.catalog import Catalog
from llama_operator.engines.arguments import check_engine
from llama_operator.engines.engine import Container
from llama_operator.engines.registry import engine
from llama_operator.errors import SpecError
from llama_operator.render.pod import pod_template
from unit.engines.engine_plans import PLANS, deployment, llama_server, parser
from unit.render.kubelet import expand
from unit.render.test_hostile import HOSTILE

CATALOG = Catalog.load()
ALL = [pytest.param(plan, id=name) for name, plan in PLANS.items()]
VARIABLES = {"HF_TOKEN": "secret", "HOME": "home", "reboot": "x"}
FREE = ("repository", "file", "image", "tool_call_parser")
"""Strings of a plan that are no word of an engine's own."""


def read(plan: Plan, body: LlamaDeployment) -> tuple[Container, dict[str, Any], list[str]]:
    """The container, the pod's, and the argv that the kubelet hands over."""
    made = engine(plan.engine).container(plan, body)
    pod = pod_template(plan, body)["spec"]["containers"][0]
    words = [*pod.get("command", ()), *pod.get("args", ())]
    return made, pod, [expand(word, VARIABLES) for word in words]


@given(name=st.sampled_from(sorted(PLANS)), strings=st.lists(HOSTILE, min_size=8, max_size=8))
def test_every_string_reaches_the_engine_unchanged(name: str, strings: list[str]) -> None:
    extra, value, *names = strings[:4]
    plan = PLANS[name].model_copy(update=dict(zip(FREE, strings[4:], strict=True)))
    spec = deployment().spec
    own = spec.engine.model_copy(
        update={
            "extra_args": [extra],
            "env": [EnvironmentVariable.model_construct(name="MINE", value=value)],
        }
    )
    update = {
        "engine": own,
        "served_model_names": names,
        "token_secret_ref": SecretKeyRef.model_construct(name=names[0], key=names[1]),
    }
    body = deployment().model_copy(update={"spec": spec.model_copy(update=update)})

    made, pod, words = read(plan, body)

    assert words == [*made.command, *made.args]
    assert words[-1] == extra
    assert len(words) == len(read(PLANS[name], deployment_with_extra())[2]) + (
        len(names) - 1 if plan.engine == "vLLM" else 0
    )
    env = {one["name"]: one for one in pod["env"]}
    assert len(env) == len(pod["env"]) == len(made.env)
    for one in made.env:
        if not one.secret_name:
            assert expand(env[one.name].get("value", ""), VARIABLES) == one.value
    assert env["MINE"]["value"].replace("$$", "$") == value
    assert env["HF_TOKEN"]["valueFrom"]["secretKeyRef"]["name"] == names[0]
    if plan.engine == "TGI":
        assert expand(env["MODEL_ID"]["value"], VARIABLES) == plan.repository
    else:
        assert any(word.endswith(plan.repository) for word in words)


def deployment_with_extra() -> LlamaDeployment:
    return deployment(engine={"extraArgs": ["7"]}, tokenSecretRef={"name": "a"})


def refusal(plan: Plan, manifest: dict[str, Any]) -> str | None:
    """The field that refuses a manifest, by the API or for the engine; None when none does."""
    try:
        spec = LlamaDeployment.parse(manifest).spec
        check_engine(plain(spec), CATALOG.engine(plan.engine, plan.engine_version))
    except SpecError as error:
        return error.field
    return None


def plain(spec: LlamaDeploymentSpec) -> LlamaDeploymentSpec:
    """Without what only some engines follow."""
    return spec.model_copy(update={"memory": deployment().spec.memory, "hub": "HuggingFace"})


@pytest.mark.parametrize("field", sorted(INERT.keys() - {"spec.tokenSecretRef.key"}))
@pytest.mark.parametrize("plan", ALL)
def test_a_hostile_value_is_refused_by_its_field_or_one_argument(plan: Plan, field: str) -> None:
    base = replace_at(FULL, "spec.engine.extraArgs[]", "seven")
    # Some engines have not these.
    for name in ("auth", "tls", "chatTemplate", "speculative", "lora"):
        if not field.startswith(f"spec.{name}."):
            base["spec"].pop(name)
    if field != "spec.servedModelNames[]":  # which some engines have not
        base["spec"].pop("servedModelNames")
    taken = set()
    for what, value in STRINGS.items():
        manifest = replace_at(base, field, value)
        wrong = refusal(plan, manifest)
        if wrong is not None:
            assert is_about(wrong.replace("[0]", "[]"), field), f"{what}: {wrong}"
            continue
        taken.add(what)
        _, pod, words = read(plan, LlamaDeployment.parse(manifest))
        given = [expand(one.get("value", ""), VARIABLES) for one in pod["env"]]
        if field == "spec.engine.extraArgs[]":
            assert words[-1] == value, what
        elif field == "spec.engine.env[].value":
            assert value in given, what
    assert taken <= INERT[field][1]
    assert not taken & {"NUL", "terminal escapes", "a carriage return"}


def is_about(wrong: str, field: str) -> bool:
    """Whether a refusal names a field, or one that it is a part of."""
    if field.endswith(".*"):
        return wrong.startswith(field[:-1])
    return field == wrong or field.startswith((f"{wrong}.", f"{wrong}["))


SERVED = st.lists(st.from_regex(r"\A[A-Za-z0-9][A-Za-z0-9._:/-]{0,30}\Z"), min_size=1, max_size=16)


@given(names=SERVED)
def test_served_names_are_read_as_they_are(names: list[str]) -> None:
    body = deployment(servedModelNames=names)
    llama = llama_server().parse(engine("LlamaCpp").container(PLANS["LlamaCpp"], body).args)
    assert llama["--alias"] == [",".join(names)]
    assert not any("," in name for name in names)
    sglang = parser("SGLang").parse(engine("SGLang").container(PLANS["SGLang"], body).args)
    assert sglang.served_model_name == names[0]


REPOSITORY = st.from_regex(r"\A[A-Za-z0-9][A-Za-z0-9_.-]{0,20}/[A-Za-z0-9][A-Za-z0-9_.-]{0,20}\Z")
FILE = st.from_regex(r"\A[A-Za-z0-9_.-]{1,20}(/[A-Za-z0-9_.-]{1,20})?\Z")


@given(repository=REPOSITORY, file=FILE)
def test_repositories_and_files_of_users_rows_are_read_as_they_are(
    repository: str, file: str
) -> None:
    values = {"repository": repository, "file": file}
    plans = {name: plan.model_copy(update=values) for name, plan in PLANS.items()}
    made = {name: engine(plan.engine).container(plan, deployment()) for name, plan in plans.items()}

    llama = llama_server().parse(made["LlamaCpp"].args)
    assert (llama["--hf-repo"], llama["--hf-file"]) == ([repository], [file])
    assert parser("vLLM").parse(made["vLLM"].args).model_tag == repository
    assert parser("SGLang").parse(made["SGLang"].args).model_path == repository
    assert parser("MLX").parse(made["MLX"].args).model == repository
    assert parser("Transformers").parse(made["Transformers"].args[1:]).force_model == repository
    for name in ("TGI 2", "TGI 3"):
        assert made[name].env[0].value == repository
