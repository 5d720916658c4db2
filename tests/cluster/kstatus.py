"""The rules of kstatus (cli-utils, pkg/kstatus/status/generic.go) for objects with conditions.

The tools that wait for an object (Flux, kpt, Helm) follow these rules, so they are the oracle here.
"""

from typing import Any


def kstatus(body: dict[str, Any]) -> str:
    """InProgress, Failed, Terminating or Current."""
    metadata, status = body["metadata"], body.get("status") or {}
    if metadata.get("deletionTimestamp"):
        return "Terminating"
    observed = status.get("observedGeneration")
    if observed is not None and observed != metadata.get("generation"):
        return "InProgress"
    conditions = {entry["type"]: entry["status"] for entry in status.get("conditions") or ()}
    if conditions.get("Reconciling") == "True":
        return "InProgress"
    if conditions.get("Stalled") == "True":
        return "Failed"
    if "Ready" in conditions and conditions["Ready"] != "True":
        return "InProgress"
    return "Current"
