"""What the operator asked the API server for, by the audit log."""

import re
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from benchmark.site import Site
from controlplane import AuditEvent, wait_until
from workstation.install import OPERATOR_USER

_OWNER: Final = re.compile(r"(bench-\d{5})(?![0-9])")
_STATUS: Final = "patch llamadeployments/status"


@dataclass(frozen=True)
class Requests:
    """Requests of the operator about some deployments, its Lease and long watches left out.

    Attributes:
        by_kind: how many of which verb and resource.
        until_children: those of each deployment before its status was written a second time:
            children, first status and event. Those about no one deployment count in full.
        total: all.
    """

    by_kind: dict[str, int]
    until_children: int
    total: int


def words(event: AuditEvent) -> str:
    """Verb and resource of a request."""
    return f"{event.verb} {event.resource}" + (f"/{event.subresource}" if event.subresource else "")


def counted(events: Iterable[AuditEvent]) -> Requests:
    """Count requests in the order of the audit log."""
    by_kind: Counter[str] = Counter()
    statuses: Counter[str] = Counter()
    early = 0
    for event in sorted(events, key=lambda event: event.time):
        if event.verb == "watch" or event.resource == "leases":
            continue
        kind = words(event)
        by_kind[kind] += 1
        owner = _OWNER.match(event.name)
        name = owner.group(1) if owner is not None else ""
        if kind == _STATUS:
            statuses[name] += 1
        early += not name or statuses[name] < 2
    return Requests(dict(sorted(by_kind.items())), early, sum(by_kind.values()))


def requests_since(site: Site, position: int) -> Requests:
    """Requests of the operator after a position of the audit log."""
    marker = f"/api/v1/namespaces/default/configmaps?marker={position}"
    site.plane.api.get(marker)
    # The log is written behind the answers, so a request of our own is waited for first.
    wait_until(
        "the audit log is written up to now",
        lambda: any(event.uri == marker for event in site.plane.audit_events(since=position)),
        interval=0.2,
    )
    return counted(site.plane.audit_events(OPERATOR_USER, since=position))
