"""Lists as the API server gave them at one moment."""

from collections.abc import Mapping
from dataclasses import dataclass

ListKey = tuple[str, str, str]
"""Path, label selector and field selector of a list."""


@dataclass(frozen=True)
class Snapshot:
    """Bodies of lists by what was asked for."""

    lists: Mapping[ListKey, bytes]


def list_key(path: str, query: Mapping[str, str]) -> ListKey:
    """What a list asks for, whatever its paging."""
    return path, query.get("labelSelector", ""), query.get("fieldSelector", "")
