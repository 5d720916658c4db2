"""Reading what anybody may have written to a node: garbage becomes None or 0, never an error."""

from collections.abc import Mapping
from functools import lru_cache
from typing import Any, Final

from llama_operator.units import parse_quantity

MEMORY_LIMIT_MIB: Final = 1 << 22
"""Labels beyond 4 TiB for one GPU are garbage."""


def mapping(value: object) -> Mapping[str, Any]:
    """A JSON object; empty for anything else."""
    return value if isinstance(value, Mapping) else {}


def text(value: object) -> str:
    """A text; empty for anything else."""
    return value if isinstance(value, str) else ""


def digits(value: object) -> int | None:
    """A number of a label, 0 included."""
    return _number(value) if isinstance(value, str) else None


def positive(value: object) -> int | None:
    """A number of a label above 0."""
    return digits(value) or None


def memory_mib(value: object) -> int | None:
    """Memory of one GPU from a label in MiB; None beyond belief."""
    found = positive(value)
    return found if found and found <= MEMORY_LIMIT_MIB else None


def whole(value: object) -> int:
    """A quantity rounded down; 0 below."""
    if isinstance(value, int) and not isinstance(value, bool):
        return max(0, value)
    return (quantity(value) or 0) if isinstance(value, str) else 0


def thousandths(value: object) -> int:
    """A quantity times 1000, rounded down; 0 below."""
    if isinstance(value, int) and not isinstance(value, bool):
        return max(0, value * 1000)
    return _milli(value) if isinstance(value, str) else 0


@lru_cache(maxsize=16384)
def quantity(value: str) -> int | None:
    """A quantity rounded down, at least 0; None for what is none."""
    try:
        return max(0, int(parse_quantity(value)))
    except ValueError:
        return None


@lru_cache(maxsize=16384)
def _milli(value: str) -> int:
    try:
        return max(0, int(parse_quantity(value) * 1000))
    except ValueError:
        return 0


@lru_cache(maxsize=4096)
def _number(value: str) -> int | None:
    return int(value) if value.isascii() and value.isdigit() and len(value) <= 18 else None
