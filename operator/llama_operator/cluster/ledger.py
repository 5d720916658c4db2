"""Who holds which GPUs: bound pods by node, and plans whose pods are not bound yet."""

from collections import Counter
from collections.abc import Iterable
from dataclasses import replace
from typing import NamedTuple

from llama_operator.catalog.catalog import Catalog
from llama_operator.planning.inventory import NodeFacts, Reserved, Stock
from llama_operator.planning.survey import Survey, survey_stock, with_reserved
from llama_operator.reconcile.observed import PodFacts

Key = tuple[str, str]
"""Namespace and name of a deployment."""


class Reservation(NamedTuple):
    """GPUs that a plan takes: those of `pods`, of which some may be bound already."""

    products: tuple[str, ...]
    gpus_per_pod: int
    pods: int


class Ledger:
    """Keeps what is needed to tell what is free, without asking the API server.

    Every event changes counts, so that neither an event nor a survey looks at all nodes, pods or
    deployments.
    """

    def __init__(self) -> None:
        self._nodes: dict[str, NodeFacts] = {}
        self._shapes: dict[NodeFacts, NodeFacts] = {}
        self._stock: Counter[tuple[NodeFacts, int]] = Counter()
        self._held: dict[str, dict[str, int]] = {}
        self._bound: dict[Key, set[str]] = {}
        self._reservations: dict[Key, Reservation] = {}
        self._reserved: Counter[tuple[tuple[str, ...], int]] = Counter()
        self._surveys: dict[int, tuple[Catalog, Survey]] = {}
        self._leader_worker_set = False

    def set_leader_worker_set(self, is_there: bool) -> None:
        """Take whether the cluster has LeaderWorkerSet."""
        self._leader_worker_set = is_there

    def set_node(self, name: str, facts: NodeFacts | None) -> None:
        """Take a node, or drop it."""
        old = self._nodes.pop(name, None)
        if old is not None:
            self._count(old, self._held_on(name), -1)
        if facts is not None:
            shape = facts.nameless()
            shape = self._nodes[name] = self._shapes.setdefault(shape, shape)
            self._count(shape, self._held_on(name), 1)

    def _count(self, shape: NodeFacts, held: int, nodes: int) -> None:
        self._surveys.clear()
        self._stock[shape, held] += nodes
        if not self._stock[shape, held]:
            del self._stock[shape, held]

    def _held_on(self, node: str) -> int:
        return sum(self._held.get(node, {}).values())

    def _hold(self, node: str, uid: str, gpus: int) -> None:
        before = self._held_on(node)
        pods = self._held.setdefault(node, {})
        if gpus:
            pods[uid] = gpus
        else:
            pods.pop(uid, None)
        if not pods:
            del self._held[node]
        after, shape = self._held_on(node), self._nodes.get(node)
        if after != before and shape is not None:
            self._count(shape, before, -1)
            self._count(shape, after, 1)

    def set_pod(self, namespace: str, old: PodFacts | None, new: PodFacts | None) -> None:
        """Move a pod's GPUs from where it was to where it is.

        A pod that becomes bound leaves its deployment's reservation at the same moment, so
        that its GPUs never count twice.
        """
        before, after = _place(namespace, old), _place(namespace, new)
        if before == after:
            return
        for place, is_there in ((before, False), (after, True)):
            if place is not None:
                key, node, uid, gpus = place
                self._hold(node, uid, gpus if is_there else 0)
                self._bind(key, uid, is_there)

    def _bind(self, key: Key, uid: str, is_bound: bool) -> None:
        self._count_reserved(key, -1)
        bound = self._bound.setdefault(key, set())
        if is_bound:
            bound.add(uid)
        else:
            bound.discard(uid)
        if not bound:
            del self._bound[key]
        self._count_reserved(key, 1)

    def reserve(self, key: Key, reservation: Reservation | None) -> None:
        """Set what a deployment takes, its bound pods included; None: nothing."""
        self._count_reserved(key, -1)
        if reservation is None or reservation.pods <= 0:
            self._reservations.pop(key, None)
        else:
            self._reservations[key] = reservation
        self._count_reserved(key, 1)

    def _count_reserved(self, key: Key, sign: int) -> None:
        taken = self._reservations.get(key)
        if taken is None:
            return
        kind = (taken.products, taken.gpus_per_pod)
        self._reserved[kind] += sign * self._unbound(key)
        if not self._reserved[kind]:
            del self._reserved[kind]

    def _unbound(self, key: Key) -> int:
        """Pods that a deployment will have beyond its bound ones."""
        taken = self._reservations.get(key)
        bound = len(self._bound.get(key, ()))
        return max(0, taken.pods - bound) if taken is not None else 0

    def reserved(self, for_key: Key) -> tuple[Reserved, ...]:
        """What plans of other deployments will take beyond their bound pods."""
        own, unbound = self._reservations.get(for_key), self._unbound(for_key)
        rows = (
            (*kind, replicas - (unbound if own is not None and kind == own[:2] else 0))
            for kind, replicas in self._reserved.items()
        )
        return tuple(row for row in rows if row[2] > 0)

    def stock(self, own_pods: Iterable[PodFacts] = ()) -> Stock:
        """Nodes by what they offer and what is held, the GPUs of these pods being free."""
        own: Counter[str] = Counter()
        for pod in own_pods:
            if pod.node and not pod.finished:
                own[pod.node] += pod.gpus
        if not own:
            return self._stock
        stock = self._stock.copy()
        for node, gpus in own.items():
            shape = self._nodes.get(node)
            if shape is not None:
                held = self._held_on(node)
                stock[shape, held] -= 1
                stock[shape, held - gpus] += 1
        return +stock

    def survey(self, for_key: Key, catalog: Catalog, own_pods: Iterable[PodFacts] = ()) -> Survey:
        """The GPUs as one deployment sees them: what it holds or reserved itself is free."""
        stock = self.stock(own_pods)
        known = self._surveys.get(id(catalog)) if stock is self._stock else None
        if known is None:
            known = (catalog, survey_stock(stock, catalog))
            if stock is self._stock:
                self._surveys[id(catalog)] = known
        surveyed = with_reserved(known[1], self.reserved(for_key))
        return replace(surveyed, leader_worker_set=self._leader_worker_set)


_Place = tuple[Key, str, str, int]
"""Deployment, node, uid and GPUs of a pod."""


def _place(namespace: str, pod: PodFacts | None) -> _Place | None:
    """Where a pod holds GPUs; None when it holds none."""
    if pod is None or not pod.node or pod.finished or pod.job:
        return None
    return (namespace, pod.instance), pod.node, pod.uid, pod.gpus
