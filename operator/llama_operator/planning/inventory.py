"""GPUs of a cluster as planning sees them: plain values, projected from nodes."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Final

Selector = tuple[tuple[str, str], ...]
"""Labels and their values that tell nodes with the same GPUs; an empty value: without the label."""
TIME_SLICING: Final = "time-slicing"
MPS: Final = "mps"


@dataclass(frozen=True, slots=True)
class NodeFacts:
    """GPUs that one node offers under one extended resource; a node may have several of these.

    `product` is the catalog's name where a label of a cloud tells the GPU, else the label's value.
    `label` tells the product, and is empty where none does. `gpus` is allocatable;
    `gpu_memory_mib` the label's figure, None when missing or garbage; `compute_capability` (major,
    minor) or None; `replicas` above 1 is time-slicing or MPS, and `sharing` which, empty where
    cards are not shared. `driver` is the major version of the GPU's driver, None when missing.
    `memory_bytes`, `disk_bytes` (ephemeral storage) and `cpu_millicores` are the node's, all of
    them for each of its kinds of GPUs. `selector` is empty where `label` has the product as its
    value. `closed` is why no pod may use the GPUs: the node is not ready, cordoned or tainted, or
    its labels contradict each other; empty when pods may. `further`: another kind of the same node
    comes before.
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
    driver: int | None = None
    sharing: str = ""
    selector: Selector = ()
    closed: str = ""
    further: bool = False

    @property
    def usable(self) -> bool:
        """Whether pods may use the GPUs."""
        return not self.closed

    @property
    def found_by(self) -> Selector:
        """The labels that tell nodes with these GPUs."""
        return self.selector or ((self.label, self.product),)

    def nameless(self) -> "NodeFacts":
        """What the node offers, equal for all nodes that offer the same."""
        return replace(self, name="")


Stock = Mapping[tuple[NodeFacts, int], int]
"""How many nodes offer the same, with the same number of GPUs held; the names are empty."""
Reserved = tuple[str, tuple[str, ...], int, int]
"""Extended resource, accepted products, GPUs of one pod, pods."""
Place = tuple[str, str]
"""Node and extended resource."""


@dataclass(frozen=True, slots=True)
class Inventory:
    """All GPUs by node and resource, and those that are taken.

    `held` counts GPUs of bound pods. `reserved` counts GPUs of plans whose pods are not bound yet.
    `leader_worker_set`: whether the cluster has LeaderWorkerSet.
    """

    nodes: tuple[NodeFacts, ...] = ()
    held: Mapping[Place, int] = field(default_factory=dict)
    reserved: tuple[Reserved, ...] = ()
    leader_worker_set: bool = False

    def stock(self) -> Stock:
        """The nodes, counted."""
        return Counter(
            (node.nameless(), self.held.get((node.name, node.resource), 0)) for node in self.nodes
        )
