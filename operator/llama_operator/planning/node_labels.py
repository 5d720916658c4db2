"""What labels of a node tell of its GPUs: GPU Feature Discovery, AMD's and Intel's, the clouds'."""

import sys
from collections.abc import Mapping
from functools import lru_cache
from typing import Any, Final, NamedTuple

from llama_operator.catalog.gpu_node_labels import (
    GKE_ACCELERATOR,
    NODE_LABELS,
    gpu_by_label,
    mig_memory_mib,
)
from llama_operator.catalog.gpus import MIG_MARK, SHARED_SUFFIX
from llama_operator.planning.gpu_resources import (
    AMD,
    GAUDI,
    INTEL,
    MIG_PREFIX,
    NVIDIA_SHARED,
    SHARED_RESOURCE,
    is_mig_resource,
)
from llama_operator.planning.inventory import MPS, TIME_SLICING, Selector
from llama_operator.planning.label_values import (
    MEMORY_LIMIT_MIB,
    digits,
    memory_mib,
    positive,
    quantity,
    text,
)
from llama_operator.units import MIB, ceil_div

NVIDIA_PRODUCT: Final = "nvidia.com/gpu.product"
_NVIDIA_GPU: Final = "nvidia.com/gpu"
_COUNT: Final = "nvidia.com/gpu.count"
_MEMORY: Final = "nvidia.com/gpu.memory"
_MAJOR: Final = "nvidia.com/gpu.compute.major"
_MINOR: Final = "nvidia.com/gpu.compute.minor"
_INVALID: Final = f"{MIG_MARK}INVALID"
"""End of the product where slices of a node differ though its MIG strategy is `single`."""
_AMD_PREFIXES: Final = ("amd.com/gpu.", "beta.amd.com/gpu.")
"""Labels of the AMD node labeller, newer and older."""
AMD_PRODUCT: Final = "amd.com/gpu.product-name"
_INTEL_PRODUCT: Final = "gpu.intel.com/product"
_GAUDI_PRODUCT: Final = "habana.ai/product.name"
_GKE_PARTITION: Final = "cloud.google.com/gke-gpu-partition-size"
_GKE_SHARING: Final = "cloud.google.com/gke-gpu-sharing-strategy"
_GKE_CLIENTS: Final = "cloud.google.com/gke-max-shared-clients-per-gpu"
_COUNTS: Final = (
    "cloud.google.com/gke-accelerator-count",
    "karpenter.k8s.aws/instance-gpu-count",
    "eks.amazonaws.com/instance-gpu-count",
    "karpenter.azure.com/sku-gpu-count",
)
"""Labels of clouds that count the cards of a node.

Their labels of memory are not read: Karpenter's was that of all cards of the node together in some
versions (91,553 MiB for four L4) and is that of one card in others.
"""


class GpuLabels(NamedTuple):
    """What labels tell of the GPUs under one resource; fields are those of `NodeFacts`."""

    label: str
    product: str
    gpu_memory_mib: int | None = None
    compute_capability: tuple[int, int] | None = None
    replicas: int = 1
    sharing: str = ""
    selector: Selector = ()
    contradiction: str = ""


def read_labels(labels: Mapping[str, Any], resource: str, gpus: int) -> GpuLabels:
    """What labels tell of the GPUs of a resource.

    Labels that cannot be read count as missing, never as an error: anybody may write labels.

    Args:
        labels: of the node.
        resource: one that `is_gpu_resource`.
        gpus: allocatable, above 0.
    """
    if is_mig_resource(resource):
        return _mig(labels, resource)
    if resource == AMD:
        found = _amd(labels)
    elif resource in INTEL:
        label = _GAUDI_PRODUCT if resource == GAUDI else _INTEL_PRODUCT
        found = GpuLabels(label, sys.intern(text(labels.get(label))))
    else:
        found = _nvidia(labels, resource, gpus)
    return found if found.product or resource in INTEL else _cloud(labels, resource, gpus)


def _nvidia(labels: Mapping[str, Any], resource: str, gpus: int) -> GpuLabels:
    """Whole GPUs, or under the MIG strategy `single` slices that are alike."""
    product = sys.intern(text(labels.get(NVIDIA_PRODUCT)))  # thousands of nodes have one
    replicas, sharing = _sharing(labels, _NVIDIA_GPU)
    cards = positive(labels.get(_COUNT))
    shared = product.endswith(SHARED_SUFFIX) or resource == NVIDIA_SHARED
    if replicas == 1 and (shared or (cards and gpus > cards)):
        # There are no more GPUs than cards unless these are shared, whatever the labels say.
        replicas, sharing = max(2, ceil_div(gpus, cards or 1)), TIME_SLICING
    return GpuLabels(
        NVIDIA_PRODUCT,
        product,
        memory_mib(labels.get(_MEMORY)),
        _capability(labels),
        replicas,
        sharing,
        contradiction=f"with MIG slices that differ ({NVIDIA_PRODUCT})"
        if product.endswith(_INVALID)
        else "",
    )


def _mig(labels: Mapping[str, Any], resource: str) -> GpuLabels:
    """Slices of one profile under the MIG strategy `mixed`."""
    prefix, product_label, profile = _mig_names(resource)
    product = sys.intern(text(labels.get(product_label)))
    replicas, sharing = _sharing(labels, prefix)
    if replicas == 1 and resource.endswith(SHARED_RESOURCE):
        replicas, sharing = 2, TIME_SLICING
    selector: Selector = ()
    parent = product.split(MIG_MARK)[0]
    if not product:
        # Older versions label the slices without a product, and the node with that of its cards.
        whole = read_labels(labels, _NVIDIA_GPU, 1)
        parent = whole.product.removesuffix(SHARED_SUFFIX)
        if not parent:
            return GpuLabels(product_label, "")
        product_label, product = whole.label, sys.intern(f"{parent}{MIG_MARK}{profile}")
        selector = whole.selector or ((whole.label, whole.product),)
    return GpuLabels(
        product_label,
        product,
        memory_mib(labels.get(f"{prefix}.memory")) or mig_memory_mib(parent, profile),
        _capability(labels),
        replicas,
        sharing,
        selector,
    )


@lru_cache(maxsize=1024)
def _mig_names(resource: str) -> tuple[str, str, str]:
    """Start of the labels of a slice, label of its product, and its profile."""
    prefix = resource.removesuffix(SHARED_RESOURCE)
    return prefix, f"{prefix}.product", prefix.removeprefix(MIG_PREFIX)


def _sharing(labels: Mapping[str, Any], prefix: str) -> tuple[int, str]:
    """Shares of one GPU, and how it is shared."""
    count, strategy = _sharing_names(prefix)
    replicas = positive(labels.get(count)) or 1
    if replicas == 1:
        return 1, ""
    return replicas, MPS if labels.get(strategy) == MPS else TIME_SLICING


@lru_cache(maxsize=1024)
def _sharing_names(prefix: str) -> tuple[str, str]:
    """Labels of the shares of one GPU, and of how it is shared."""
    return f"{prefix}.replicas", f"{prefix}.sharing-strategy"


def _capability(labels: Mapping[str, Any]) -> tuple[int, int] | None:
    major, minor = digits(labels.get(_MAJOR)), digits(labels.get(_MINOR))
    return None if not major or minor is None else (major, minor)


def _amd(labels: Mapping[str, Any]) -> GpuLabels:
    for prefix in _AMD_PREFIXES:
        label = f"{prefix}product-name"
        product = text(labels.get(label))
        if product:
            # `192G` are GiB, as are `192Gi`.
            vram = quantity(text(labels.get(f"{prefix}vram")).removesuffix("i") + "i")
            mib = (vram or 0) // MIB
            known = mib if 0 < mib <= MEMORY_LIMIT_MIB else None
            return GpuLabels(label, sys.intern(product), known)
    return GpuLabels(AMD_PRODUCT, "")


def _cloud(labels: Mapping[str, Any], resource: str, gpus: int) -> GpuLabels:
    """GPUs that a label of a cloud names: memory and capability are those of the catalog's row.

    The selector asks that the label of GPU Feature Discovery, or of AMD's labeller, is absent:
    where it is there it may tell of slices and shares, which the label of the cloud does not.
    """
    discovered = AMD_PRODUCT if resource == AMD else NVIDIA_PRODUCT
    for label in NODE_LABELS:
        value = text(labels.get(label))
        row = gpu_by_label(label, value) if value else None
        if row is None or (resource == AMD) != row.product.startswith("AMD"):
            continue
        if label == GKE_ACCELERATOR:
            found = _gke(labels, value, row.product)
        else:
            found = GpuLabels(label, row.product, selector=((label, value),))
        found = found._replace(selector=(*found.selector, (discovered, "")))
        cards = row.gpus or max((positive(labels.get(name)) or 0 for name in _COUNTS), default=0)
        cut = found.sharing or MIG_MARK in found.product
        if cards and gpus > cards and not cut:
            told = (
                f"with more GPUs ({gpus}) than cards ({cards}), which no label tells to be shared"
            )
            return found._replace(contradiction=told)
        return found
    named = text(labels.get(GKE_ACCELERATOR))
    return GpuLabels(GKE_ACCELERATOR, sys.intern(named)) if named else GpuLabels("", "")


def _gke(labels: Mapping[str, Any], value: str, product: str) -> GpuLabels:
    """GPUs of GKE, whose slices and shares have the accelerator and the resource of whole ones."""
    partition, strategy = text(labels.get(_GKE_PARTITION)), text(labels.get(_GKE_SHARING))
    clients = text(labels.get(_GKE_CLIENTS)) if strategy else ""
    selector: Selector = (
        (GKE_ACCELERATOR, value),
        (_GKE_PARTITION, partition),
        (_GKE_SHARING, strategy),
    )
    slice_mib = None
    if partition:
        slice_mib = mig_memory_mib(product, partition)
        product = f"{product}{MIG_MARK}{partition}"
    replicas, sharing = 1, ""
    if strategy:
        product = f"{product}{SHARED_SUFFIX}"
        replicas, sharing = positive(clients) or 2, MPS if strategy == MPS else TIME_SLICING
    if clients:
        selector = (*selector, (_GKE_CLIENTS, clients))
    return GpuLabels(
        GKE_ACCELERATOR,
        sys.intern(product),
        slice_mib,
        replicas=replicas,
        sharing=sharing,
        selector=selector,
    )
