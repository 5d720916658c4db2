"""One choice on some GPUs of one pool: does it fit, and what is it short of."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import lru_cache
from operator import itemgetter
from typing import Final, NamedTuple

from llama_operator.api.enums import KvCacheDType
from llama_operator.api.plan import CudaGraphs
from llama_operator.api.reasons import Reason
from llama_operator.api.v1alpha1 import LlamaDeploymentSpec
from llama_operator.catalog.rows import Gpu
from llama_operator.planning.adapters import planned_adapters
from llama_operator.planning.candidates import Candidate, gpu_refusal
from llama_operator.planning.choices import Choice
from llama_operator.planning.features import drafted_tokens
from llama_operator.planning.host_requests import host_shortage, requested_host
from llama_operator.planning.steps import planned_step
from llama_operator.sizing.engine_budget import (
    Budgeting,
    EngineRules,
    budget_bytes,
    engine_rules,
    planned_utilization,
)
from llama_operator.sizing.estimate import (
    Estimate,
    StageEstimate,
    estimate,
    largest_context,
    stage_caches,
)
from llama_operator.sizing.host import HostNeeds, host_needs
from llama_operator.sizing.outside import non_torch_bytes
from llama_operator.sizing.serving import Serving
from llama_operator.sizing.settings import DTYPE_BYTES, Setting, default_dtype
from llama_operator.sizing.support import Reason as SizingReason
from llama_operator.sizing.whole_prefill import longest_context, with_context

DEFAULT_REQUESTS: Final = 2
DEFAULT_REQUEST_TOKENS: Final = 8192
"""A placement must hold this many requests of this length when no maxModelLen is given."""
KV_DTYPES: Final = {
    KvCacheDType.AUTO: "auto",
    KvCacheDType.FP8: "fp8",
    KvCacheDType.Q8_0: "q8_0",
}
"""Data types of the KV cache as sizing names them."""
_REASONS: Final[Mapping[SizingReason, Reason]] = {
    SizingReason.UNSUPPORTED_MODEL: Reason.MODEL_NOT_SERVABLE,
    SizingReason.UNSUPPORTED_QUANTIZATION: Reason.UNSUPPORTED_GPU,
    SizingReason.TENSOR_PARALLEL_SIZE: Reason.TENSOR_PARALLEL_SIZE,
    SizingReason.WEIGHTS: Reason.WEIGHTS_TOO_LARGE,
    SizingReason.ACTIVATION: Reason.ACTIVATION_TOO_LARGE,
    SizingReason.KV_CACHE: Reason.KV_CACHE_TOO_SMALL,
    SizingReason.GRAPHS: Reason.CUDA_GRAPHS_TOO_LARGE,
}
STAGES: Final = (
    Reason.UNSUPPORTED_GPU,
    Reason.TENSOR_PARALLEL_SIZE,
    Reason.TOO_FEW_GPUS,
    Reason.WEIGHTS_TOO_LARGE,
    Reason.ACTIVATION_TOO_LARGE,
    Reason.CUDA_GRAPHS_TOO_LARGE,
    Reason.KV_CACHE_TOO_SMALL,
    Reason.HOST_TOO_SMALL,
)
"""What may be wrong, in the order of checking: the later, the nearer to fitting."""
MEMORY_VERDICTS: Final = frozenset(
    {
        Reason.WEIGHTS_TOO_LARGE,
        Reason.ACTIVATION_TOO_LARGE,
        Reason.CUDA_GRAPHS_TOO_LARGE,
        Reason.KV_CACHE_TOO_SMALL,
    }
)


_sized = lru_cache(maxsize=4096)(estimate)
"""Estimates of settings: every pass of a deployment asks for the same ones."""
_longest = lru_cache(maxsize=4096)(longest_context)


@dataclass(frozen=True, slots=True)
class Trial:
    """What came of one choice on one candidate.

    `verdict` is None when it fits. `why` completes a sentence about the GPUs where the verdict is
    not about memory. `setting` and `estimate` are None when it was refused before it was sized.
    `host` is what pods request, `host_needs` what the engine was found to need.
    """

    choice: Choice
    candidate: Candidate
    verdict: Reason | None
    why: str = ""
    setting: Setting | None = None
    estimate: Estimate | None = None
    host: HostNeeds | None = None
    host_needs: HostNeeds | None = None

    @property
    def memory(self) -> StageEstimate | None:
        """Bytes on the fullest GPU; None when it was not sized."""
        return None if self.estimate is None else self.estimate.tightest

    @property
    def utilization_percent(self) -> int:
        """Share of a GPU that the engine may use; 0 when it was not sized."""
        return 0 if self.setting is None else round(100 * self.setting.utilization)

    @property
    def kv_cache_needed_bytes(self) -> int:
        """KV cache of one GPU that the requests asked for take; 0 when it was not sized."""
        if self.memory is None or self.setting is None:
            return 0
        return self.setting.concurrency * self.memory.request_bytes

    @property
    def needed_bytes(self) -> int | None:
        """Bytes of one GPU that must fit in the budget; None when it was not sized."""
        memory = self.memory
        if memory is None or self.setting is None:
            return None
        inside = self.setting.rules.memory.graphs_inside_budget
        return (
            memory.loaded_bytes
            + memory.activation_bytes
            + memory.non_torch_bytes
            + (memory.cuda_graph_bytes if inside else 0)
            + self.kv_cache_needed_bytes
        )

    @property
    def available_bytes(self) -> int | None:
        """The budget of one GPU; None when it was not sized."""
        return None if self.estimate is None else self.estimate.budget_bytes

    @property
    def held_requests(self) -> int:
        """Requests as long as asked that the KV cache holds at once; 0 when it was not sized."""
        memory = self.memory
        if memory is None or self.setting is None:
            return 0
        held = max(0, memory.room_bytes or 0) // max(1, memory.request_bytes)
        return min(held, self.setting.concurrency) if self.allocates else held

    @property
    def allocates(self) -> bool:
        """Whether the engine allocates the KV cache of its concurrent requests, and no more."""
        return self.setting is not None and self.setting.rules.budgeting is Budgeting.ALLOCATED

    def longest_context(self, concurrency: int) -> int:
        """Tokens of the longest requests, so many at once, where shorter ones would help; else 0.

        Args:
            concurrency: requests that must fit at once.
        """
        if self.setting is None:
            return 0
        whole = self.setting.rules.memory.whole_prefill_tokens
        step_follows = self.verdict is Reason.ACTIVATION_TOO_LARGE and whole
        if self.verdict is not Reason.KV_CACHE_TOO_SMALL and not step_follows:
            return 0
        wanted = self.setting
        if wanted.concurrency != concurrency:
            wanted = replace(wanted, concurrency=concurrency)
        return _longest(wanted, limit=self.choice.context_length)


class Load(NamedTuple):
    """What one spec and choice ask of a GPU beyond the choice's own bytes.

    Placements with equal loads need equal bytes of each GPU, whatever memory it has.
    """

    tensor_parallel_size: int
    pipeline_parallel_size: int
    max_num_batched_tokens: int
    max_num_seqs: int
    dtype_bytes: int
    non_torch_bytes: int


class Shortages:
    """What placements of one spec and choice that lack memory need, by their load.

    It rules out GPUs that have less, without sizing them.
    """

    def __init__(self) -> None:
        self._needed_bytes: dict[Load, int] = {}

    def add(self, load: Load, trial: Trial) -> None:
        """Remember a trial that failed, if it lacks memory."""
        if trial.verdict in MEMORY_VERDICTS and trial.needed_bytes is not None:
            self._needed_bytes[load] = trial.needed_bytes

    def exclude(self, load: Load, budget_bytes: int) -> bool:
        """Whether the same load was seen to need more than this."""
        return budget_bytes < self._needed_bytes.get(load, 0)


def attempt(
    spec: LlamaDeploymentSpec, choice: Choice, candidate: Candidate, *, longest: bool = True
) -> Trial:
    """Size one choice on one candidate and say whether it fits, now or later.

    Without a length the GPUs must hold two requests of 8,192 tokens, and a block of each of the
    concurrent requests; the length becomes the longest, up to the model's own, of which the
    concurrent requests fit. Whoever asks for the verdict alone sets `longest` to false.
    """
    refusal = gpu_refusal(spec, choice, candidate)
    if refusal is not None:
        return Trial(choice, candidate, *refusal)
    return _judge(spec, choice, candidate, _load(spec, choice, candidate), longest)


def fitting(
    spec: LlamaDeploymentSpec, choice: Choice, candidate: Candidate, shortages: Shortages
) -> Trial | None:
    """The trial of `attempt` if it fits, else None.

    Args:
        spec: what to serve.
        choice: one publication.
        candidate: GPUs.
        shortages: of the same spec and choice; this trial is added to them.
    """
    if gpu_refusal(spec, choice, candidate) is not None:
        return None
    load = _load(spec, choice, candidate)
    if shortages.exclude(load, _budget_bytes(spec, choice, candidate)):
        return None
    trial = _judge(spec, choice, candidate, load)
    if trial.verdict is None:
        return trial
    shortages.add(load, trial)
    return None


def roomiest(
    spec: LlamaDeploymentSpec, choice: Choice, found: Iterable[Candidate]
) -> Iterator[Trial]:
    """Of candidates with equal loads the trial of the one with the most memory for each GPU.

    One that is refused for what is not of the budget, such as its host, is passed over.
    """
    groups: dict[Load, list[tuple[int, Candidate]]] = {}
    for candidate in found:
        if gpu_refusal(spec, choice, candidate) is None:
            budget = _budget_bytes(spec, choice, candidate)
            groups.setdefault(_load(spec, choice, candidate), []).append((budget, candidate))
    for load, group in groups.items():
        for _, candidate in sorted(group, key=itemgetter(0), reverse=True):
            trial = _judge(spec, choice, candidate, load)
            if trial.verdict in MEMORY_VERDICTS - {Reason.CUDA_GRAPHS_TOO_LARGE}:
                yield trial
                break


def hold(
    spec: LlamaDeploymentSpec, choice: Choice, candidate: Candidate, setting: Setting
) -> Trial:
    """Judge a setting: memory first, then the host, of which the spec may ask otherwise."""
    found = _sized(setting)
    if found.reason is not None:
        if not found.stages:
            return Trial(choice, candidate, _REASONS[found.reason], found.message)
        return Trial(choice, candidate, _REASONS[found.reason], "", setting, found)
    needs = host_needs(
        setting,
        choice.host,
        ranks=candidate.tensor_parallel_size,
        download_bytes=choice.download_bytes,
        quantize_at_load=choice.publication.quantize_at_load,
        cached=choice.cache is not None,
        draft_disk_bytes=choice.draft.disk_bytes if choice.draft is not None else 0,
    )
    host = requested_host(spec, needs)
    pool, size = candidate.pool, candidate.tensor_parallel_size
    why = host_shortage(pool, size, host, candidate.nodes)
    verdict = Reason.HOST_TOO_SMALL if why else None
    return Trial(choice, candidate, verdict, why, setting, found, host, needs)


def _judge(
    spec: LlamaDeploymentSpec,
    choice: Choice,
    candidate: Candidate,
    load: Load,
    longest: bool = True,
) -> Trial:
    setting = _setting(spec, choice, candidate, load)
    if spec.context.max_model_len is None:
        least = _least(setting, choice)
        # What llama.cpp needs of the host, too, follows the length.
        verdict_only = not longest and least.rules.budgeting is not Budgeting.ALLOCATED
        if verdict_only or not _sized(least).fits:
            return hold(spec, choice, candidate, least)
        setting = _with_longest_context(spec, setting, choice)
    return hold(spec, choice, candidate, setting)


def _with_longest_context(spec: LlamaDeploymentSpec, setting: Setting, choice: Choice) -> Setting:
    """The setting with the longest context; steps follow it unless the spec has their size."""
    limit, tokens = choice.context_length, spec.memory.max_num_batched_tokens
    if tokens is None or not setting.rules.memory.whole_prefill_tokens:
        return with_context(setting, _longest(setting, limit=limit))
    longest = largest_context(setting, limit=min(limit, tokens))
    return replace(setting, max_model_len=longest)


def _least(setting: Setting, choice: Choice) -> Setting:
    """What must fit when no length is asked for: the larger of the two."""
    shortest = with_context(setting, min(DEFAULT_REQUEST_TOKENS, choice.context_length))
    if setting.rules.budgeting is Budgeting.ALLOCATED:
        return shortest
    usual = replace(shortest, concurrency=DEFAULT_REQUESTS)
    if setting.concurrency <= DEFAULT_REQUESTS:
        return usual
    block = setting.rules.memory.block_tokens
    return max(usual, replace(shortest, max_model_len=block), key=_request_bytes)


def _request_bytes(setting: Setting) -> int:
    """KV cache of one GPU that all concurrent requests of a setting take."""
    return setting.concurrency * max(
        cache.request_bytes(setting.max_model_len, setting.max_num_batched_tokens)
        for cache in stage_caches(setting)
    )


def _rules(choice: Choice) -> EngineRules:
    return engine_rules(choice.version.engine, choice.version.version)


def _load(spec: LlamaDeploymentSpec, choice: Choice, candidate: Candidate) -> Load:
    gpu, size = candidate.pool.gpu, candidate.tensor_parallel_size
    step = planned_step(spec, choice, gpu)
    return Load(
        tensor_parallel_size=size,
        pipeline_parallel_size=candidate.nodes,
        max_num_batched_tokens=step.max_num_batched_tokens,
        max_num_seqs=step.max_num_seqs,
        dtype_bytes=DTYPE_BYTES[_dtype(choice, gpu)],
        non_torch_bytes=non_torch_bytes(
            _rules(choice).memory,
            tensor_parallel_size=size,
            pipeline_parallel_size=candidate.nodes,
            nvlink=gpu.nvlink_gb_per_second > 0,
        ),
    )


def _dtype(choice: Choice, gpu: Gpu) -> str:
    return default_dtype(choice.scheme, gpu.compute_capability)


def _utilization(spec: LlamaDeploymentSpec, choice: Choice, candidate: Candidate) -> float:
    gpu, percent = candidate.pool.gpu, spec.memory.utilization_percent
    if percent is not None:
        return percent / 100
    size = candidate.tensor_parallel_size
    return planned_utilization(_rules(choice), gpu.total_bytes, gpu.reserved_at_start_bytes, size)


def _budget_bytes(spec: LlamaDeploymentSpec, choice: Choice, candidate: Candidate) -> int:
    gpu = candidate.pool.gpu
    share = _utilization(spec, choice, candidate)
    return budget_bytes(_rules(choice), gpu.total_bytes, share, gpu.reserved_at_start_bytes)


def _setting(
    spec: LlamaDeploymentSpec, choice: Choice, candidate: Candidate, load: Load
) -> Setting:
    allocates = _rules(choice).budgeting is Budgeting.ALLOCATED
    return Serving(
        choice.shape,
        choice.scheme,
        engine=choice.version.engine,
        engine_version=choice.version.version,
        gpu=candidate.pool.gpu,
        tensor_parallel_size=load.tensor_parallel_size,
        pipeline_parallel_size=load.pipeline_parallel_size,
        utilization=_utilization(spec, choice, candidate),
        max_model_len=spec.context.max_model_len or choice.context_length,
        max_num_batched_tokens=load.max_num_batched_tokens,
        max_num_seqs=load.max_num_seqs,
        enforce_eager=spec.memory.cuda_graphs is not CudaGraphs.ENABLED,
        dtype=_dtype(choice, candidate.pool.gpu),
        kv_cache_dtype=KV_DTYPES[spec.memory.kv_cache_d_type],
        concurrency=load.max_num_seqs if allocates else spec.context.concurrency,
        gpu_layers=spec.memory.gpu_layers,
        speculative_tokens=drafted_tokens(spec),
        draft=choice.draft.sized if choice.draft is not None else None,
        adapters=planned_adapters(spec),
    ).setting()
