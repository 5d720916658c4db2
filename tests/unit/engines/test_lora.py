"""What each engine is told of LoRA adapters, and that its own parser reads it so."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llama_operator.api.enums import CacheKind
from llama_operator.api.plan import ModelCache, Plan
from llama_operator.engines.engine import Container
from llama_operator.engines.registry import engine
from support.tgi_environment import check as check_tgi
from unit.engines.engine_plans import PLANS, deployment, llama_server, parser

TWO = [
    {"name": "sql", "repository": "org/sql-lora"},
    {"name": "Chat-2.0", "repository": "other/chat.lora"},
]
GGUF = [{"name": "sql", "repository": "org/sql-GGUF", "file": "f16/sql.gguf"}]
FOLDER = "/cache/huggingface/adapters"


def cached(name: str) -> Plan:
    cache = ModelCache(kind=CacheKind.CLAIM, model_bytes=1 << 34)
    return PLANS[name].model_copy(update={"cache": cache})


def container(plan: Plan, adapters: list[dict[str, Any]] | None, rank: int = 64) -> Container:
    lora = {} if adapters is None else {"lora": {"rank": rank, "adapters": adapters}}
    return engine(plan.engine).container(plan, deployment(**lora))


@pytest.mark.parametrize(
    ("plan", "adapters", "added"),
    [
        pytest.param(
            PLANS["vLLM"], TWO,
            [
                "--lora-modules", "sql=org/sql-lora", "Chat-2.0=other/chat.lora",
                "--enable-lora", "--max-loras=2", "--max-lora-rank=64",
            ],
            id="vLLM downloads by repository",
        ),
        pytest.param(
            cached("vLLM"), TWO[:1],
            [
                "--lora-modules", f"sql={FOLDER}/org--sql-lora",
                "--enable-lora", "--max-loras=1", "--max-lora-rank=64",
            ],
            id="vLLM reads a volume",
        ),
        pytest.param(
            PLANS["SGLang"], TWO,
            [
                "--lora-paths", "sql=org/sql-lora", "Chat-2.0=other/chat.lora",
                "--enable-lora", "--max-loras-per-batch=3", "--max-lora-rank=64",
            ],
            id="SGLang has a slot for the model itself",
        ),
        pytest.param(
            cached("LlamaCpp"), GGUF, ["--lora", f"{FOLDER}/org--sql-GGUF/f16/sql.gguf"],
            id="llama.cpp reads a file",
        ),
        pytest.param(
            cached("MLX"), TWO[:1], [f"--adapter-path={FOLDER}/org--sql-lora"],
            id="MLX reads a folder",
        ),
    ],
)  # fmt: skip
def test_arguments(plan: Plan, adapters: list[dict[str, Any]], added: list[str]) -> None:
    plain, found = container(plan, None), container(plan, adapters)
    rest = list(found.args)
    for word in plain.args:
        rest.remove(word)
    assert rest == added
    assert found.env == plain.env
    if plan.engine == "LlamaCpp":
        assert llama_server().parse(found.args)["--lora"] == added[1:]
    else:
        parser(plan.engine).parse(found.args)


def test_tgi_gets_them_in_a_variable() -> None:
    plain, found = container(cached("TGI 3"), None), container(cached("TGI 3"), TWO)
    [variable] = [one for one in found.env if one not in plain.env]
    value = f"sql={FOLDER}/org--sql-lora,Chat-2.0={FOLDER}/other--chat.lora"
    assert (variable.name, variable.value) == ("LORA_ADAPTERS", value)
    assert found.args == plain.args
    check_tgi("3.3.7", {variable.name: variable.value})


WORD = r"[A-Za-z0-9_]{1,9}([.-][A-Za-z0-9_]{1,9}){0,2}"
ADAPTERS = st.lists(
    st.fixed_dictionaries(
        {
            "name": st.from_regex(r"\A[A-Za-z0-9][A-Za-z0-9._-]{0,20}\Z"),
            "repository": st.from_regex(rf"\A{WORD}/{WORD}\Z"),
        }
    ),
    min_size=1,
    max_size=16,
    unique_by=lambda adapter: adapter["name"],
).filter(lambda adapters: all(one["name"] != "llama" for one in adapters))


@given(adapters=ADAPTERS, on_volume=st.booleans())
def test_names_and_repositories_are_read_as_they_are(
    adapters: list[dict[str, str]], on_volume: bool
) -> None:
    def path(repository: str) -> str:
        return f"{FOLDER}/{repository.replace('/', '--')}" if on_volume else repository

    pairs = [f"{one['name']}={path(one['repository'])}" for one in adapters]
    plans = {name: cached(name) if on_volume else PLANS[name] for name in ("vLLM", "SGLang")}
    vllm = parser("vLLM").parse(container(plans["vLLM"], adapters).args)
    assert vllm.lora_modules == pairs
    assert (vllm.max_loras, vllm.max_lora_rank) == (len(adapters), 64)
    sglang = parser("SGLang").parse(container(plans["SGLang"], adapters).args)
    assert sglang.lora_paths == pairs
    for pair in pairs:
        assert pair.count("=") == 1
        assert "," not in pair
