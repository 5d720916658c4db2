"""A deployment, a plan and pods as values, for tests of pure functions."""

from typing import Any

from llama_operator.api.deployment import LlamaDeployment
from llama_operator.api.plan import (
    CudaGraphs,
    GpuChoice,
    HostResources,
    MemoryPerGpu,
    Plan,
)
from llama_operator.reconcile.observed import PodFacts, PodFailure

A100 = "NVIDIA-A100-SXM4-80GB"


def deployment(
    spec: dict[str, Any] | None = None, status: dict[str, Any] | None = None, **metadata: Any
) -> LlamaDeployment:
    body: dict[str, Any] = {
        "metadata": {"name": "llama", "namespace": "ml", "uid": "u1", "generation": 3, **metadata},
        "spec": {"size": "8b", "format": "awq", **(spec or {})},
    }
    if status is not None:
        body["status"] = status
    return LlamaDeployment.parse(body)


def plan(max_model_len: int = 8192) -> Plan:
    return Plan(
        model="llama-3.1-instruct",
        size="8b",
        format="awq",
        quantization="Int4",
        scheme="awq-int4-g128",
        hub="HuggingFace",
        repository="hugging-quants/Meta-Llama-3.1-8B-Instruct-AWQ-INT4",
        gated=False,
        engine="vLLM",
        engine_version="0.33.0",
        image="vllm/vllm-openai:v0.33.0",
        gpus=f"1x {A100}",
        gpu=GpuChoice(
            product=A100,
            count=1,
            resource="nvidia.com/gpu",
            label="nvidia.com/gpu.product",
            accepted_products=[A100],
        ),
        tensor_parallel_size=1,
        pipeline_parallel_size=1,
        dtype="auto",
        kv_cache_dtype="auto",
        max_model_len=max_model_len,
        concurrency=2,
        max_num_seqs=256,
        max_num_batched_tokens=2048,
        cuda_graphs=CudaGraphs.ENABLED,
        utilization_percent=92,
        kv_cache_tokens=400_000,
        max_concurrency=48,
        memory_per_gpu=MemoryPerGpu(
            total_bytes=85_000_000_000,
            budget_bytes=78_000_000_000,
            weights_bytes=6_000_000_000,
            activation_bytes=600_000_000,
            non_torch_bytes=300_000_000,
            cuda_graph_bytes=1_000_000_000,
            kv_cache_bytes=70_100_000_000,
            headroom_bytes=7_000_000_000,
        ),
        host=HostResources(
            cpu_millicores=3000,
            memory_bytes=14 << 30,
            shm_bytes=1 << 30,
            disk_bytes=8 << 30,
        ),
        startup_seconds=900,
        summary="1x A100",
        reasons=["the only one"],
    )


def pod(
    name: str = "llama-a-0",
    *,
    ready: bool = False,
    deleting: bool = False,
    failure: PodFailure | None = None,
) -> PodFacts:
    return PodFacts(
        name=name,
        uid=f"uid-{name}",
        instance="llama",
        node="n1",
        gpu_resource="nvidia.com/gpu",
        gpus=1,
        ready=ready,
        unschedulable=False,
        deleting=deleting,
        finished=False,
        template_hash="h1",
        failure=failure,
    )
