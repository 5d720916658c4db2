"""Bytes of the weights: in the checkpoint, and on one GPU."""

from collections.abc import Callable, Iterable
from functools import lru_cache
from typing import Final

from llama_operator.catalog.rows import Architecture, Scheme
from llama_operator.sizing.allocator import allocated_bytes
from llama_operator.sizing.linears import Linear, checkpoint_linears, gpu_linears
from llama_operator.sizing.parameters import unquantized_parameters
from llama_operator.sizing.placement import Placement
from llama_operator.sizing.schemes import (
    SIXTEEN_BIT_BYTES,
    edge_layers,
    is_quantized_at_load,
    keeps_sixteen_bit,
    linear_bytes,
    sixteen_bit_bytes,
)
from llama_operator.sizing.sharding import padded_vocabulary, stage_layers
from llama_operator.units import ceil_div

ROPE_ELEMENT_BYTES: Final = 2
"""The table of cosines and sines has the compute dtype, 16 bit."""


@lru_cache(maxsize=1024)
def checkpoint_bytes(architecture: Architecture, scheme: Scheme) -> int:
    """Bytes of all tensors of the published checkpoint. Exact; memory model, section 3.

    A scheme that the engine makes from 16-bit weights while it loads has a 16-bit checkpoint.

    Raises:
        UnsupportedSchemeError: the bytes of the scheme are not known.
        UnsupportedArchitectureError: the model type is not described.
    """
    linears = checkpoint_linears(architecture)
    if is_quantized_at_load(scheme):
        layers = architecture.num_hidden_layers * sum(map(sixteen_bit_bytes, linears))
    else:
        layers = _layers_bytes(architecture, scheme, linears, int)
    return layers + SIXTEEN_BIT_BYTES * unquantized_parameters(architecture)


def weights_bytes(placement: Placement, *, stage: int = 0) -> int:
    """Bytes of the weights on one GPU of a pipeline stage, as the engine logs them.

    Linear layers are divided as sections 3 and 4 of the memory model say and rounded as the
    allocator does; the first stage holds the embedding, the last lm_head and the final norm; every
    GPU holds norms and the RoPE table whole.

    Raises:
        UnsupportedSchemeError: the bytes of the scheme are not known.
        UnsupportedArchitectureError: the model type is not described.
    """
    return _weights_bytes(
        placement.architecture,
        placement.scheme,
        placement.tensor_parallel_size,
        placement.pipeline_parallel_size,
        stage,
        placement.dtype_bytes,
    )


def rope_table_bytes(architecture: Architecture) -> int:
    """Bytes of the table of cosines and sines, of shape (positions, head_dim); never divided."""
    return architecture.max_position_embeddings * architecture.head_dim * ROPE_ELEMENT_BYTES


@lru_cache(maxsize=4096)
def _weights_bytes(
    architecture: Architecture,
    scheme: Scheme,
    tensor_parallel_size: int,
    pipeline_parallel_size: int,
    stage: int,
    dtype_bytes: int,
) -> int:
    stages = stage_layers(architecture.num_hidden_layers, pipeline_parallel_size)
    first, count = sum(stages[:stage]), stages[stage]
    linears = gpu_linears(architecture, tensor_parallel_size)
    layers = _layers_bytes(architecture, scheme, linears, allocated_bytes, first, count)
    norm = allocated_bytes(architecture.hidden_size * dtype_bytes)
    rows = ceil_div(padded_vocabulary(architecture), tensor_parallel_size)
    embedding = allocated_bytes(rows * architecture.hidden_size * dtype_bytes)
    is_first, is_last = stage == 0, stage == pipeline_parallel_size - 1
    tied = architecture.tie_word_embeddings
    matrices = int(is_first) + int(is_last and not (tied and is_first))
    norms = 2 * count + int(is_last)
    rope = allocated_bytes(rope_table_bytes(architecture))
    return layers + matrices * embedding + norms * norm + rope


def _layers_bytes(
    architecture: Architecture,
    scheme: Scheme,
    linears: Iterable[Linear],
    rounding: Callable[[int], int],
    first: int = 0,
    count: int | None = None,
) -> int:
    """Bytes of the linear layers of `count` decoder layers from `first` on."""
    linears = tuple(linears)
    layers = architecture.num_hidden_layers if count is None else count
    edges = edge_layers(architecture, first, layers)

    def layer_bytes(*, edge_layer: bool) -> int:
        return sum(
            rounding(
                sixteen_bit_bytes(linear)
                if keeps_sixteen_bit(scheme, linear.part, edge_layer=edge_layer)
                else linear_bytes(linear, scheme)
            )
            for linear in linears
        )

    inner = layer_bytes(edge_layer=False) * (layers - edges)
    return inner + (layer_bytes(edge_layer=True) * edges if edges else 0)
