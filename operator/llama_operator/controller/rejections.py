"""Pods that do not come: a quota, a limit or a policy refuses them, and only an Event tells why."""

import time
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final, NamedTuple

from llama_operator.cluster.client import ApiError, ForbiddenError, Json
from llama_operator.cluster.cluster import Cluster
from llama_operator.cluster.ledger import Key
from llama_operator.reconcile.observed import Child, PodFacts

PATIENCE_SECONDS: Final = 2.0
"""Pods come within a moment; only when they do not are Events read."""
PAUSE_BASE_SECONDS: Final = 2.0
PAUSE_CAP_SECONDS: Final = 30.0
MEMORY: Final = timedelta(minutes=20)
"""The StatefulSet controller tries again every 17 minutes at the latest; older Events are over."""
MESSAGE_LIMIT: Final = 500
_MARK: Final = "failed error: "


class Rejection(NamedTuple):
    """Why pods do not come, empty when they do; and when to look again, None for never."""

    message: str = ""
    again_seconds: float | None = None


@dataclass
class _Absence:
    """Pods of one deployment that are not there. Times are monotonic, in seconds."""

    due: float
    pause: float = PAUSE_BASE_SECONDS
    message: str = ""


class Rejections:
    """Looks for the reason, ever more rarely, while pods are absent; asks nothing otherwise."""

    def __init__(self, cluster: Cluster) -> None:
        self._cluster = cluster
        self._absences: dict[Key, _Absence] = {}

    def forget(self, key: Key) -> None:
        """Drop what is known of a deployment that is gone."""
        self._absences.pop(key, None)

    async def look(
        self,
        key: Key,
        children: Iterable[Child],
        pods: tuple[PodFacts, ...],
        replicas: int,
        now: datetime,
    ) -> Rejection:
        """Tell why fewer pods exist than the StatefulSet should have made."""
        stateful_set = next(
            (child for child in children if child.kind == "StatefulSet" and not child.deleting),
            None,
        )
        if stateful_set is None or len(pods) >= replicas or not _was_tried(stateful_set):
            self._absences.pop(key, None)
            return Rejection()
        clock = time.monotonic()
        absence = self._absences.setdefault(key, _Absence(clock + PATIENCE_SECONDS))
        if clock >= absence.due:
            absence.message = await self._ask(key, stateful_set, len(pods), replicas, now)
            absence.due = clock + absence.pause
            absence.pause = min(PAUSE_CAP_SECONDS, absence.pause * 2)
        return Rejection(absence.message, max(0.1, absence.due - clock))

    async def _ask(
        self, key: Key, stateful_set: Child, pods: int, replicas: int, now: datetime
    ) -> str:
        try:
            events = await self._cluster.events_about(key[0], stateful_set, "FailedCreate")
        except ForbiddenError:
            return (
                f"StatefulSet {stateful_set.name} has {pods} of {replicas} pods; "
                f"`kubectl describe statefulset {stateful_set.name}` tells why"
            )
        except ApiError:
            return ""
        recent = [event for event in events if _seen(event) >= (now - MEMORY).isoformat()]
        if not recent:
            return ""
        note = str(max(recent, key=_seen).get("note") or "")
        return note.partition(_MARK)[2][:MESSAGE_LIMIT] or note[:MESSAGE_LIMIT]


def _was_tried(stateful_set: Child) -> bool:
    """Whether its controller got to it; in a burst that takes a while, and its status tells."""
    body = stateful_set.body
    observed = (body.get("status") or {}).get("observedGeneration") or 0
    return bool(observed >= body["metadata"].get("generation", 0))


def _seen(event: Json) -> str:
    """When it happened last; the older of the two APIs writes the deprecated fields."""
    series = event.get("series") or {}
    return str(
        series.get("lastObservedTime")
        or event.get("deprecatedLastTimestamp")
        or event.get("eventTime")
        or event["metadata"].get("creationTimestamp")
        or ""
    )
