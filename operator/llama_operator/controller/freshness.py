"""Whether what a pass was shown is still so, asked of the API server as seldom as is safe.

Within a process watches only go forward: what is older than what was seen is left out. But the
first view of a deployment may be an old one, from an API server that lags behind; and a deletion
may be missed. So the API server is asked before the first change of a deployment that a process
makes, before missing children are made again, and after every conflict.
"""

import asyncio
from collections.abc import Iterable

from llama_operator.api.deployment import LlamaDeployment
from llama_operator.cluster.client import Json
from llama_operator.cluster.cluster import Cluster
from llama_operator.cluster.ledger import Key
from llama_operator.controller.known import Known, wishes
from llama_operator.reconcile.actions import Create
from llama_operator.reconcile.decide import Decision
from llama_operator.reconcile.observed import Child

_RESTORED = frozenset({"LeaderWorkerSet", "StatefulSet", "Service"})
"""Kinds that every deployment has from its first pass on."""


class Freshness:
    """Remembers which deployments were seen as they are, and which are in doubt."""

    def __init__(self, cluster: Cluster) -> None:
        self._cluster = cluster
        self._trusted: set[Key] = set()
        self._doubted: set[Key] = set()

    def doubt(self, key: Key) -> None:
        """Ask before the next pass: something was otherwise than it seemed."""
        self._doubted.add(key)

    def doubts(self, key: Key) -> bool:
        """Whether a deployment is in doubt."""
        return key in self._doubted

    def trust(self, key: Key) -> None:
        """Take it that the watches show a deployment as it is."""
        self._trusted.add(key)

    def forget(self, key: Key) -> None:
        """Drop what is known of a deployment."""
        self._trusted.discard(key)
        self._doubted.discard(key)

    def needs_look(self, key: Key, deployment: LlamaDeployment, decision: Decision) -> bool:
        """Whether to ask before a decision is carried out."""
        seen = deployment.status.observed_generation >= 0
        if any(
            seen and isinstance(action, Create) and action.kind in _RESTORED
            for action in decision.actions
        ):
            return True
        if key in self._trusted:
            return False
        relies = any(seen or not isinstance(action, Create) for action in decision.actions)
        return relies or bool(decision.waiting_for)

    async def look(
        self, key: Key, body: Json, children: tuple[Child, ...], kinds: Iterable[str] = ()
    ) -> tuple[Json | None, bool]:
        """Ask for the deployment and, unless it is trusted, for children of these kinds.

        Returns:
            The object as it is, None when it is gone; and whether a pass that was shown `body`
            and `children` was shown something else.
        """
        if key in self._trusted and key not in self._doubted:
            live = await self._cluster.get_deployment(key)
        else:
            live, _ = await asyncio.gather(
                self._cluster.get_deployment(key), self._cluster.refresh(key, kinds)
            )
        self._doubted.discard(key)
        if live is None:
            return None, True
        self._trusted.add(key)
        shown, now = Known.of(body), Known.of(live)
        return live, (now.wish, now.status) != (shown.wish, shown.status) or (
            wishes(children) != wishes(self._cluster.children(key))
        )
