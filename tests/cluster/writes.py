"""What the operator wrote, by the audit log."""

from collections import Counter

from cluster.world import World
from controlplane.audit import AuditEvent
from workstation.install import OPERATOR_USER


def operator_writes(world: World, since: int) -> list[AuditEvent]:
    """Writes of the operator in a test's namespace, events apart, after a position of the log.

    The log is written behind the answers, so a request of our own is waited for first.
    """
    marker = f"/api/v1/namespaces/{world.namespace}/configmaps/marker-{since}"
    world.try_get(marker)
    world.wait(
        "the audit log is written up to now",
        lambda: any(event.uri == marker for event in world.plane.audit_events(since=since)),
    )
    return [
        event
        for event in world.plane.audit_events(OPERATOR_USER, since=since)
        if event.is_write and event.namespace == world.namespace and event.resource != "events"
    ]


def told(writes: list[AuditEvent]) -> Counter[str]:
    """How often which verb was used on which kind of object."""
    return Counter(
        f"{event.verb} {event.resource}" + (f"/{event.subresource}" if event.subresource else "")
        for event in writes
    )
