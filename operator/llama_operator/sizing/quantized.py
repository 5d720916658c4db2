"""Bytes of one tensor under a quantization scheme."""

from collections.abc import Callable, Mapping
from math import prod
from typing import Final, NamedTuple

from llama_operator.catalog.rows import Scheme
from llama_operator.errors import UnsupportedSchemeError
from llama_operator.sizing.models.tensors import Part, Tensor
from llama_operator.sizing.scheme_names import MLX, UNQUANTIZED
from llama_operator.units import FLOAT32_BYTES, ceil_div

FLOAT16_BYTES: Final = 2
SIXTEEN_BIT_BYTES: Final = 2
NESTED_BLOCK: Final = 256
"""Scales that bitsandbytes' double quantization quantizes together."""
SIXTEEN_BIT_PARTS: Final = frozenset(
    {Part.EMBEDDING, Part.LM_HEAD, Part.ROUTER, Part.NORM, Part.VISION, Part.PROJECTOR}
)
"""Parts that engines' schemes leave as they are. Memory model, section 3."""
_MATRICES: Final = frozenset({Part.EMBEDDING, Part.LM_HEAD})
"""Parts that MLX quantizes beside linear layers."""


class Matrix(NamedTuple):
    """A linear layer, or several that an engine merged: their inputs are the same."""

    elements: int
    out_features: int
    in_features: int


def _packed(matrix: Matrix, scheme: Scheme) -> int:
    return ceil_div(matrix.elements * scheme.bits, 8)


def _groups(matrix: Matrix, scheme: Scheme) -> int:
    if not scheme.group_size:
        return matrix.out_features
    return ceil_div(matrix.elements, scheme.group_size)


def _scaled_by_tensor(matrix: Matrix, _: Scheme) -> int:
    return matrix.elements + 2 * FLOAT32_BYTES


def _scaled_by_channel(matrix: Matrix, _: Scheme) -> int:
    return matrix.elements + FLOAT32_BYTES * matrix.out_features


def _scaled_by_block(matrix: Matrix, scheme: Scheme) -> int:
    size = scheme.group_size
    blocks = ceil_div(matrix.in_features, size) * ceil_div(matrix.out_features, size)
    return matrix.elements + FLOAT32_BYTES * blocks


def _grouped_symmetric(matrix: Matrix, scheme: Scheme) -> int:
    return _packed(matrix, scheme) + FLOAT16_BYTES * _groups(matrix, scheme)


def _grouped_with_zeros(matrix: Matrix, scheme: Scheme) -> int:
    zeros = ceil_div(_groups(matrix, scheme) * scheme.bits, 8)
    return _grouped_symmetric(matrix, scheme) + zeros


def _grouped_with_order(matrix: Matrix, scheme: Scheme) -> int:
    return _grouped_with_zeros(matrix, scheme) + FLOAT32_BYTES * matrix.in_features


def _blocks(matrix: Matrix, scheme: Scheme) -> int:
    return _packed(matrix, scheme) + FLOAT32_BYTES * _groups(matrix, scheme)


def _nested_blocks(matrix: Matrix, scheme: Scheme) -> int:
    blocks = _groups(matrix, scheme)
    return _packed(matrix, scheme) + blocks + FLOAT32_BYTES * ceil_div(blocks, NESTED_BLOCK)


def _microscaled(matrix: Matrix, scheme: Scheme) -> int:
    return _packed(matrix, scheme) + _groups(matrix, scheme)


def _microscaled_by_tensor(matrix: Matrix, scheme: Scheme) -> int:
    return _microscaled(matrix, scheme) + 2 * FLOAT32_BYTES


def _scaled_and_biased(matrix: Matrix, scheme: Scheme) -> int:
    return _packed(matrix, scheme) + 2 * FLOAT16_BYTES * _groups(matrix, scheme)


_FAMILIES: Final[Mapping[str, Callable[[Matrix, Scheme], int]]] = {
    "fp8-tensor": _scaled_by_tensor,
    "fp8-channel": _scaled_by_channel,
    "fp8-block": _scaled_by_block,
    "fbgemm-fp8": _scaled_by_channel,
    "int8-channel": _scaled_by_channel,
    "awq": _grouped_with_zeros,
    "gptq": _grouped_with_order,
    "gptq-w4a16": _grouped_symmetric,
    "bnb-nf4": _blocks,
    "bnb-nf4-dq": _nested_blocks,
    "bnb-int8": _scaled_by_channel,
    "mxfp4": _microscaled,
    "nvfp4": _microscaled_by_tensor,
    MLX: _scaled_and_biased,
}


def matrix_bytes(matrix: Matrix, scheme: Scheme) -> int:
    """Bytes of one quantized linear layer with its scales, zeros and order.

    Exact; memory model, section 3. With `n` weights of `b` bits in groups of `g`: one scale per
    tensor n + 8; per output channel n + 4*out; per block of g x g n + 4*ceil(in/g)*ceil(out/g);
    AWQ n*b/8 + 2*n/g + n*b/(8*g), GPTQ the same and 4*in, symmetric n*b/8 + 2*n/g, one group per
    output where `group_size` is 0; bitsandbytes 4 bit n/2 + 4*n/64, with double quantization
    n/2 + n/64 + 4*n/(64*256); MXFP4 n/2 + n/32; NVFP4 n/2 + n/16 + 8; MLX n*b/8 + 4*n/g.

    Args:
        matrix: shape (out_features, in_features).
        scheme: how it is stored.

    Raises:
        UnsupportedSchemeError: the family of the scheme is none of these.
    """
    rule = _FAMILIES.get(scheme.family)
    if rule is None:
        msg = (
            f"quantization {scheme.name!r} has no bytes for single layers; "
            f"families that have: {', '.join(sorted(_FAMILIES))}"
        )
        raise UnsupportedSchemeError(msg)
    return rule(matrix, scheme)


def is_quantized(tensor: Tensor, scheme: Scheme) -> bool:
    """Whether the scheme stores this tensor otherwise than the model's dtype.

    Memory model, section 3: linear layers of attention, mixers, feed-forward and experts; MXFP4
    only experts; MLX also embeddings and lm_head, and only rows that its group divides. Layers that
    a checkpoint leaves out by name are told by `kept_tensors`.
    """
    if scheme.family == UNQUANTIZED:
        return False
    if scheme.family == "mxfp4":
        return tensor.linear and tensor.part is Part.EXPERTS
    if scheme.family == MLX:
        quantizable = len(tensor.shape) == 2 and (
            tensor.part in _MATRICES or (tensor.linear and tensor.part not in SIXTEEN_BIT_PARTS)
        )
        return quantizable and tensor.in_features % scheme.group_size == 0
    return tensor.linear and tensor.part not in SIXTEEN_BIT_PARTS


def tensor_bytes(tensor: Tensor, scheme: Scheme, *, dtype_bytes: int = SIXTEEN_BIT_BYTES) -> int:
    """Bytes of all `count` tensors in a checkpoint of the scheme.

    Args:
        tensor: of the checkpoint.
        scheme: of the checkpoint.
        dtype_bytes: of an element of the model's dtype, for what is not quantized.

    Raises:
        UnsupportedSchemeError: the family of the scheme has no bytes for single layers.
    """
    if not is_quantized(tensor, scheme):
        return plain_bytes(tensor, dtype_bytes=dtype_bytes)
    elements = prod(tensor.shape)
    matrix = Matrix(elements, tensor.out_features, elements // tensor.out_features)
    return tensor.count * matrix_bytes(matrix, scheme)


def plain_bytes(tensor: Tensor, *, dtype_bytes: int = SIXTEEN_BIT_BYTES) -> int:
    """Bytes of all `count` tensors where they are not quantized."""
    return tensor.elements * (tensor.element_bytes or dtype_bytes)


def is_quantized_at_load(scheme: Scheme) -> bool:
    """Whether the checkpoint of the scheme holds 16-bit weights that the engine quantizes."""
    return scheme.name == "fp8-online"
