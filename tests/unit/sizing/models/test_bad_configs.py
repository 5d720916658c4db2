"""Wrong configurations: an error that names the key and what is allowed, and nothing else."""

import math
from collections.abc import Mapping
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from llama_operator.errors import ConfigError, SizingError
from llama_operator.sizing.models.model import ModelShape
from llama_operator.sizing.models.shape import model_shape
from unit.sizing.models import configs
from unit.sizing.models.configs import NAMES, config_of

LLAMA = config_of("meta-llama--Llama-3.1-8B-Instruct")
DEEPSEEK = config_of("deepseek-ai--DeepSeek-R1")
GEMMA = config_of("google--gemma-3-4b-it")
GEMMA_2 = config_of("google--gemma-2-2b-it")
V4 = config_of("deepseek-ai--DeepSeek-V4-Flash")
WIDTHS = "a whole number from 1 to 16,777,216"


def without(config: Mapping[str, Any], key: str) -> dict[str, Any]:
    return {name: value for name, value in config.items() if name != key}


@pytest.mark.parametrize(
    ("config", "key", "message"),
    [
        ([], "(root)", "a list is no mapping"),
        (None, "(root)", "None is no mapping"),
        ("llama", "(root)", "'llama' is no mapping"),
        (without(LLAMA, "hidden_size"), "hidden_size", f"is missing; {WIDTHS}"),
        (without(LLAMA, "vocab_size"), "vocab_size", f"is missing; {WIDTHS}"),
        (
            without(LLAMA, "num_hidden_layers"),
            "num_hidden_layers",
            "is missing; a whole number from 1 to 10,000",
        ),
        (
            without(LLAMA, "num_attention_heads"),
            "num_attention_heads",
            "is missing; a whole number from 1 to 65,536",
        ),
        (without(LLAMA, "intermediate_size"), "intermediate_size", f"is missing; {WIDTHS}"),
        (
            without(LLAMA, "max_position_embeddings"),
            "max_position_embeddings",
            "is missing; a whole number from 1 to 10,000,000,000",
        ),
        ({**LLAMA, "hidden_size": 0}, "hidden_size", f"0 is no {WIDTHS[2:]}"),
        ({**LLAMA, "hidden_size": -4096}, "hidden_size", f"-4096 is no {WIDTHS[2:]}"),
        ({**LLAMA, "hidden_size": "4096"}, "hidden_size", f"'4096' is no {WIDTHS[2:]}"),
        ({**LLAMA, "hidden_size": True}, "hidden_size", f"True is no {WIDTHS[2:]}"),
        ({**LLAMA, "hidden_size": 4096.5}, "hidden_size", f"4096.5 is no {WIDTHS[2:]}"),
        ({**LLAMA, "hidden_size": math.nan}, "hidden_size", f"nan is no {WIDTHS[2:]}"),
        ({**LLAMA, "hidden_size": math.inf}, "hidden_size", f"inf is no {WIDTHS[2:]}"),
        ({**LLAMA, "hidden_size": 1e30}, "hidden_size", f"1e+30 is no {WIDTHS[2:]}"),
        (
            {**LLAMA, "hidden_size": 10**5000},
            "hidden_size",
            f"a number of more than 30 digits is no {WIDTHS[2:]}",
        ),
        ({**LLAMA, "hidden_size": [4096]}, "hidden_size", f"a list is no {WIDTHS[2:]}"),
        ({**LLAMA, "hidden_size": {}}, "hidden_size", f"a dict is no {WIDTHS[2:]}"),
        (
            {**LLAMA, "num_hidden_layers": 10_001},
            "num_hidden_layers",
            "10001 is no whole number from 1 to 10,000",
        ),
        (
            {**LLAMA, "vocab_size": 10**9},
            "vocab_size",
            f"1000000000 is no {WIDTHS[2:]}",
        ),
        (
            {**LLAMA, "num_key_value_heads": 7},
            "num_key_value_heads",
            "7 does not divide 32 query heads",
        ),
        (
            {**LLAMA, "hidden_size": 16},
            "num_attention_heads",
            "is 32, more than hidden_size",
        ),
        (
            {**LLAMA, "tie_word_embeddings": "no"},
            "tie_word_embeddings",
            "'no' is neither true nor false",
        ),
        ({**LLAMA, "model_type": 7}, "model_type", "7 is no text"),
        ({**LLAMA, "rope_scaling": [8]}, "rope_scaling", "a list is no mapping"),
        (
            {**LLAMA, "rope_scaling": {"rope_type": "linear", "factor": math.inf}},
            "rope_scaling.factor",
            "inf is no number above 0, up to 1,000,000",
        ),
        (
            {**LLAMA, "rope_scaling": {"rope_type": "linear", "factor": True}},
            "rope_scaling.factor",
            "True is no number above 0, up to 1,000,000",
        ),
        (
            {**LLAMA, "quantization_config": {"ignore": "lm_head"}},
            "quantization_config.ignore",
            "'lm_head' is no list of at most 10,000 entries",
        ),
        (
            {**LLAMA, "quantization_config": {"ignore": [7]}},
            "quantization_config.ignore",
            "is no list of texts",
        ),
        (without(DEEPSEEK, "kv_lora_rank"), "kv_lora_rank", f"is missing; {WIDTHS}"),
        (
            {**DEEPSEEK, "num_experts_per_tok": 300},
            "num_experts_per_tok",
            "is 300, more than the 256 experts",
        ),
        (
            {**DEEPSEEK, "num_nextn_predict_layers": 65},
            "num_nextn_predict_layers",
            "65 is no whole number from 0 to 64",
        ),
        (
            {**GEMMA_2, "layer_types": ["sliding_attention"]},
            "num_hidden_layers",
            "is 26, but 1 layers are listed by kind",
        ),
        (
            {**GEMMA_2, "layer_types": ["sideways"] * 26},
            "layer_types",
            "'sideways' is none of full_attention, attention, sliding_attention, "
            "chunked_attention, linear_attention, mamba, mlp, moe",
        ),
        (
            {**LLAMA, "layer_types": ["sliding_attention"] * 32},
            "sliding_window",
            "is missing; a whole number from 0 to 10,000,000,000",
        ),
        (
            {**LLAMA, "layer_types": ["mamba"] * 32},
            "layer_types",
            "'mamba' is not known for this model type",
        ),
        (
            {**V4, "compress_ratios": [4, 128]},
            "compress_ratios",
            "is no list of a number for each of 43 layers",
        ),
        (
            {**configs.NEMOTRON_3_NANO, "hybrid_override_pattern": "MX"},
            "hybrid_override_pattern",
            "is no text of at most 10,000 letters of M * - E",
        ),
        (
            without(configs.BAMBA, "attn_layer_indices"),
            "layers_block_type",
            "is missing; it tells which layers are attention",
        ),
        ({**GEMMA, "text_config": 3}, "text_config", "3 is no mapping"),
        (
            {**GEMMA, "text_config": {**GEMMA["text_config"], "hidden_size": None}},
            "text_config.hidden_size",
            f"is missing; {WIDTHS}",
        ),
        (
            {**GEMMA, "vision_config": {**GEMMA["vision_config"], "image_size": 8}},
            "vision_config.image_size",
            "is smaller than patch_size",
        ),
        (
            {**GEMMA, "vision_config": {"model_type": "clip"}},
            "vision_config.hidden_size",
            f"is missing; {WIDTHS}",
        ),
    ],
)
def test_the_error_names_the_key_and_what_is_allowed(config: Any, key: str, message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        model_shape(config)
    assert caught.value.key == key
    assert str(caught.value) == f"config.json: {key}: {message}"
    assert isinstance(caught.value, SizingError)
    assert caught.value.reason == "ModelNotServable"


def test_a_deeply_nested_configuration_is_refused_or_read() -> None:
    nested: dict[str, Any] = {}
    for _ in range(100_000):
        nested = {"text_config": nested}
    with pytest.raises(ConfigError, match="model_type"):
        model_shape(nested)
    with pytest.raises(ConfigError, match=r"text_config\.hidden_size"):
        model_shape({"model_type": "gemma3", "text_config": nested})
    assert model_shape({**LLAMA, "other": nested}).parameters() == 8_030_261_248


def test_the_largest_numbers_that_are_allowed_are_counted_at_once() -> None:
    config = {
        "model_type": "mixtral", "hidden_size": 2**24, "intermediate_size": 2**24,
        "num_hidden_layers": 10_000, "num_attention_heads": 2**16, "vocab_size": 2**24,
        "num_key_value_heads": 2**16, "num_local_experts": 2**16, "num_experts_per_tok": 2,
        "max_position_embeddings": 10**10,
    }  # fmt: skip
    model = model_shape(config)
    assert model.num_hidden_layers == 10_000
    # 2 * 2^48 at the ends; per layer 4 * 2^48 and experts; two norms; a last norm
    experts = 2**16 * (3 * 2**48 + 2**24)
    assert model.parameters() == 2 * 2**48 + 10_000 * (4 * 2**48 + experts + 2 * 2**24) + 2**24


ODD = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-3, 12),
    st.sampled_from([10**30, -(10**30), 10**400, 2**24, 2**24 + 1, 10_000, 10_001, 65_536]),
    st.floats(allow_nan=True, allow_infinity=True),
    st.text(max_size=12),
    st.lists(st.integers(-2, 50), max_size=4),
    st.lists(st.text(max_size=5), max_size=4),
    st.dictionaries(st.text(max_size=5), st.integers(), max_size=2),
    st.sampled_from(
        ["llama", "qwen2_moe", "deepseek_v3", "gemma4", "mllama", "auto", "MEM*", "linear", "yarn"]
    ),
    st.recursive(st.none(), lambda inner: st.lists(inner, max_size=1), max_leaves=20),
)
BASES = [
    *(config_of(name) for name in NAMES),
    configs.NEMOTRON_3_NANO, configs.GRANITE_4_H_SMALL, configs.BAMBA, configs.QWEN3_NEXT,
    configs.QWEN3_8_27B, configs.QWEN2_VL_7B, configs.QWEN2_5_VL_7B, configs.LLAMA_GUARD_4,
    configs.GLM_4_5_AIR, configs.PHI_3_5_MINI, configs.JAMBA,
]  # fmt: skip
EXTRA_KEYS = (
    "model_type", "text_config", "vision_config", "audio_config", "head_dim", "sliding_window",
    "layer_types", "layers_block_type", "hybrid_override_pattern", "rope_scaling",
    "rope_parameters", "q_lora_rank", "kv_lora_rank", "index_n_heads", "index_head_dim",
    "num_kv_shared_layers", "mlp_only_layers", "moe_layers", "cross_attention_layers",
    "attention_bias", "quantization_config", "tie_word_embeddings", "use_sliding_window",
    "hidden_size_per_layer_input", "partial_rotary_factor", "rotary_dim", "hc_mult",
)  # fmt: skip


@st.composite
def mutated(draw: st.DrawFn) -> dict[str, Any]:
    """A configuration with up to three keys changed, removed or added, at any depth."""
    config = dict(draw(st.sampled_from(BASES)))
    for _ in range(draw(st.integers(1, 3))):
        target = config
        sections = sorted(key for key, value in target.items() if isinstance(value, Mapping))
        if sections and draw(st.booleans()):
            section = draw(st.sampled_from(sections))
            target[section] = dict(target[section])
            target = target[section]
        key = draw(st.sampled_from(sorted({*target, *EXTRA_KEYS})))
        if draw(st.booleans()):
            target[key] = draw(ODD)
        else:
            target.pop(key, None)
    return config


@settings(max_examples=400, deadline=None)
@given(config=mutated())
def test_mutated_configurations_build_or_raise_that_error(config: dict[str, Any]) -> None:
    model, error = built(config)
    if model is None:
        assert error is not None
        assert error.key
        assert len(str(error)) < 400
        return
    assert model.parameters() > 0
    assert 1 <= model.num_hidden_layers <= 10_000
    assert model.rope_elements >= 0
    assert all(tensor.elements > 0 for tensor in (*model.served(), *model.not_loaded))


def built(config: dict[str, Any]) -> tuple[ModelShape | None, ConfigError | None]:
    try:
        return model_shape(config), None
    except ConfigError as error:
        return None, error
