"""How deep values of strangers may nest, before anything walks through them."""

from typing import Any, Final

DEPTH_LIMIT: Final = 64
"""Nested objects and lists; a configuration has about six."""


def is_deeper(value: Any, limit: int) -> bool:  # noqa: ANN401 - of JSON
    """Whether objects and lists nest more than `limit` times."""
    level = [value]
    for _ in range(limit):
        level = [
            inner
            for outer in level
            for inner in (outer.values() if isinstance(outer, dict) else outer)
            if isinstance(inner, dict | list)
        ]
        if not level:
            return False
    return True
