"""Bytes of Llama 3.1 in plain integers, from its published shapes: nothing of ours is used."""

from collections.abc import Callable
from typing import Final, NamedTuple

GIB: Final = 1 << 30
MIB: Final = 1 << 20
VOCABULARY: Final = 128_256
POSITIONS: Final = 131_072
HEAD: Final = 128


class Shape(NamedTuple):
    """Sizes of `config.json`; queries and keys are heads times 128."""

    hidden: int
    intermediate: int
    layers: int
    queries: int
    keys: int


SHAPES: Final = {
    "8B": Shape(4096, 14_336, 32, 4096, 1024),
    "70B": Shape(8192, 28_672, 80, 8192, 1024),
    "405B": Shape(16_384, 53_248, 126, 16_384, 1024),
    "405B-2024-07": Shape(16_384, 53_248, 126, 16_384, 2048),
}
Stored = Callable[[int, int], int]
"""Bytes of one linear layer with so many outputs and inputs."""


def bf16(outputs: int, inputs: int) -> int:
    """Two bytes a weight."""
    return 2 * outputs * inputs


def fp8_tensor(outputs: int, inputs: int) -> int:
    """Two fp32 scales."""
    return outputs * inputs + 8


def fp8_channel(outputs: int, inputs: int) -> int:
    """An fp32 scale for each output; so is INT8."""
    return outputs * inputs + 4 * outputs


def fp8_block(outputs: int, inputs: int) -> int:
    """An fp32 scale for each block of 128 x 128."""
    return outputs * inputs + 4 * -(-outputs // 128) * -(-inputs // 128)


def grouped(bits: int, group: int) -> Stored:
    """Packed weights, and an fp16 scale and a packed zero point for each group: AWQ."""
    return lambda outputs, inputs: (
        outputs * inputs * bits // 8
        + 2 * (outputs * inputs // group)
        + outputs * inputs // group * bits // 8
    )


def gptq(outputs: int, inputs: int) -> int:
    """As AWQ in groups of 128, and the order of the inputs, 4 bytes each."""
    return grouped(4, 128)(outputs, inputs) + 4 * inputs


def symmetric(outputs: int, inputs: int) -> int:
    """4 bit, and an fp16 scale for each group of 128."""
    return outputs * inputs // 2 + 2 * (outputs * inputs // 128)


def symmetric_channel(outputs: int, inputs: int) -> int:
    """4 bit, and an fp16 scale for each output."""
    return outputs * inputs // 2 + 2 * outputs


def nvfp4(outputs: int, inputs: int) -> int:
    """4 bit, an fp8 scale for each group of 16 and two fp32 ones."""
    return outputs * inputs // 2 + outputs * inputs // 16 + 8


def nf4(outputs: int, inputs: int) -> int:
    """4 bit, and an fp32 scale for each block of 64."""
    return outputs * inputs // 2 + 4 * (outputs * inputs // 64)


def nf4_double(outputs: int, inputs: int) -> int:
    """4 bit, a byte for each block of 64, and an fp32 scale for each 256 of these."""
    blocks = outputs * inputs // 64
    return outputs * inputs // 2 + blocks + 4 * -(-blocks // 256)


def linears(size: str) -> list[tuple[int, int]]:
    """Outputs and inputs of q, k, v, o, gate, up and down of one layer."""
    h, i, _, q, kv = SHAPES[size]
    return [(q, h), (kv, h), (kv, h), (h, q), (i, h), (i, h), (h, i)]


def others(size: str) -> int:
    """Bytes of embedding, lm_head and norms in 16 bit."""
    h, _, layers, _, _ = SHAPES[size]
    return 2 * (2 * VOCABULARY * h + (2 * layers + 1) * h)


def checkpoint(size: str, stored: Stored) -> int:
    """Bytes of all tensors where every linear layer is stored so."""
    layers = SHAPES[size].layers
    return layers * sum(stored(o, i) for o, i in linears(size)) + others(size)


def allocated(size: int) -> int:
    """As PyTorch: from 10 MiB on 2 MiB each if at most 1 MiB is lost, otherwise 512 bytes each."""
    segment = -(-size // (2 * MIB)) * 2 * MIB
    if size >= 10 * MIB and segment - size <= MIB:
        return segment
    return -(-size // 512) * 512


def layer_of_rank(size: str, tp: int, attention: Stored, feed_forward: Stored) -> int:
    """Bytes of q, k and v merged, o, gate and up merged, down and two norms on one of `tp` GPUs.

    A GPU has at least one head of keys and one of values.
    """
    h, i, _, q, kv = SHAPES[size]
    keys = max(HEAD, kv // tp)
    return (
        allocated(attention(q // tp + 2 * keys, h))
        + allocated(attention(h, q // tp))
        + allocated(feed_forward(2 * i // tp, h))
        + allocated(feed_forward(h, i // tp))
        + 2 * allocated(2 * h)
    )


def ends_of_rank(size: str, tp: int) -> tuple[int, int]:
    """Bytes of the embedding, and of lm_head with the last norm; 128,256 is a multiple of 64."""
    h = SHAPES[size].hidden
    matrix = allocated(2 * (VOCABULARY // tp) * h)
    return matrix, matrix + allocated(2 * h)


ROPE: Final = allocated(POSITIONS * HEAD * 2)
"""Cosines and sines, whole on every GPU."""


def weights_of_rank(size: str, stored: Stored, tp: int = 1) -> int:
    """Bytes of the weights on one of `tp` GPUs."""
    layers = SHAPES[size].layers * layer_of_rank(size, tp, stored, stored)
    return layers + sum(ends_of_rank(size, tp)) + ROPE


def weights_of_meta_fp8(size: str, tp: int) -> int:
    """The same as Meta stores it: fp8 in gate, up and down of all but the first and last layer."""
    quantized = (SHAPES[size].layers - 2) * layer_of_rank(size, tp, bf16, fp8_channel)
    return quantized + 2 * layer_of_rank(size, tp, bf16, bf16) + sum(ends_of_rank(size, tp)) + ROPE
