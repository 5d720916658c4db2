"""What a draft model takes on the GPUs of the model that verifies its tokens.

vLLM and SGLang divide it over the same ranks, and its layers keep the same tokens as the others;
llama.cpp gives it a context of its own, as long and as many-fold. Each row of engine_drafts.csv has
its source. The two compute one after the other, so that the larger peak of activations counts;
llama.cpp has a compute buffer for each. It divides the draft by what the model left free, so that
the fullest GPU holds no more of it than the even part that is counted here.
"""

from dataclasses import replace
from itertools import zip_longest
from typing import Final

from llama_operator.catalog.engine_drafts import EngineDraft, engine_draft
from llama_operator.sizing.cache import (
    CacheKind,
    StageCache,
    element_size,
    joined,
    stage_cache,
)
from llama_operator.sizing.engine_budget import Taken
from llama_operator.sizing.offload import GpuBytes, HostBytes, offload, offloads
from llama_operator.sizing.outside import cuda_graph_bytes
from llama_operator.sizing.settings import Setting
from llama_operator.sizing.taken import taken_by_stage

LLAMA_CPP_CACHE_DTYPE: Final = "f16"
"""Of the draft's context, whatever the other's: `--spec-draft-type-k` and its default."""


def draft_setting(setting: Setting) -> Setting | None:
    """The draft as if it were served alone with the same step and context; None without one.

    All its layers are on GPUs, unless none of the model's are.
    """
    draft = setting.draft
    if draft is None:
        return None
    return replace(
        setting,
        model=draft.model,
        scheme=draft.scheme,
        pipeline_parallel_size=setting.pipeline_parallel_size if offloads(setting) else 1,
        kv_cache_dtype=LLAMA_CPP_CACHE_DTYPE if offloads(setting) else setting.kv_cache_dtype,
        gpu_layers=0 if setting.gpu_layers == 0 else None,
        stored_bytes=None,
        speculative_tokens=0,
        draft=None,
        adapters=None,
    )


def with_draft(setting: Setting, stages: tuple[Taken, ...]) -> tuple[Taken, ...]:
    """What each stage takes, with the draft on the last one, of an engine that divides by ranks.

    Raises:
        UnsupportedSchemeError: the bytes of the draft's scheme are not known.
    """
    alone = draft_setting(setting)
    if alone is None:
        return stages
    [draft] = taken_by_stage(alone)
    last = replace(
        stages[-1],
        draft_weights_bytes=draft.weights_bytes,
        activation_bytes=max(stages[-1].activation_bytes, draft.activation_bytes),
        cuda_graph_bytes=stages[-1].cuda_graph_bytes + _graph_bytes(alone, draft),
    )
    return (*stages[:-1], last)


def with_draft_caches(setting: Setting, caches: tuple[StageCache, ...]) -> tuple[StageCache, ...]:
    """What each stage keeps for requests, with the layers of the draft that are on it."""
    alone = draft_setting(setting)
    if alone is None:
        return caches
    element = element_size(alone.kv_cache_dtype, alone.dtype_bytes)
    own = [
        stage_cache(
            alone.model,
            layers.start,
            len(layers),
            alone.ranks,
            element,
            alone.dtype_bytes,
            alone.rules.memory,
        )
        for layers in _layers(alone, len(caches))
    ]
    rules = engine_draft(setting.rules.engine, setting.rules.version)
    return tuple(
        joined(cache, _counted(rules, setting, cache, drafts), setting.rules.memory)
        if drafts.kinds
        else cache
        for cache, drafts in zip(caches, own, strict=True)
    )


def draft_gpus(setting: Setting, gpus: tuple[GpuBytes, ...]) -> tuple[GpuBytes | None, ...]:
    """What the draft takes on each GPU of llama.cpp; None where there is none."""
    alone = draft_setting(setting)
    own: tuple[GpuBytes, ...] = () if alone is None else offload(alone).gpus
    return tuple(draft for _, draft in zip_longest(gpus, own))


def draft_host(setting: Setting) -> HostBytes:
    """What of the draft llama.cpp keeps in host memory; nothing without one."""
    alone = draft_setting(setting)
    return HostBytes(0, 0, 0) if alone is None else offload(alone).host


def _graph_bytes(alone: Setting, draft: Taken) -> int:
    """What its graphs add: both share one pool, so that only the part of the layers counts."""
    if not draft.cuda_graph_bytes:
        return 0
    return draft.cuda_graph_bytes - cuda_graph_bytes(
        alone.model,
        layers=0,
        tensor_parallel_size=alone.ranks,
        max_num_seqs=alone.verified_tokens,
        max_num_batched_tokens=alone.max_num_batched_tokens,
    )


def _layers(alone: Setting, stages: int) -> list[range]:
    """Layers of the draft on each stage: llama.cpp's are those of each GPU, others' on the last."""
    if offloads(alone):
        return [gpu.layers for gpu in offload(alone).gpus]
    return [*(range(0) for _ in range(stages - 1)), range(alone.model.num_hidden_layers)]


def _counted(
    rules: EngineDraft, setting: Setting, cache: StageCache, drafts: StageCache
) -> StageCache:
    """The draft's cache as the engine counts it, which may be more than it takes."""
    if not (rules.counts_model_layers and cache.plain and drafts.plain):
        return drafts
    layers = sum(kind.layers for kind in drafts.kinds)
    counted = cache.token_bytes * layers // setting.model.num_hidden_layers
    kind = CacheKind(
        layers=1,
        token_bytes=max(counted, drafts.token_bytes),
        block_tokens=setting.rules.memory.block_tokens,
    )
    return replace(drafts, kinds=(kind,))
