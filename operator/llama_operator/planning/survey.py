"""What GPUs a cluster has and which are free, grouped so that its size does not matter."""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Final

from llama_operator.catalog.catalog import Catalog
from llama_operator.catalog.gpus import unknown_gpu, visible_bytes
from llama_operator.catalog.rows import Gpu
from llama_operator.planning.inventory import Inventory, NodeFacts
from llama_operator.sizing.host import HostNeeds
from llama_operator.units import Bytes, ceil_div

MIG_MARK: Final = "-MIG-"
"""Part of the product of a MIG slice, before its profile."""


@dataclass(frozen=True, slots=True, order=True)
class NodeGroup:
    """Nodes of a pool with the same room.

    `cards` are GPUs that replicas may use: all of them, or one tenant a card where cards are
    shared. The rest is allocatable.
    """

    cards: int
    cpu_millicores: int
    memory_bytes: int
    disk_bytes: int

    def host_replicas(self, host: HostNeeds) -> int:
        """Replicas that CPU, memory and disk of one node hold, GPUs left aside."""
        return min(
            self.cpu_millicores // host.cpu_millicores,
            self.memory_bytes // host.memory_bytes,
            self.disk_bytes // host.disk_bytes,
        )


@dataclass(frozen=True, slots=True)
class GpuPool:
    """All usable nodes with the same GPU product and extended resource.

    `gpu` is the catalog's row with the memory of the node that sees least; a pod may land on any.
    `divisible`: a model may be split over several of them, which slices and shared cards forbid.
    `free` counts nodes by their group and their free cards.
    """

    product: str
    resource: str
    label: str
    gpu: Gpu
    divisible: bool
    groups: tuple[NodeGroup, ...]
    free: Mapping[tuple[NodeGroup, int], int]

    @property
    def largest_cards(self) -> int:
        """Cards of the node that has most."""
        return max(group.cards for group in self.groups)

    @property
    def cards(self) -> int:
        """Cards of all nodes."""
        return sum(group.cards * nodes for (group, _), nodes in self.free.items())

    @property
    def free_cards(self) -> int:
        """Free cards of all nodes."""
        return sum(cards * nodes for (_, cards), nodes in self.free.items())

    def free_replicas(self, gpus: int, host: HostNeeds) -> int:
        """Replicas that start now, each on one node with `gpus` free cards and room beside them."""
        return sum(
            nodes * min(cards // gpus, group.host_replicas(host))
            for (group, cards), nodes in self.free.items()
        )


@dataclass(frozen=True, slots=True)
class Survey:
    """The pools of a cluster by product, and how many GPU nodes could not be used, by cause."""

    pools: tuple[GpuPool, ...]
    unusable_nodes: int = 0
    unknown_memory_nodes: int = 0


def survey(inventory: Inventory, catalog: Catalog) -> Survey:
    """Group usable nodes with known GPU memory by product, and count what is free.

    Free is allocatable without what bound pods hold and without what reserved plans will take:
    each of their replicas takes the cards of one node, where they fit tightest. The order of nodes
    and of reservations does not matter.
    """
    drafts: dict[tuple[str, str], _Draft] = {}
    unusable = unknown = 0
    for node in inventory.nodes:
        if not node.usable:
            unusable += 1
            continue
        key = (node.product, node.resource)
        draft = drafts.get(key)
        if draft is None:
            draft = drafts[key] = _Draft()
        if not draft.add(node, inventory.held.get(node.name, 0), catalog):
            unknown += 1
    known = {key: drafts[key] for key in sorted(drafts) if drafts[key].free}
    _reserve(known, inventory.reserved)
    pools = tuple(draft.pool() for draft in known.values())
    return Survey(pools, unusable_nodes=unusable, unknown_memory_nodes=unknown)


class _Draft:
    """A pool while nodes are added to it."""

    def __init__(self) -> None:
        self.free: Counter[tuple[NodeGroup, int]] = Counter()
        self._rows: dict[tuple[int | None, tuple[int, int] | None], Gpu | None] = {}
        self._groups: dict[tuple[int, int, int, int], NodeGroup] = {}
        self._first: NodeFacts | None = None
        self._shared = False

    def add(self, node: NodeFacts, held: int, catalog: Catalog) -> bool:
        """Add a node; false when the memory of its GPUs is not known."""
        kind = (node.gpu_memory_mib, node.compute_capability)
        if kind not in self._rows:
            self._rows[kind] = _gpu_row(node, catalog)
        if self._rows[kind] is None:
            return False
        self._first = self._first or node
        self._shared = self._shared or node.replicas > 1
        cards = ceil_div(node.gpus, node.replicas)
        room = (cards, node.cpu_millicores, node.memory_bytes, node.disk_bytes)
        group = self._groups.get(room)
        if group is None:
            group = self._groups[room] = NodeGroup(*room)
        # Whoever holds a share of a card may hold all its memory.
        self.free[group, max(0, cards - held)] += 1
        return True

    def pool(self) -> GpuPool:
        """The pool of what was added."""
        if self._first is None:
            msg = "a pool without nodes cannot be made"
            raise ValueError(msg)
        rows = [row for row in self._rows.values() if row is not None]
        smallest = min(rows, key=lambda row: (row.total_bytes, row.compute_capability or (0, 0)))
        lowest = min((row.compute_capability or (0, 0) for row in rows), default=(0, 0))
        return GpuPool(
            product=self._first.product,
            resource=self._first.resource,
            label=self._first.label,
            gpu=replace(smallest, compute_capability=lowest if lowest > (0, 0) else None),
            divisible=not self._shared and MIG_MARK not in self._first.product,
            groups=tuple(sorted(self._groups.values())),
            free={key: self.free[key] for key in sorted(self.free) if self.free[key]},
        )


def _gpu_row(node: NodeFacts, catalog: Catalog) -> Gpu | None:
    """The catalog's row with the memory and the capability that the node's labels give."""
    row = catalog.gpu(node.product)
    mib = node.gpu_memory_mib
    if row is None:
        if mib is None or not node.product:
            return None
        parent = catalog.gpu(node.product.split(MIG_MARK)[0])
        capability = node.compute_capability or (parent.compute_capability if parent else None)
        found = unknown_gpu(node.product, mib, capability)
        return found if found.total_bytes else None
    total = row.total_bytes if mib is None else visible_bytes(row, mib)
    if not total:
        return None
    return replace(
        row,
        product=node.product,
        total_bytes=Bytes(total),
        compute_capability=node.compute_capability or row.compute_capability,
    )


def _reserve(
    drafts: Mapping[tuple[str, str], _Draft],
    reserved: Iterable[tuple[tuple[str, ...], int, int]],
) -> None:
    """Take the cards of replicas that are planned but not bound, largest and pickiest first."""
    for products, gpus, replicas in sorted(reserved, key=lambda row: (-row[1], len(row[0]), row)):
        wanted = replicas
        accepted = [key for key in drafts if key[0] in products]
        while wanted > 0 and gpus > 0:
            tightest = min(_holding(drafts, accepted, gpus), default=None)
            if tightest is None:
                break
            cards, key, group = tightest
            free = drafts[key].free
            taken = min(wanted, free[group, cards])
            free[group, cards] -= taken
            free[group, cards - gpus] += taken
            wanted -= taken


def _holding(
    drafts: Mapping[tuple[str, str], _Draft], accepted: Iterable[tuple[str, str]], gpus: int
) -> Iterator[tuple[int, tuple[str, str], NodeGroup]]:
    for key in accepted:
        for (group, cards), nodes in drafts[key].free.items():
            if nodes > 0 and cards >= gpus:
                yield cards, key, group
