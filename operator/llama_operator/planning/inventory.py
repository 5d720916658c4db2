"""GPUs of a cluster as planning sees them: plain values, projected from nodes."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field, replace


@dataclass(frozen=True, slots=True)
class NodeFacts:
    """One node that offers GPUs.

    `gpus` is allocatable; `gpu_memory_mib` the label's figure, None when missing or garbage;
    `compute_capability` (major, minor) or None; `replicas` above 1 is time-slicing or MPS;
    `usable` is false while the node is not ready, cordoned or tainted beyond the GPU taints.
    `driver` is the major version of the GPU's driver, None when missing.
    `memory_bytes`, `disk_bytes` (ephemeral storage) and `cpu_millicores` are allocatable.
    """

    name: str
    product: str
    resource: str
    label: str
    gpus: int
    gpu_memory_mib: int | None
    compute_capability: tuple[int, int] | None
    replicas: int
    cpu_millicores: int
    memory_bytes: int
    disk_bytes: int
    usable: bool
    driver: int | None = None

    def nameless(self) -> "NodeFacts":
        """What the node offers, equal for all nodes that offer the same."""
        return replace(self, name="")


Stock = Mapping[tuple[NodeFacts, int], int]
"""How many nodes offer the same, with the same number of GPUs held; the names are empty."""
Reserved = tuple[tuple[str, ...], int, int]
"""Accepted products, GPUs of one pod, pods."""


@dataclass(frozen=True, slots=True)
class Inventory:
    """All GPU nodes, and the GPUs that are taken.

    `held` counts GPUs of bound pods by node name. `reserved` counts GPUs of plans whose pods are
    not bound yet. `leader_worker_set`: whether the cluster has LeaderWorkerSet.
    """

    nodes: tuple[NodeFacts, ...] = ()
    held: Mapping[str, int] = field(default_factory=dict)
    reserved: tuple[Reserved, ...] = ()
    leader_worker_set: bool = False

    def stock(self) -> Stock:
        """The nodes, counted."""
        return Counter((node.nameless(), self.held.get(node.name, 0)) for node in self.nodes)
