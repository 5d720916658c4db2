"""Quantities in the spelling that the API server keeps, so that comparing finds no difference.

The API server rewrites a quantity to the largest suffix without a fraction: 13312Mi comes back as
13Gi and 2000m as 2 (`CanonicalizeBytes`, k8s.io/apimachinery, pkg/api/resource).
"""

from typing import Final

from llama_operator.units import MIB, ceil_div

_BINARY_SUFFIXES: Final = ("Mi", "Gi", "Ti", "Pi", "Ei")


def canonical_bytes(value: int) -> str:
    """Bytes as a quantity, rounded up to whole MiB: 13958643712 becomes 13Gi."""
    mantissa = ceil_div(value, MIB)
    if mantissa == 0:
        return "0"
    suffix = 0
    while mantissa % 1024 == 0 and suffix + 1 < len(_BINARY_SUFFIXES):
        mantissa //= 1024
        suffix += 1
    return f"{mantissa}{_BINARY_SUFFIXES[suffix]}"


def canonical_cpu(millicores: int) -> str:
    """Thousandths of a core as a quantity: 2000 becomes 2, 1500 stays 1500m."""
    return str(millicores // 1000) if millicores % 1000 == 0 else f"{millicores}m"
