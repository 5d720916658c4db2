"""Bytes of the weights on one GPU, as vLLM logs them."""

from collections.abc import Iterable, Iterator
from functools import lru_cache
from math import prod
from typing import Final

from llama_operator.catalog.rows import Scheme
from llama_operator.errors import UnsupportedSchemeError
from llama_operator.sizing.allocator import allocated_bytes
from llama_operator.sizing.kept import StoredLayer, counted_stored_layers
from llama_operator.sizing.models.model import LatentCache, ModelShape, counted_layers
from llama_operator.sizing.models.tensors import Part, Split, Tensor
from llama_operator.sizing.quantized import (
    SIXTEEN_BIT_BYTES,
    Matrix,
    is_quantized,
    matrix_bytes,
)
from llama_operator.sizing.scheme_names import GGUF
from llama_operator.sizing.shards import Division, rank_count, rank_elements, rank_shape
from llama_operator.sizing.stages import stage_range
from llama_operator.units import MIB

MEASURED_VLLM: Final = (0, 19)
"""The version whose logs the rules were compared with."""
LATENT_WORKSPACE_BYTES: Final = 128 * MIB
"""vLLM's FlashInfer MLA backend makes a workspace of this size when its module is imported
(v1/attention/backends/mla/flashinfer_mla.py, `g_fi_workspace`), which the log counts as weights.
An estimate: three logs of vLLM 0.19 on H100 agree."""


def rank_weights_bytes(
    model: ModelShape,
    scheme: Scheme,
    *,
    tensor_parallel_size: int = 1,
    pipeline_parallel_size: int = 1,
    stage: int = 0,
    dtype_bytes: int = SIXTEEN_BIT_BYTES,
    expert_parallel: bool = False,
    vllm_version: tuple[int, ...] | None = MEASURED_VLLM,
) -> int:
    """Bytes of the weights on one GPU of a pipeline stage, as vLLM logs them.

    Memory model, sections 3 and 4: linear layers are divided, merged and rounded as the allocator
    does; the first stage holds the embedding and vision towers, the last lm_head and the final
    norm, or again the embedding where it is tied; every GPU holds the RoPE table whole. Exact but
    for experts in MXFP4 (padded as on Hopper, within 2.5 %) and the workspace of latent attention.

    Args:
        model: the model.
        scheme: how its weights are held.
        tensor_parallel_size: GPUs of one stage.
        pipeline_parallel_size: number of stages.
        stage: from 0.
        dtype_bytes: of an element that is not quantized.
        expert_parallel: whole experts are divided over the GPUs of a stage.
        vllm_version: its leading numbers; None for another engine.

    Raises:
        UnsupportedSchemeError: the bytes of the scheme are not known, or it is of GGUF.
    """
    if scheme.family == GGUF:
        msg = f"{scheme.name} is a file of llama.cpp, which divides models by layers, not ranks"
        raise UnsupportedSchemeError(msg)
    weights = _rank_weights_bytes(
        model,
        scheme,
        tensor_parallel_size,
        pipeline_parallel_size,
        stage,
        dtype_bytes,
        expert_parallel,
    )
    return weights + latent_workspace_bytes(model, vllm_version)


def rope_table_bytes(model: ModelShape, *, dtype_bytes: int = SIXTEEN_BIT_BYTES) -> int:
    """Bytes of the tables of cosines and sines, of shape (positions, rotary_dim); never divided."""
    return model.rope_elements * dtype_bytes


def latent_workspace_bytes(
    model: ModelShape, vllm_version: tuple[int, ...] | None = MEASURED_VLLM
) -> int:
    """Bytes that vLLM 0.19 and later hold beside the tensors of latent attention; an estimate."""
    if vllm_version is None or vllm_version < MEASURED_VLLM:
        return 0
    return LATENT_WORKSPACE_BYTES if _is_latent(model) else 0


@lru_cache(maxsize=1024)
def _is_latent(model: ModelShape) -> bool:
    return any(isinstance(layer.cache, LatentCache) for layer, _ in counted_layers(model))


@lru_cache(maxsize=2048)
def _rank_weights_bytes(
    model: ModelShape,
    scheme: Scheme,
    tensor_parallel_size: int,
    pipeline_parallel_size: int,
    stage: int,
    dtype_bytes: int,
    expert_parallel: bool,
) -> int:
    division = Division(
        tensor_parallel_size,
        expert_parallel=expert_parallel,
        whole_vision=model.mistral_format,
        padded_experts=scheme.family == "mxfp4",
    )
    layers = stage_range(model.num_hidden_layers, pipeline_parallel_size, stage)
    total = allocated_bytes(rope_table_bytes(model, dtype_bytes=dtype_bytes))
    for layer, count in counted_stored_layers(model, scheme, layers.start, len(layers)):
        total += count * _layer_bytes(layer, scheme, division, dtype_bytes)
    outer = _outer_tensors(model, is_first=stage == 0, is_last=stage == pipeline_parallel_size - 1)
    return total + sum(
        _engine_tensor_bytes([tensor], scheme, division, dtype_bytes) for tensor in outer
    )


def _outer_tensors(model: ModelShape, *, is_first: bool, is_last: bool) -> Iterator[Tensor]:
    """Tensors of a stage that belong to no decoder layer."""
    if is_first:
        yield from model.embedding
        yield from model.vision
    if is_last:
        yield from model.final
        if model.lm_head is not None:
            yield model.lm_head
        elif not is_first:
            yield from (tensor for tensor in model.embedding if tensor.split is Split.VOCABULARY)


def _layer_bytes(stored: StoredLayer, scheme: Scheme, division: Division, dtype_bytes: int) -> int:
    """Bytes of one decoder layer: tensors that the engine merges are one."""
    merged: dict[tuple[str, Part, bool], list[Tensor]] = {}
    total = 0
    for position, tensor in enumerate(stored.layer.tensors):
        kept = position in stored.kept
        if tensor.merged:
            merged.setdefault((tensor.merged, tensor.part, kept), []).append(tensor)
        else:
            total += _engine_tensor_bytes([tensor], scheme, division, dtype_bytes, kept=kept)
    for (_, _, kept), tensors in merged.items():
        total += _engine_tensor_bytes(tensors, scheme, division, dtype_bytes, kept=kept)
    return total


def _engine_tensor_bytes(
    tensors: Iterable[Tensor],
    scheme: Scheme,
    division: Division,
    dtype_bytes: int,
    *,
    kept: bool = False,
) -> int:
    """Bytes of one tensor of the engine, with its scales, as the allocator counts them."""
    tensors = tuple(tensors)
    first = tensors[0]
    if kept or not is_quantized(first, scheme):
        elements = sum(rank_elements(tensor, division) for tensor in tensors)
        size = elements * (first.element_bytes or dtype_bytes)
        return _equal_bytes(tensors, size)
    shapes = [rank_shape(tensor, division) for tensor in tensors]
    outputs = sum(shape[0] for shape in shapes)
    inputs = prod(shapes[0][1:])
    matrix = Matrix(sum(map(prod, shapes)), outputs, inputs)
    return _equal_bytes(tensors, rank_count(first, division) * matrix_bytes(matrix, scheme))


def _equal_bytes(tensors: tuple[Tensor, ...], size: int) -> int:
    """Bytes of `count` equal tensors: those of experts are one allocation, others their own."""
    first = tensors[0]
    if first.count == 1 or first.part is Part.EXPERTS:
        return allocated_bytes(size)
    return first.count * allocated_bytes(size // first.count)
