"""Rights that the operator has against those that it used, by the audit log."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final, NamedTuple

import yaml

from controlplane import audit
from controlplane.audit import AuditEvent

OPERATOR_AGENT: Final = "llama-operator/"
"""How the operator's requests call themselves; a test that borrows its identity does not."""


class Right(NamedTuple):
    """One verb on one kind of object.

    Attributes:
        group: API group, empty for the core group.
        resource: plural name, with the subresource after a slash.
        verb: such as get.
        name: the one object that it is limited to; empty for all.
    """

    group: str
    resource: str
    verb: str
    name: str = ""

    def __str__(self) -> str:
        """For people, such as `patch statefulsets.apps`."""
        resource, _, subresource = self.resource.partition("/")
        group = f".{self.group}" if self.group else ""
        below = f"/{subresource}" if subresource else ""
        return f"{self.verb} {resource}{group}{below}" + (f" {self.name}" if self.name else "")


ASKED_BY_ADMISSION: Final = frozenset(
    {Right("llama-operator.io", "llamadeployments/finalizers", "update")}
)
"""Rights that no request needs and an admission plugin asks for, so that no log shows their use."""


@dataclass(frozen=True)
class Comparison:
    """Used against granted.

    Attributes:
        used: how many granted rights were used, or are asked for by admission.
        unused: granted rights that nothing used.
        ungranted: what was asked for without a right.
    """

    used: int
    unused: tuple[str, ...]
    ungranted: tuple[str, ...]

    @property
    def equal(self) -> bool:
        """Whether rights used are rights granted."""
        return not self.unused and not self.ungranted

    def text(self) -> str:
        """What is wrong, one line each; or the one line that all is right."""
        if self.equal:
            return f"rights of the operator: {self.used} granted, all of them used, no other asked"
        lines = ["the rights of the operator are not those that it used:"]
        lines += [f"  granted, and never used: {right}" for right in self.unused]
        lines += [f"  asked for, and not granted: {right}" for right in self.ungranted]
        return "\n".join(lines)


def granted(manifest: Path, name: str) -> frozenset[Right]:
    """The rules of the ClusterRole and the Role of a name."""
    return frozenset(
        right
        for document in yaml.safe_load_all(manifest.read_text("utf-8"))
        if document["kind"] in ("ClusterRole", "Role") and document["metadata"]["name"] == name
        for rule in document["rules"]
        for right in of_rule(rule)
    )


def of_rule(rule: dict[str, list[str]]) -> Iterator[Right]:
    """The rights that one rule of a role grants."""
    for group in rule["apiGroups"]:
        for resource in rule["resources"]:
            for verb in rule["verbs"]:
                for name in rule.get("resourceNames", [""]):
                    yield Right(group, resource, verb, name)


def asked(events: Iterable[AuditEvent]) -> set[Right]:
    """What the operator asked for, with the name of the object; answers do not matter.

    URLs that are no resource, such as those of discovery, are left out: every user may read them.
    """
    return {
        Right(
            event.api_group,
            f"{event.resource}/{event.subresource}" if event.subresource else event.resource,
            event.verb,
            event.name,
        )
        for event in events
        if event.resource and event.user_agent.startswith(OPERATOR_AGENT)
    }


def asked_in(folder: Path, user: str) -> set[Right]:
    """What the operator asked for by all audit logs of a folder."""
    found: set[Right] = set()
    for log in folder.glob("*.log"):
        found |= asked(audit.read(log, user))
    return found


def compare(rights: frozenset[Right], requests: Iterable[Right]) -> Comparison:
    """Compare granted rights with requests."""
    used: set[Right] = set()
    ungranted: set[str] = set()
    for request in requests:
        matching = {request, request._replace(name="")} & rights
        used |= matching
        if not matching:
            limited = any(right.name and right[:3] == request[:3] for right in rights)
            ungranted.add(str(request if limited else request._replace(name="")))
    used |= rights & ASKED_BY_ADMISSION
    return Comparison(
        len(used),
        tuple(sorted(str(right) for right in rights - used)),
        tuple(sorted(ungranted)),
    )
