"""Where every byte of one setting goes, and whether the engine would start with it."""

from dataclasses import dataclass
from functools import lru_cache

from llama_operator.sizing.cache import StageCache, element_size, stage_cache
from llama_operator.sizing.checkpoints import checkpoint_bytes
from llama_operator.sizing.draft import draft_gpus, with_draft, with_draft_caches
from llama_operator.sizing.engine_budget import (
    OUTSIDE_HEADROOM_BYTES,
    EngineRules,
    Taken,
    pool_bytes,
    share_bytes,
)
from llama_operator.sizing.models.model import ModelShape
from llama_operator.sizing.offload import GpuBytes, offload, offloads
from llama_operator.sizing.peak import image_bound_bytes
from llama_operator.sizing.settings import Setting
from llama_operator.sizing.stages import stage_ranges
from llama_operator.sizing.support import Reason, obstacle
from llama_operator.sizing.taken import taken_by_stage
from llama_operator.units import ceil_to, format_gib


@dataclass(frozen=True, slots=True)
class StageEstimate:
    """Bytes on one rank of a pipeline stage.

    Attributes:
        layers: decoder layers of the stage.
        weights_bytes: as the engine logs them.
        activation_bytes: profiled peak above the weights; llama.cpp's compute buffer.
        non_torch_bytes: outside the tensor allocator.
        cuda_graph_bytes: 0 when they are off, or not known of the engine.
        room_bytes: what is left for the KV cache; None without a GPU; may be negative.
        kv_cache_bytes: the pool that the engine makes of it; llama.cpp's is that of all contexts.
        kv_cache_tokens: number that the engine prints for this stage.
        request_bytes: of one request of the whole context, kept for the draft too.
        draft_weights_bytes: of the model that drafts tokens.
        adapter_bytes: LoRA adapters; 0 without any.
    """

    layers: int
    weights_bytes: int
    activation_bytes: int
    non_torch_bytes: int
    cuda_graph_bytes: int
    room_bytes: int | None
    kv_cache_bytes: int | None
    kv_cache_tokens: int | None
    request_bytes: int
    draft_weights_bytes: int = 0
    adapter_bytes: int = 0

    @property
    def models_bytes(self) -> int:
        """Weights of the model, and of the one that drafts for it."""
        return self.weights_bytes + self.draft_weights_bytes

    @property
    def loaded_bytes(self) -> int:
        """Weights of the models, and adapters."""
        return self.models_bytes + self.adapter_bytes


@dataclass(frozen=True, slots=True)
class Estimate:
    """All bytes of a setting by stage, and the verdict.

    Attributes:
        stages: first to last; empty when the model cannot be loaded or divided so, or when no layer
            is on a GPU.
        checkpoint_bytes: all tensors of the checkpoint, or of the GGUF file.
        budget_bytes: what the engine divides of one GPU; None without a GPU.
        headroom_bytes: what stays free beside the budget and graphs outside it; may be negative.
        max_concurrency: requests of the whole context that the pool holds at once.
        fits: whether the engine would start and hold the requests on its GPUs; None without one.
        reason: why it would not.
        message: the same in words; empty when it fits.
        bounds: in words, what is only bounded or not known at all.
    """

    stages: tuple[StageEstimate, ...]
    checkpoint_bytes: int
    budget_bytes: int | None = None
    headroom_bytes: int | None = None
    max_concurrency: float | None = None
    fits: bool | None = None
    reason: Reason | None = None
    message: str = ""
    bounds: tuple[str, ...] = ()

    @property
    def tightest(self) -> StageEstimate | None:
        """The stage that holds the fewest tokens; None without stages."""
        return min(self.stages, key=_tightness, default=None)

    @property
    def kv_cache_tokens(self) -> int | None:
        """Tokens that the engine prints: those of the tightest stage."""
        return self.tightest.kv_cache_tokens if self.tightest else None


def estimate(setting: Setting) -> Estimate:
    """All bytes of a setting, and whether and why not the engine would start.

    `budget = u * total - weights - activation - non_torch (- graphs)`; it fits if the concurrent
    requests of the whole context, usually one, fit on the tightest stage and graphs outside the
    budget leave 0.2 GiB. Memory model, section 8.

    Raises:
        SizingError: a scheme, an engine or a dtype has no rule.
    """
    checkpoint = setting.stored_bytes or checkpoint_bytes(setting.model, setting.scheme)
    refused = obstacle(setting)
    if refused is not None:
        reason, message = refused
        return Estimate((), checkpoint, fits=False, reason=reason, message=message)
    budget = _budget(setting)
    caches = stage_caches(setting)
    stages = _stages(setting, caches, budget)
    if budget is None or not stages:
        return Estimate(stages, checkpoint, bounds=_bounds(setting))
    tightest = min(stages, key=_tightness)
    headroom = _headroom(setting, stages)
    found = _verdict(setting, stages, budget, headroom)
    return Estimate(
        stages=stages,
        checkpoint_bytes=checkpoint,
        budget_bytes=budget,
        headroom_bytes=headroom,
        max_concurrency=_concurrency(setting, caches, tightest),
        fits=found is None,
        reason=found[0] if found else None,
        message=found[1] if found else "",
        bounds=_bounds(setting),
    )


def largest_context(setting: Setting, *, limit: int | None = None) -> int:
    """The longest context with which the setting fits; 0 if none does.

    It is the limit, or else whole blocks. `max_model_len` of the setting does not matter.

    Args:
        setting: how the model is served, and how many requests must fit at once.
        limit: longest context to find; None for what the model was made for.
    """
    longest = setting.model.max_position_embeddings if limit is None else limit
    if obstacle(setting) is not None:
        return 0
    budget = _budget(setting)
    if budget is None:
        return 0
    caches = stage_caches(setting)
    stages = _stages(setting, caches, budget)
    if not stages:
        return longest
    if _short_of_graphs(setting, _headroom(setting, stages)):
        return 0
    block = max(cache.block_tokens for cache in caches)
    batch, concurrency = setting.max_num_batched_tokens, setting.concurrency
    rooms = [(cache, stage.room_bytes or 0) for cache, stage in zip(caches, stages, strict=True)]

    def fits(tokens: int) -> bool:
        return all(
            room > 0 and concurrency * cache.request_bytes(tokens, batch) <= room
            for cache, room in rooms
        )

    if fits(longest):
        return longest
    low, high = 0, longest // block
    if all(cache.linear and cache.block_tokens == block for cache in caches):
        blocks = [
            room // (concurrency * cache.request_bytes(block, batch)) for cache, room in rooms
        ]
        return max(0, min(high, *blocks)) * block
    while low < high:
        middle = (low + high + 1) // 2
        low, high = (middle, high) if fits(middle * block) else (low, middle - 1)
    return low * block


def stage_caches(setting: Setting) -> tuple[StageCache, ...]:
    """What each pipeline stage keeps for requests, on one rank.

    Raises:
        SizingError: the KV-cache dtype is not known.
    """
    caches = _caches(
        setting.model,
        _stage_layers(setting),
        setting.ranks,
        setting.kv_cache_dtype,
        setting.dtype_bytes,
        setting.rules,
    )
    return with_draft_caches(setting, caches)


@lru_cache(maxsize=4096)
def _caches(
    model: ModelShape,
    stages: tuple[range, ...],
    tensor_parallel_size: int,
    kv_cache_dtype: str,
    dtype_bytes: int,
    rules: EngineRules,
) -> tuple[StageCache, ...]:
    element = element_size(kv_cache_dtype, dtype_bytes)
    return tuple(
        stage_cache(
            model,
            layers.start,
            len(layers),
            tensor_parallel_size,
            element,
            dtype_bytes,
            rules.memory,
        )
        for layers in stages
    )


def _stage_layers(setting: Setting) -> tuple[range, ...]:
    """Decoder layers of each stage; llama.cpp's are those of each GPU."""
    if offloads(setting):
        return tuple(gpu.layers for gpu in offload(setting).gpus)
    return stage_ranges(setting.model.num_hidden_layers, setting.stages)


def _bounds(setting: Setting) -> tuple[str, ...]:
    """What the model's shape only bounds, and the vision encoder's part of the activation peak."""
    bounds = setting.model.bounds
    image = image_bound_bytes(setting.model, setting.dtype_bytes)
    if image is None:
        return (*bounds, "activations of the vision encoder are not part of the peak")
    if image:
        return (
            *bounds,
            "activations of the vision encoder are not part of the peak: at most "
            f"{format_gib(image)} for each image of a step",
        )
    return bounds


def _budget(setting: Setting) -> int | None:
    return setting.budget_bytes if setting.total_bytes > 0 else None


def _stages(
    setting: Setting, caches: tuple[StageCache, ...], budget: int | None
) -> tuple[StageEstimate, ...]:
    if offloads(setting):
        gpus = offload(setting).gpus
        drafts = draft_gpus(setting, gpus)
        return tuple(
            _gpu(setting, *parts, budget) for parts in zip(gpus, drafts, caches, strict=True)
        )
    taken = with_draft(setting, taken_by_stage(setting))
    parts = zip(_stage_layers(setting), caches, taken, strict=True)
    return tuple(_stage(setting, *part, budget) for part in parts)


def _gpu(
    setting: Setting,
    gpu: GpuBytes,
    draft: GpuBytes | None,
    cache: StageCache,
    budget: int | None,
) -> StageEstimate:
    """One GPU of llama.cpp, which allocates the cache of all contexts at start."""
    draft = draft or GpuBytes(range(0), 0, 0, 0, 0)
    compute = gpu.compute_bytes + draft.compute_bytes
    kv_cache = gpu.kv_cache_bytes + draft.kv_cache_bytes
    taken = Taken(
        gpu.weights_bytes,
        compute,
        gpu.non_torch_bytes,
        0,
        draft.weights_bytes,
        gpu.adapter_bytes,
    )
    room = None if budget is None else pool_bytes(setting.rules, budget, taken)
    return StageEstimate(
        layers=len(gpu.layers),
        weights_bytes=gpu.weights_bytes,
        activation_bytes=compute,
        non_torch_bytes=gpu.non_torch_bytes,
        cuda_graph_bytes=0,
        room_bytes=room,
        kv_cache_bytes=kv_cache,
        kv_cache_tokens=(
            None
            if room is None
            else setting.concurrency * ceil_to(setting.max_model_len, cache.block_tokens)
        ),
        request_bytes=kv_cache // setting.concurrency,
        draft_weights_bytes=draft.weights_bytes,
        adapter_bytes=gpu.adapter_bytes,
    )


def _stage(
    setting: Setting, layers: range, cache: StageCache, taken: Taken, budget: int | None
) -> StageEstimate:
    room = None if budget is None else pool_bytes(setting.rules, budget, taken)
    context, batch = setting.max_model_len, setting.max_num_batched_tokens
    return StageEstimate(
        layers=len(layers),
        weights_bytes=taken.weights_bytes,
        activation_bytes=taken.activation_bytes,
        non_torch_bytes=taken.non_torch_bytes,
        cuda_graph_bytes=taken.cuda_graph_bytes,
        room_bytes=room,
        kv_cache_bytes=room,
        kv_cache_tokens=None if room is None else cache.tokens(room, context, batch),
        request_bytes=cache.request_bytes(context, batch),
        draft_weights_bytes=taken.draft_weights_bytes,
        adapter_bytes=taken.adapter_bytes,
    )


def _tightness(stage: StageEstimate) -> tuple[int, int]:
    return stage.kv_cache_tokens or 0, stage.room_bytes or 0


def _headroom(setting: Setting, stages: tuple[StageEstimate, ...]) -> int:
    graphs = max(stage.cuda_graph_bytes for stage in stages)
    outside = 0 if setting.rules.memory.graphs_inside_budget else graphs
    share = share_bytes(setting.total_bytes, setting.utilization)
    return setting.total_bytes - share - outside


def _short_of_graphs(setting: Setting, headroom: int) -> bool:
    memory = setting.rules.memory
    captured = memory.captures_graphs and not setting.enforce_eager
    return captured and not memory.graphs_inside_budget and headroom < OUTSIDE_HEADROOM_BYTES


def _concurrency(
    setting: Setting, caches: tuple[StageCache, ...], tightest: StageEstimate
) -> float:
    """Printed tokens over the context; with layers that drop tokens, pool over one request."""
    if all(cache.plain for cache in caches):
        return (tightest.kv_cache_tokens or 0) / setting.max_model_len
    if not tightest.request_bytes:
        return 0.0
    return max(0, tightest.room_bytes or 0) / tightest.request_bytes


def _verdict(
    setting: Setting, stages: tuple[StageEstimate, ...], budget: int, headroom: int
) -> tuple[Reason, str] | None:
    inside = setting.rules.memory.graphs_inside_budget
    for stage in stages:
        if stage.models_bytes > budget:
            return (
                Reason.WEIGHTS,
                f"weights of {format_gib(stage.models_bytes)} exceed {format_gib(max(0, budget))}",
            )
    for stage in stages:
        room = (stage.room_bytes or 0) + (stage.cuda_graph_bytes if inside else 0)
        if room <= 0:
            return (
                Reason.ACTIVATION,
                f"weights of {format_gib(stage.models_bytes)} and activations of "
                f"{format_gib(stage.activation_bytes)}{_adapters(stage)} leave nothing of "
                f"{format_gib(budget)}",
            )
    for stage in stages:
        room, needed = stage.room_bytes or 0, setting.concurrency * stage.request_bytes
        if needed > room:
            graphs = stage.cuda_graph_bytes if inside else 0
            alone = graphs and needed <= room + graphs
            return (
                Reason.GRAPHS if alone else Reason.KV_CACHE,
                f"{_requests(setting)} {format_gib(needed)} of KV cache; "
                f"{format_gib(room)} are left",
            )
    if _short_of_graphs(setting, headroom):
        return (
            Reason.GRAPHS,
            f"CUDA graphs of {format_gib(max(s.cuda_graph_bytes for s in stages))} leave "
            f"{format_gib(headroom)} beside the budget; "
            f"{format_gib(OUTSIDE_HEADROOM_BYTES)} must stay free",
        )
    return None


def _adapters(stage: StageEstimate) -> str:
    return f" and adapters of {format_gib(stage.adapter_bytes)}" if stage.adapter_bytes else ""


def _requests(setting: Setting) -> str:
    if setting.concurrency == 1:
        return f"a request of {setting.max_model_len:,} tokens takes"
    return f"{setting.concurrency:,} requests of {setting.max_model_len:,} tokens take"
