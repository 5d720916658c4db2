"""Who holds which GPUs: bound pods by node, and plans whose pods are not bound yet."""

from collections.abc import Iterable, Iterator, Mapping
from typing import NamedTuple

from llama_operator.planning.inventory import Inventory, NodeFacts
from llama_operator.reconcile.observed import PodFacts

Key = tuple[str, str]
"""Namespace and name of a deployment."""


class Reservation(NamedTuple):
    """GPUs that a plan takes: those of `replicas`, of which some may be bound already."""

    products: tuple[str, ...]
    gpus_per_replica: int
    replicas: int


class Ledger:
    """Keeps what is needed to tell what is free, without asking the API server."""

    def __init__(self) -> None:
        self._nodes: dict[str, NodeFacts] = {}
        self._sorted: tuple[NodeFacts, ...] | None = None
        self._held: dict[str, dict[str, int]] = {}
        self._bound: dict[Key, set[str]] = {}
        self._reservations: dict[Key, Reservation] = {}

    def set_node(self, name: str, facts: NodeFacts | None) -> None:
        """Take a node, or drop it."""
        if facts is None:
            self._nodes.pop(name, None)
        else:
            self._nodes[name] = facts
        self._sorted = None

    def set_pod(self, namespace: str, old: PodFacts | None, new: PodFacts | None) -> None:
        """Move a pod's GPUs from where it was to where it is.

        A replica that becomes bound leaves its deployment's reservation at the same moment, so
        that its GPUs never count twice.
        """
        if old is not None and old.node:
            self._held.get(old.node, {}).pop(old.uid, None)
            bound = self._bound.get((namespace, old.instance), set())
            bound.discard(old.uid)
            if not bound:
                self._bound.pop((namespace, old.instance), None)
        if new is not None and new.node and not new.finished:
            self._bound.setdefault((namespace, new.instance), set()).add(new.uid)
            if new.gpus:
                self._held.setdefault(new.node, {})[new.uid] = new.gpus

    def reserve(self, key: Key, reservation: Reservation | None) -> None:
        """Set what a deployment takes, its bound pods included; None: nothing."""
        if reservation is None or reservation.replicas <= 0:
            self._reservations.pop(key, None)
        else:
            self._reservations[key] = reservation

    def _unbound(self) -> Iterator[tuple[Key, Reservation]]:
        """What every deployment will take beyond its bound pods."""
        for key, reservation in sorted(self._reservations.items()):
            replicas = reservation.replicas - len(self._bound.get(key, ()))
            if replicas > 0:
                yield key, reservation._replace(replicas=replicas)

    def inventory(self, for_key: Key, own_pods: Iterable[PodFacts] = ()) -> Inventory:
        """The inventory as one deployment sees it: what it holds or reserved itself is free."""
        if self._sorted is None:
            self._sorted = tuple(self._nodes[name] for name in sorted(self._nodes))
        own: dict[str, int] = {}
        for pod in own_pods:
            if pod.node and not pod.finished:
                own[pod.node] = own.get(pod.node, 0) + pod.gpus
        held: Mapping[str, int] = {
            node: sum(pods.values()) - own.get(node, 0) for node, pods in self._held.items() if pods
        }
        return Inventory(
            nodes=self._sorted,
            held=held,
            reserved=tuple(
                (taken.products, taken.gpus_per_replica, taken.replicas)
                for key, taken in self._unbound()
                if key != for_key
            ),
        )
