"""Memory of GPUs from node labels, and rows for GPUs that the table does not know."""

from typing import Final

from llama_operator.catalog.rows import Gpu
from llama_operator.units import GIB, MIB, Bytes, ceil_div

MIG_MARK: Final = "-MIG-"
"""What stands between a product and the profile of its MIG slice."""
SHARED_SUFFIX: Final = "-SHARED"
"""What GPU Feature Discovery appends to a product under time-slicing or MPS."""
SMALL_CARD_MIB: Final = 24 * 1024
"""Largest label of the cards for which the driver keeps the smaller reserve."""
SMALL_CARD_RESERVE_BYTES: Final = 45 * GIB // 100
LARGE_CARD_RESERVE_BYTES: Final = 65 * GIB // 100
"""What the driver keeps to itself on an unknown card: 0.45 GiB up to 24 GB and 0.65 GiB above.

Rows of gpus.csv with both figures measured show 0.42 to 0.75 GiB.
"""
_24_GB_CARDS_MIB: Final = range(22 * 1024 + 1, 24 * 1024 + 1)
"""Labels of 24 GB cards: 23,028 (A10G) to 24,576 MiB (A30)."""
START_24_GB_BYTES: Final = 228 * GIB // 100
START_BYTES: Final = GIB // 2
"""Held on an idle card when an engine starts: 2.28 GiB on 24 GB cards, else 0.5 GiB.

19.77 of 22.05 GiB were free on an idle A10G (pytorch/pytorch#175666); 0.5 GiB is what vLLM's
start-up snapshot shows on one H100.
"""


def visible_bytes(gpu: Gpu | None, label_mib: int) -> Bytes:
    """Memory that a process sees on a GPU whose node label says `label_mib`.

    The label is preferred over the table: `total = label - reserve`, where the reserve is the
    difference of the two figures of the GPU's own row (0 for AMD, whose label comes from the same
    counter).

    Args:
        gpu: the row of the product; None when the table has none, which is taken for an NVIDIA GPU.
        label_mib: figure of the node label in MiB, e.g. 81559.

    Returns:
        Bytes; 0 when the label is not above the reserve.
    """
    if gpu is not None:
        reserve = gpu.label_bytes - gpu.total_bytes
    elif label_mib <= SMALL_CARD_MIB:
        reserve = SMALL_CARD_RESERVE_BYTES
    else:
        reserve = LARGE_CARD_RESERVE_BYTES
    return Bytes(max(0, label_mib * MIB - reserve))


def unknown_gpu(product: str, label_mib: int, compute_capability: tuple[int, int] | None) -> Gpu:
    """A row for a product that the table does not know, from what its node's labels say.

    Args:
        product: product of the label; the vendor follows from its first letters.
        label_mib: figure of the memory label in MiB, above 0.
        compute_capability: (major, minor) from the labels; None for other vendors or when missing.
    """
    vendor = _vendor(product)
    label_bytes = Bytes(label_mib * MIB)
    return Gpu(
        product=product,
        aliases=(),
        vendor=vendor,
        marketed_gb=ceil_div(label_mib, 1024),
        label_bytes=label_bytes,
        total_bytes=visible_bytes(None, label_mib) if vendor == "NVIDIA" else label_bytes,
        reserved_at_start_bytes=Bytes(
            START_24_GB_BYTES if label_mib in _24_GB_CARDS_MIB else START_BYTES
        ),
        compute_capability=compute_capability,
        bandwidth_bytes_per_second=0,
        nvlink_gb_per_second=0,
        instances="",
        source="labels of the node",
    )


def _vendor(product: str) -> str:
    if product.upper().startswith("AMD"):
        return "AMD"
    if product.upper().startswith("HL-"):
        return "Intel"
    return "NVIDIA"
