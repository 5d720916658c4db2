"""Shapes of rows of architectures.csv."""

from dataclasses import replace

import pytest

from llama_operator.catalog.catalog import Catalog
from llama_operator.catalog.rows import Architecture
from llama_operator.catalog.user_schema import MODEL_TYPES
from llama_operator.errors import ConfigError
from llama_operator.sizing.architectures import shape_of

ROWS = {row.name: row for row in Catalog.load().tables.architectures}
LLAMA_8B, LLAMA_70B = ROWS["llama-3.1-8b"], ROWS["llama-3.1-70b"]
LLAMA_405B = ROWS["llama-3.1-405b"]
LLAMA_1B = replace(
    LLAMA_8B,
    name="llama-3.2-1b",
    hidden_size=2048,
    intermediate_size=8192,
    num_hidden_layers=16,
    head_dim=64,
    tie_word_embeddings=True,
)
LLAMA_3B = replace(
    LLAMA_8B,
    name="llama-3.2-3b",
    hidden_size=3072,
    intermediate_size=8192,
    num_hidden_layers=28,
    num_attention_heads=24,
    tie_word_embeddings=True,
)


@pytest.mark.parametrize(
    ("architecture", "expected"),
    [
        pytest.param(LLAMA_8B, 8_030_261_248, id="Llama 3.1 8B"),
        pytest.param(LLAMA_70B, 70_553_706_496, id="Llama 3.1 70B"),
        pytest.param(LLAMA_405B, 405_853_388_800, id="Llama 3.1 405B with 8 KV heads"),
        pytest.param(
            replace(LLAMA_405B, num_key_value_heads=16),
            410_081_247_232,
            id="Llama 3.1 405B as of July 2024, 16 KV heads",
        ),
        # 128256*2048 embedding, once; 16 layers of 2*2048*2048 + 2*2048*512 + 3*2048*8192 + 2*2048;
        # 2048 of the last norm: 262,668,288 + 16*60,821,504 + 2,048
        pytest.param(LLAMA_1B, 1_235_814_400, id="Llama 3.2 1B with tied embeddings"),
        # 128256*3072 + 28*(2*3072*3072 + 2*3072*1024 + 3*3072*8192 + 2*3072) + 3072
        pytest.param(LLAMA_3B, 3_212_749_824, id="Llama 3.2 3B with tied embeddings"),
    ],
)
def test_parameters_are_counted_exactly(architecture: Architecture, expected: int) -> None:
    assert shape_of(architecture).parameters() == expected


def test_linear_layers_of_the_70b_hold_the_published_share() -> None:
    layers = shape_of(LLAMA_70B).layers
    linears = [tensor for layer in layers for tensor in layer.tensors if tensor.linear]
    assert sum(tensor.elements for tensor in linears) == 68_451_041_280


def test_other_facts_are_those_of_the_row() -> None:
    shape = shape_of(LLAMA_405B)
    assert shape.name == "llama-3.1-405b"
    assert (shape.num_hidden_layers, shape.hidden_size, shape.attention_heads) == (126, 16384, 128)
    assert (shape.vocab_size, shape.max_position_embeddings, shape.tied) == (128256, 131072, False)
    assert shape.bounds == ()


def test_equal_rows_have_one_shape() -> None:
    assert shape_of(replace(LLAMA_8B)) is shape_of(LLAMA_8B)
    assert shape_of(LLAMA_70B) is not shape_of(LLAMA_8B)


@pytest.mark.parametrize("model_type", MODEL_TYPES)
def test_what_users_may_write_is_described_exactly(model_type: str) -> None:
    assert shape_of(replace(LLAMA_8B, model_type=model_type)).bounds == ()


def test_a_model_type_that_needs_more_than_a_row_has_names_the_key() -> None:
    with pytest.raises(ConfigError, match="num_local_experts"):
        shape_of(replace(LLAMA_8B, model_type="mixtral"))
