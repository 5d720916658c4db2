"""Which engine serves, on which GPUs, and why."""

from dataclasses import replace
from typing import Any

import pytest

from llama_operator.api.reasons import Reason
from llama_operator.api.v1alpha1 import LlamaDeploymentSpec
from llama_operator.catalog.catalog import Catalog
from llama_operator.planning.inventory import Inventory, NodeFacts
from llama_operator.planning.outcome import Planned, Refusal
from llama_operator.planning.plan import plan
from unit.planning.cluster import A10G, A100, H100, MI300X, T4, V100, node

CATALOG = Catalog.load()
AMD = "amd.com/gpu"


def outcome(spec: dict[str, Any], *nodes: NodeFacts) -> Planned | Refusal:
    return plan(LlamaDeploymentSpec.model_validate(spec), CATALOG, Inventory(nodes))


def planned(spec: dict[str, Any], *nodes: NodeFacts) -> Planned:
    found = outcome(spec, *nodes)
    assert isinstance(found, Planned), found
    return found


BNB = {"size": "8b", "format": "pytorch", "quantization": "4-bit"}
GGUF = {"size": "8b", "format": "ggufv2"}


@pytest.mark.parametrize(
    ("spec", "gpu", "engine", "reason"),
    [
        pytest.param(
            {"size": "8b", "format": "awq"}, A100, "vLLM",
            "engine vLLM 0.33.0: the first one that loads awq (Int4)", id="AWQ",
        ),
        pytest.param(GGUF, A100, "LlamaCpp", "loads ggufv2 (Q4_K_M)", id="GGUF"),
        pytest.param(
            {"size": "8b", "format": "mlx"}, A100, "MLX", "loads mlx (4-bit)", id="MLX"
        ),
        pytest.param(BNB, A100, "Transformers", "loads pytorch (4-bit)", id="bitsandbytes"),
        pytest.param(
            {**BNB, "memory": {"maxNumSeqs": 8}}, A100, "SGLang",
            "engine SGLang 0.5.23: the first one that loads pytorch (4-bit)",
            id="a bound on sequences, which Transformers cannot follow",
        ),
        pytest.param(
            {"size": "8b", "format": "awq", "engine": {"type": "TGI", "version": "2.2.0"}},
            A100, "TGI", "engine TGI 2.2.0: as spec.engine.type says; it loads awq (Int4)",
            id="an engine and a version that are named",
        ),
        pytest.param(GGUF, V100, "LlamaCpp", "ggufv2", id="GGUF on V100, too old for the others"),
    ],
)  # fmt: skip
def test_the_engine_and_why(
    spec: dict[str, Any], gpu: tuple[str, int], engine: str, reason: str
) -> None:
    found = planned(spec, node("n", gpu, 1)).plan

    assert found.engine == engine
    assert any(reason in text for text in found.reasons)


def test_fp8_in_transformers_is_for_gpus_that_the_others_do_not_run_on() -> None:
    """No GPU is there for it: vLLM runs FP8 from 8.0 on, Transformers' kernels from 8.9 on."""
    found = planned({"size": "8b", "format": "fp8"}, node("a", A100, 1), node("h", H100, 1)).plan
    assert (found.engine, found.gpu.accepted_products) == ("vLLM", [A100[0]])


def test_each_gpu_gets_the_engine_that_runs_there() -> None:
    """GGUF on AMD by the image for ROCm; on both vendors one plan takes one of them."""
    found = planned(GGUF, node("m", MI300X, 1, resource=AMD)).plan
    assert (found.engine, found.image) == (
        "LlamaCpp",
        "ghcr.io/ggml-org/llama.cpp:server-rocm-b11434",
    )
    both = planned(GGUF, node("m", MI300X, 1, resource=AMD), node("h", H100, 1)).plan
    assert both.gpu.accepted_products == [both.gpu.product]


def test_a_gpu_that_no_engine_runs_on_is_refused_with_every_engine() -> None:
    found = outcome({"size": "8b", "format": "awq"}, node("v", V100, 1))
    assert isinstance(found, Refusal)
    assert found.reason is Reason.UNSUPPORTED_GPU
    for engine in ("vLLM", "SGLang", "TGI", "Transformers"):
        assert f"{V100[0]}: {engine} loads awq-int4-g128 on GPUs of compute" in found.message


@pytest.mark.parametrize(
    ("driver", "image"),
    [
        pytest.param(None, "vllm/vllm-openai:v0.33.0", id="not known: taken for new"),
        pytest.param(580, "vllm/vllm-openai:v0.33.0", id="the least for CUDA 13"),
        pytest.param(579, "vllm/vllm-openai:v0.33.0-cu129", id="one less: CUDA 12"),
        pytest.param(525, "vllm/vllm-openai:v0.33.0-cu129", id="the least for CUDA 12"),
    ],
)
def test_the_driver_chooses_the_image(driver: int | None, image: str) -> None:
    there = replace(node("a", A100, 1), driver=driver)
    assert planned({"size": "8b", "format": "awq"}, there).plan.image == image


def test_a_driver_that_is_too_old_is_told() -> None:
    there = replace(node("a", A100, 1), driver=470)
    found = outcome({"size": "8b", "format": "awq"}, there)
    assert isinstance(found, Refusal)
    assert found.reason is Reason.UNSUPPORTED_GPU
    assert f"{A100[0]}: vLLM 0.33.0 needs driver 525, a node has 470" in found.message


def test_an_image_of_the_users_own_needs_what_it_needs() -> None:
    there = replace(node("a", A100, 1), driver=470)
    image = "registry.example.com/vllm:v0.33.0-cu118"
    spec = {"size": "8b", "format": "awq", "engine": {"image": image}}
    found = planned(spec, there).plan
    assert (found.engine, found.image) == ("vLLM", image)


def test_an_image_is_of_the_first_engine() -> None:
    spec = {**BNB, "engine": {"image": "registry.example.com/transformers:5.23.0"}}
    assert planned(spec, node("a", A100, 1)).plan.engine == "Transformers"
    found = outcome({**spec, "memory": {"maxNumSeqs": 8}}, node("a", A100, 1))
    assert isinstance(found, Refusal)
    assert "spec.memory.maxNumSeqs: Transformers 5.23.0 cannot follow it" in found.message


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        pytest.param(
            {**GGUF, "engine": {"type": "SGLang"}},
            "spec.engine.type: llama-3.1-instruct 8b in ggufv2 (Q4_K_M): SGLang does not load "
            "Q4_K_M: GGUF under SGLang is not sized here; engines that load it: LlamaCpp; ",
            id="an engine that cannot",
        ),
        pytest.param(
            {"size": "8b", "format": "awq", "engine": {"version": "0.33.0"}},
            "spec.engine.version: needs an engine beside it; write for example type: vLLM",
            id="a version without an engine",
        ),
        pytest.param(
            {"size": "8b", "format": "awq", "engine": {"type": "vLLM", "version": "0.9.0"}},
            "spec.engine.version: the catalog has no version '0.9.0' of vLLM; it has 0.33.0",
            id="a version that is not known",
        ),
        pytest.param(
            {**GGUF, "context": {"concurrency": 257}},
            "spec.context.concurrency: LlamaCpp 11434 cannot follow it: it starts with 256 slots",
            id="more requests at once than slots",
        ),
        pytest.param(
            {**GGUF, "engine": {"extraArgs": ["--ctx-size", "9"]}},
            "spec.engine.extraArgs[0]: --ctx-size: the plan sets --ctx-size of LlamaCpp; use "
            "spec.context.maxModelLen instead",
            id="an argument of the engine that Auto takes",
        ),
    ],
)
def test_what_is_refused_names_the_field(spec: dict[str, Any], message: str) -> None:
    found = outcome(spec, node("a", A100, 8))
    assert isinstance(found, Refusal)
    assert message in found.message


def test_an_argument_of_the_first_engine_does_not_lead_to_another() -> None:
    """Transformers knows no --api-key, but nobody asked for Transformers."""
    spec = {"size": "8b", "format": "awq", "engine": {"extraArgs": ["--api-key=x"]}}
    found = outcome(spec, node("a", A100, 8))
    assert isinstance(found, Refusal)
    assert "spec.engine.extraArgs[0]: --api-key: the plan sets --api-key of vLLM" in found.message


def test_the_longest_names_fit_into_the_reasons() -> None:
    """The schema bounds a reason by 512 characters, and an image by as many."""
    image = f"{'a' * 200}/{'b' * 182}:{'c' * 128}"
    spec = {"size": "8b", "format": "awq", "cache": {"image": image}}
    reasons = planned(spec, node("a", A100, 8)).plan.reasons
    [told] = [text for text in reasons if text.startswith("cache: image aaa")]
    assert len(told) == 512
    assert told.endswith("…")


def test_slots_of_llama_cpp_are_the_concurrency() -> None:
    """8 requests of 4,096 tokens: 128 KiB a token, 4 GiB in all."""
    spec = {**GGUF, "context": {"maxModelLen": 4096, "concurrency": 8}}
    found = planned(spec, node("a", A10G, 1)).plan
    assert (found.max_num_seqs, found.max_concurrency, found.kv_cache_tokens) == (8, 8, 32_768)
    assert found.memory_per_gpu.kv_cache_bytes == 4 << 30


def test_layers_on_the_cpu_are_asked_for_and_told() -> None:
    spec = {**GGUF, "memory": {"gpuLayers": 17}, "context": {"maxModelLen": 4096}}
    there = replace(node("t", T4, 1), cpu_millicores=16_000, memory_bytes=64 << 30)
    found = planned(spec, there).plan
    assert found.gpu_layers == 17
    [told] = [text for text in found.reasons if text.startswith("gpuLayers 17: as asked; ")]
    # The output is one of the 17.
    assert "16 of 32 layers on the GPU" in told
