"""Tower of Gemma 4."""

from typing import Final

from llama_operator.sizing.models.config import Config
from llama_operator.sizing.models.parts import vector
from llama_operator.sizing.models.tensors import Part, Tensor
from llama_operator.sizing.models.vision.encoder import encoder, patches, projection
from llama_operator.sizing.models.vision.reading import (
    hidden_size,
    intermediate_size,
    layers,
    patch_size,
)

_POSITIONS: Final = 10_240
"""`position_embedding_size` where it is absent."""


def gemma4(vision: Config) -> tuple[Tensor, ...]:
    """Gemma 4: two tables of positions, four norms and norms of queries and keys per layer.

    Shapes: transformers, modeling_gemma4.py.
    """
    hidden = hidden_size(vision)
    count = layers(vision)
    head_dim = vision.integer("head_dim", default=64)
    size = vision.integer("position_embedding_size", default=_POSITIONS)
    return (
        *patches(hidden, patch_size(vision), bias=False),
        Tensor("position_embedding_table", Part.VISION, (2, size, hidden)),
        *encoder(
            count, hidden, intermediate_size(vision),
            attention_bias=False, mlp_bias=False, gated=True, norm_bias=False, norm_count=4,
        ),
        vector("q_k_norm", Part.NORM, 2 * head_dim, count=count),
        vector("std", Part.VISION, 2 * hidden),
    )  # fmt: skip


def gemma4_projector(outer: Config, vision: Config, text_hidden: int) -> tuple[Tensor, ...]:
    """One matrix; its norm has no weights."""
    del outer
    return projection("embedding_projection", text_hidden, hidden_size(vision), bias=False)
