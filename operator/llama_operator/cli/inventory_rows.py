"""The GPUs of a cluster as rows: what plans may use by product, and what is left out and why."""

from dataclasses import dataclass
from typing import Any, Final

from llama_operator.catalog.catalog import Catalog
from llama_operator.catalog.gpus import MIG_MARK
from llama_operator.planning.gpu_resources import INTEL, is_mig_resource
from llama_operator.planning.inventory import Inventory, NodeFacts
from llama_operator.planning.survey import GpuPool, Survey, survey

NO_MEMORY: Final = "no label tells the memory"
NOT_SERVED: Final = "no engine of the catalog serves it"


@dataclass(frozen=True, slots=True)
class PoolRow:
    """GPUs of one product and extended resource that plans may use.

    `cards` are GPUs or MIG slices, never shares of them; `memory_bytes` is what a process sees on
    one. `known_by` are the labels that tell the product. CPU and memory are those of the smallest
    and of the largest node.
    """

    product: str
    resource: str
    nodes: int
    cards: int
    free_cards: int
    memory_bytes: int
    driver: int | None
    sharing: str
    known_by: tuple[str, ...]
    cpu_millicores: tuple[int, int]
    node_memory_bytes: tuple[int, int]

    def to_object(self) -> dict[str, Any]:
        """The row as JSON."""
        return {
            "product": self.product,
            "resource": self.resource,
            "nodes": self.nodes,
            "cards": self.cards,
            "freeCards": self.free_cards,
            "memoryBytes": self.memory_bytes,
            "driver": self.driver,
            "sharing": self.sharing,
            "knownBy": list(self.known_by),
            "nodeCpuMillicores": _range(self.cpu_millicores),
            "nodeMemoryBytes": _range(self.node_memory_bytes),
        }


@dataclass(frozen=True, slots=True)
class LeftOut:
    """GPUs that plans may not use, with the nodes that offer them."""

    cause: str
    product: str
    resource: str
    gpus: int
    nodes: tuple[str, ...]

    def to_object(self) -> dict[str, Any]:
        """The row as JSON."""
        return {
            "cause": self.cause,
            "product": self.product,
            "resource": self.resource,
            "gpus": self.gpus,
            "nodes": list(self.nodes),
        }


def pool_rows(surveyed: Survey) -> tuple[PoolRow, ...]:
    """A row for each pool that an engine may use, by product and resource."""
    return tuple(_row(pool) for pool in surveyed.pools if pool.resource not in INTEL)


def left_out(inventory: Inventory, catalog: Catalog) -> tuple[LeftOut, ...]:
    """What plans may not use, by cause, product and resource."""
    causes: dict[NodeFacts, str] = {}
    found: dict[tuple[str, str, str], list[NodeFacts]] = {}
    for offer in inventory.nodes:
        shape = offer.nameless()
        if shape not in causes:
            causes[shape] = _cause(shape, catalog)
        cause = causes[shape]
        if cause:
            found.setdefault((cause, offer.product, offer.resource), []).append(offer)
    return tuple(
        LeftOut(*key, sum(one.gpus for one in offers), tuple(sorted(one.name for one in offers)))
        for key, offers in sorted(found.items())
    )


def _cause(offer: NodeFacts, catalog: Catalog) -> str:
    """Why plans may not use an offer; empty when they may."""
    if offer.closed or offer.resource in INTEL:
        return offer.closed or NOT_SERVED
    return "" if survey(Inventory((offer,)), catalog).pools else NO_MEMORY


def _row(pool: GpuPool) -> PoolRow:
    mig = MIG_MARK in pool.product or is_mig_resource(pool.resource)
    cpu = [group.cpu_millicores for group in pool.groups]
    memory = [group.memory_bytes for group in pool.groups]
    return PoolRow(
        product=pool.product,
        resource=pool.resource,
        nodes=sum(pool.free.values()),
        cards=pool.cards,
        free_cards=pool.free_cards,
        memory_bytes=pool.gpu.total_bytes,
        driver=pool.driver,
        sharing=" ".join([*(["MIG"] if mig else []), *pool.sharing.split()]),
        known_by=tuple(sorted({selector[0][0] for selector in pool.selectors})),
        cpu_millicores=(min(cpu), max(cpu)),
        node_memory_bytes=(min(memory), max(memory)),
    )


def _range(bounds: tuple[int, int]) -> dict[str, int]:
    return {"least": bounds[0], "most": bounds[1]}
