"""Bytes of one linear layer by quantization scheme."""

from collections.abc import Callable, Mapping
from typing import Final

from llama_operator.catalog.rows import Architecture, Scheme
from llama_operator.errors import UnsupportedSchemeError
from llama_operator.sizing.linears import Linear, Part
from llama_operator.units import ceil_div

SIXTEEN_BIT_BYTES: Final = 2
FLOAT32_BYTES: Final = 4
FLOAT16_BYTES: Final = 2
NESTED_BLOCK: Final = 256
"""Scales that bitsandbytes' double quantization quantizes together."""


def sixteen_bit_bytes(linear: Linear) -> int:
    """Bytes of a linear layer that is not quantized."""
    return linear.elements * SIXTEEN_BIT_BYTES


def _sixteen_bit(linear: Linear, _: Scheme) -> int:
    return sixteen_bit_bytes(linear)


def _scaled_by_tensor(linear: Linear, _: Scheme) -> int:
    return linear.elements + 2 * FLOAT32_BYTES


def _scaled_by_channel(linear: Linear, _: Scheme) -> int:
    return linear.elements + FLOAT32_BYTES * linear.out_features


def _packed(linear: Linear, scheme: Scheme) -> int:
    return ceil_div(linear.elements * scheme.bits, 8)


def _grouped_symmetric(linear: Linear, scheme: Scheme) -> int:
    groups = ceil_div(linear.elements, scheme.group_size)
    return _packed(linear, scheme) + FLOAT16_BYTES * groups


def _grouped_with_zeros(linear: Linear, scheme: Scheme) -> int:
    groups = ceil_div(linear.elements, scheme.group_size)
    return _grouped_symmetric(linear, scheme) + ceil_div(groups * scheme.bits, 8)


def _grouped_with_order(linear: Linear, scheme: Scheme) -> int:
    return _grouped_with_zeros(linear, scheme) + FLOAT32_BYTES * linear.in_features


def _blocks(linear: Linear, scheme: Scheme) -> int:
    blocks = ceil_div(linear.elements, scheme.group_size)
    return _packed(linear, scheme) + FLOAT32_BYTES * blocks


def _nested_blocks(linear: Linear, scheme: Scheme) -> int:
    blocks = ceil_div(linear.elements, scheme.group_size)
    nested = ceil_div(blocks, NESTED_BLOCK)
    return _packed(linear, scheme) + blocks + FLOAT32_BYTES * nested


_FAMILIES: Final[Mapping[str, Callable[[Linear, Scheme], int]]] = {
    "none": _sixteen_bit,
    "fp8-tensor": _scaled_by_tensor,
    "fp8-channel": _scaled_by_channel,
    "fbgemm-fp8": _scaled_by_channel,
    "int8-channel": _scaled_by_channel,
    "awq": _grouped_with_zeros,
    "gptq": _grouped_with_order,
    "gptq-w4a16": _grouped_symmetric,
    "bnb-nf4": _blocks,
    "bnb-nf4-dq": _nested_blocks,
    "bnb-int8": _scaled_by_channel,
}


def is_sized(scheme: Scheme) -> bool:
    """Whether the bytes of the scheme are known here."""
    return scheme.family in _FAMILIES


def linear_bytes(linear: Linear, scheme: Scheme) -> int:
    """Bytes of one quantized linear layer with its scales, zeros and order.

    Exact; memory model, section 3. With `n` weights of `b` bits in groups of `g`: one scale per
    tensor `n + 8`, per output channel `n + 4*out`, AWQ `n*b/8 + 2*n/g + n*b/(8*g)`, GPTQ the same
    and `4*in`, symmetric groups `n*b/8 + 2*n/g`, bitsandbytes 4 bit `n/2 + 4*n/64`, with double
    quantization `n/2 + n/64 + 4*n/(64*256)`.

    Raises:
        UnsupportedSchemeError: the family of the scheme is none of these.
    """
    rule = _FAMILIES.get(scheme.family)
    if rule is None:
        msg = (
            f"quantization scheme {scheme.name!r} cannot be sized; families that can: "
            f"{', '.join(sorted(_FAMILIES))}"
        )
        raise UnsupportedSchemeError(msg)
    return rule(linear, scheme)


def keeps_sixteen_bit(scheme: Scheme, part: Part, *, edge_layer: bool) -> bool:
    """Whether a linear layer of a quantized model stays in 16 bit.

    Args:
        scheme: how weights are stored.
        part: the part of the decoder layer.
        edge_layer: true for the first and the last decoder layer. Meta's fbgemm checkpoints keep
            attention in all layers, and feed-forward in these two (`modules_to_not_convert` of
            Llama-3.1-405B-Instruct-FP8).
    """
    return scheme.family == "fbgemm-fp8" and (part is Part.ATTENTION or edge_layer)


def is_quantized_at_load(scheme: Scheme) -> bool:
    """Whether the checkpoint of the scheme holds 16-bit weights that the engine quantizes."""
    return scheme.name == "fp8-online"


def edge_layers(architecture: Architecture, first: int, count: int) -> int:
    """How many of `count` layers from `first` on are the model's first or last layer."""
    last = architecture.num_hidden_layers - 1
    return len({layer for layer in (0, last) if first <= layer < first + count})
