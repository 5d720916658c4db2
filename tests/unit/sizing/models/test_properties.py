"""Properties that hold for every decoder."""

from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from llama_operator.sizing.models.shape import model_shape

HEADS = st.sampled_from([(8, 8), (8, 4), (8, 2), (8, 1), (16, 4), (32, 8)])
DENSE = st.sampled_from(["llama", "mistral", "granite", "phi3", "qwen2", "qwen3", "gemma", "glm4"])


@st.composite
def dense(draw: st.DrawFn) -> dict[str, Any]:
    heads, kv_heads = draw(HEADS)
    return {
        "model_type": draw(DENSE),
        "hidden_size": heads * draw(st.sampled_from([16, 64, 128])),
        "intermediate_size": draw(st.integers(1, 4096)),
        "num_hidden_layers": draw(st.integers(1, 12)),
        "num_attention_heads": heads,
        "num_key_value_heads": kv_heads,
        "head_dim": draw(st.sampled_from([32, 64, 128])),
        "vocab_size": draw(st.integers(1, 4096)),
        "max_position_embeddings": 4096,
        "tie_word_embeddings": draw(st.booleans()),
    }


@settings(max_examples=60, deadline=None)
@given(config=dense())
def test_a_layer_more_adds_one_layer(config: dict[str, Any]) -> None:
    model = model_shape(config)
    more = model_shape({**config, "num_hidden_layers": config["num_hidden_layers"] + 1})
    layer = sum(tensor.elements for tensor in model.layers[0].tensors)
    assert more.parameters() - model.parameters() == layer


@settings(max_examples=60, deadline=None)
@given(config=dense())
def test_untying_adds_one_matrix(config: dict[str, Any]) -> None:
    tied = model_shape({**config, "tie_word_embeddings": True})
    untied = model_shape({**config, "tie_word_embeddings": False})
    matrix = config["vocab_size"] * config["hidden_size"]
    assert untied.parameters() - tied.parameters() == matrix


@settings(max_examples=60, deadline=None)
@given(config=dense())
def test_the_same_configuration_gives_an_equal_shape(config: dict[str, Any]) -> None:
    first, second = model_shape(config), model_shape(dict(reversed(config.items())))
    assert first.layers == second.layers
    assert first.embedding == second.embedding
    assert first.lm_head == second.lm_head
    assert first.final == second.final


@settings(max_examples=60, deadline=None)
@given(config=dense())
def test_a_text_section_is_read_like_a_configuration(config: dict[str, Any]) -> None:
    inner = model_shape({"model_type": "wrapper", "text_config": config})
    assert inner.layers == model_shape(config).layers
    assert inner.parameters() == model_shape(config).parameters()


@settings(max_examples=60, deadline=None)
@given(config=dense(), bias=st.booleans())
def test_unknown_types_are_never_below_known_ones(config: dict[str, Any], bias: bool) -> None:
    known = model_shape({**config, "attention_bias": bias})
    unknown = model_shape({**config, "attention_bias": bias, "model_type": "brand_new"})
    assert unknown.parameters() >= known.parameters()
