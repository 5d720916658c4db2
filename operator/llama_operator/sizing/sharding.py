"""How a model is divided over GPUs: tensor parallel ranks and pipeline stages."""

from functools import lru_cache
from typing import Final

from llama_operator.catalog.rows import Architecture, Scheme
from llama_operator.sizing.linears import Part, check_supported, gpu_linears
from llama_operator.units import ceil_to

TENSOR_PARALLEL_SIZES: Final = (1, 2, 4, 8, 16)
"""Tensor parallel sizes that are tried, in this order."""
VOCABULARY_PADDING: Final = 64
"""vLLM pads the vocabulary to a multiple of this size (`DEFAULT_VOCAB_PADDING_SIZE`)."""
PACKED_OUTPUTS: Final = 8
"""Four-bit kernels pack this many outputs into one 32-bit word."""


def padded_vocabulary(architecture: Architecture) -> int:
    """Rows of the embedding and lm_head matrices over all GPUs."""
    return ceil_to(architecture.vocab_size, VOCABULARY_PADDING)


def stage_layers(num_hidden_layers: int, pipeline_parallel_size: int) -> tuple[int, ...]:
    """Layers of each pipeline stage, first to last.

    A remainder goes to the stages before the last, from the back. Source: vLLM,
    distributed/utils.py, `get_pp_indices`.
    """
    whole, rest = divmod(num_hidden_layers, pipeline_parallel_size)
    layers = [whole] * pipeline_parallel_size
    for position in range(2, rest + 2):
        layers[-position] += 1
    return tuple(layers)


@lru_cache(maxsize=4096)
def tensor_parallel_obstacle(
    architecture: Architecture, scheme: Scheme, tensor_parallel_size: int
) -> str | None:
    """Why the model cannot be divided over so many GPUs; None when it can.

    Memory model, section 4: attention heads divide evenly, KV heads divide or repeat evenly, the
    padded vocabulary and the feed-forward width divide, and quantization groups stay whole.

    Args:
        architecture: the model.
        scheme: how its weights are stored.
        tensor_parallel_size: GPUs of one stage; at least 1.

    Returns:
        A clause for people, e.g. `64 attention heads do not divide by 3`.
    """
    check_supported(architecture)
    size = tensor_parallel_size
    heads, kv_heads = architecture.num_attention_heads, architecture.num_key_value_heads
    if heads % size:
        return f"{heads} attention heads do not divide by {size}"
    if kv_heads % size and size % kv_heads:
        return f"{kv_heads} KV heads neither divide by {size} nor repeat evenly"
    if padded_vocabulary(architecture) % size:
        return f"a vocabulary of {padded_vocabulary(architecture)} does not divide by {size}"
    if architecture.intermediate_size % size:
        return f"a feed-forward width of {architecture.intermediate_size} does not divide by {size}"
    if scheme.group_size <= 1:
        return None
    for linear in gpu_linears(architecture, size):
        if linear.in_features % scheme.group_size:
            part = "an attention" if linear.part is Part.ATTENTION else "a feed-forward"
            return (
                f"on {size} GPUs {part} matrix has {linear.in_features} inputs, "
                f"no multiple of the group of {scheme.group_size}"
            )
        if scheme.bits == 4 and linear.out_features % PACKED_OUTPUTS:
            return f"{linear.out_features} outputs do not pack by {PACKED_OUTPUTS}"
    return None


def valid_tensor_parallel_sizes(architecture: Architecture, scheme: Scheme) -> tuple[int, ...]:
    """Tensor parallel sizes over which the model can be divided, ascending."""
    return tuple(
        size
        for size in TENSOR_PARALLEL_SIZES
        if tensor_parallel_obstacle(architecture, scheme, size) is None
    )
