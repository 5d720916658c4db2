from typing import Any

import pytest

from llama_operator.engines.tgi import TGI
from unit.engines.engine_plans import PLANS, VARIANTS, Variant, container, environment

NEW, OLD = PLANS["TGI 3"], PLANS["TGI 2"]
BY_NAME = {variant.name: variant for variant in VARIANTS}


def test_it_has_variables_and_no_arguments() -> None:
    for plan in (NEW, OLD):
        assert (container(plan).command, container(plan).args) == ((), ())


def test_the_environment_of_version_3() -> None:
    assert environment(container(NEW)) == {
        "MODEL_ID": "meta-llama/Llama-3.1-8B-Instruct",
        "HOSTNAME": "0.0.0.0",
        "PORT": "8000",
        "NUM_SHARD": "1",
        "MAX_TOTAL_TOKENS": "8192",
        "MAX_INPUT_TOKENS": "8191",
        "MAX_BATCH_PREFILL_TOKENS": "2048",
        "MAX_BATCH_SIZE": "4",
        "CUDA_MEMORY_FRACTION": "0.92",
        "DTYPE": "bfloat16",
        "GRACEFUL_TERMINATION_TIMEOUT": "80",
        "USAGE_STATS": "off",
        "HF_HUB_DISABLE_TELEMETRY": "1",
        "HF_HOME": "/cache/huggingface",
    }


def test_the_environment_of_version_2() -> None:
    assert environment(container(OLD)) == {
        "MODEL_ID": "meta-llama/Llama-3.1-8B-Instruct",
        "HOSTNAME": "0.0.0.0",
        "PORT": "8000",
        "NUM_SHARD": "1",
        "MAX_TOTAL_TOKENS": "8192",
        "MAX_INPUT_LENGTH": "8191",
        "MAX_BATCH_PREFILL_TOKENS": "8192",
        "MAX_BATCH_SIZE": "4",
        "CUDA_MEMORY_FRACTION": "0.92",
        "DTYPE": "bfloat16",
        "DISABLE_USAGE_STATS": "true",
        "HF_HUB_DISABLE_TELEMETRY": "1",
        "HUGGINGFACE_HUB_CACHE": "/cache/huggingface",
    }


@pytest.mark.parametrize(
    ("values", "changes"),
    [
        pytest.param(
            {"kv_cache_dtype": "fp8"}, {"KV_CACHE_DTYPE": "fp8_e4m3fn"}, id="fp8 KV cache"
        ),
        pytest.param(BY_NAME["without CUDA graphs"].values, {"CUDA_GRAPHS": "0"}, id="no graphs"),
        pytest.param({"tensor_parallel_size": 4}, {"NUM_SHARD": "4"}, id="four GPUs"),
        pytest.param({"dtype": "auto"}, {"DTYPE": None}, id="dtype auto"),
        pytest.param(
            {"scheme": "awq-int4-g128", "format": "awq", "dtype": "float16"},
            {"DTYPE": None, "QUANTIZE": "awq"},
            id="never a dtype beside a quantization",
        ),
        pytest.param(
            {"scheme": "gptq-w4a16", "format": "gptq"},
            {"DTYPE": None, "QUANTIZE": "compressed-tensors"},
            id="compressed tensors",
        ),
        pytest.param(
            {"scheme": "bnb-int8", "quantize_at_load": True},
            {"DTYPE": None, "QUANTIZE": "bitsandbytes"},
            id="quantized at load",
        ),
    ],
)
def test_variables_follow_the_plan(values: dict[str, Any], changes: dict[str, str | None]) -> None:
    plain = environment(container(NEW))
    found = environment(container(NEW, Variant("", values)))

    names = plain.keys() | found.keys()
    assert {
        name: found.get(name) for name in names if plain.get(name) != found.get(name)
    } == changes


def test_no_parser_of_tool_calls_is_named() -> None:
    assert TGI().tool_call_parser(("chat", "tools")) == ""
