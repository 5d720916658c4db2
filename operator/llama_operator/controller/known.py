"""A deployment as the watch showed it last, kept small."""

import hashlib
from dataclasses import dataclass
from typing import Self

from pydantic_core import to_json

from llama_operator.reconcile.observed import Child
from llama_operator.reconcile.packing import Json, pack, unpack


@dataclass(frozen=True, slots=True)
class Known:
    """What was seen of one deployment.

    `wish` and `status` are digests of what a pass reads: of the former a change by users, of the
    latter one by anybody asks for a pass. Foreign metadata is in neither.
    """

    uid: str
    version: int
    wish: bytes
    status: bytes
    packed: bytes

    @classmethod
    def of(cls, body: Json) -> Self:
        """Take an object; the record of who manages which field is dropped."""
        metadata = {key: value for key, value in body["metadata"].items() if key != "managedFields"}
        version = str(metadata.get("resourceVersion") or "")
        wish = ("uid", "generation", "deletionTimestamp", "annotations")
        return cls(
            uid=str(metadata.get("uid")),
            version=int(version) if version.isdigit() else 0,
            wish=_digest([metadata.get(field) for field in wish]),
            status=_digest(body.get("status")),
            packed=pack({**body, "metadata": metadata}),
        )

    def same_as(self, other: Self) -> bool:
        """Whether a pass would read the same of both."""
        return (self.wish, self.status) == (other.wish, other.status)

    def body(self) -> Json:
        """A new copy of the object."""
        return unpack(self.packed)


def wishes(children: tuple[Child, ...]) -> set[tuple[object, ...]]:
    """Children without what controllers tell of them, which changes all the time."""
    return {
        (child.kind, child.name, child.uid, child.deleting, child.revision, _generation(child))
        for child in children
    }


def _generation(child: Child) -> object:
    return child.body["metadata"].get("generation")


def _digest(value: object) -> bytes:
    # The API server sends maps sorted; another order would only cost a pass.
    return hashlib.sha256(to_json(value)).digest()
