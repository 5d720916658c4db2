"""Reading the audit log: who asked the API server for what, and what it answered."""

import json
import os
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Final

WRITES = frozenset({"create", "update", "patch", "delete", "deletecollection"})
KEEP_VARIABLE: Final = "LLAMA_OPERATOR_AUDIT_LOGS"
"""Names a folder in which every audit log outlives its control plane, on the same file system."""


@dataclass(frozen=True)
class AuditEvent:
    """One answered request.

    A watch is listed when it ends, not when it starts.

    Attributes:
        time: when the request arrived.
        user: who asked, such as system:serviceaccount:NAMESPACE:NAME.
        user_agent: the client program as it calls itself.
        verb: get, list, watch, create, update, patch, delete, deletecollection; for a URL that is
            no resource the HTTP method in lower case.
        api_group: empty for the core group.
        resource: plural name; empty for a URL that is no resource.
        subresource: such as status or scale, or empty.
        namespace: empty for a cluster-scoped object.
        name: empty for a collection.
        code: HTTP status of the answer.
        uri: path and query, with fieldManager, dryRun and the like.
    """

    time: datetime
    user: str
    user_agent: str
    verb: str
    api_group: str
    resource: str
    subresource: str
    namespace: str
    name: str
    code: int
    uri: str

    @property
    def is_write(self) -> bool:
        """Whether the request was meant to change something that is stored."""
        return self.verb in WRITES and "dryRun=All" not in self.uri


def keep(log: Path) -> None:
    """Give the log a second name in the folder that the environment names, where it names one."""
    folder = os.environ.get(KEEP_VARIABLE)
    if folder:
        os.link(log, Path(folder) / f"{log.stat().st_ino}.log")


def position(log: Path) -> int:
    """Mark the present end of an audit log, in bytes."""
    return log.stat().st_size if log.exists() else 0


def read(log: Path, user: str | None = None, since: int = 0) -> Iterator[AuditEvent]:
    """Give the events of an audit log in the order in which they were answered.

    Args:
        log: the file.
        user: only this user's events; None gives everybody's.
        since: a `position`; only later events are given.
    """
    if not log.exists():
        return
    wanted = json.dumps(user or "").strip('"').encode()
    with log.open("rb") as lines:
        lines.seek(since)
        for line in lines:
            if not line.endswith(b"\n"):  # the API server is writing it right now
                return
            if wanted not in line:
                continue
            event = _parse(line)
            if user is None or event.user == user:
                yield event


def _parse(line: bytes) -> AuditEvent:
    event = json.loads(line)
    target = event.get("objectRef", {})
    return AuditEvent(
        time=datetime.fromisoformat(event["requestReceivedTimestamp"]),
        user=event["user"].get("username", ""),
        user_agent=event.get("userAgent", ""),
        verb=event["verb"],
        api_group=target.get("apiGroup", ""),
        resource=target.get("resource", ""),
        subresource=target.get("subresource", ""),
        namespace=target.get("namespace", ""),
        name=target.get("name", ""),
        code=event.get("responseStatus", {}).get("code", 0),
        uri=event["requestURI"],
    )
