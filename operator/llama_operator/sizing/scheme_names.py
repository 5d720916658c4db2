"""From the name of a quantization to its scheme."""

import re
from functools import lru_cache
from typing import Final

from llama_operator.catalog.catalog import Catalog
from llama_operator.catalog.rows import Scheme
from llama_operator.errors import CatalogError, UnsupportedSchemeError

UNQUANTIZED: Final = "none"
"""Name, and family, of the scheme of weights that are not quantized."""
GGUF: Final = "gguf"
"""Family of file types of llama.cpp; also what disk_margins.csv calls chosen files."""
MLX: Final = "mlx"
"""Family of schemes of MLX."""
_GROUPED: Final = re.compile(
    r"(?P<family>awq|gptq)-int(?P<bits>[2348])-(?:g(?P<group>[0-9]{1,4})|(?P<channel>channel))"
)
_COMPRESSED: Final = re.compile(
    r"gptq-w(?P<bits>[248])a16(?:-g(?P<group>[0-9]{1,4})|-(?P<channel>channel))?"
)
_MLX: Final = re.compile(r"mlx-(?P<bits>[234568])bit-g(?P<group>32|64|128)")
_COMPRESSED_GROUP: Final = 128
_NAMED: Final = (
    "none, fp8, fp8-online, fp8-dynamic, fp8-block, fbgemm-fp8, int8-w8a8, awq-int4-g128, "
    "gptq-int4-g128, gptq-w4a16, bnb-nf4, bnb-nf4-dq, bnb-int8, mxfp4, nvfp4, mlx-4bit-g64, "
    "mlx-8bit-g64, other bits and groups of awq, gptq and mlx, and GGUF file types such as Q4_K_M"
)


@lru_cache(maxsize=1024)
def scheme_for(name: str) -> Scheme:
    """The scheme of this name; case does not matter.

    Names are those of schemes.csv, and of the same families with other bits and groups:
    `awq-int8-g64`, `gptq-int3-g32`, `gptq-int4-channel` (one group for each output),
    `gptq-w8a16-g128`, `mlx-6bit-g64`.

    Raises:
        UnsupportedSchemeError: the name is not known; names those that are.
    """
    try:
        return Catalog.load().scheme(name)
    except CatalogError:
        scheme = _from_pattern(name.casefold())
    if scheme is None:
        msg = f"quantization {name[:80]!r} is not known; known are {_NAMED}"
        raise UnsupportedSchemeError(msg)
    return scheme


def _from_pattern(name: str) -> Scheme | None:
    """A scheme of a known family with other bits or another group; None for other names."""
    for pattern, like in ((_GROUPED, ""), (_COMPRESSED, "gptq-w4a16"), (_MLX, "mlx-4bit-g64")):
        match = pattern.fullmatch(name)
        if match is None:
            continue
        found = match.groupdict()
        group = int(found["group"] or _COMPRESSED_GROUP)
        if found.get("channel"):
            group = 0
        elif group < 8 or group & (group - 1):
            return None
        model = Catalog.load().scheme(like or f"{found['family']}-int4-g128")
        return Scheme(
            name=name,
            family=model.family,
            bits=int(found["bits"]),
            group_size=group,
            min_compute_capability=model.min_compute_capability,
            dtype=model.dtype,
            source=f"the bits and group that its name tells; otherwise as {model.name}",
        )
    return None
