"""Tables of rotary positions: positions * rotated elements of a head."""

from typing import Any

import pytest

from llama_operator.sizing.models.shape import model_shape
from unit.sizing.models import configs
from unit.sizing.models.configs import config_of


@pytest.mark.parametrize(
    ("config", "expected"),
    [
        pytest.param("meta-llama--Llama-3.1-8B-Instruct", 131072 * 128, id="Llama 3 scaling"),
        pytest.param("meta-llama--Llama-4-Scout-17B-16E-Instruct", 10485760 * 128, id="Llama 4"),
        pytest.param("microsoft--phi-2", 2048 * 32, id="0.4 of a head of 80"),
        pytest.param("MiniMaxAI--MiniMax-M2", 196608 * 64, id="rotary_dim"),
        pytest.param("deepseek-ai--DeepSeek-R1", 4096 * 40 * 64, id="YaRN from the original"),
        pytest.param("openai--gpt-oss-20b", 4096 * 32 * 64, id="gpt-oss"),
        pytest.param("moonshotai--Kimi-VL-A3B-Instruct", 131072 * 64, id="latent, unscaled"),
        pytest.param("google--gemma-3-27b-it", 9 * 131072 * 128, id="two tables, one times 8"),
        pytest.param("google--gemma-4-26B-A4B", 262144 * (512 + 256), id="two kinds of heads"),
        pytest.param("google--gemma-2-2b-it", 8192 * 256, id="Gemma 2, one table"),
        pytest.param(configs.PHI_3_5_MINI, (131072 + 4096) * 96, id="long RoPE, two parts"),
        pytest.param(configs.QWEN3_NEXT, 262144 * 64, id="a quarter of a head of 256"),
        pytest.param(configs.QWEN2_VL_7B, 4 * 32768 * 128, id="sections, 4 times as long"),
        pytest.param(configs.GLM_4_5_AIR, 131072 * 64, id="half of a head"),
        pytest.param(configs.BAMBA, 262144 * 64, id="attn_rotary_emb"),
        pytest.param(configs.NEMOTRON_3_NANO, 0, id="no rotary positions"),
        pytest.param(configs.GRANITE_4_H_SMALL, 0, id="position_embedding_type nope"),
        pytest.param(configs.GRANITE_4_MICRO, 131072 * 64, id="position_embedding_type rope"),
    ],
)
def test_elements_of_the_tables(config: str | dict[str, Any], expected: int) -> None:
    loaded = config_of(config) if isinstance(config, str) else config
    assert model_shape(loaded).rope_elements == expected


@pytest.mark.parametrize(
    ("scaling", "expected"),
    [
        ({"rope_type": "dynamic", "factor": 2.0}, 2 * 40960),
        ({"type": "linear", "factor": 4}, 4 * 40960),
        ({"rope_type": "yarn", "factor": 4.0, "original_max_position_embeddings": 32768}, 131072),
        ({"rope_type": "yarn", "factor": 4.0}, 4 * 40960),
        ({"rope_type": "default"}, 40960),
        (None, 40960),
    ],
)
@pytest.mark.parametrize("key", ["rope_scaling", "rope_parameters"])
def test_scaling(key: str, scaling: dict[str, Any] | None, expected: int) -> None:
    config = {**config_of("Qwen--Qwen3-8B"), "rope_scaling": None, key: scaling}
    assert model_shape(config).rope_elements == expected * 128
