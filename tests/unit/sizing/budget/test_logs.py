"""What is computed and what vLLM 0.19 logged on H100 with utilization 0.95, T 8192 and S 1024."""

import json
from pathlib import Path

import pytest

from llama_operator.sizing.estimate import estimate
from llama_operator.sizing.models.shape import model_shape
from llama_operator.units import GIB
from unit.sizing.budget.settings import H100, setting

CONFIGS = Path(__file__).resolve().parents[3] / "data/model-configs"


@pytest.mark.parametrize(
    ("config", "scheme", "tp", "pp", "weights", "activation", "pool", "tokens"),
    [
        pytest.param(
            "meta-llama--Llama-3.1-8B-Instruct", "none", 1, 1, 14.99, 1.89, 58.10, 475_968,
            id="Llama-3.1-8B",
        ),
        pytest.param(
            "meta-llama--Llama-3.1-8B-Instruct", "none", 1, 2, 7.51, 1.05, 66.60, 1_077_440,
            id="Llama-3.1-8B in two stages",
        ),
        pytest.param(
            "RedHatAI--Llama-3.3-70B-Instruct-fp8-dynamic", "fp8-dynamic", 4, 1,
            16.96, 1.95, 54.17, 709_984,
            id="Llama-3.3-70B fp8-dynamic on four GPUs",
        ),
        pytest.param(
            "google--gemma-2-27b-it", "none", 1, 1, 50.72, 3.67, 20.59, 58_656, id="Gemma-2-27b"
        ),
        pytest.param(
            "google--gemma-3-27b-it", "none", 1, 1, 51.44, 3.77, 19.77, 37_008, id="Gemma-3-27b"
        ),
        pytest.param(
            "mistralai--Mixtral-8x7B-Instruct-v0.1", "none", 2, 1, 43.51, 1.20, 28.44, 465_952,
            id="Mixtral-8x7B on two GPUs",
        ),
        pytest.param(
            "Qwen--Qwen3-30B-A3B", "none", 1, 1, 56.88, 2.53, 15.57, 170_048, id="Qwen3-30B-A3B"
        ),
        pytest.param(
            # experts are padded by an estimate: 13.67 GiB and 1,276,256 tokens in the
            # worked figures, 13.64 and 1,277,184 in the log
            "openai--gpt-oss-20b", "mxfp4", 1, 1, 13.70, 2.88, 58.39, 1_275_600, id="gpt-oss-20b"
        ),
        pytest.param(
            # with the 128 MiB that logs show beside the tensors: 29.30 + 0.125, 43.80 - 0.125
            "deepseek-ai--DeepSeek-V2-Lite-Chat", "none", 1, 1, 29.43, 1.88, 43.68, 1_507_700,
            id="DeepSeek-V2-Lite",
        ),
    ],
)  # fmt: skip
def test_configurations_that_were_logged(
    config: str,
    scheme: str,
    tp: int,
    pp: int,
    weights: float,
    activation: float,
    pool: float,
    tokens: int,
) -> None:
    model = model_shape(json.loads((CONFIGS / config / "config.json").read_text("utf-8")))
    found = estimate(
        setting(model, scheme, H100, tp=tp, pp=pp, utilization=0.95, max_model_len=8192)
    )
    first = found.stages[0]
    assert first.kv_cache_bytes is not None
    assert first.weights_bytes / GIB == pytest.approx(weights, abs=0.0101)
    assert first.activation_bytes / GIB == pytest.approx(activation, abs=0.0101)
    assert first.kv_cache_bytes / GIB == pytest.approx(pool, abs=0.0151)
    assert found.kv_cache_tokens == pytest.approx(tokens, rel=0.0005)
