"""LoRA adapters in plans: engines, bytes of GPUs, host and volume, and what is told."""

from typing import Any

import pytest

from llama_operator.planning.outcome import Refusal
from llama_operator.units import GIB
from unit.planning.cluster import A10G, A100, node, outcome_of, planned, spec

SQL = {"name": "sql", "repository": "org/sql-lora"}
CHAT = {"name": "chat", "repository": "org/chat-lora"}
FILE = {**SQL, "file": "sql.gguf"}
CLAIM: dict[str, Any] = {"cache": {"claim": {"name": "shared-models"}}}


def lora(*adapters: dict[str, str], rank: int = 16) -> dict[str, Any]:
    return {"lora": {"rank": rank, "adapters": list(adapters or (SQL, CHAT))}}


def test_adapters_are_a_part_of_the_memory_of_each_gpu() -> None:
    wanted = {"size": "8b", "format": "awq", "memory": {"cudaGraphs": "Disabled"}}
    plain = planned(spec(**wanted), node("a", A100)).plan.memory_per_gpu
    found = planned(spec(**wanted, **lora()), node("a", A100)).plan.memory_per_gpu
    # 81,920 features a layer x 32 x rank 16 x 2 slots x 2 bytes, and 2 (128,256 + 4,096) x 64.
    assert found.adapter_bytes == 167_772_160 + 16_941_056
    assert found.kv_cache_bytes == plain.kv_cache_bytes - found.adapter_bytes
    assert (found.budget_bytes, found.headroom_bytes) == (plain.budget_bytes, plain.headroom_bytes)
    assert plain.adapter_bytes is None
    assert "adapterBytes" not in plain.to_object()


@pytest.mark.parametrize(
    ("fmt", "fields", "engine"),
    [
        pytest.param("awq", lora(), "vLLM", id="vLLM, as without adapters"),
        pytest.param("awq", {**lora(), **CLAIM}, "vLLM", id="from a volume"),
        pytest.param("ggufv2", {**lora(FILE), **CLAIM}, "LlamaCpp", id="a GGUF file"),
        pytest.param("mlx", {**lora(SQL), **CLAIM}, "MLX", id="one for MLX"),
    ],
)
def test_auto_takes_an_engine_that_serves_them(fmt: str, fields: Any, engine: str) -> None:
    assert planned(spec(size="8b", format=fmt, **fields), node("a", A100)).plan.engine == engine


@pytest.mark.parametrize(
    ("fields", "at", "told"),
    [
        pytest.param(
            {"engine": {"type": "Transformers"}, **lora()}, "spec.lora",
            "no argument for adapters; vLLM, SGLang, TGI, LlamaCpp and MLX do", id="Transformers",
        ),
        pytest.param(
            {"engine": {"type": "TGI"}, **lora()}, "spec.lora.adapters",
            "write spec.cache, or take vLLM or SGLang", id="TGI without a volume",
        ),
        pytest.param(
            {"engine": {"type": "vLLM"}, **lora(FILE)}, "spec.lora.adapters.file",
            "it takes adapters as a folder, not as GGUF", id="GGUF for vLLM",
        ),
        pytest.param(
            {"format": "ggufv2", **lora(SQL), **CLAIM}, "spec.lora.adapters.file",
            "write the file of the repository", id="no file for llama.cpp",
        ),
        pytest.param(
            {"format": "ggufv2", **lora(FILE)}, "spec.lora.adapters",
            "as files alone; write spec.cache", id="llama.cpp without a volume",
        ),
        pytest.param(
            {"format": "ggufv2", **lora(FILE, {**FILE, "name": "b"}), **CLAIM},
            "spec.lora.adapters", "write one, or take vLLM, SGLang or TGI", id="two for llama.cpp",
        ),
        pytest.param(
            {"format": "mlx", **lora(), **CLAIM}, "spec.lora.adapters", "it takes one adapter",
            id="two for MLX",
        ),
        pytest.param(
            {"engine": {"type": "SGLang"}, "format": "pytorch", "hub": "ModelScope", **lora()},
            "spec.lora.adapters", "from Hugging Face alone; write spec.cache",
            id="SGLang from ModelScope",
        ),
    ],
)  # fmt: skip
def test_what_an_engine_cannot_do_is_refused_with_the_field(
    fields: dict[str, Any], at: str, told: str
) -> None:
    refused = outcome_of(spec(**{"size": "8b", "format": "awq", **fields}), node("a", A100))
    assert isinstance(refused, Refusal)
    assert refused.reason == "InvalidSpec"
    assert refused.message.startswith(f"{at}: ")
    assert told in refused.message


@pytest.mark.parametrize("engine", ["SGLang", "TGI", "vLLM"])
def test_engines_take_them_from_a_volume(engine: str) -> None:
    fields = {"engine": {"type": engine}, **lora(), **CLAIM}
    plan = planned(spec(size="8b", format="awq", **fields), node("a", A100)).plan
    assert plan.engine == engine
    assert plan.memory_per_gpu.adapter_bytes


def test_they_are_told_with_their_bytes_and_how_clients_reach_them() -> None:
    reasons = planned(spec(size="8b", format="awq", **lora()), node("a", A100)).plan.reasons
    assert "lora: 2 adapters of rank 16 at most (sql, chat): 0.17 GiB per GPU" in reasons
    assert "spec.lora: clients send the name of an adapter as model" in reasons
    sglang = {"engine": {"type": "SGLang"}, **lora(SQL)}
    reasons = planned(spec(size="8b", format="awq", **sglang), node("a", A100)).plan.reasons
    # Two slots, of what vLLM has two of: 184,713,216 bytes.
    assert "lora: 1 adapter of rank 16 at most (sql): at most 0.17 GiB per GPU" in reasons


def test_pods_have_room_for_the_files_and_copies_of_them() -> None:
    wanted = {"size": "8b", "format": "awq"}
    plain = planned(spec(**wanted), node("a", A100)).plan
    plan = planned(spec(**wanted, **lora(SQL)), node("a", A100)).plan
    # fp32 of 2,886,144 features x rank 16 at most: 184,713,216, 5 % and 0.25 GiB.
    assert plan.host.disk_bytes - plain.host.disk_bytes == 184_713_216 + 9_235_660 + GIB // 4
    cached = planned(spec(**wanted, **lora(SQL), **CLAIM), node("a", A100)).plan
    assert cached.cache is not None
    assert cached.cache.model_bytes == plan.host.disk_bytes
    # 8 GPUs keep 16 adapters of rank 128 in 16 bit each: 13,216,256 features of 70B.
    many = [{"name": f"a{number}", "repository": "org/a"} for number in range(16)]
    large = {"size": "70b", "format": "awq", "hardware": [{"gpu": A100[0], "count": 8}]}
    found = planned(spec(**large, **lora(*many, rank=128)), node("a", A100)).plan
    copies = 8 * 16 * 128 * 13_216_256 * 2
    assert copies < found.host.memory_bytes < copies + 64 * GIB


def test_gpus_that_hold_the_model_alone_do_not_hold_adapters_of_any_number() -> None:
    wanted = {"size": "8b", "format": "awq", "hardware": [{"gpu": A10G[0], "count": 1}]}
    many = [{"name": f"a{number}", "repository": "org/a"} for number in range(16)]
    assert planned(spec(**wanted), node("a", A10G))
    refused = outcome_of(spec(**wanted, **lora(*many, rank=512)), node("a", A10G))
    assert isinstance(refused, Refusal)
    # 16 x 512 / (2 x 16) = 256 times 0.172 GiB.
    assert "LoRA adapters 44.0" in refused.message
