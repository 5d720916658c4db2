"""Series of deployments, made from their last status when they are asked for."""

from collections.abc import Iterator
from typing import NamedTuple

from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector

from llama_operator.api.status import LlamaDeploymentStatus


class _Shown(NamedTuple):
    """What the series of one deployment tell; a thousand of these are one MiB."""

    conditions: tuple[tuple[str, str, str], ...]
    desired: int
    ready: int
    product: str
    gpus: int
    memory: tuple[int, ...]


_PARTS = (
    "weights",
    "adapters",
    "activation",
    "non_torch",
    "cuda_graphs",
    "kv_cache",
    "headroom",
    "draft_weights",
)


class DeploymentMetrics(Collector):
    """The series of all deployments; those of one vanish with it."""

    def __init__(self) -> None:
        self._shown: dict[tuple[str, str], _Shown] = {}

    def show(self, namespace: str, name: str, status: LlamaDeploymentStatus) -> None:
        """Replace the series of a deployment by those of a status."""
        plan, desired = status.plan, status.replicas or 0
        memory = plan.memory_per_gpu if plan is not None else None
        self._shown[namespace, name] = _Shown(
            conditions=tuple(
                (entry.type, entry.status, entry.reason) for entry in status.conditions
            ),
            desired=desired,
            ready=status.ready_replicas or 0,
            product=plan.gpu.product if plan is not None else "",
            gpus=plan.gpu_count * desired if plan is not None else 0,
            memory=(
                memory.weights_bytes,
                memory.adapter_bytes or 0,
                memory.activation_bytes,
                memory.non_torch_bytes,
                memory.cuda_graph_bytes,
                memory.kv_cache_bytes,
                memory.headroom_bytes,
                *((memory.draft_weights_bytes,) if memory.draft_weights_bytes else ()),
            )
            if memory is not None
            else (),
        )

    def drop(self, namespace: str, name: str) -> None:
        """Remove the series of a deployment."""
        self._shown.pop((namespace, name), None)

    def collect(self) -> Iterator[GaugeMetricFamily]:
        """The families with their series, for the registry."""
        condition = GaugeMetricFamily(
            "llama_operator_deployment_condition",
            "1 for the reason that a condition of a deployment has now.",
            labels=("namespace", "name", "type", "status", "reason"),
        )
        replicas = GaugeMetricFamily(
            "llama_operator_deployment_replicas",
            "Replicas of a deployment by state: desired, ready.",
            labels=("namespace", "name", "state"),
        )
        gpus = GaugeMetricFamily(
            "llama_operator_gpu_requested",
            "GPUs that the replicas of a deployment request.",
            labels=("namespace", "name", "product"),
        )
        memory = GaugeMetricFamily(
            "llama_operator_memory_estimated_bytes",
            "Planned memory on one GPU of a deployment by part, in bytes.",
            labels=("namespace", "name", "part"),
        )
        for key, shown in self._shown.items():
            for entry in shown.conditions:
                condition.add_metric((*key, *entry), 1)
            replicas.add_metric((*key, "desired"), shown.desired)
            replicas.add_metric((*key, "ready"), shown.ready)
            if shown.product:
                gpus.add_metric((*key, shown.product), shown.gpus)
            for part, value in zip(_PARTS, shown.memory, strict=False):
                memory.add_metric((*key, part), value)
        yield from (condition, replicas, gpus, memory)
