"""Which layer is of which kind, and what each keeps for a token or a request."""

from typing import Any

import pytest

from llama_operator.sizing.models.model import (
    CrossCache,
    FeedForward,
    HeadsCache,
    LatentCache,
    Layer,
    ModelShape,
    StateCache,
)
from llama_operator.sizing.models.shape import model_shape
from unit.sizing.models import configs
from unit.sizing.models.configs import config_of


def windows(model: ModelShape) -> list[int]:
    return [layer.cache.window for layer in model.layers if isinstance(layer.cache, HeadsCache)]


def letter(layer: Layer) -> str:
    """One letter for a layer: full, window, chunk, latent, state, cross, nothing kept."""
    match layer.cache:
        case HeadsCache(window=0, chunk=0):
            return "f"
        case HeadsCache(window=0):
            return "c"
        case HeadsCache():
            return "w"
        case LatentCache():
            return "l"
        case StateCache():
            return "s"
        case CrossCache():
            return "x"
        case None:
            return "-"


def letters(model: ModelShape) -> str:
    return "".join(map(letter, model.layers))


@pytest.mark.parametrize(
    ("config", "expected"),
    [
        pytest.param("meta-llama--Llama-3.1-8B-Instruct", "f" * 32, id="Llama"),
        pytest.param("google--gemma-2-2b-it", "wf" * 13, id="Gemma 2, every other layer"),
        pytest.param("openai--gpt-oss-20b", "wf" * 12, id="gpt-oss, every other layer"),
        pytest.param("google--gemma-3-4b-it", ("wwwwwf" * 6)[:34], id="Gemma 3, all but sixths"),
        pytest.param("google--gemma-3-27b-it", ("wwwwwf" * 11)[:62], id="Gemma 3 27B"),
        pytest.param("google--gemma-4-26B-A4B", "wwwwwf" * 5, id="Gemma 4"),
        pytest.param(
            "meta-llama--Llama-4-Scout-17B-16E-Instruct", "cccf" * 12, id="Llama 4, chunks"
        ),
        pytest.param("meta-llama--Llama-3.2-11B-Vision", "fffxf" * 8, id="mllama, cross"),
        pytest.param("deepseek-ai--DeepSeek-R1", "l" * 61, id="DeepSeek, latent"),
        pytest.param("Qwen--Qwen3-8B", "f" * 36, id="Qwen with use_sliding_window false"),
    ],
)
def test_caches_of_layers_follow_the_pattern(config: str, expected: str) -> None:
    assert letters(model_shape(config_of(config))) == expected


@pytest.mark.parametrize(
    ("config", "expected"),
    [
        pytest.param(configs.QWEN3_NEXT, "sssf" * 12, id="Qwen3-Next, every fourth is full"),
        pytest.param(configs.QWEN3_8_27B, "sssf" * 16, id="Qwen3.5"),
        pytest.param(
            configs.NEMOTRON_3_NANO,
            "s-s-sf-s-s-sf-s-s-sf-s-s-sf-s-s-sf-s-s-s-sf-s-s-s-s-",
            id="Nemotron-H, one part per layer",
        ),
        pytest.param(configs.BAMBA, "s" * 9 + "f" + "s" * 8 + "f" + "s" * 8 + "f" + "s" * 4,
                     id="Bamba, attention by indices"),
        pytest.param(configs.JAMBA, "ssssfsss" * 4, id="Jamba, by period and offset"),
        pytest.param(configs.GRANITE_4_H_SMALL, "sssssf" + "sssssssssf" * 3 + "ssss",
                     id="Granite 4, layer_types"),
        pytest.param(configs.LLAMA_GUARD_4, "cccf" * 12, id="Llama 4, no_rope_layers"),
        pytest.param(configs.PHI_3_MINI, "w" * 32, id="Phi-3, all"),
        pytest.param(
            {**config_of("Qwen--Qwen3-0.6B"), "use_sliding_window": True, "sliding_window": 4096,
             "max_window_layers": 20},
            "f" * 20 + "w" * 8, id="Qwen, from max_window_layers on",
        ),
        pytest.param(
            {**config_of("mistralai--Mixtral-8x7B-Instruct-v0.1"), "sliding_window": 4096},
            "w" * 32, id="Mistral with a window",
        ),
    ],
)  # fmt: skip
def test_caches_of_other_families_follow_the_pattern(config: dict[str, Any], expected: str) -> None:
    assert letters(model_shape(config)) == expected


@pytest.mark.parametrize(
    ("name", "window"),
    [
        ("google--gemma-2-27b-it", 4096),
        ("google--gemma-3-27b-it", 1024),
        ("google--gemma-4-26B-A4B", 1024),
        ("openai--gpt-oss-120b", 128),
    ],
)
def test_windows_are_as_wide_as_the_key_says(name: str, window: int) -> None:
    assert set(windows(model_shape(config_of(name)))) == {0, window}


@pytest.mark.parametrize(
    ("config", "index", "expected"),
    [
        pytest.param(config_of("meta-llama--Llama-3.1-8B-Instruct"), 0, HeadsCache(8, 128),
                     id="Llama"),
        pytest.param(config_of("microsoft--phi-2"), 0, HeadsCache(32, 80), id="Phi-2"),
        pytest.param(config_of("google--gemma-4-26B-A4B"), 0, HeadsCache(8, 256, 1024),
                     id="Gemma 4, windowed"),
        pytest.param(config_of("google--gemma-4-26B-A4B"), 5, HeadsCache(2, 512),
                     id="Gemma 4, full"),
        pytest.param(config_of("meta-llama--Llama-4-Scout-17B-16E-Instruct"), 0,
                     HeadsCache(8, 128, 0, 8192), id="Llama 4, chunks"),
        # 512 + 64
        pytest.param(config_of("deepseek-ai--DeepSeek-V2-Lite-Chat"), 3, LatentCache(576),
                     id="DeepSeek V2"),
        # 4 tiles of 40 * 40 patches and a class token
        pytest.param(config_of("meta-llama--Llama-3.2-11B-Vision"), 3, CrossCache(8, 128, 6404),
                     id="mllama"),
        # 64 heads * 64 * 128; (4096 + 2 * 8 * 128) * 3
        pytest.param(configs.NEMOTRON_3_NANO, 0, StateCache(524_288, 18_432), id="Nemotron-H"),
        # 128 heads * 64 * 128; (8192 + 2 * 128) * 3
        pytest.param(configs.BAMBA, 0, StateCache(1_048_576, 25_344), id="Bamba"),
        # 8192 * 16; 8192 * 3
        pytest.param(configs.JAMBA, 0, StateCache(131_072, 24_576), id="Jamba"),
        # 32 * 128 * 128; (2 * 2048 + 4096) * 3
        pytest.param(configs.QWEN3_NEXT, 0, StateCache(524_288, 24_576), id="Qwen3-Next"),
        # nothing but its window
        pytest.param(config_of("deepseek-ai--DeepSeek-V4-Flash"), 0, LatentCache(512, 128),
                     id="DeepSeek V4, window"),
        # (512 + 128) / 4, and one element for 128 * 512 of the window over 1048576 tokens
        pytest.param(config_of("deepseek-ai--DeepSeek-V4-Flash"), 2, LatentCache(161),
                     id="DeepSeek V4, 4 tokens in one entry"),
        # 512 / 128, and one
        pytest.param(config_of("deepseek-ai--DeepSeek-V4-Flash"), 3, LatentCache(5),
                     id="DeepSeek V4, 128 tokens in one entry"),
    ],
)  # fmt: skip
def test_what_one_layer_keeps(config: dict[str, Any], index: int, expected: object) -> None:
    assert model_shape(config).layers[index].cache == expected


def kinds(model: ModelShape) -> str:
    """One letter for a layer's feed-forward part: dense, experts, both, none."""

    def kind(part: FeedForward | None) -> str:
        if part is None:
            return "-"
        return {(True, False): "d", (False, True): "e", (True, True): "b"}[
            (part.width > 0, part.experts > 0)
        ]

    return "".join(kind(layer.feed_forward) for layer in model.layers)


@pytest.mark.parametrize(
    ("config", "expected"),
    [
        pytest.param(config_of("deepseek-ai--DeepSeek-R1"), "ddd" + "e" * 58, id="DeepSeek"),
        pytest.param(config_of("moonshotai--Kimi-VL-A3B-Instruct"), "d" + "e" * 26, id="Kimi-VL"),
        pytest.param(config_of("Qwen--Qwen3-30B-A3B"), "e" * 48, id="Qwen3-MoE"),
        pytest.param(
            {**config_of("Qwen--Qwen3-30B-A3B"), "mlp_only_layers": [1, 4]},
            "edeed" + "e" * 43, id="Qwen3-MoE with dense layers",
        ),
        pytest.param(
            {**config_of("Qwen--Qwen1.5-MoE-A2.7B"), "decoder_sparse_step": 2}, "de" * 12,
            id="Qwen2-MoE, every other layer",
        ),
        pytest.param(
            config_of("meta-llama--Llama-4-Scout-17B-16E-Instruct"), "e" * 48, id="Scout"
        ),
        pytest.param(configs.LLAMA_GUARD_4, "d" * 48, id="Llama 4 without layers of experts"),
        pytest.param(config_of("google--gemma-4-26B-A4B"), "b" * 30, id="Gemma 4, side by side"),
        pytest.param(config_of("google--gemma-2-2b-it"), "d" * 26, id="dense"),
        pytest.param(configs.JAMBA, "de" * 16, id="Jamba"),
        pytest.param({**configs.JAMBA, "num_experts": 1}, "d" * 32, id="Jamba with one expert"),
        pytest.param(configs.GRANITE_4_MICRO, "d" * 40, id="Granite 4 without experts"),
        pytest.param(configs.NEMOTRON_NANO_9B_V2,
                     "M-M-M-MM-M-M-M*-M-M-M*-M-M-M-M*-M-M-M-M*-M-MM-M-M-M-M-M-".translate(
                         str.maketrans("M*-", "--d")),
                     id="Nemotron-H"),
    ],
)  # fmt: skip
def test_feed_forward_parts_follow_the_pattern(config: dict[str, Any], expected: str) -> None:
    assert kinds(model_shape(config)) == expected


@pytest.mark.parametrize(
    ("config", "index", "expected"),
    [
        (config_of("meta-llama--Llama-3.1-8B-Instruct"), 0, FeedForward(14336)),
        (config_of("microsoft--phi-2"), 0, FeedForward(10240, gated=False)),
        (config_of("mistralai--Mixtral-8x7B-Instruct-v0.1"), 0, FeedForward(0, True, 14336, 8, 2)),
        (config_of("openai--gpt-oss-20b"), 0, FeedForward(0, True, 2880, 32, 4)),
        (config_of("deepseek-ai--DeepSeek-R1"), 60, FeedForward(0, True, 2048, 256, 8)),
        (config_of("MiniMaxAI--MiniMax-M2"), 0, FeedForward(0, True, 1536, 256, 8)),
        (config_of("google--gemma-4-26B-A4B"), 0, FeedForward(2112, True, 704, 128, 8)),
        (configs.NEMOTRON_3_NANO, 1, FeedForward(0, False, 1856, 128, 6)),
    ],
)
def test_what_the_activation_peak_needs(
    config: dict[str, Any], index: int, expected: FeedForward
) -> None:
    assert model_shape(config).layers[index].feed_forward == expected


def test_layers_that_share_a_cache_keep_nothing() -> None:
    config = config_of("google--gemma-4-26B-A4B")
    config["text_config"]["num_kv_shared_layers"] = 12
    assert letters(model_shape(config)) == "wwwwwf" * 3 + "-" * 12
