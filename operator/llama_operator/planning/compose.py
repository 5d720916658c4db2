"""The Plan that is written to the status, from a placement that fits."""

from collections.abc import Iterator
from itertools import islice
from typing import Final

from llama_operator.api.enums import EngineType, KvCacheDType, ModelFormat
from llama_operator.api.plan import (
    REASON_LIMIT,
    REASONS_LIMIT,
    CudaGraphs,
    DraftModel,
    GpuChoice,
    HostResources,
    MemoryPerGpu,
    ModelCache,
    Plan,
)
from llama_operator.api.v1alpha1 import LlamaDeploymentSpec
from llama_operator.catalog.rows import Publication
from llama_operator.planning.adapters import adapter_reasons
from llama_operator.planning.cached import cache_reasons
from llama_operator.planning.candidates import Candidate, compute_dtype, engine_image
from llama_operator.planning.choices import Choice
from llama_operator.planning.decide import Fit
from llama_operator.planning.features import feature_reasons
from llama_operator.planning.host_requests import host_reasons
from llama_operator.planning.image_registry import mirrored_image
from llama_operator.planning.node_selectors import node_selectors
from llama_operator.planning.trials import Trial
from llama_operator.planning.wording import counted, requests_text
from llama_operator.sizing.cache import element_size, token_bytes
from llama_operator.sizing.engine_budget import (
    PLANNED_LIMIT_PERCENT,
    Budgeting,
    planned_utilization,
)
from llama_operator.sizing.estimate import StageEstimate
from llama_operator.sizing.host import HostNeeds
from llama_operator.sizing.margin import UNMEASURED_MARGIN_BYTES, is_measured
from llama_operator.sizing.nearest import FP8_CAPABILITY
from llama_operator.sizing.offload import offload
from llama_operator.sizing.settings import Setting
from llama_operator.sizing.startup import startup_seconds
from llama_operator.units import format_gib, format_usd

CHAT: Final = "chat"
"""Ability of models that were tuned to answer messages."""


def compose(spec: LlamaDeploymentSpec, fit: Fit, image_registry: str = "") -> Plan:
    """The plan of what won.

    Args:
        spec: what to serve.
        fit: what won.
        image_registry: replaces the host of the engine's own image; empty for none.

    Raises:
        ValueError: the trial was not sized, so it cannot have won.
    """
    trial = fit.trial
    setting, memory, host = _sized(trial)
    memory_per_gpu, tokens = _memory_per_gpu(setting, memory), memory.kv_cache_tokens or 0
    choice, candidate = trial.choice, trial.candidate
    row, pool = choice.publication, candidate.pool
    return Plan(
        model=row.model,
        size=row.size,
        format=row.format,
        quantization=row.quantization,
        scheme=choice.scheme.name,
        hub=row.hub,
        repository=row.repository,
        file=_first_file(choice.publication),
        quantize_at_load=row.quantize_at_load,
        gated=row.gated,
        engine=choice.engine.name,
        engine_version=choice.version.version,
        image=spec.engine.image
        or mirrored_image(engine_image(choice.version, pool) or "", image_registry),
        gpus=candidate.gpus,
        gpu=GpuChoice(
            product=pool.product,
            count=candidate.tensor_parallel_size,
            resource=pool.resource,
            label=pool.label,
            accepted_products=sorted({accepted.product for accepted in fit.accepted}),
            node_selectors=node_selectors(pool, fit.accepted),
        ),
        nodes=candidate.nodes if candidate.nodes > 1 else None,
        usd_per_hour=None
        if candidate.micro_usd_per_hour is None
        else format_usd(candidate.micro_usd_per_hour),
        tensor_parallel_size=setting.ranks,
        pipeline_parallel_size=setting.stages,
        gpu_layers=setting.gpu_layers,
        dtype=compute_dtype(choice.scheme, pool.gpu.compute_capability),
        kv_cache_dtype=setting.kv_cache_dtype,
        tool_call_parser=choice.engine.tool_call_parser(choice.model.abilities),
        max_model_len=setting.max_model_len,
        concurrency=spec.context.concurrency,
        max_num_seqs=setting.max_num_seqs,
        max_num_batched_tokens=setting.max_num_batched_tokens,
        cuda_graphs=spec.memory.cuda_graphs,
        utilization_percent=trial.utilization_percent,
        kv_cache_tokens=tokens,
        max_concurrency=trial.held_requests,
        memory_per_gpu=memory_per_gpu,
        host=HostResources(
            cpu_millicores=host.cpu_millicores,
            memory_bytes=host.memory_bytes,
            shm_bytes=host.shm_bytes,
            disk_bytes=host.disk_bytes,
        ),
        cache=None
        if choice.cache is None
        else ModelCache(kind=choice.cache, model_bytes=choice.model_disk_bytes),
        draft=_draft(choice),
        startup_seconds=startup_seconds(
            choice.version.engine,
            choice.all_download_bytes,
            cuda_graphs=spec.memory.cuda_graphs is CudaGraphs.ENABLED,
        ),
        summary=_summary(spec, trial, setting, memory),
        reasons=[
            text if len(text) <= REASON_LIMIT else f"{text[: REASON_LIMIT - 1]}…"
            for text in islice(_reasons(spec, fit, setting, memory), REASONS_LIMIT)
        ],
    )


def _memory_per_gpu(setting: Setting, memory: StageEstimate) -> MemoryPerGpu:
    """Bytes by part; the budget is what they take: to the byte what vLLM and TGI are given."""
    graphs = memory.cuda_graph_bytes if setting.rules.memory.graphs_inside_budget else 0
    budget = (
        memory.loaded_bytes
        + memory.activation_bytes
        + memory.non_torch_bytes
        + graphs
        + (memory.kv_cache_bytes or 0)
    )
    return MemoryPerGpu(
        total_bytes=setting.total_bytes,
        budget_bytes=budget,
        weights_bytes=memory.weights_bytes,
        adapter_bytes=memory.adapter_bytes or None,
        draft_weights_bytes=memory.draft_weights_bytes or None,
        activation_bytes=memory.activation_bytes,
        non_torch_bytes=memory.non_torch_bytes,
        cuda_graph_bytes=memory.cuda_graph_bytes,
        kv_cache_bytes=memory.kv_cache_bytes or 0,
        headroom_bytes=setting.total_bytes - budget,
    )


def waiting_message(fit: Fit) -> str:
    """Which GPUs a plan waits for; empty when all replicas fit now."""
    if fit.fits_now:
        return ""
    candidate = fit.trial.candidate
    if candidate.nodes == 1:
        each = f"{candidate.tensor_parallel_size}, each on one node"
    else:
        each = f"{candidate.nodes} nodes with {candidate.tensor_parallel_size} each"
    free = ", ".join(f"{pool.free_cards} of {pool.cards} {pool.product}" for pool in fit.accepted)
    return (
        f"needs {counted(fit.wanted_replicas * candidate.gpu_count, 'GPU')} "
        f"({counted(fit.wanted_replicas, 'replica')} of {each}); "
        f"free: {free}; room for {counted(fit.free_replicas, 'replica')} now"
    )


def _sized(trial: Trial) -> tuple[Setting, StageEstimate, HostNeeds]:
    if trial.setting is None or trial.memory is None or trial.host is None:
        msg = f"{trial.candidate.gpus} was not sized"
        raise ValueError(msg)
    return trial.setting, trial.memory, trial.host


def _summary(
    spec: LlamaDeploymentSpec, trial: Trial, setting: Setting, memory: StageEstimate
) -> str:
    return (
        f"{trial.candidate.gpus}: weights {format_gib(memory.models_bytes)} and KV cache "
        f"{format_gib(memory.kv_cache_bytes or 0)} per GPU; "
        f"{counted(memory.kv_cache_tokens or 0, 'token')} hold "
        f"{requests_text(spec.context.concurrency, setting.max_model_len)}"
    )


def _reasons(
    spec: LlamaDeploymentSpec, fit: Fit, setting: Setting, memory: StageEstimate
) -> Iterator[str]:
    yield from _model_reasons(spec, fit.trial)
    yield _gpu_reason(spec, fit)
    yield _context_reason(spec, fit.trial.choice, setting, memory)
    if fit.trial.choice.draft is not None:
        yield (
            f"{fit.trial.choice.draft.title} drafts: weights "
            f"{format_gib(memory.draft_weights_bytes)} per GPU; the KV cache holds its part of "
            f"every request"
        )
    yield from adapter_reasons(spec, setting, memory)
    yield from feature_reasons(spec, fit.trial.choice)
    yield from cache_reasons(spec, fit.trial.choice)
    yield from _memory_reasons(spec, fit.trial, setting)
    if fit.trial.host is not None and fit.trial.host_needs is not None:
        yield from host_reasons(spec, fit.trial.host_needs, fit.trial.host)


def _model_reasons(spec: LlamaDeploymentSpec, trial: Trial) -> Iterator[str]:
    choice = trial.choice
    row = choice.publication
    if spec.format is ModelFormat.AUTO:
        yield (
            f"format {row.format} ({row.quantization}): the best published one that fits the "
            f"GPU types of this cluster; set spec.format to keep it"
        )
    for gated in choice.left_out:
        yield (
            f"format {gated.format} ({gated.quantization}) left out: {gated.repository} is gated "
            f"and spec.tokenSecretRef is not set"
        )
    yield f"engine {choice.engine.name} {choice.version.version}: {_engine_reason(spec, choice)}"
    if spec.engine.image:
        yield (
            f"image of spec.engine.image, sized by the rules of {choice.engine.name} "
            f"{choice.version.version}"
        )
    if CHAT not in choice.model.abilities:
        yield (
            f"{row.model} is a base model: it completes text at /v1/completions and knows no chat"
        )
    if row.quantize_at_load:
        yield "the repository holds 16-bit weights, which the engine quantizes while it loads"


def _engine_reason(spec: LlamaDeploymentSpec, choice: Choice) -> str:
    row = choice.publication
    what = f"{row.format} ({row.quantization})"
    if spec.engine.type is not EngineType.AUTO:
        return f"as spec.engine.type says; it loads {what}"
    if not choice.preferred:
        return f"the first one that loads {what}"
    before = ", ".join(version.engine for version in choice.preferred)
    return f"it loads {what} on these GPUs, which {before} does not"


def _draft(choice: Choice) -> DraftModel | None:
    if choice.draft is None:
        return None
    row = choice.draft.publication
    return DraftModel(
        model=row.model,
        size=row.size,
        format=row.format,
        quantization=row.quantization,
        repository=row.repository,
        file=_first_file(row),
        gated=row.gated,
    )


def _first_file(row: Publication) -> str:
    """Path of the file that the engine is given; the first part of a split one."""
    parts = {"part": f"{1:05}", "parts": f"{row.parts:05}"}
    return row.files.format(quantization=row.quantization, **parts)


def _gpu_reason(spec: LlamaDeploymentSpec, fit: Fit) -> str:
    # The plan is recorded: what was free is told as it was then.
    candidate = fit.trial.candidate
    if fit.kept:
        return f"{candidate.gpus}: today's placement, which still holds it"
    entry = f"spec.hardware[{candidate.preference}]"
    if candidate.nodes > 1 and (
        not spec.hardware or spec.hardware[candidate.preference].nodes is None
    ):
        return (
            f"{candidate.gpus}: the fewest nodes that fit; none holds it alone, so each computes "
            f"a pipeline stage and hands activations on over the network"
        )
    if not spec.hardware:
        return f"{_priced(candidate)}: {_price_reason(fit)}"
    if spec.hardware[candidate.preference].count is None:
        return f"{candidate.gpus}: the fewest that fit of {entry}"
    return f"{candidate.gpus}: as {entry} says"


def _priced(candidate: Candidate) -> str:
    price = candidate.micro_usd_per_hour
    return candidate.gpus if price is None else f"{candidate.gpus}, {format_usd(price)} USD an hour"


def _price_reason(fit: Fit) -> str:
    if fit.busy is not None:
        return f"free when it was planned, unlike {_priced(fit.busy)}"
    if fit.trial.candidate.micro_usd_per_hour is None:
        return "the fewest GPUs that fit"
    return "the lowest price that holds it"


def _context_reason(
    spec: LlamaDeploymentSpec, choice: Choice, setting: Setting, memory: StageEstimate
) -> str:
    length = setting.max_model_len
    wanted = requests_text(spec.context.concurrency, length)
    if spec.context.max_model_len is not None:
        return f"context {length:,}: as asked; the KV cache holds {wanted}"
    if length == choice.context_length:
        return f"context {length:,}: the model's own; the KV cache holds {wanted}"
    return (
        f"context {length:,}: the longest; {wanted} fill the "
        f"{counted(memory.kv_cache_tokens or 0, 'token')} of KV cache"
    )


def _memory_reasons(spec: LlamaDeploymentSpec, trial: Trial, setting: Setting) -> Iterator[str]:
    gpu, choice = trial.candidate.pool.gpu, trial.choice
    size = setting.tensor_parallel_size
    own = planned_utilization(setting.rules, gpu.total_bytes, gpu.reserved_at_start_bytes, size)
    planned, used = round(100 * own), trial.utilization_percent
    divides = setting.rules.budgeting is Budgeting.UTILIZATION
    if used > planned:
        yield (
            f"utilization {used} %: as asked, but above the {planned} % that are safe on "
            f"{gpu.product}; the engine may refuse to start"
        )
    elif spec.memory.utilization_percent is not None:
        yield f"utilization {used} %: as asked"
    elif divides and used < PLANNED_LIMIT_PERCENT:
        yield f"utilization {used} %: an idle {gpu.product} is not all free when the engine starts"
    if compute_dtype(choice.scheme, gpu.compute_capability) != choice.scheme.dtype:
        yield f"dtype float16: {gpu.product} has no bfloat16"
    if spec.memory.kv_cache_d_type is KvCacheDType.FP8:
        native = (gpu.compute_capability or (0, 0)) >= FP8_CAPABILITY
        yield "KV cache fp8: as asked" + ("" if native else "; slower without fp8 hardware")
    if setting.max_num_seqs < spec.context.concurrency:
        yield (
            f"maxNumSeqs {setting.max_num_seqs:,} is below the concurrency: more requests "
            f"wait in the queue"
        )
    if setting.gpu_layers is not None:
        yield f"gpuLayers {setting.gpu_layers}: as asked; {offload(setting).message}"
    if not is_measured(setting.rules):
        models = (choice.shape, *((choice.draft.shape,) if choice.draft is not None else ()))
        element = element_size(setting.kv_cache_dtype, setting.dtype_bytes)
        per_token = sum(
            token_bytes(model, tensor_parallel_size=size, element=element) for model in models
        )
        yield (
            f"{choice.engine.name} {choice.version.version} has not been measured: "
            f"the KV cache may differ by {format_gib(UNMEASURED_MARGIN_BYTES)} per GPU, "
            f"{counted(UNMEASURED_MARGIN_BYTES // per_token, 'token')}"
        )
