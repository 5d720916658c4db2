"""Simulated GPU nodes as Node objects, labelled the way GPU Feature Discovery labels real ones."""

from dataclasses import dataclass, field
from typing import Any

from controlplane.components import NODE_ANNOTATION

GPU = "nvidia.com/gpu"
PODS_PER_NODE = "110"


@dataclass(frozen=True)
class Taint:
    """A taint of a node.

    Attributes:
        key: as in Kubernetes.
        effect: NoSchedule, PreferNoSchedule or NoExecute.
        value: empty where the key says it all.
    """

    key: str
    effect: str
    value: str = ""


GPU_TAINT = Taint(GPU, "NoSchedule")


@dataclass(frozen=True)
class GpuNode:
    """One simulated node.

    Attributes:
        name: name of the Node.
        product: GPU product as GPU Feature Discovery writes it, such as NVIDIA-A100-SXM4-80GB;
            empty for a node without GPUs.
        gpus: number of GPUs; 0 makes a node without any GPU label.
        memory_mib: memory of one GPU in MiB.
        compute_capability: such as 8.0.
        cpu: CPUs as a quantity.
        memory: memory of the host as a quantity.
        ephemeral_storage: disk of the host as a quantity.
        driver: version of the GPU driver, such as 580.65.06; None leaves its labels out.
        instance_type: type of the machine as a cloud names it; None leaves its label out.
        labels: more labels; they win over the computed ones.
        resources: more extended resources, such as nvidia.com/mig-1g.10gb; with `labels` they make
            nodes whose GPUs something else than GPU Feature Discovery labels.
        taints: None means `GPU_TAINT` on a node with GPUs and none on others.
        unschedulable: whether the node is cordoned.
    """

    name: str
    product: str = ""
    gpus: int = 0
    memory_mib: int = 0
    compute_capability: str = ""
    cpu: str = "96"
    memory: str = "1000Gi"
    ephemeral_storage: str = "2Ti"
    driver: str | None = None
    instance_type: str | None = None
    labels: dict[str, str] = field(default_factory=dict)
    resources: dict[str, str] = field(default_factory=dict)
    taints: tuple[Taint, ...] | None = None
    unschedulable: bool = False

    def __post_init__(self) -> None:
        """Refuse a GPU node that does not say which GPU it has."""
        if self.gpus and not (self.product and self.memory_mib and self.compute_capability):
            raise ValueError(
                f"node {self.name}: a node with GPUs needs product, memory_mib and "
                "compute_capability"
            )

    def manifest(self) -> dict[str, Any]:
        """Give the Node object; its capacity is part of the status that it is created with."""
        spec: dict[str, Any] = {}
        taints = self._effective_taints()
        if taints:
            spec["taints"] = [
                {"key": taint.key, "effect": taint.effect}
                | ({"value": taint.value} if taint.value else {})
                for taint in taints
            ]
        if self.unschedulable:
            spec["unschedulable"] = True
        resources = self._resources()
        return {
            "apiVersion": "v1",
            "kind": "Node",
            "metadata": {
                "name": self.name,
                "annotations": {NODE_ANNOTATION: "fake"},
                "labels": self._labels(),
            },
            "spec": spec,
            "status": {"capacity": resources, "allocatable": dict(resources)},
        }

    def _effective_taints(self) -> tuple[Taint, ...]:
        if self.taints is not None:
            return self.taints
        return (GPU_TAINT,) if self.gpus else ()

    def _resources(self) -> dict[str, str]:
        resources = {
            "cpu": self.cpu,
            "memory": self.memory,
            "ephemeral-storage": self.ephemeral_storage,
            "pods": PODS_PER_NODE,
        }
        if self.gpus:
            resources[GPU] = str(self.gpus)
        return resources | self.resources

    def _labels(self) -> dict[str, str]:
        labels = {
            "kubernetes.io/hostname": self.name,
            "kubernetes.io/arch": "amd64",
            "kubernetes.io/os": "linux",
        }
        if self.instance_type is not None:
            labels["node.kubernetes.io/instance-type"] = self.instance_type
        if self.gpus:
            labels |= self._gpu_labels()
        return labels | self.labels

    def _gpu_labels(self) -> dict[str, str]:
        major, _, minor = self.compute_capability.partition(".")
        labels = {
            "nvidia.com/gpu.present": "true",
            "nvidia.com/gpu.product": self.product,
            "nvidia.com/gpu.count": str(self.gpus),
            "nvidia.com/gpu.memory": str(self.memory_mib),
            "nvidia.com/gpu.replicas": "1",
            "nvidia.com/gpu.compute.major": major,
            "nvidia.com/gpu.compute.minor": minor or "0",
        }
        if self.driver is not None:
            prefix = "nvidia.com/cuda.driver-version"
            parts = dict(zip(("major", "minor", "revision"), self.driver.split("."), strict=False))
            labels |= {f"{prefix}.{part}": value for part, value in parts.items()}
            labels[f"{prefix}.full"] = self.driver
        return labels
