"""A proxy between a client and the API server that breaks what it is told to break."""

from faultproxy.calls import WRITES, Call
from faultproxy.faults import (
    Answer,
    CloseAfter,
    CutAfterCommit,
    CutBeforeCommit,
    Delay,
    Drop,
    Fault,
    Freeze,
    Hang,
    Inject,
    Notify,
    Rule,
    Stale,
)
from faultproxy.proxy import FaultProxy
from faultproxy.snapshot import Snapshot

__all__ = [
    "WRITES",
    "Answer",
    "Call",
    "CloseAfter",
    "CutAfterCommit",
    "CutBeforeCommit",
    "Delay",
    "Drop",
    "Fault",
    "FaultProxy",
    "Freeze",
    "Hang",
    "Inject",
    "Notify",
    "Rule",
    "Snapshot",
    "Stale",
]
