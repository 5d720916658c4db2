"""One choice on some GPUs of one pool: does it fit, and what is it short of."""

from dataclasses import dataclass
from typing import Final

from llama_operator.api.plan import CudaGraphs
from llama_operator.api.reasons import Reason
from llama_operator.api.v1alpha1 import KvCacheDType, LlamaDeploymentSpec
from llama_operator.catalog.catalog import Catalog
from llama_operator.planning.candidates import Candidate, gpu_refusal
from llama_operator.planning.choices import Choice
from llama_operator.sizing.budget import OUTSIDE_HEADROOM_BYTES, planned_utilization_percent
from llama_operator.sizing.footprint import footprint
from llama_operator.sizing.host import HostNeeds, host_needs
from llama_operator.sizing.kv_cache import BLOCK_TOKENS, bytes_per_token, request_tokens
from llama_operator.sizing.placement import Footprint, Placement
from llama_operator.units import format_gib

DEFAULT_REQUESTS: Final = 2
DEFAULT_REQUEST_TOKENS: Final = 8192
"""A placement must hold this many requests of this length when no maxModelLen is given."""
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


@dataclass(frozen=True, slots=True)
class Trial:
    """What came of one choice on one candidate.

    `verdict` is None when it fits. `why` completes a sentence about the GPUs where the verdict is
    not about memory. `placement` and `memory` are None when it was refused before it was sized.
    """

    choice: Choice
    candidate: Candidate
    verdict: Reason | None
    why: str = ""
    placement: Placement | None = None
    memory: Footprint | None = None
    host: HostNeeds | None = None
    max_model_len: int = 0
    kv_cache_needed_bytes: int = 0

    @property
    def needed_bytes(self) -> int | None:
        """Bytes of one GPU that must fit in the budget; None when it was not sized."""
        if self.memory is None or self.placement is None:
            return None
        inside = self.choice.version.graphs_inside_budget
        graphs = self.memory.cuda_graph_bytes if inside else 0
        return (
            self.memory.weights_bytes
            + self.memory.activation_bytes
            + self.memory.non_torch_bytes
            + graphs
            + self.kv_cache_needed_bytes
        )

    @property
    def available_bytes(self) -> int | None:
        """The budget of one GPU; None when it was not sized."""
        return None if self.memory is None else self.memory.budget_bytes

    @property
    def spare_tokens(self) -> int:
        """Tokens that the KV cache holds where shorter or fewer requests would help; else 0."""
        short = self.verdict is None or self.verdict is Reason.KV_CACHE_TOO_SMALL
        return self.memory.kv_cache_tokens if short and self.memory is not None else 0


def attempt(
    spec: LlamaDeploymentSpec, choice: Choice, candidate: Candidate, catalog: Catalog
) -> Trial:
    """Size one choice on one candidate and say whether it fits, now or later."""
    refusal = gpu_refusal(spec, choice, candidate)
    if refusal is not None:
        return Trial(choice, candidate, *refusal)
    placement = _placement(spec, choice, candidate, catalog)
    return hold(spec, choice, candidate, placement, max_model_len=spec.context.max_model_len)


def hold(
    spec: LlamaDeploymentSpec,
    choice: Choice,
    candidate: Candidate,
    placement: Placement,
    *,
    max_model_len: int | None,
) -> Trial:
    """Judge a placement: memory first, then the host.

    Without a length the placement must hold two requests of 8,192 tokens, and the length becomes
    the longest, up to the model's own, of which the concurrent requests fit.
    """
    memory = footprint(placement)
    concurrency = spec.context.concurrency
    length = max_model_len or longest_context(memory.kv_cache_tokens, concurrency, choice)
    if max_model_len is None:
        shortest = min(DEFAULT_REQUEST_TOKENS, choice.context_length)
        needed = max(DEFAULT_REQUESTS * request_tokens(shortest), concurrency * BLOCK_TOKENS)
    else:
        needed = concurrency * request_tokens(max_model_len)
    per_token = bytes_per_token(
        choice.architecture,
        tensor_parallel_size=candidate.tensor_parallel_size,
        element_bytes=placement.kv_cache_element_bytes,
    )
    host = host_needs(
        choice.host,
        ranks=candidate.tensor_parallel_size,
        download_bytes=choice.download_bytes,
    )
    verdict = _memory_verdict(placement, memory, needed, needed * per_token)
    why = ""
    if verdict is None:
        why = _host_shortage(candidate, host)
        verdict = Reason.HOST_TOO_SMALL if why else None
    return Trial(
        choice,
        candidate,
        verdict,
        why,
        placement=placement,
        memory=memory,
        host=host,
        max_model_len=length,
        kv_cache_needed_bytes=needed * per_token,
    )


def longest_context(kv_cache_tokens: int, concurrency: int, choice: Choice) -> int:
    """Tokens of the longest requests, in whole blocks, of which `concurrency` fit at once."""
    blocks = kv_cache_tokens // concurrency // BLOCK_TOKENS
    return min(choice.context_length, blocks * BLOCK_TOKENS)


def _placement(
    spec: LlamaDeploymentSpec, choice: Choice, candidate: Candidate, catalog: Catalog
) -> Placement:
    gpu, size, memory = candidate.pool.gpu, candidate.tensor_parallel_size, spec.memory
    defaults = catalog.batch_defaults(choice.version, gpu)
    tokens = memory.max_num_batched_tokens
    seqs = memory.max_num_seqs or max(defaults.max_num_seqs, spec.context.concurrency)
    if memory.max_num_seqs is None and tokens is not None:
        seqs = min(seqs, tokens)
    return Placement(
        architecture=choice.architecture,
        scheme=choice.scheme,
        gpu=gpu,
        total_bytes=gpu.total_bytes,
        engine=choice.version,
        tensor_parallel_size=size,
        pipeline_parallel_size=1,
        utilization_percent=memory.utilization_percent
        or planned_utilization_percent(gpu.total_bytes, gpu.reserved_at_start_bytes, size),
        max_num_seqs=seqs,
        max_num_batched_tokens=tokens or max(defaults.max_num_batched_tokens, seqs),
        cuda_graphs=memory.cuda_graphs is CudaGraphs.ENABLED,
        kv_cache_element_bytes=1 if memory.kv_cache_d_type is KvCacheDType.FP8 else 2,
    )


def _memory_verdict(
    placement: Placement, memory: Footprint, needed_tokens: int, needed_bytes: int
) -> Reason | None:
    graphs_inside = placement.engine.graphs_inside_budget
    if memory.weights_bytes > memory.budget_bytes:
        return Reason.WEIGHTS_TOO_LARGE
    room = memory.kv_cache_bytes + (memory.cuda_graph_bytes if graphs_inside else 0)
    if room <= 0:
        return Reason.ACTIVATION_TOO_LARGE
    if memory.kv_cache_tokens < needed_tokens:
        if graphs_inside and memory.cuda_graph_bytes and room >= needed_bytes:
            return Reason.CUDA_GRAPHS_TOO_LARGE
        return Reason.KV_CACHE_TOO_SMALL
    if not graphs_inside and memory.cuda_graph_bytes:
        return (
            None
            if memory.headroom_bytes >= OUTSIDE_HEADROOM_BYTES
            else Reason.CUDA_GRAPHS_TOO_LARGE
        )
    return None


def _host_shortage(candidate: Candidate, host: HostNeeds) -> str:
    """What every node of the pool with enough cards lacks; empty when one has all."""
    groups = [
        group for group in candidate.pool.groups if group.cards >= candidate.tensor_parallel_size
    ]
    if any(group.host_replicas(host) for group in groups):
        return ""
    best = {
        "CPU": (max(group.cpu_millicores for group in groups), host.cpu_millicores),
        "memory": (max(group.memory_bytes for group in groups), host.memory_bytes),
        "ephemeral storage": (max(group.disk_bytes for group in groups), host.disk_bytes),
    }
    return _shortage_text({name: pair for name, pair in best.items() if pair[0] < pair[1]} or best)


def _shortage_text(short: dict[str, tuple[int, int]]) -> str:
    return ", ".join(
        f"{name}: {_amount(name, needed)} needed, at most {_amount(name, there)} there"
        for name, (there, needed) in short.items()
    )


def _amount(name: str, value: int) -> str:
    if name == "CPU":
        return f"{value / 1000:g} cores"
    return format_gib(value)
