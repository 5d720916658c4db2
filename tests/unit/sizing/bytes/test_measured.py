"""Weights that engines logged, of models that Llama's formulas do not describe."""

import pytest

from llama_operator.sizing.models.shape import model_shape
from llama_operator.sizing.offload import offload
from llama_operator.sizing.quantization_config import quantization_name
from llama_operator.sizing.rank_weights import rank_weights_bytes
from llama_operator.sizing.scheme_names import scheme_for
from llama_operator.units import GIB
from unit.sizing.host.settings import llama_cpp
from unit.sizing.models.configs import config_of

MISTRAL = "mistralai--Mistral-Small-3.1-24B-Instruct-2503"
MISTRAL_INT8 = "RedHatAI--Mistral-Small-3.1-24B-Instruct-2503-quantized.w8a8"

# vLLM 0.19.0 on H100 80GB, jgchn/llm-d-planner: two digits, so 0.005 GiB of each figure is rounding
LOGGED = [
    pytest.param("deepseek-ai--DeepSeek-V2-Lite-Chat", "none", 1, 29.43, id="latent attention"),
    pytest.param("google--gemma-2-2b-it", "none", 1, 4.90, id="tied embeddings"),
    pytest.param("google--gemma-2-27b-it", "none", 1, 50.72, id="four norms"),
    pytest.param("google--gemma-3-27b-it", "none", 1, 51.45, id="a vision tower"),
    pytest.param("google--gemma-7b", "none", 1, 15.91, id="heads of 256"),
    pytest.param(MISTRAL, "none", 1, 44.76, id="Mistral's format"),
    pytest.param("mistralai--Mixtral-8x7B-Instruct-v0.1", "none", 2, 43.51, id="experts divided"),
    pytest.param("Qwen--Qwen2.5-7B-Instruct", "none", 2, 7.12, id="biases of q, k and v"),
    pytest.param("Qwen--Qwen3-30B-A3B", "none", 1, 56.88, id="many experts"),
    pytest.param("RedHatAI--Qwen2.5-7B-Instruct-fp8-dynamic", "fp8-dynamic", 1, 8.14, id="FP8"),
    pytest.param("RedHatAI--Llama-3.3-70B-Instruct-fp8-dynamic", "fp8-dynamic", 4, 16.96, id="TP"),
    pytest.param(
        "RedHatAI--Meta-Llama-3.1-8B-Instruct-quantized.w8a8", "int8-w8a8", 1, 8.49, id="INT8"
    ),
]


@pytest.mark.parametrize(("name", "quantization", "ranks", "logged_gib"), LOGGED)
def test_weights_are_as_logged(name: str, quantization: str, ranks: int, logged_gib: float) -> None:
    model = model_shape(config_of(name), mistral_format=name == MISTRAL)
    found = rank_weights_bytes(model, scheme_for(quantization), tensor_parallel_size=ranks)
    assert found / GIB == pytest.approx(logged_gib, rel=0.0005, abs=0.005)
    assert quantization_name(config_of(name)) == quantization


# the same source; each within the stated share
LESS_EXACT = [
    pytest.param("moonshotai--Kimi-VL-A3B-Instruct", "none", 1, 30.74, 0.001, id="12 MB short"),
    pytest.param("moonshotai--Kimi-VL-A3B-Instruct", "none", 2, 15.53, 0.002, id="and on two"),
    pytest.param("ibm-granite--granite-vision-3.3-2b", "none", 1, 5.54, 0.003, id="10 MB short"),
    pytest.param(MISTRAL_INT8, "int8-w8a8", 2, 12.11, 0.002, id="a tower divided"),
    pytest.param("openai--gpt-oss-20b", "mxfp4", 1, 13.64, 0.025, id="padding is an estimate"),
]


@pytest.mark.parametrize(("name", "quantization", "ranks", "logged_gib", "share"), LESS_EXACT)
def test_weights_are_nearly_as_logged(
    name: str, quantization: str, ranks: int, logged_gib: float, share: float
) -> None:
    model = model_shape(config_of(name))
    found = rank_weights_bytes(model, scheme_for(quantization), tensor_parallel_size=ranks)
    assert found / GIB == pytest.approx(logged_gib, rel=share)


@pytest.mark.parametrize(("stages", "stage", "logged_gib"), [(2, 0, 7.51), (4, 1, 3.28)])
def test_stages_of_the_8b_are_as_logged(stages: int, stage: int, logged_gib: float) -> None:
    model = model_shape(config_of("meta-llama--Llama-3.1-8B-Instruct"))
    found = rank_weights_bytes(
        model, scheme_for("none"), pipeline_parallel_size=stages, stage=stage
    )
    assert found / GIB == pytest.approx(logged_gib, abs=0.005)


def test_metas_fp8_of_july_2024_is_as_logged() -> None:
    # vLLM 0.5.3 on eight H100, vllm-project/vllm#6746
    name = "meta-llama--Meta-Llama-3.1-405B-Instruct-FP8@2024-07"
    scheme = scheme_for(quantization_name(config_of(name)))
    found = rank_weights_bytes(model_shape(config_of(name)), scheme, tensor_parallel_size=8)
    assert found / GIB == pytest.approx(57.752, abs=0.0005)


def test_buffers_of_llama_cpp_are_as_logged() -> None:
    # a public log on an RTX 5090: 4.0704 GiB of model buffers with all layers offloaded
    model = model_shape(config_of("Qwen2.5-7B-Instruct-Q4_K_M"))
    (gpu,) = offload(llama_cpp(model)).gpus
    assert gpu.weights_bytes / GIB == pytest.approx(4.0704, abs=0.00005)


@pytest.mark.parametrize("name", ["microsoft--phi-4", "openai--gpt-oss-120b", MISTRAL_INT8])
@pytest.mark.parametrize("ranks", [2, 4])
def test_divided_models_hold_their_checkpoint(name: str, ranks: int) -> None:
    model = model_shape(config_of(name))
    scheme = scheme_for(quantization_name(config_of(name)))
    one = rank_weights_bytes(model, scheme)
    found = ranks * rank_weights_bytes(model, scheme, tensor_parallel_size=ranks)
    assert one <= found <= 1.1 * one
