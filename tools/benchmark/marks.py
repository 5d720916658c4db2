"""What the watcher saw, and asking for it."""

import threading
from collections.abc import Callable, Iterable
from dataclasses import dataclass


@dataclass(frozen=True)
class Mark:
    """One event that the watcher saw.

    Attributes:
        at: seconds of the monotonic clock, which all processes of a machine share.
        resource: such as statefulsets.
        event: ADDED, MODIFIED or DELETED.
        namespace: of the object.
        name: of the object.
        uid: of the object.
        generation: its generation; of a deployment the observed one, -1 without a status.
        reason: reason of a deployment's condition Ready, else empty.
    """

    at: float
    resource: str
    event: str
    namespace: str
    name: str
    uid: str
    generation: int = 0
    reason: str = ""


class Marks:
    """Marks by object in the order of their coming; one thread adds, others ask."""

    def __init__(self) -> None:
        self._by_object: dict[tuple[str, str, str], list[Mark]] = {}
        self._news = threading.Condition()

    def add(self, mark: Mark) -> None:
        """Take a mark."""
        with self._news:
            key = (mark.resource, mark.namespace, mark.name)
            self._by_object.setdefault(key, []).append(mark)
            self._news.notify_all()

    def first(
        self, resource: str, namespace: str, name: str, wanted: Callable[[Mark], bool]
    ) -> Mark | None:
        """The first mark of an object that is wanted."""
        with self._news:
            marks = self._by_object.get((resource, namespace, name), ())
            return next((mark for mark in marks if wanted(mark)), None)

    def wait(
        self,
        resource: str,
        namespace: str,
        name: str,
        wanted: Callable[[Mark], bool],
        timeout: float = 120.0,
    ) -> Mark:
        """Wait for the first mark of an object that is wanted.

        Raises:
            TimeoutError: none came.
        """
        found: list[Mark] = []

        def seen() -> bool:
            marks = self._by_object.get((resource, namespace, name), ())
            found[:] = [mark for mark in marks if wanted(mark)][:1]
            return bool(found)

        with self._news:
            if not self._news.wait_for(seen, timeout):
                last = self._by_object.get((resource, namespace, name), [None])[-1]
                msg = f"{resource} {namespace}/{name}: not seen in {timeout:g} s; last {last}"
                raise TimeoutError(msg)
        return found[0]


def added(mark: Mark) -> bool:
    """Whether the object came into being."""
    return mark.event == "ADDED"


def has_status(mark: Mark) -> bool:
    """Whether a deployment has a status that somebody wrote."""
    return mark.generation >= 0


def serves(mark: Mark) -> bool:
    """Whether a deployment is Ready."""
    return mark.reason == "Serving"


def last_at(marks: Iterable[Mark | None]) -> float | None:
    """When the last of some marks came, None while one is missing."""
    last = 0.0
    for mark in marks:
        if mark is None:
            return None
        last = max(last, mark.at)
    return last
