"""GPUs that other labels of nodes name than GPU Feature Discovery's, and memory of MIG slices."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache, lru_cache
from typing import Final

from llama_operator.catalog.tables import columns_of, read_table
from llama_operator.errors import CatalogError

GKE_ACCELERATOR: Final = "cloud.google.com/gke-accelerator"
NODE_LABELS: Final = (
    GKE_ACCELERATOR,
    "karpenter.k8s.aws/instance-family",
    "eks.amazonaws.com/instance-family",
    "karpenter.k8s.aws/instance-gpu-name",
    "eks.amazonaws.com/instance-gpu-name",
    "karpenter.azure.com/sku-gpu-name",
    "node.kubernetes.io/instance-type",
)
"""Labels that gpu_node_labels.csv has rows for; of several on one node the first one counts.

Families of AWS come before names of GPUs: the family tells an A100 of 40 GB from one of 80 GB, and
a whole L4 from a part of one. AKS names only the vendor, in `kubernetes.azure.com/accelerator`, so
that its size of machine counts.
"""


@dataclass(frozen=True, slots=True)
class GpuNodeLabel:
    """What a value of a node's label says of its GPUs.

    `product` is one of gpus.csv. `gpus` is how many cards such a node has, 0 where the value says
    nothing of it.
    """

    label: str
    value: str
    product: str
    gpus: int
    source: str


@dataclass(frozen=True, slots=True)
class MigProfile:
    """Memory of one slice of a product, in MiB, as the node's label would say."""

    product: str
    profile: str
    memory_mib: int
    source: str


@lru_cache(maxsize=4096)
def gpu_by_label(label: str, value: str) -> GpuNodeLabel | None:
    """What a label says of a node's GPUs; None for values that the table does not know.

    Case does not matter: Azure writes sizes in several ways.
    """
    return _by_label().get((label, value.casefold()))


def mig_memory_mib(product: str, profile: str) -> int | None:
    """Memory of a slice, e.g. of `1g.10gb`, by its parent; None where the table has no row.

    Slices with media extensions (`1g.10gb.me`) have the memory of those without.
    """
    return _by_profile().get((product.casefold(), profile.removesuffix(".me").casefold()))


@cache
def gpu_node_labels() -> tuple[GpuNodeLabel, ...]:
    """Rows of gpu_node_labels.csv.

    Raises:
        CatalogError: a cell is wrong.
    """
    return tuple(
        GpuNodeLabel(
            label=row.one_of("label", NODE_LABELS),
            value=row.text("value"),
            product=row.text("product"),
            gpus=row.integer("gpus", least=0, most=64),
            source=row.text("source"),
        )
        for row in read_table("gpu_node_labels.csv", columns_of(GpuNodeLabel))
    )


@cache
def mig_profiles() -> tuple[MigProfile, ...]:
    """Rows of mig_profiles.csv.

    Raises:
        CatalogError: a cell is wrong.
    """
    return tuple(
        MigProfile(
            product=row.text("product"),
            profile=row.text("profile"),
            memory_mib=row.integer("memory_mib", least=1, most=2**22),
            source=row.text("source"),
        )
        for row in read_table("mig_profiles.csv", columns_of(MigProfile))
    )


@cache
def _by_label() -> Mapping[tuple[str, str], GpuNodeLabel]:
    found: dict[tuple[str, str], GpuNodeLabel] = {}
    for row in gpu_node_labels():
        key = (row.label, row.value.casefold())
        if key in found:
            msg = f"gpu_node_labels.csv has two rows for {row.label}={row.value}"
            raise CatalogError(msg)
        found[key] = row
    return found


@cache
def _by_profile() -> Mapping[tuple[str, str], int]:
    found: dict[tuple[str, str], int] = {}
    for row in mig_profiles():
        key = (row.product.casefold(), row.profile.casefold())
        if key in found:
            msg = f"mig_profiles.csv has two rows for {row.profile} of {row.product}"
            raise CatalogError(msg)
        found[key] = row.memory_mib
    return found
