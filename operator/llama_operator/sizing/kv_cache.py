"""Bytes and tokens of the KV cache of models with full attention in every layer."""

from typing import Final

from llama_operator.catalog.rows import Architecture
from llama_operator.sizing.linears import check_supported, kv_heads_per_gpu
from llama_operator.units import ceil_to

BLOCK_TOKENS: Final = 16
"""Tokens of one KV-cache block (vLLM on GPUs)."""


def layer_bytes_per_token(
    architecture: Architecture, *, tensor_parallel_size: int, element_bytes: int
) -> int:
    """KV-cache bytes that one token takes in one layer on one GPU.

    K and V, each of shape (heads_per_gpu, head_dim). KV heads are divided over the
    tensor-parallel group and repeated when there are fewer heads than GPUs. Memory model,
    section 5.

    Args:
        architecture: the model.
        tensor_parallel_size: GPUs of one stage; at least 1.
        element_bytes: 2 for fp16 and bf16, 1 for fp8.
    """
    check_supported(architecture)
    heads = kv_heads_per_gpu(architecture, tensor_parallel_size)
    return 2 * heads * architecture.head_dim * element_bytes


def bytes_per_token(
    architecture: Architecture, *, tensor_parallel_size: int = 1, element_bytes: int = 2
) -> int:
    """KV-cache bytes that one token takes in all layers on one GPU."""
    return architecture.num_hidden_layers * layer_bytes_per_token(
        architecture, tensor_parallel_size=tensor_parallel_size, element_bytes=element_bytes
    )


def pool_tokens(pool_bytes: int, *, layer_bytes: int, layers: int) -> int:
    """Tokens that a pool of KV-cache bytes holds on one stage, as vLLM prints them.

    Args:
        pool_bytes: bytes for the KV cache on one GPU; may be negative.
        layer_bytes: bytes of one token in one layer on this GPU.
        layers: layers of the stage.

    Returns:
        Whole blocks times the tokens of a block; 0 if there is no room.
    """
    return max(0, pool_bytes // (BLOCK_TOKENS * layer_bytes * layers)) * BLOCK_TOKENS


def request_tokens(max_model_len: int) -> int:
    """Tokens that one request of the longest length occupies, in whole blocks."""
    return ceil_to(max_model_len, BLOCK_TOKENS)
