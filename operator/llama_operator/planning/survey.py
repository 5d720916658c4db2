"""What GPUs a cluster has and which are free, grouped so that its size does not matter."""

from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

from llama_operator.catalog.catalog import Catalog
from llama_operator.catalog.gpus import MIG_MARK
from llama_operator.catalog.rows import Gpu
from llama_operator.planning.gpu_resources import INTEL, is_mig_resource
from llama_operator.planning.inventory import (
    MPS,
    Inventory,
    NodeFacts,
    Reserved,
    Selector,
    Stock,
)
from llama_operator.sizing.host import HostNeeds
from llama_operator.units import MIB, ceil_div


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


Free = dict[tuple[NodeGroup, int], int]
"""Nodes by their group and their free cards; none is counted zero times."""


@dataclass(frozen=True, slots=True)
class GpuPool:
    """All usable nodes with the same GPU product and extended resource.

    `gpu` is the catalog's row with the memory of the node that sees least; a pod may land on any.
    `groups` ascend. `driver` is the oldest one of the nodes that tell theirs.
    `divisible`: a model may be split over several of them, which slices and shared cards forbid.
    `label` tells the product on most nodes; `selectors` are the labels of all of them, as nodes
    that GPU Feature Discovery and those that a cloud has labelled serve together.
    `micro_usd_per_hour`: price of one GPU in millionths of a dollar, None when it has none.
    """

    product: str
    resource: str
    label: str
    gpu: Gpu
    divisible: bool
    groups: tuple[NodeGroup, ...]
    free: Free
    driver: int | None = None
    sharing: str = ""
    selectors: tuple[Selector, ...] = ()
    micro_usd_per_hour: int | None = None

    @property
    def largest_cards(self) -> int:
        """Cards of the node that has most."""
        return self.groups[-1].cards

    @property
    def cards(self) -> int:
        """Cards of all nodes."""
        return sum(group.cards * nodes for (group, _), nodes in self.free.items())

    @property
    def free_cards(self) -> int:
        """Free cards of all nodes."""
        return sum(cards * nodes for (_, cards), nodes in self.free.items())

    def nodes_with(self, cards: int) -> int:
        """Nodes with so many cards, free or not."""
        return sum(nodes for (group, _), nodes in self.free.items() if group.cards >= cards)

    def free_replicas(self, gpus: int, host: HostNeeds, pods: int = 1) -> int:
        """Replicas that start now, each of some pods with `gpus` free cards and room beside them.

        No pod is divided over nodes.
        """
        places = sum(
            nodes * min(cards // gpus, group.host_replicas(host))
            for (group, cards), nodes in self.free.items()
        )
        return places // pods


@dataclass(frozen=True, slots=True)
class Survey:
    """The pools of a cluster by product, and how many GPU nodes could not be used.

    `closed` counts nodes by the cause for which they take no pods; `unserved` those with GPUs that
    no engine has an image for, by extended resource.
    `leader_worker_set`: whether the cluster has LeaderWorkerSet, without which no replica runs on
    several nodes.
    """

    pools: tuple[GpuPool, ...]
    closed: Mapping[str, int] = field(default_factory=dict)
    unknown_memory_nodes: int = 0
    unserved: Mapping[str, int] = field(default_factory=dict)
    leader_worker_set: bool = False


def survey(inventory: Inventory, catalog: Catalog) -> Survey:
    """Group usable nodes with known GPU memory by product, and count what is free.

    Free is allocatable without what bound pods hold and without what reserved plans will take. The
    order of nodes and of reservations does not matter.
    """
    surveyed = with_reserved(survey_stock(inventory.stock(), catalog), inventory.reserved)
    return replace(surveyed, leader_worker_set=inventory.leader_worker_set)


def survey_stock(stock: Stock, catalog: Catalog) -> Survey:
    """The survey of counted nodes, with nothing reserved."""
    drafts: dict[tuple[str, str], _Draft] = {}
    closed: Counter[str] = Counter()
    unserved: Counter[str] = Counter()
    unknown = 0
    for (facts, held), nodes in stock.items():
        if facts.closed:
            closed[facts.closed] += 0 if facts.further else nodes
            continue
        key = (facts.product, facts.resource)
        draft = drafts.get(key)
        if draft is None:
            draft = drafts[key] = _Draft()
        if draft.add(facts, held, nodes, catalog):
            continue
        if facts.resource in INTEL:
            unserved[facts.resource] += nodes
        else:
            unknown += nodes
    pools = tuple(
        drafts[key].pool(*key, catalog.micro_usd_per_hour(key[0]))
        for key in sorted(drafts)
        if drafts[key].free
    )
    return Survey(pools, dict(sorted((+closed).items())), unknown, dict(sorted(unserved.items())))


def with_reserved(surveyed: Survey, reserved: Collection[Reserved]) -> Survey:
    """The survey less the cards of replicas that are planned but not bound.

    The largest and pickiest plans come first; each replica takes the cards of one node, where they
    fit tightest.
    """
    if not reserved:
        return surveyed
    copies = [dict(pool.free) for pool in surveyed.pools]
    for resource, products, gpus, replicas in sorted(
        reserved, key=lambda row: (-row[2], len(row[1]), row)
    ):
        accepted = [
            copy
            for pool, copy in zip(surveyed.pools, copies, strict=True)
            if pool.resource == resource and pool.product in products
        ]
        _take(accepted, gpus, replicas)
    pools = tuple(
        replace(pool, free=copy) for pool, copy in zip(surveyed.pools, copies, strict=True)
    )
    return replace(surveyed, pools=pools)


class _Draft:
    """A pool while nodes are added to it."""

    def __init__(self) -> None:
        self.free: Counter[tuple[NodeGroup, int]] = Counter()
        self._rows: dict[tuple[int | None, tuple[int, int] | None, int], Gpu | None] = {}
        self._groups: dict[tuple[int, int, int, int], NodeGroup] = {}
        self._labels: Counter[str] = Counter()
        self._selectors: set[Selector] = set()
        self._drivers: set[int] = set()
        self._sharing: set[str] = set()
        self._divisible = True

    def add(self, facts: NodeFacts, held: int, nodes: int, catalog: Catalog) -> bool:
        """Add equal nodes; false when the memory of their GPUs is not known."""
        shares = facts.replicas if facts.sharing == MPS else 1
        kind = (facts.gpu_memory_mib, facts.compute_capability, shares)
        if kind not in self._rows:
            self._rows[kind] = _gpu_row(facts, shares, catalog)
        if self._rows[kind] is None:
            return False
        self._labels[facts.label] += nodes
        self._selectors.add(facts.found_by)
        if facts.driver is not None:
            self._drivers.add(facts.driver)
        if facts.sharing:
            self._sharing.add(facts.sharing)
        slices = MIG_MARK in facts.product or is_mig_resource(facts.resource)
        self._divisible = self._divisible and facts.replicas == 1 and not slices
        cards = ceil_div(facts.gpus, facts.replicas)
        room = (cards, facts.cpu_millicores, facts.memory_bytes, facts.disk_bytes)
        group = self._groups.get(room)
        if group is None:
            group = self._groups[room] = NodeGroup(*room)
        # Whoever holds a share of a card may hold all its memory.
        self.free[group, max(0, cards - held)] += nodes
        return True

    def pool(self, product: str, resource: str, micro_usd_per_hour: int | None) -> GpuPool:
        """The pool of what was added, which is not nothing."""
        rows = [row for row in self._rows.values() if row is not None]
        smallest = min(rows, key=lambda row: (row.total_bytes, row.compute_capability or (0, 0)))
        lowest = min(row.compute_capability or (0, 0) for row in rows)
        return GpuPool(
            product=product,
            resource=resource,
            label=min(self._labels, key=lambda label: (-self._labels[label], label)),
            gpu=replace(smallest, compute_capability=lowest if lowest > (0, 0) else None),
            divisible=self._divisible,
            groups=tuple(sorted(self._groups.values())),
            free=dict(sorted(self.free.items())),
            driver=min(self._drivers, default=None),
            sharing=" ".join(sorted(self._sharing)),
            selectors=tuple(sorted(self._selectors)),
            micro_usd_per_hour=micro_usd_per_hour,
        )


def _gpu_row(node: NodeFacts, shares: int, catalog: Catalog) -> Gpu | None:
    """The catalog's row with the memory and the capability that the node's labels give.

    `shares`: MPS limits every client to such a part of the memory; time-slicing limits nobody.
    """
    found = catalog.labelled_gpu(node.product, node.gpu_memory_mib) if node.product else None
    if found is not None and shares > 1:
        label_mib = node.gpu_memory_mib or found.gpu.label_bytes // MIB
        found = catalog.labelled_gpu(node.product, label_mib // shares)
    if found is None or not found.total_bytes:
        return None
    return replace(
        found.gpu,
        product=node.product,
        total_bytes=found.total_bytes,
        compute_capability=node.compute_capability or found.gpu.compute_capability,
    )


def _take(pools: Sequence[Free], gpus: int, replicas: int) -> None:
    """Take the cards of replicas of one plan from the pools that it accepts."""
    while replicas > 0 and gpus > 0:
        tightest = min(_holding(pools, gpus), default=None)
        if tightest is None:
            return
        cards, index, group = tightest
        # What is left of a node is tighter than any other, so it takes as many as it can.
        on_each = cards // gpus
        free = pools[index]
        filled = min(replicas // on_each, free[group, cards])
        nodes, left = (filled, cards - on_each * gpus) if filled else (1, cards - replicas * gpus)
        free[group, cards] -= nodes
        if not free[group, cards]:
            del free[group, cards]
        free[group, left] = free.get((group, left), 0) + nodes
        replicas -= filled * on_each if filled else replicas


def _holding(pools: Sequence[Free], gpus: int) -> Iterator[tuple[int, int, NodeGroup]]:
    for index, free in enumerate(pools):
        for group, cards in free:
            if cards >= gpus:
                yield cards, index, group
