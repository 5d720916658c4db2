"""Events: what happened to an object, told once. What repeats is the conditions' business."""

import logging
from datetime import datetime

from llama_operator.api.names import FIELD_MANAGER
from llama_operator.cluster import resources
from llama_operator.cluster.client import ApiClient, ApiError, Json

_log = logging.getLogger(__name__)

NOTE_LIMIT = 1024
"""Bytes of a note (events.k8s.io/v1)."""


async def emit_event(
    client: ApiClient,
    regarding: Json,
    *,
    now: datetime,
    warning: bool,
    reason: str,
    note: str,
    action: str,
) -> None:
    """Write an Event about an object. Failing to is only logged.

    Args:
        client: an open client.
        regarding: apiVersion, kind and metadata of the object.
        now: the time of day in UTC.
        warning: Warning instead of Normal.
        reason: one CamelCase word.
        note: a sentence for people.
        action: what was done or tried, one CamelCase word.
    """
    metadata = regarding["metadata"]
    body = {
        "apiVersion": "events.k8s.io/v1",
        "kind": "Event",
        "metadata": {
            "namespace": metadata["namespace"],
            "name": f"{metadata['name'][:200]}.{int(now.timestamp() * 1e6):x}",
        },
        "eventTime": now.isoformat(timespec="microseconds").replace("+00:00", "Z"),
        "type": "Warning" if warning else "Normal",
        "reason": reason,
        "note": note.encode()[:NOTE_LIMIT].decode(errors="ignore"),
        "action": action,
        "reportingController": "llama-operator.io/llama-operator",
        "reportingInstance": "llama-operator",
        "regarding": {
            "apiVersion": regarding["apiVersion"],
            "kind": regarding["kind"],
            "namespace": metadata["namespace"],
            "name": metadata["name"],
            "uid": metadata["uid"],
        },
    }
    try:
        await client.create(resources.EVENTS, metadata["namespace"], body, FIELD_MANAGER)
    except ApiError as error:
        _log.warning("event %s not written: %s", reason, error.message)
