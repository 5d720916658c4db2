"""Who holds which GPUs: bound pods by node, and plans whose pods are not bound yet."""

from collections import Counter
from collections.abc import Iterable
from dataclasses import replace
from typing import NamedTuple, Self

from llama_operator.api.plan import GpuChoice
from llama_operator.catalog.catalog import Catalog
from llama_operator.planning.inventory import NodeFacts, Place, Reserved, Stock
from llama_operator.planning.survey import Survey, survey_stock, with_reserved
from llama_operator.reconcile.observed import PodFacts

Key = tuple[str, str]
"""Namespace and name of a deployment."""


class Reservation(NamedTuple):
    """GPUs that a plan takes: those of `pods`, of which some may be bound already."""

    resource: str
    products: tuple[str, ...]
    gpus_per_pod: int
    pods: int

    @classmethod
    def of(cls, gpu: GpuChoice, pods: int) -> Self:
        """What so many pods of a plan with these GPUs take."""
        return cls(gpu.resource, tuple(gpu.accepted_products), gpu.count, pods)


class Ledger:
    """Keeps what is needed to tell what is free, without asking the API server.

    Every event changes counts, so that neither an event nor a survey looks at all nodes, pods or
    deployments.
    """

    def __init__(self) -> None:
        self._nodes: dict[str, tuple[NodeFacts, ...]] = {}
        self._shapes: dict[NodeFacts, NodeFacts] = {}
        self._stock: Counter[tuple[NodeFacts, int]] = Counter()
        self._held: dict[Place, dict[str, int]] = {}
        self._bound: dict[Key, set[str]] = {}
        self._reservations: dict[Key, Reservation] = {}
        self._reserved: Counter[tuple[str, tuple[str, ...], int]] = Counter()
        self._surveys: dict[int, tuple[Catalog, Survey]] = {}
        self._leader_worker_set = False

    def set_leader_worker_set(self, is_there: bool) -> None:
        """Take whether the cluster has LeaderWorkerSet."""
        self._leader_worker_set = is_there

    def set_node(self, name: str, offers: tuple[NodeFacts, ...]) -> None:
        """Take what a node offers; it is dropped when that is nothing."""
        for shape in self._nodes.pop(name, ()):
            self._count(shape, self._held_on((name, shape.resource)), -1)
        if not offers:
            return
        shapes = tuple(offer.nameless() for offer in offers)
        self._nodes[name] = shapes = tuple(self._shapes.setdefault(one, one) for one in shapes)
        for shape in shapes:
            self._count(shape, self._held_on((name, shape.resource)), 1)

    def _offer(self, place: Place) -> NodeFacts | None:
        node, resource = place
        return next((one for one in self._nodes.get(node, ()) if one.resource == resource), None)

    def _count(self, shape: NodeFacts, held: int, nodes: int) -> None:
        self._surveys.clear()
        self._stock[shape, held] += nodes
        if not self._stock[shape, held]:
            del self._stock[shape, held]

    def _held_on(self, place: Place) -> int:
        return sum(self._held.get(place, {}).values())

    def _hold(self, place: Place, uid: str, gpus: int) -> None:
        before = self._held_on(place)
        pods = self._held.setdefault(place, {})
        if gpus:
            pods[uid] = gpus
        else:
            pods.pop(uid, None)
        if not pods:
            del self._held[place]
        after, shape = self._held_on(place), self._offer(place)
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
                key, held_at, uid, gpus = place
                self._hold(held_at, uid, gpus if is_there else 0)
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
        kind = taken[:3]
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
            (*kind, replicas - (unbound if own is not None and kind == own[:3] else 0))
            for kind, replicas in self._reserved.items()
        )
        return tuple(row for row in rows if row[3] > 0)

    def stock(self, own_pods: Iterable[PodFacts] = ()) -> Stock:
        """Nodes by what they offer and what is held, the GPUs of these pods being free."""
        own: Counter[Place] = Counter()
        for pod in own_pods:
            if pod.node and not pod.finished:
                own[pod.node, pod.gpu_resource] += pod.gpus
        if not own:
            return self._stock
        stock = self._stock.copy()
        for place, gpus in own.items():
            shape = self._offer(place)
            if shape is not None:
                held = self._held_on(place)
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


_Bound = tuple[Key, Place, str, int]
"""Deployment, place, uid and GPUs of a pod."""


def _place(namespace: str, pod: PodFacts | None) -> _Bound | None:
    """Where a pod holds GPUs; None when it holds none."""
    if pod is None or not pod.node or pod.finished or pod.job:
        return None
    return (namespace, pod.instance), (pod.node, pod.gpu_resource), pod.uid, pod.gpus
