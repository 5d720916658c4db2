"""What one tensor-parallel rank holds of a tensor."""

from dataclasses import dataclass
from math import prod
from typing import Final

from llama_operator.sizing.models.tensors import Part, Split, Tensor
from llama_operator.units import ceil_div, ceil_to

VOCABULARY_PADDING: Final = 64
"""vLLM pads the vocabulary to a multiple of this size (`DEFAULT_VOCAB_PADDING_SIZE`)."""
MXFP4_HIDDEN_PADDING: Final = 256
"""Experts in MXFP4 pad the hidden size to a multiple of this on Hopper."""
MXFP4_WIDTH_PADDING: Final = 128
"""Experts in MXFP4 pad a rank's intermediate size to a multiple of this on Hopper."""


@dataclass(frozen=True, slots=True)
class Division:
    """How the ranks of one stage share its tensors.

    Attributes:
        ranks: tensor parallel size.
        expert_parallel: whole experts are divided over the ranks instead of each one's width.
        whole_vision: every rank holds the vision encoder whole.
        padded_experts: experts are padded as MXFP4 kernels want them.
    """

    ranks: int
    expert_parallel: bool = False
    whole_vision: bool = False
    padded_experts: bool = False


def padded_vocabulary(vocab_size: int) -> int:
    """Rows of an embedding matrix over all ranks. Memory model, section 4."""
    return ceil_to(vocab_size, VOCABULARY_PADDING)


def rank_shape(tensor: Tensor, division: Division) -> tuple[int, ...]:
    """Elements by dimension of one rank's part of one tensor.

    Memory model, section 4: column-parallel layers divide outputs, row-parallel ones inputs;
    layers of KV heads divide by heads and repeat a head where ranks are more; rows of the
    vocabulary are padded to a multiple of 64, then divided. What does not divide evenly is rounded
    up.
    """
    shape, ranks = tensor.shape, division.ranks
    if tensor.part is Part.EXPERTS and division.expert_parallel:
        ranks = 1
    whole = division.whole_vision and tensor.part is Part.VISION
    if not whole and tensor.split is Split.COLUMN:
        shape = (ceil_div(shape[0], ranks), *shape[1:])
    elif not whole and tensor.split is Split.ROW:
        shape = (*shape[:-1], ceil_div(shape[-1], ranks))
    elif not whole and tensor.split is Split.KV_HEADS:
        heads = max(1, ceil_div(tensor.heads, ranks))
        shape = (shape[0] // tensor.heads * heads, *shape[1:])
    elif tensor.split is Split.VOCABULARY:
        shape = (ceil_div(padded_vocabulary(shape[0]), ranks), *shape[1:])
    if division.padded_experts and tensor.part is Part.EXPERTS:
        return _padded(tensor, shape)
    return shape


def rank_count(tensor: Tensor, division: Division) -> int:
    """Of `count` equal tensors, those that one rank holds a part of."""
    if tensor.part is Part.EXPERTS and division.expert_parallel:
        return ceil_div(tensor.count, division.ranks)
    return tensor.count


def rank_elements(tensor: Tensor, division: Division) -> int:
    """Elements of one rank's part of all `count` tensors."""
    return rank_count(tensor, division) * prod(rank_shape(tensor, division))


def _padded(tensor: Tensor, shape: tuple[int, ...]) -> tuple[int, ...]:
    """A shape whose divided dimension is padded as a width, and any other as the hidden size."""
    divided = {Split.COLUMN: 0, Split.ROW: len(shape) - 1}.get(tensor.split)
    return tuple(
        ceil_to(size, MXFP4_WIDTH_PADDING if position == divided else MXFP4_HIDDEN_PADDING)
        for position, size in enumerate(shape)
    )
