"""The pace of edits: the first ones of a deployment at once, those of a storm one by one."""

from typing import Final, NamedTuple

from llama_operator.cluster.ledger import Key

BURST: Final = 5
"""Edits that are acted on at once."""
SECONDS_PER_EDIT: Final = 3.0
"""After a burst an edit may be acted on this often; what is edited meanwhile is merged."""


class _Edits(NamedTuple):
    """The generation acted on, and how many edits weigh on the deployment since when."""

    generation: int
    weight: float
    at: float


class EditPace:
    """Keeps a flapping spec from rolling its pods, and from writing, at the pace of the edits.

    Each edit that is acted on weighs one, and a weight is gone after `SECONDS_PER_EDIT`. An edit
    waits while `BURST` of them weigh on its deployment.
    """

    def __init__(self) -> None:
        self._edits: dict[Key, _Edits] = {}

    def pause_seconds(self, key: Key, generation: int, now: float) -> float:
        """How long an edit must wait before it is acted on; 0 when it is acted on now.

        Args:
            key: the deployment.
            generation: of its spec; one that is acted on already never waits.
            now: monotonic time in seconds.
        """
        last = self._edits.get(key)
        if last is None:
            self._edits[key] = _Edits(generation, 1.0, now)
            return 0.0
        if last.generation == generation:
            return 0.0
        weight = max(0.0, last.weight - (now - last.at) / SECONDS_PER_EDIT)
        if weight > BURST - 1:
            return (weight - (BURST - 1)) * SECONDS_PER_EDIT
        self._edits[key] = _Edits(generation, weight + 1.0, now)
        return 0.0

    def forget(self, key: Key) -> None:
        """Drop a deployment that is gone."""
        self._edits.pop(key, None)
