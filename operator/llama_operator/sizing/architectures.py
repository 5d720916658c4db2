"""Shapes of the architectures that the catalog and its users list."""

from functools import lru_cache
from typing import Final

from llama_operator.catalog.rows import Architecture
from llama_operator.sizing.models.model import ModelShape
from llama_operator.sizing.models.shape import model_shape

_KEYS: Final = (
    "model_type",
    "hidden_size",
    "intermediate_size",
    "num_hidden_layers",
    "num_attention_heads",
    "num_key_value_heads",
    "head_dim",
    "vocab_size",
    "max_position_embeddings",
    "tie_word_embeddings",
)
"""Fields of a row that are keys of a `config.json`."""


@lru_cache(maxsize=512)
def shape_of(architecture: Architecture) -> ModelShape:
    """The shape of a row of architectures.csv, one object for equal rows.

    Sizes are remembered by the very object, so a shape is built once and not for every plan.

    Raises:
        ConfigError: the row's columns do not describe its model type.
    """
    config = {key: getattr(architecture, key) for key in _KEYS}
    return model_shape(config, name=architecture.name)
