"""Actions that a decision asks for. Each carries its reason for the log."""

from dataclasses import dataclass, field

from llama_operator.reconcile.observed import Child, Json


@dataclass(frozen=True, slots=True)
class Create:
    """Create an object that must not exist yet."""

    body: Json = field(repr=False)
    reason: str

    @property
    def kind(self) -> str:
        """Kind of the object."""
        return str(self.body["kind"])

    @property
    def name(self) -> str:
        """Name of the object."""
        return str(self.body["metadata"]["name"])


class _OfChild:
    """An action on a child that is there."""

    __slots__ = ()
    child: Child

    @property
    def kind(self) -> str:
        """Kind of the object."""
        return self.child.kind

    @property
    def name(self) -> str:
        """Name of the object."""
        return self.child.name


@dataclass(frozen=True, slots=True)
class Apply(_OfChild):
    """Apply our intent to a child of ours; `body` carries the uid of `child`.

    `leaves_out` tells that the body may lack fields that were intended before.
    """

    body: Json = field(repr=False)
    child: Child
    reason: str
    leaves_out: bool = True


@dataclass(frozen=True, slots=True)
class Delete(_OfChild):
    """Delete exactly this child."""

    child: Child
    reason: str


@dataclass(frozen=True, slots=True)
class Replace(_OfChild):
    """Delete exactly this child and create it anew: an object that cannot be changed."""

    body: Json = field(repr=False)
    child: Child
    reason: str


Action = Create | Apply | Delete | Replace


@dataclass(frozen=True, slots=True)
class Failure:
    """An action that the API server refused.

    `reason` is a condition reason; `needs_edit` tells that trying again cannot help by itself.
    """

    action: Action
    reason: str
    message: str
    needs_edit: bool = False
    retry_after_seconds: float | None = None
