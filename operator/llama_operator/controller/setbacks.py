"""Writes that the API server fails again and again: told in the status instead of only logged."""

from typing import Final

from llama_operator.api.reasons import Reason
from llama_operator.cluster.client import ApiError
from llama_operator.cluster.ledger import Key
from llama_operator.reconcile.actions import Action, Failure

TOLD_AFTER: Final = 4
"""Passes that end so before the next one tells of it: some three seconds. A server that fails one
request in ten ends half of all passes so, and four in a row hardly ever."""
AGAIN_SECONDS: Final = 10.0
SOON_SECONDS: Final = 1.0
LATER_SECONDS: Final = 30.0
_SOON: Final = frozenset({Reason.WAITING_FOR_DELETION, Reason.OPERATOR_ERROR})
SERVER_ERRORS: Final = range(500, 600)
"""A webhook that does not answer is an error of the API server, too."""


class Setbacks:
    """Counts passes over each deployment that a server error ended, one after the other."""

    def __init__(self) -> None:
        self._counts: dict[Key, int] = {}

    def add(self, key: Key, error: ApiError) -> None:
        """A pass ended with an error; only those that the server itself answered count."""
        if error.code in SERVER_ERRORS:
            self._counts[key] = self._counts.get(key, 0) + 1

    def forget(self, key: Key) -> None:
        """A pass went through, or the deployment is gone."""
        self._counts.pop(key, None)

    def failure(self, key: Key, action: Action, error: BaseException) -> Failure | None:
        """What to tell of a write that failed; None while trying again may help unseen."""
        if not isinstance(error, ApiError) or error.code not in SERVER_ERRORS:
            return None
        if self._counts.get(key, 0) < TOLD_AFTER:
            return None
        return Failure(
            action,
            Reason.API_SERVER_ERROR,
            f"{action.kind} {action.name}: {error.message}",
            retry_after_seconds=AGAIN_SECONDS,
        )


def requeue_seconds(failures: tuple[Failure, ...]) -> float | None:
    """Seconds after which to try again what the API server refused; None when nothing was."""
    if not failures:
        return None
    return min(
        failure.retry_after_seconds or (SOON_SECONDS if failure.reason in _SOON else LATER_SECONDS)
        for failure in failures
    )
