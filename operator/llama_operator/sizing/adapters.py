"""Memory of LoRA adapters beside a model.

vLLM and SGLang allocate slots at start, each for an adapter of the highest rank on every matrix
that one may have; which of them its adapters really have does not matter. Other engines hold what
they load, which slots bound.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from math import prod
from typing import Final

from llama_operator.catalog.engine_memory import EngineMemory
from llama_operator.sizing.allocator import allocated_bytes
from llama_operator.sizing.models.model import ModelShape, counted_layers
from llama_operator.sizing.models.tensors import Part, Tensor
from llama_operator.sizing.shards import Division, rank_count, rank_shape
from llama_operator.units import ceil_div

FILE_ELEMENT_BYTES: Final = 4
"""Adapters are published in fp32 at most, as PEFT, mlx-lm and convert_lora_to_gguf.py write them
unless told otherwise."""


@dataclass(frozen=True, slots=True)
class Adapters:
    """Adapters that are loaded at once.

    Attributes:
        count: how many.
        rank: the highest of theirs.
    """

    count: int
    rank: int


@dataclass(frozen=True, slots=True)
class Adapted:
    """The matrices of one GPU or host that adapters go with.

    Attributes:
        layers: decoder layers, by index.
        embedding: whether the input matrix is there.
        output: whether the output matrix is there.
    """

    layers: range
    embedding: bool
    output: bool


def whole(model: ModelShape) -> Adapted:
    """All matrices of a model."""
    return Adapted(range(model.num_hidden_layers), embedding=True, output=True)


@lru_cache(maxsize=4096)
def adapter_bytes(
    model: ModelShape,
    adapters: Adapters,
    memory: EngineMemory,
    adapted: Adapted,
    division: Division,
    dtype_bytes: int,
    max_num_batched_tokens: int = 0,
) -> int:
    """Bytes of adapters on one GPU, and of their buffers of a step where there are experts.

    An adapter of a matrix of shape (out, in) is A of (rank, in) and B of (out, rank). Ranks share
    them as they share the matrix: of a column-parallel one A is whole and B divided, of a
    row-parallel one A divided and B whole; merged matrices such as q, k and v have an A each.
    Adapters of embedding and output are never divided. Source: vLLM lora/layers
    (`create_lora_weights`, without `--fully-sharded-loras`); SGLang 0.5.23 lora/mem_pool.py, whose
    buffers of q, k and v together have the same bytes. Exact for vLLM and models without experts;
    an upper bound otherwise: SGLang leaves out matrices that no adapter has, TGI divides A too.

    Args:
        model: the model.
        adapters: how many, and their rank.
        memory: facts of the engine version.
        adapted: matrices of this GPU.
        division: how ranks share the model.
        dtype_bytes: of an element of the compute dtype.
        max_num_batched_tokens: tokens of a step.
    """
    element = memory.adapter_element_bytes or dtype_bytes
    slots = adapters.count + memory.adapter_spare_slots
    unit = slots * adapters.rank * element
    total = sum(
        count * _pair_bytes(tensor, unit, division)
        for tensor, count in _linear(model, adapted.layers)
    )
    ends = adapted.embedding + adapted.output
    for side in (model.vocab_size, model.hidden_size):
        total += ends * allocated_bytes(unit * side)
    return total + _step_bytes(
        model, adapters, adapted, division, dtype_bytes, max_num_batched_tokens
    )


def host_copy_bytes(
    model: ModelShape, adapters: Adapters, memory: EngineMemory, *, ranks: int, dtype_bytes: int
) -> int:
    """Bytes of adapters that the processes of `ranks` GPUs keep in host memory; each keeps all.

    An upper bound: it is what adapters have of all matrices at their highest rank.
    """
    copies = ranks * memory.adapter_host_copies * adapters.count
    return copies * adapters.rank * _features(model) * dtype_bytes


def file_bytes(model: ModelShape, adapters: Adapters) -> int:
    """Bytes of the files of adapters; an upper bound, as of `host_copy_bytes`, in fp32."""
    return adapters.count * adapters.rank * _features(model) * FILE_ELEMENT_BYTES


@lru_cache(maxsize=1024)
def _features(model: ModelShape) -> int:
    """Inputs and outputs of all matrices of a model, whose adapters have rank times as many."""
    layers = _linear(model, range(model.num_hidden_layers))
    inside = sum(count * tensor.count * sum(_sides(tensor.shape)) for tensor, count in layers)
    return inside + 2 * (model.vocab_size + model.hidden_size)


def _linear(model: ModelShape, layers: range) -> Iterator[tuple[Tensor, int]]:
    """Matrices of layers, each with the number of layers that have it."""
    for layer, count in counted_layers(model, layers.start, len(layers)):
        for tensor in layer.tensors:
            if tensor.linear:
                yield tensor, count


def _sides(shape: tuple[int, ...]) -> tuple[int, int]:
    """Outputs and inputs."""
    return shape[0], prod(shape[1:])


def _pair_bytes(tensor: Tensor, unit: int, division: Division) -> int:
    """A and B of a matrix in all slots; those of experts are one allocation each."""
    sides = _sides(rank_shape(tensor, division))
    count = rank_count(tensor, division)
    if tensor.part is Part.EXPERTS:
        return sum(allocated_bytes(unit * count * side) for side in sides)
    return count * sum(allocated_bytes(unit * side) for side in sides)


def _step_bytes(
    model: ModelShape,
    adapters: Adapters,
    adapted: Adapted,
    division: Division,
    dtype_bytes: int,
    tokens: int,
) -> int:
    """Buffers of the kernel for adapters of experts: for each token and each of its experts.

    The rank and the outputs, of gate and up together or of down: vLLM
    lora/ops/triton_ops/fused_moe_lora_op.py. Other layers' buffers of (3, tokens, rank) are there
    before the results that the activation peak counts.
    """
    widest = 0
    for layer, _ in counted_layers(model, adapted.layers.start, len(adapted.layers)):
        part = layer.feed_forward
        if part is not None and part.experts:
            width = ceil_div(part.expert_width, division.ranks)
            gate_up = 2 * (adapters.rank + width)
            down = adapters.rank + model.hidden_size
            widest = max(widest, part.experts_per_token * max(gate_up, down))
    return tokens * widest * dtype_bytes
