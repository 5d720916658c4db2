"""What is computed where vLLM 0.19 logged on H100 with utilization 0.95, T 8192 and S 1024."""

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
            # 13.67 GiB, 58.42 and 1,276,256 in the worked figures, 13.64, 58.47 and 1,277,184 in
            # the log: how experts are padded is an estimate. Here hidden 2880 becomes 3072 and
            # the width 2944 in each of 3 x 32 x 24 matrices; test_log_arithmetic.py adds them up
            "openai--gpt-oss-20b", "mxfp4", 1, 1, 13.70, 2.88, 58.39, 1_275_600, id="gpt-oss-20b"
        ),
        pytest.param(
            # 29.30 GiB, 43.80 and 1,511,872 in the worked figures, which leave out the 128 MiB
            # that three logs show beside the tensors: 134,217,728 bytes more of weights are
            # 269.7 blocks of 16 x 576 x 2 x 27 = 497,664, here 270 of 16 tokens less
            "deepseek-ai--DeepSeek-V2-Lite-Chat", "none", 1, 1, 29.43, 1.88, 43.67, 1_507_552,
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
    parts = (first.weights_bytes, first.activation_bytes, first.kv_cache_bytes)
    assert tuple(round(part / GIB, 2) for part in parts) == (weights, activation, pool)
    assert found.kv_cache_tokens == tokens
