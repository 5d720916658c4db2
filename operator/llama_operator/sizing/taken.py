"""What one rank of each pipeline stage takes beside the KV cache."""

from functools import lru_cache
from typing import Final

from llama_operator.catalog.rows import Scheme
from llama_operator.sizing.adapters import Adapted, Adapters, adapter_bytes
from llama_operator.sizing.engine_budget import EngineRules, Taken
from llama_operator.sizing.models.model import ModelShape
from llama_operator.sizing.outside import cuda_graph_bytes, non_torch_bytes
from llama_operator.sizing.peak import Step, activation_bytes
from llama_operator.sizing.rank_weights import rank_weights_bytes
from llama_operator.sizing.settings import Setting
from llama_operator.sizing.shards import Division
from llama_operator.sizing.stages import stage_range

VLLM: Final = "vLLM"
FUSED_EXPERTS: Final = "mxfp4"
"""Family of schemes whose experts compute in the stored format."""


def taken_by_stage(setting: Setting) -> tuple[Taken, ...]:
    """Bytes on one rank of each stage, first to last, of an engine that divides layers by ranks.

    They follow from neither the GPU's memory, nor its share, nor the context. Placements that
    differ in those alone share one result.

    Raises:
        UnsupportedSchemeError: the bytes of the scheme are not known.
    """
    return _taken(
        setting.model,
        setting.scheme,
        setting.rules,
        setting.ranks,
        setting.stages,
        setting.max_num_batched_tokens,
        setting.verified_tokens,
        setting.dtype_bytes,
        setting.enforce_eager,
        setting.nvlink,
        setting.expert_parallel,
        setting.adapters,
    )


@lru_cache(maxsize=4096)
def _taken(
    model: ModelShape,
    scheme: Scheme,
    rules: EngineRules,
    tensor_parallel_size: int,
    pipeline_parallel_size: int,
    max_num_batched_tokens: int,
    verified_tokens: int,
    dtype_bytes: int,
    enforce_eager: bool,
    nvlink: bool,
    expert_parallel: bool,
    adapters: Adapters | None,
) -> tuple[Taken, ...]:
    step = Step(
        tokens=max_num_batched_tokens,
        seqs=verified_tokens,
        tensor_parallel_size=tensor_parallel_size,
        dtype_bytes=dtype_bytes,
        fused_experts=scheme.family == FUSED_EXPERTS,
    )
    non_torch = non_torch_bytes(
        rules.memory,
        tensor_parallel_size=tensor_parallel_size,
        pipeline_parallel_size=pipeline_parallel_size,
        nvlink=nvlink,
    )
    captured = rules.memory.captures_graphs and not enforce_eager
    division = Division(tensor_parallel_size, expert_parallel=expert_parallel)
    found = []
    for stage in range(pipeline_parallel_size):
        layers = stage_range(model.num_hidden_layers, pipeline_parallel_size, stage)
        activation = activation_bytes(
            model,
            step,
            rules.memory,
            first_layer=layers.start,
            layers=len(layers),
            last_stage=stage == pipeline_parallel_size - 1,
        )
        weights = rank_weights_bytes(
            model,
            scheme,
            tensor_parallel_size=tensor_parallel_size,
            pipeline_parallel_size=pipeline_parallel_size,
            stage=stage,
            dtype_bytes=dtype_bytes,
            expert_parallel=expert_parallel,
            vllm_version=rules.version if rules.engine == VLLM else None,
        )
        graphs = (
            cuda_graph_bytes(
                model,
                layers=len(layers),
                tensor_parallel_size=tensor_parallel_size,
                max_num_seqs=verified_tokens,
                max_num_batched_tokens=max_num_batched_tokens,
                sets=rules.memory.adapter_graph_sets if adapters else 1,
            )
            if captured
            else 0
        )
        adapted = Adapted(layers, stage == 0, stage == pipeline_parallel_size - 1)
        beside = (
            adapter_bytes(
                model,
                adapters,
                rules.memory,
                adapted,
                division,
                dtype_bytes,
                max_num_batched_tokens,
            )
            if adapters
            else 0
        )
        found.append(Taken(weights, activation, non_torch, graphs, adapter_bytes=beside))
    return tuple(found)
