"""How tensor-parallel ranks share each tensor, as vLLM does."""

from typing import Any

import pytest

from llama_operator.sizing.models.model import ModelShape
from llama_operator.sizing.models.shape import model_shape
from llama_operator.sizing.models.tensors import Part, Split, Tensor
from unit.sizing.models import configs
from unit.sizing.models.configs import NAMES, config_of

WHOLE, COLUMN, ROW, HEADS = Split.WHOLE, Split.COLUMN, Split.ROW, Split.KV_HEADS


def layer_of(config: str | dict[str, Any], index: int) -> dict[str, Tensor]:
    model = model_shape(config_of(config) if isinstance(config, str) else config)
    tensors = model.layers[index].tensors
    by_name = {tensor.name: tensor for tensor in tensors}
    assert len(by_name) == len(tensors)
    return by_name


def facts(tensor: Tensor) -> tuple[Any, ...]:
    return (tensor.shape, tensor.split, tensor.merged, tensor.heads, tensor.linear)


LLAMA_LAYER = {
    "q_proj": ((4096, 4096), COLUMN, "qkv", 0, True),
    "k_proj": ((1024, 4096), HEADS, "qkv", 8, True),
    "v_proj": ((1024, 4096), HEADS, "qkv", 8, True),
    "o_proj": ((4096, 4096), ROW, "", 0, True),
    "gate_proj": ((14336, 4096), COLUMN, "gate_up", 0, True),
    "up_proj": ((14336, 4096), COLUMN, "gate_up", 0, True),
    "down_proj": ((4096, 14336), ROW, "", 0, True),
    "layernorm.weight": ((4096,), WHOLE, "", 0, False),
}
QWEN_LAYER = {
    "q_proj": ((3584, 3584), COLUMN, "qkv", 0, True),
    "k_proj": ((512, 3584), HEADS, "qkv", 4, True),
    "v_proj": ((512, 3584), HEADS, "qkv", 4, True),
    "o_proj": ((3584, 3584), ROW, "", 0, True),
    "q_proj.bias": ((3584,), COLUMN, "qkv.bias", 0, False),
    "k_proj.bias": ((512,), HEADS, "qkv.bias", 4, False),
    "v_proj.bias": ((512,), HEADS, "qkv.bias", 4, False),
    "gate_proj": ((18944, 3584), COLUMN, "gate_up", 0, True),
    "up_proj": ((18944, 3584), COLUMN, "gate_up", 0, True),
    "down_proj": ((3584, 18944), ROW, "", 0, True),
    "layernorm.weight": ((3584,), WHOLE, "", 0, False),
}
PHI_2_LAYER = {
    "q_proj": ((2560, 2560), COLUMN, "qkv", 0, True),
    "k_proj": ((2560, 2560), HEADS, "qkv", 32, True),
    "v_proj": ((2560, 2560), HEADS, "qkv", 32, True),
    "o_proj": ((2560, 2560), ROW, "", 0, True),
    "q_proj.bias": ((2560,), COLUMN, "qkv.bias", 0, False),
    "k_proj.bias": ((2560,), HEADS, "qkv.bias", 32, False),
    "v_proj.bias": ((2560,), HEADS, "qkv.bias", 32, False),
    "o_proj.bias": ((2560,), WHOLE, "", 0, False),
    "up_proj": ((10240, 2560), COLUMN, "", 0, True),
    "down_proj": ((2560, 10240), ROW, "", 0, True),
    "up_proj.bias": ((10240,), COLUMN, "gate_up.bias", 0, False),
    "down_proj.bias": ((2560,), WHOLE, "", 0, False),
    "layernorm.weight": ((2560,), WHOLE, "", 0, False),
    "layernorm.bias": ((2560,), WHOLE, "", 0, False),
}
DEEPSEEK_R1_LAYER = {
    "kv_a_proj_with_mqa": ((576, 7168), WHOLE, "q_kv_a", 0, True),
    "kv_a_layernorm": ((512,), WHOLE, "", 0, False),
    "kv_b_proj": ((32768, 512), COLUMN, "", 0, True),
    "o_proj": ((7168, 16384), ROW, "", 0, True),
    "q_a_proj": ((1536, 7168), WHOLE, "q_kv_a", 0, True),
    "q_a_layernorm": ((1536,), WHOLE, "", 0, False),
    "q_b_proj": ((24576, 1536), COLUMN, "", 0, True),
    "experts.gate_proj": ((2048, 7168), COLUMN, "experts.gate_up", 0, True),
    "experts.up_proj": ((2048, 7168), COLUMN, "experts.gate_up", 0, True),
    "experts.down_proj": ((7168, 2048), ROW, "", 0, True),
    "router": ((256, 7168), WHOLE, "", 0, True),
    "e_score_correction_bias": ((256,), WHOLE, "", 0, False),
    "shared_expert.gate_proj": ((2048, 7168), COLUMN, "shared_expert.gate_up", 0, True),
    "shared_expert.up_proj": ((2048, 7168), COLUMN, "shared_expert.gate_up", 0, True),
    "shared_expert.down_proj": ((7168, 2048), ROW, "", 0, True),
    "layernorm.weight": ((7168,), WHOLE, "", 0, False),
}
GPT_OSS_LAYER = {
    "q_proj": ((4096, 2880), COLUMN, "qkv", 0, True),
    "k_proj": ((512, 2880), HEADS, "qkv", 8, True),
    "v_proj": ((512, 2880), HEADS, "qkv", 8, True),
    "o_proj": ((2880, 4096), ROW, "", 0, True),
    "q_proj.bias": ((4096,), COLUMN, "qkv.bias", 0, False),
    "k_proj.bias": ((512,), HEADS, "qkv.bias", 8, False),
    "v_proj.bias": ((512,), HEADS, "qkv.bias", 8, False),
    "o_proj.bias": ((2880,), WHOLE, "", 0, False),
    "sinks": ((64,), COLUMN, "", 0, False),
    "experts.gate_proj": ((2880, 2880), COLUMN, "experts.gate_up", 0, True),
    "experts.up_proj": ((2880, 2880), COLUMN, "experts.gate_up", 0, True),
    "experts.down_proj": ((2880, 2880), ROW, "", 0, True),
    "experts.gate_up_proj.bias": ((5760,), COLUMN, "", 0, False),
    "experts.down_proj.bias": ((2880,), WHOLE, "", 0, False),
    "router": ((32, 2880), WHOLE, "", 0, True),
    "router.bias": ((32,), WHOLE, "", 0, False),
    "layernorm.weight": ((2880,), WHOLE, "", 0, False),
}
NEMOTRON_MAMBA_LAYER = {
    "in_proj.gate": ((4096, 2688), COLUMN, "in_proj", 0, True),
    "in_proj.x": ((4096, 2688), COLUMN, "in_proj", 0, True),
    "in_proj.bc": ((2048, 2688), HEADS, "in_proj", 8, True),
    "in_proj.dt": ((64, 2688), COLUMN, "in_proj", 0, True),
    "conv1d.x": ((4096, 4), COLUMN, "conv1d", 0, False),
    "conv1d.bc": ((2048, 4), HEADS, "conv1d", 8, False),
    "A": ((64,), COLUMN, "", 0, False),
    "D": ((64,), COLUMN, "", 0, False),
    "dt_bias": ((64,), COLUMN, "", 0, False),
    "norm": ((4096,), COLUMN, "", 0, False),
    "out_proj": ((2688, 4096), ROW, "", 0, True),
    "conv1d.x.bias": ((4096,), COLUMN, "conv1d.bias", 0, False),
    "conv1d.bc.bias": ((2048,), HEADS, "conv1d.bias", 8, False),
    "layernorm.weight": ((2688,), WHOLE, "", 0, False),
}


@pytest.mark.parametrize(
    ("config", "index", "expected"),
    [
        pytest.param("meta-llama--Llama-3.1-8B-Instruct", 0, LLAMA_LAYER, id="Llama"),
        pytest.param("Qwen--Qwen2.5-7B-Instruct", 0, QWEN_LAYER, id="Qwen2"),
        pytest.param("microsoft--phi-2", 0, PHI_2_LAYER, id="Phi-2"),
        pytest.param("deepseek-ai--DeepSeek-R1", 60, DEEPSEEK_R1_LAYER, id="DeepSeek R1"),
        pytest.param("openai--gpt-oss-20b", 0, GPT_OSS_LAYER, id="gpt-oss"),
        pytest.param(configs.NEMOTRON_3_NANO, 0, NEMOTRON_MAMBA_LAYER, id="Nemotron-H, Mamba"),
    ],
)
def test_tensors_of_a_layer(
    config: str | dict[str, Any], index: int, expected: dict[str, Any]
) -> None:
    assert {name: facts(tensor) for name, tensor in layer_of(config, index).items()} == expected


@pytest.mark.parametrize(
    ("config", "index", "name", "count", "part"),
    [
        ("openai--gpt-oss-20b", 0, "experts.gate_proj", 32, Part.EXPERTS),
        ("openai--gpt-oss-20b", 0, "experts.gate_up_proj.bias", 32, Part.EXPERTS),
        ("deepseek-ai--DeepSeek-R1", 60, "experts.down_proj", 256, Part.EXPERTS),
        ("deepseek-ai--DeepSeek-R1", 60, "shared_expert.up_proj", 1, Part.SHARED_EXPERTS),
        ("deepseek-ai--DeepSeek-R1", 60, "router", 1, Part.ROUTER),
        ("deepseek-ai--DeepSeek-R1", 0, "up_proj", 1, Part.FEED_FORWARD),
        ("meta-llama--Llama-3.1-8B-Instruct", 0, "layernorm.weight", 2, Part.NORM),
        ("google--gemma-2-2b-it", 0, "layernorm.weight", 4, Part.NORM),
        ("google--gemma-4-26B-A4B", 0, "layernorm.weight", 7, Part.NORM),
        ("Qwen--Qwen1.5-MoE-A2.7B", 0, "shared_expert_gate", 1, Part.ROUTER),
        ("Qwen--Qwen3-8B", 0, "q_norm", 1, Part.NORM),
    ],
)
def test_counts_and_parts(config: str, index: int, name: str, count: int, part: Part) -> None:
    tensor = layer_of(config, index)[name]
    assert (tensor.count, tensor.part) == (count, part)


@pytest.mark.parametrize(
    ("config", "expected"),
    [
        ("Qwen--Qwen3-8B", {"q_norm": ((128,), WHOLE, "", 0, False),
                            "k_norm": ((128,), WHOLE, "", 0, False)}),
        ("MiniMaxAI--MiniMax-M2", {"q_norm": ((6144,), COLUMN, "", 0, False),
                                   "k_norm": ((1024,), HEADS, "", 8, False)}),
        (configs.OLMO_2_7B, {"q_norm": ((4096,), WHOLE, "", 0, False),
                             "k_norm": ((4096,), WHOLE, "", 0, False)}),
        ("meta-llama--Llama-3.1-8B-Instruct", {}),
    ],
)  # fmt: skip
def test_norms_of_queries_and_keys(config: str | dict[str, Any], expected: dict[str, Any]) -> None:
    found = layer_of(config, 0)
    names = [name for name in ("q_norm", "k_norm") if name in found]
    assert {name: facts(found[name]) for name in names} == expected


def test_gated_attention_has_queries_twice() -> None:
    layer = layer_of(configs.QWEN3_NEXT, 3)
    assert layer["q_proj"].shape == (2 * 16 * 256, 2048)
    assert layer["o_proj"].shape == (2048, 16 * 256)


def test_corrections_of_routers_are_in_32_bit() -> None:
    assert layer_of("deepseek-ai--DeepSeek-R1", 60)["e_score_correction_bias"].element_bytes == 4
    assert "e_score_correction_bias" not in layer_of("deepseek-ai--DeepSeek-V2-Lite-Chat", 5)
    assert "e_score_correction_bias" not in layer_of("Qwen--Qwen3-30B-A3B", 5)


@pytest.mark.parametrize("name", NAMES)
def test_what_every_family_shares(name: str) -> None:
    model = model_shape(config_of(name))
    for tensor in model.served():
        assert tensor.part is not Part.ROUTER or tensor.split is WHOLE
        assert tensor.part is not Part.EXPERTS or tensor.count > 1
        assert not tensor.linear or tensor.split is not Split.VOCABULARY or whole_ends(tensor)
    assert [tensor.split for tensor in model.embedding] == [Split.VOCABULARY]
    assert model.tied == (model.lm_head is None)
    assert model.lm_head is None or facts(model.lm_head) == (
        (model.vocab_size, model.hidden_size), Split.VOCABULARY, "", 0, True,
    )  # fmt: skip


def whole_ends(tensor: Tensor) -> bool:
    return tensor.part in (Part.EMBEDDING, Part.LM_HEAD)


def vision_of(model: ModelShape) -> dict[str, Tensor]:
    return {tensor.name: tensor for tensor in model.vision}


def test_vision_towers_are_divided_and_their_projectors_whole() -> None:
    gemma = vision_of(model_shape(config_of("google--gemma-3-4b-it")))
    assert {name: (tensor.shape, tensor.split, tensor.count) for name, tensor in gemma.items()} == {
        "patch_embedding": ((1152, 588), WHOLE, 1),
        "patch_embedding.bias": ((1152,), WHOLE, 1),
        "position_embedding": ((4096, 1152), WHOLE, 1),
        "qkv_proj": ((3456, 1152), COLUMN, 27),
        "qkv_proj.bias": ((3456,), COLUMN, 27),
        "out_proj": ((1152, 1152), ROW, 27),
        "out_proj.bias": ((1152,), WHOLE, 27),
        "fc1": ((4304, 1152), COLUMN, 27),
        "fc1.bias": ((4304,), COLUMN, 27),
        "fc2": ((1152, 4304), ROW, 27),
        "fc2.bias": ((1152,), WHOLE, 27),
        "vision_norm.weight": ((1152,), WHOLE, 54),
        "vision_norm.bias": ((1152,), WHOLE, 54),
        "post_layernorm.weight": ((1152,), WHOLE, 1),
        "post_layernorm.bias": ((1152,), WHOLE, 1),
        "mm_soft_emb_norm": ((1152,), WHOLE, 1),
        "mm_input_projection": ((2560, 1152), WHOLE, 1),
    }


def test_towers_in_mistral_format_are_whole() -> None:
    config = config_of("mistralai--Mistral-Small-3.1-24B-Instruct-2503")
    divided = model_shape(config)
    whole = model_shape(config, mistral_format=True)
    assert whole.mistral_format
    assert not divided.mistral_format
    assert {tensor.split for tensor in whole.vision} == {WHOLE}
    assert {tensor.split for tensor in divided.vision} == {WHOLE, COLUMN, ROW}
    assert whole.parameters() == divided.parameters() == 24_011_361_280
