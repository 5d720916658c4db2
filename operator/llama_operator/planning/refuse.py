"""Why nothing fits: one reason, one message, the bytes needed and there."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from itertools import islice
from typing import Final

from llama_operator.api.reasons import Reason
from llama_operator.api.v1alpha1 import LlamaDeploymentSpec
from llama_operator.catalog.refusals import listed
from llama_operator.errors import SpecError
from llama_operator.planning.outcome import Refusal
from llama_operator.planning.survey import Survey
from llama_operator.planning.trials import STAGES, Trial
from llama_operator.planning.wording import counted, memory_parts, requests_text
from llama_operator.units import format_gib

LACKS_NODES: Final = (
    "a replica on several nodes needs LeaderWorkerSet (leaderworkerset.x-k8s.io/v1), which this "
    "cluster does not have"
)
TOLD_LIMIT: Final = 8
"""Products that one message explains."""
SHORTAGES: Final[Mapping[Reason, str]] = {
    Reason.WEIGHTS_TOO_LARGE: "the weights alone exceed what the engine may use",
    Reason.ACTIVATION_TOO_LARGE: "weights and activations leave no room for a KV cache",
    Reason.CUDA_GRAPHS_TOO_LARGE: "CUDA graphs take the room that the KV cache needs",
    Reason.KV_CACHE_TOO_SMALL: "the KV cache cannot hold the requests",
}
"""What each lack of memory means."""


def refuse_spec(error: SpecError) -> Refusal:
    """The refusal of a spec that the user must change."""
    return Refusal(reason=Reason(error.reason), message=str(error))


def refuse_cluster(survey: Survey) -> Refusal:
    """The refusal of a cluster without GPUs of known memory."""
    causes = [
        f"{counted(nodes, 'GPU node')} {cause}"
        for cause, nodes in islice(survey.closed.items(), TOLD_LIMIT)
    ]
    if survey.unknown_memory_nodes:
        nodes = counted(survey.unknown_memory_nodes, "GPU node")
        causes.append(
            f"{nodes} without a label that tells the memory (nvidia.com/gpu.product and "
            f"nvidia.com/gpu.memory of GPU Feature Discovery)"
        )
    causes += [
        f"{counted(nodes, 'node')} with {resource}, which no engine of the catalog serves"
        for resource, nodes in survey.unserved.items()
    ]
    if survey.unserved and len(causes) == len(survey.unserved):
        return Refusal(
            Reason.UNSUPPORTED_GPU, f"no usable GPUs in this cluster: {'; '.join(causes)}"
        )
    found = "; ".join(causes) or "no node offers nvidia.com/gpu or amd.com/gpu"
    return Refusal(Reason.NO_GPUS, f"no usable GPUs in this cluster: {found}")


def refuse_hardware(spec: LlamaDeploymentSpec, survey: Survey) -> Refusal:
    """The refusal of spec.hardware when none of its products is here."""
    asked = listed(sorted(entry.gpu for entry in spec.hardware))
    here = listed(sorted(pool.product for pool in survey.pools))
    return Refusal(
        Reason.GPU_NOT_IN_CLUSTER, f"spec.hardware asks for {asked}; usable nodes have {here}"
    )


def refuse_nodes(spec: LlamaDeploymentSpec, survey: Survey) -> Refusal | None:
    """The refusal of a spec that only asks for several nodes where these cannot be had."""
    here = {pool.product for pool in survey.pools}
    asked = [entry for entry in spec.hardware if entry.gpu in here]
    if survey.leader_worker_set or not asked or any((entry.nodes or 1) == 1 for entry in asked):
        return None
    return Refusal(
        Reason.MULTI_NODE_UNAVAILABLE,
        f"spec.hardware asks for {asked[0].nodes} nodes of {asked[0].gpu}; {LACKS_NODES}",
    )


def refuse_spread(refusal: Refusal, over_nodes: Trial) -> Refusal:
    """The refusal of what no node holds alone and several would, could they be used."""
    return replace(
        refusal,
        reason=Reason.MULTI_NODE_UNAVAILABLE,
        message=f"{refusal.message}; {over_nodes.candidate.gpus} hold it, but {LACKS_NODES}",
    )


def refuse_misfit(trials: Sequence[Trial]) -> Refusal:
    """The refusal of a spec that fits no GPUs here, told by the trial that came nearest."""
    trial = nearest(trials)
    reason = trial.verdict or Reason.KV_CACHE_TOO_SMALL
    memory, setting = trial.memory, trial.setting
    if memory is None or setting is None or reason is Reason.HOST_TOO_SMALL:
        return Refusal(reason, _without_bytes(trial, reason, trials))
    parts = memory_parts(
        weights=memory.weights_bytes,
        draft_weights=memory.draft_weights_bytes,
        activation=memory.activation_bytes,
        non_torch=memory.non_torch_bytes,
        graphs=memory.cuda_graph_bytes,
        adapters=memory.adapter_bytes,
        kv_cache=trial.kv_cache_needed_bytes,
        requests=requests_text(setting.concurrency, setting.max_model_len),
    )
    return Refusal(
        reason,
        f"{trial.choice.title}: {SHORTAGES[reason]}; nearest is {trial.candidate.gpus}, where each "
        f"GPU needs {format_gib(trial.needed_bytes or 0)} ({parts}) and the engine may use "
        f"{format_gib(trial.available_bytes or 0)} ({trial.utilization_percent} % of "
        f"{format_gib(setting.total_bytes)})",
        needed_bytes=trial.needed_bytes,
        available_bytes=trial.available_bytes,
    )


def nearest(trials: Iterable[Trial]) -> Trial:
    """The failed trial that came furthest, then the one that lacks the smallest share."""
    return max(trials, key=_nearness)


def _nearness(trial: Trial) -> tuple[int, float, int, str]:
    candidate = trial.candidate
    stage = STAGES.index(trial.verdict) if trial.verdict in STAGES else len(STAGES)
    needed, available = trial.needed_bytes, trial.available_bytes
    share = 0.0
    if needed and available and trial.verdict is not Reason.HOST_TOO_SMALL:
        share = available / needed
    return stage, share, -candidate.gpu_count, candidate.pool.product


def _without_bytes(trial: Trial, reason: Reason, trials: Sequence[Trial]) -> str:
    choice, gpus = trial.choice, trial.candidate.gpus
    if reason is Reason.HOST_TOO_SMALL:
        return f"{choice.title}: {gpus} hold it, but no node of theirs offers enough: {trial.why}"
    if reason is Reason.TENSOR_PARALLEL_SIZE and trial.candidate.pool.divisible:
        return (
            f"{choice.title} cannot be divided over {gpus}: {trial.why}; "
            f"counts that can: {', '.join(map(str, choice.tensor_parallel_sizes))}"
        )
    if reason is Reason.UNSUPPORTED_GPU:
        kinds = dict.fromkeys((other.candidate.pool.product, other.why) for other in trials)
        told = "; ".join(f"{product}: {why}" for product, why in [*kinds][:TOLD_LIMIT])
        return f"{choice.title} runs on no GPU here: {told}"
    return f"{choice.title} on {gpus}: {trial.why}"
