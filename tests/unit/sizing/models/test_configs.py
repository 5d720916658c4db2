"""Every configuration of the tests' data builds, fast, and says what is not exact."""

from time import perf_counter

import pytest

from llama_operator.sizing.models.shape import model_shape
from llama_operator.sizing.models.tensors import Split, Tensor
from unit.sizing.models.configs import NAMES, config_of

ESTIMATED = {"deepseek-ai--DeepSeek-V4-Flash", "deepseek-ai--DeepSeek-V4-Pro"}


@pytest.mark.parametrize("name", NAMES)
def test_every_configuration_builds(name: str) -> None:
    config = config_of(name)
    model = model_shape(config, name=name)
    text = config.get("text_config", config)
    assert model.name == name
    assert model.num_hidden_layers == text["num_hidden_layers"]
    assert model.hidden_size == text["hidden_size"]
    assert model.vocab_size == text["vocab_size"]
    assert model.max_position_embeddings == text["max_position_embeddings"]
    assert model.attention_heads == text["num_attention_heads"]
    assert model.rope_elements >= model.max_position_embeddings
    assert bool(model.bounds) == (name in ESTIMATED)
    assert bool(model.vision) == ("vision_config" in config)
    assert model.tied == bool(
        config.get("tie_word_embeddings", text.get("tie_word_embeddings", False))
    )


@pytest.mark.parametrize("name", NAMES)
def test_tensors_are_well_formed(name: str) -> None:
    model = model_shape(config_of(name))
    for tensor in (*model.served(), *model.not_loaded):
        assert tensor.name
        assert tensor.elements > 0
        assert not tensor.linear or len(tensor.shape) == 2
        assert (tensor.split is Split.KV_HEADS) == (tensor.heads > 0)
        assert not tensor.heads or tensor.out_features % tensor.heads == 0
    for layer in set(model.layers):
        assert all(same_inputs(group) for group in merged_groups(layer.tensors))


@pytest.mark.parametrize("name", NAMES)
def test_equal_layers_are_one_object(name: str) -> None:
    model = model_shape(config_of(name))
    assert len({id(layer) for layer in model.layers}) == len(set(model.layers)) <= 6


def test_a_shape_takes_less_than_a_millisecond() -> None:
    configs = [config_of(name) for name in NAMES]
    slowest = 0.0
    for config in configs:
        best = 1.0
        for _ in range(20):
            start = perf_counter()
            model_shape(config)
            best = min(best, perf_counter() - start)
        slowest = max(slowest, best)
    assert slowest < 0.001


def test_quantization_that_keeps_layers_names_them() -> None:
    gpt_oss = model_shape(config_of("openai--gpt-oss-20b"))
    assert gpt_oss.kept == (
        "model.layers.*.self_attn",
        "model.layers.*.mlp.router",
        "model.embed_tokens",
        "lm_head",
    )
    assert model_shape(config_of("gemma-3-27b-it-int4-awq")).kept == (
        "vision_tower",
        "multi_modal_projector",
        "lm_head",
    )
    assert model_shape(config_of("microsoft--phi-4")).kept == ()


def merged_groups(tensors: tuple[Tensor, ...]) -> list[list[Tensor]]:
    words = {tensor.merged for tensor in tensors} - {""}
    return [[tensor for tensor in tensors if tensor.merged == word] for word in sorted(words)]


def same_inputs(group: list[Tensor]) -> bool:
    return len({(tensor.shape[1:], tensor.count, tensor.linear) for tensor in group}) == 1
