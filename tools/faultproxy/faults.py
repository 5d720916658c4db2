"""What can go wrong with a request, and the rules that say with which.

A fault of a whole request: `Delay`, `Answer`, `CutBeforeCommit`, `CutAfterCommit`, `Hang`,
`Notify`, `Stale`. A fault of a watch that is open: `CloseAfter`, `Freeze`, `Inject`, `Drop`.
"""

import random
from collections.abc import Callable, Collection
from dataclasses import dataclass, field

from faultproxy.calls import Call
from faultproxy.snapshot import Snapshot


@dataclass(frozen=True)
class Delay:
    """Wait before the request is sent on."""

    seconds: float


@dataclass(frozen=True)
class Answer:
    """Answer in the API server's stead; the request is not sent on.

    With `body` the answer is exactly those bytes, else a Status object.
    """

    code: int
    reason: str = ""
    message: str = "injected by the fault proxy"
    retry_after_seconds: int | None = None
    body: bytes | None = None


@dataclass(frozen=True)
class CutBeforeCommit:
    """Reset the connection; the API server never hears of the request."""


@dataclass(frozen=True)
class CutAfterCommit:
    """Send the request on, wait until it is answered, and reset the connection instead."""


@dataclass(frozen=True)
class Hang:
    """Keep the request until the rule is removed, then reset the connection."""


@dataclass(frozen=True)
class Notify:
    """Call a function of this process, such as one that kills the client, and go on.

    `before` it is sent on, or else once the API server has answered and the client does not know.
    With `before` and `cut` it is not sent on, and the connection is reset.
    """

    function: Callable[[Call], None]
    before: bool = False
    cut: bool = False


@dataclass(frozen=True)
class Stale:
    """Show the past: lists as they were in a snapshot, and watches that are silent since.

    Once the rule is removed, a watch goes on from the version that it asked for.
    """

    snapshot: Snapshot


@dataclass(frozen=True)
class CloseAfter:
    """End a watch in order after this long."""

    seconds: float


@dataclass(frozen=True)
class Freeze:
    """Deliver nothing more on a watch, and leave the connection open until the client ends it."""


@dataclass(frozen=True)
class Inject:
    """Put bytes into a watch at its start, and reset the connection after them if asked."""

    content: bytes
    reset: bool = False


@dataclass(frozen=True)
class Drop:
    """Leave out events of these types, such as MODIFIED, from a watch."""

    types: Collection[str]


Fault = (
    Delay
    | Answer
    | CutBeforeCommit
    | CutAfterCommit
    | Hang
    | Notify
    | Stale
    | CloseAfter
    | Freeze
    | Inject
    | Drop
)


@dataclass(eq=False)
class Rule:
    """Which requests a fault strikes.

    Args:
        fault: what happens to them.
        verbs: Kubernetes' verbs; None means any.
        resources: plural names, with subresource as in `llamadeployments/status`; None means any.
        besides: resources that are spared.
        namespace: only there.
        name: only this object.
        family: only the object of this name and those that are called after it, as the children
            and the events of a deployment are.
        nth: strikes only these of the matching requests, counted from 1, one number or several.
        first: strikes only so many of them, from the first on.
        probability: strikes each of them by chance, drawn from the proxy's seed.

    Attributes:
        matched: how many requests matched.
        struck: how many of them were struck.
    """

    fault: Fault
    verbs: Collection[str] | None = None
    resources: Collection[str] | None = None
    besides: Collection[str] = ()
    namespace: str | None = None
    name: str | None = None
    family: str | None = None
    nth: int | Collection[int] | None = None
    first: int | None = None
    probability: float = 1.0
    matched: int = field(default=0, init=False)
    struck: int = field(default=0, init=False)

    def strikes(self, call: Call, chance: random.Random) -> bool:
        """Count a request if it matches, and tell whether the fault strikes it."""
        if not self._matches(call):
            return False
        self.matched += 1
        if self.nth is not None:
            chosen = {self.nth} if isinstance(self.nth, int) else self.nth
            if self.matched not in chosen:
                return False
        if self.first is not None and self.matched > self.first:
            return False
        if self.probability < 1.0 and chance.random() >= self.probability:
            return False
        self.struck += 1
        return True

    def _matches(self, call: Call) -> bool:
        return (
            (self.verbs is None or call.verb in self.verbs)
            and (self.resources is None or call.resource in self.resources)
            and call.resource not in self.besides
            and (self.namespace is None or call.namespace == self.namespace)
            and (self.name is None or call.name == self.name)
            and (self.family is None or _is_of(self.family, call.name))
        )


def _is_of(family: str, name: str) -> bool:
    return name == family or name.startswith((f"{family}-", f"{family}."))
