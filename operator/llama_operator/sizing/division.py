"""Why a model cannot be divided over so many GPUs."""

from collections.abc import Iterator
from functools import lru_cache
from typing import Final

from llama_operator.catalog.rows import Scheme
from llama_operator.sizing.kept import StoredLayer, counted_stored_layers
from llama_operator.sizing.models.model import CrossCache, HeadsCache, ModelShape, counted_layers
from llama_operator.sizing.models.tensors import Part, Split, Tensor
from llama_operator.sizing.quantized import is_quantized
from llama_operator.sizing.shards import Division, padded_vocabulary, rank_shape

TENSOR_PARALLEL_SIZES: Final = (1, 2, 4, 8, 16)
"""Tensor parallel sizes that are tried, in this order."""
DIVIDE_LAYERS: Final = frozenset(["LlamaCpp", "Transformers"])
"""Engines that put whole layers on each GPU, however many are asked for: llama.cpp by default
(`--split-mode layer`), and `device_map="auto"`."""
UNDIVIDED: Final = frozenset(["MLX"])
"""Engines whose server is one process on one GPU (mlx_lm.server without `mlx.launch`)."""
WHOLE_KV_HEADS: Final = frozenset(["TGI"])
"""Engines that do not repeat KV heads (text-generation-inference asks for
`num_key_value_heads % num_shard == 0`)."""
PACKED_OUTPUTS: Final = 8
"""Four-bit kernels pack this many outputs into one 32-bit word."""
_GROUPED: Final = frozenset({"awq", "gptq", "gptq-w4a16", "nvfp4"})
_PACKED: Final = frozenset({"awq", "gptq", "gptq-w4a16"})
_PARTS: Final = {
    Part.ATTENTION: "an attention",
    Part.FEED_FORWARD: "a feed-forward",
    Part.EXPERTS: "an expert's",
    Part.SHARED_EXPERTS: "a shared expert's",
    Part.MIXER: "a mixer's",
    Part.VISION: "a vision tower's",
    Part.PROJECTOR: "a projector's",
}


@lru_cache(maxsize=2048)
def division_obstacle(
    model: ModelShape,
    scheme: Scheme,
    tensor_parallel_size: int,
    pipeline_parallel_size: int = 1,
    *,
    expert_parallel: bool = False,
) -> str | None:
    """Why the model cannot be divided over so many GPUs; None when it can.

    Memory model, section 4: every stage has a layer; attention heads divide evenly, KV heads divide
    or repeat evenly, the padded vocabulary and all widths divide, and groups and blocks of the
    quantization stay whole. Experts in MXFP4 are padded instead. Outputs of mixers are not looked
    at: checkpoints leave their small projections, one output for each head, in 16 bit.

    Args:
        model: the model.
        scheme: how its weights are stored.
        tensor_parallel_size: GPUs of one stage; at least 1.
        pipeline_parallel_size: number of stages; at least 1.
        expert_parallel: whole experts are divided over the GPUs of a stage.

    Returns:
        A clause for people, e.g. `64 attention heads do not divide by 3`.

    Raises:
        UnsupportedSchemeError: what the checkpoint keeps in 16 bit cannot be read.
    """
    size, layers = tensor_parallel_size, model.num_hidden_layers
    if pipeline_parallel_size > layers:
        return f"{layers} layers do not fill {pipeline_parallel_size} pipeline stages"
    division = Division(
        size,
        expert_parallel=expert_parallel,
        whole_vision=model.mistral_format,
    )
    if size > 1 and (obstacle := _heads_obstacle(model, size)) is not None:
        return obstacle
    for stored, _ in counted_stored_layers(model, scheme):
        for obstacle in _layer_obstacles(stored, scheme, division):
            return obstacle
    for tensor in model.vision:
        if (obstacle := _width_obstacle(tensor, division)) is not None:
            return obstacle
    return None


@lru_cache(maxsize=2048)
def engine_division_obstacle(
    engine: str,
    model: ModelShape,
    scheme: Scheme,
    tensor_parallel_size: int,
    pipeline_parallel_size: int = 1,
    *,
    expert_parallel: bool = False,
) -> str | None:
    """`division_obstacle` as an engine divides: its matrices, whole layers, or nothing at all.

    Args:
        engine: name in the catalog.
        model: the model.
        scheme: how its weights are stored.
        tensor_parallel_size: GPUs of one stage.
        pipeline_parallel_size: number of stages.
        expert_parallel: whole experts are divided over the GPUs of a stage.

    Raises:
        UnsupportedSchemeError: what the checkpoint keeps in 16 bit cannot be read.
    """
    gpus = tensor_parallel_size * pipeline_parallel_size
    if engine in DIVIDE_LAYERS:
        layers = model.num_hidden_layers
        return f"{layers} layers do not divide over {gpus} GPUs" if gpus > layers else None
    if engine in UNDIVIDED and gpus > 1:
        return f"{engine} serves from one GPU"
    if engine in WHOLE_KV_HEADS and (kv_heads := _kv_heads_obstacle(model, tensor_parallel_size)):
        return kv_heads
    return division_obstacle(
        model,
        scheme,
        tensor_parallel_size,
        pipeline_parallel_size,
        expert_parallel=expert_parallel,
    )


def valid_tensor_parallel_sizes(engine: str, model: ModelShape, scheme: Scheme) -> tuple[int, ...]:
    """Those of `TENSOR_PARALLEL_SIZES` over which an engine divides the model, ascending."""
    return tuple(
        size
        for size in TENSOR_PARALLEL_SIZES
        if engine_division_obstacle(engine, model, scheme, size) is None
    )


def _kv_heads_obstacle(model: ModelShape, size: int) -> str | None:
    for layer, _ in counted_layers(model):
        heads = layer.cache.kv_heads if isinstance(layer.cache, HeadsCache) else size
        if heads % size:
            return f"{heads} KV heads do not divide by {size}"
    return None


def _heads_obstacle(model: ModelShape, size: int) -> str | None:
    heads = model.attention_heads
    if heads % size:
        return f"{heads} attention heads do not divide by {size}"
    for kv_heads in {
        layer.cache.kv_heads
        for layer, _ in counted_layers(model)
        if isinstance(layer.cache, HeadsCache | CrossCache)
    }:
        if kv_heads % size and size % kv_heads:
            return f"{kv_heads} KV heads neither divide by {size} nor repeat evenly"
    vocabulary = padded_vocabulary(model.vocab_size)
    if vocabulary % size:
        return f"a vocabulary of {vocabulary} does not divide by {size}"
    return None


def _layer_obstacles(stored: StoredLayer, scheme: Scheme, division: Division) -> Iterator[str]:
    outputs: dict[str, int] = {}
    for position, tensor in enumerate(stored.layer.tensors):
        if (obstacle := _width_obstacle(tensor, division)) is not None:
            yield obstacle
        if position in stored.kept or not is_quantized(tensor, scheme):
            continue
        if (obstacle := _group_obstacle(tensor, scheme, division)) is not None:
            yield obstacle
        if tensor.part is Part.MIXER:
            continue
        engine_tensor = tensor.merged or tensor.name
        outputs[engine_tensor] = outputs.get(engine_tensor, 0) + rank_shape(tensor, division)[0]
    if scheme.family in _PACKED and scheme.bits == 4:
        for count in outputs.values():
            if count % PACKED_OUTPUTS:
                yield f"{count} outputs of one GPU do not pack by {PACKED_OUTPUTS}"


def _width_obstacle(tensor: Tensor, division: Division) -> str | None:
    """Why the features of a linear layer do not divide."""
    size = division.ranks
    whole = division.whole_vision and tensor.part is Part.VISION
    expert = division.expert_parallel and tensor.part is Part.EXPERTS
    if size == 1 or whole or expert or not tensor.linear:
        return None
    part = _PARTS.get(tensor.part, "a")
    if tensor.split is Split.KV_HEADS and tensor.heads % size and size % tensor.heads:
        return f"{tensor.heads} heads of {tensor.name} neither divide by {size} nor repeat evenly"
    features = {Split.COLUMN: tensor.out_features, Split.ROW: tensor.in_features}
    width = features.get(tensor.split, 0)
    return f"{part} width of {width} does not divide by {size}" if width % size else None


def _group_obstacle(tensor: Tensor, scheme: Scheme, division: Division) -> str | None:
    """Why groups or blocks of the quantization would be cut."""
    group, part = scheme.group_size, _PARTS.get(tensor.part, "a")
    shape = rank_shape(tensor, division)
    inputs = shape[-1]
    gpus = "one GPU" if division.ranks == 1 else f"{division.ranks} GPUs"
    if scheme.family in _GROUPED and group and inputs % group:
        return f"on {gpus} {part} matrix has {inputs} inputs, no multiple of the group of {group}"
    if scheme.family != "fp8-block" or division.ranks == 1:
        return None
    if tensor.split is Split.ROW and inputs % group:
        return f"on {gpus} {part} matrix has {inputs} inputs, no multiple of the block of {group}"
    divided = tensor.split in (Split.COLUMN, Split.KV_HEADS) and tensor.part is not Part.MIXER
    if divided and shape[0] % group:
        return (
            f"on {gpus} {part} matrix has {shape[0]} outputs, no multiple of the block of {group}"
        )
    return None
