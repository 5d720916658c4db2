"""How PyTorch's caching allocator rounds a tensor."""

from typing import Final

from llama_operator.units import MIB, ceil_to

LARGE_TENSOR_BYTES: Final = 10 * MIB
"""Tensors of at least this size get a segment of their own (`kMinLargeAlloc`)."""
SEGMENT_BYTES: Final = 2 * MIB
"""Such segments are multiples of this size (`kRoundLarge`)."""
SPLIT_BYTES: Final = MIB
"""A rest of at most this size is not given to another tensor (`kSmallSize`)."""
SMALL_BLOCK_BYTES: Final = 512
"""Everything else is a multiple of this size (`kMinBlockSize`)."""


def allocated_bytes(tensor_bytes: int) -> int:
    """Bytes that one tensor takes in the allocator's own count.

    Source: c10/cuda/CUDACachingAllocator.cpp of PyTorch 2, whose count is what engines log; memory
    model, section 4.
    """
    if tensor_bytes >= LARGE_TENSOR_BYTES:
        segment = ceil_to(tensor_bytes, SEGMENT_BYTES)
        if segment - tensor_bytes <= SPLIT_BYTES:
            return segment
    return ceil_to(tensor_bytes, SMALL_BLOCK_BYTES)
