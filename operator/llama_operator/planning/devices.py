"""GPUs that a driver of dynamic resource allocation (DRA) offers, projected from its slices.

Nodes with such a driver show no GPUs in allocatable. Plain requests of `nvidia.com/gpu` get them
only where a DeviceClass has that `extendedResourceName` (Kubernetes 1.36 and later by default).
"""

from collections.abc import Iterable, Mapping
from typing import Any, Final, NamedTuple

from llama_operator.planning.label_values import MEMORY_LIMIT_MIB, mapping, quantity, text
from llama_operator.units import MIB

DRIVER: Final = "gpu.nvidia.com"
"""Driver of NVIDIA's slices; attributes may be written with it as their domain."""
_WHOLE: Final = "gpu"
"""Attribute `type` of whole cards; their MIG slices and passed-through cards have others."""


class Gpu(NamedTuple):
    """What attributes of a device tell of a GPU; None for what is missing."""

    product: str
    memory_mib: int | None
    compute_capability: tuple[int, int] | None
    driver: int | None


class SliceFacts(NamedTuple):
    """Whole GPUs of one ResourceSlice. Of a pool the slices of the newest generation hold."""

    node: str
    pool: str
    generation: int
    gpus: tuple[Gpu, ...]


class NodeDevices(NamedTuple):
    """GPUs of one node; `by_resource`: plain requests of nvidia.com/gpu get them."""

    gpus: tuple[Gpu, ...]
    by_resource: bool


def slice_facts(item: Mapping[str, Any]) -> SliceFacts | None:
    """Project a ResourceSlice; None for those of other drivers, and without a node or whole GPUs.

    Garbage counts as missing, never as an error.
    """
    spec = mapping(item.get("spec"))
    node, pool = text(spec.get("nodeName")), mapping(spec.get("pool"))
    devices = spec.get("devices")
    if spec.get("driver") != DRIVER or not node or not isinstance(devices, list):
        return None
    gpus = tuple(gpu for device in devices if (gpu := _gpu(mapping(device))) is not None)
    generation = pool.get("generation")
    number = generation if isinstance(generation, int) else 0
    return SliceFacts(node, text(pool.get("name")), number, gpus) if gpus else None


def gpus_of(slices: Iterable[SliceFacts]) -> tuple[Gpu, ...]:
    """GPUs of a node by its slices, of each pool those of the newest generation."""
    known = sorted(slices)
    newest = {one.pool: one.generation for one in known}
    return tuple(gpu for one in known if one.generation == newest[one.pool] for gpu in one.gpus)


def extended_resource(item: Mapping[str, Any]) -> str | None:
    """The extended resource that a DeviceClass stands for; None without one."""
    return text(mapping(item.get("spec")).get("extendedResourceName")) or None


def _gpu(device: Mapping[str, Any]) -> Gpu | None:
    # The beta versions of the API had these one level deeper.
    body = mapping(device.get("basic")) or device
    attributes = {
        key.removeprefix(f"{DRIVER}/"): mapping(value)
        for key, value in mapping(body.get("attributes")).items()
        if isinstance(key, str)
    }
    if text(attributes.get("type", {}).get("string")) != _WHOLE:
        return None
    capacity = {
        key.removeprefix(f"{DRIVER}/"): mapping(value)
        for key, value in mapping(body.get("capacity")).items()
        if isinstance(key, str)
    }
    mib = (quantity(text(capacity.get("memory", {}).get("value"))) or 0) // MIB
    capability = _numbers(attributes, "cudaComputeCapability")
    driver = _numbers(attributes, "driverVersion")
    return Gpu(
        product="-".join(text(attributes.get("productName", {}).get("string")).split()),
        memory_mib=mib if 0 < mib <= MEMORY_LIMIT_MIB else None,
        compute_capability=(capability[0], capability[1]) if len(capability) > 1 else None,
        driver=driver[0] if driver and driver[0] else None,
    )


def _numbers(attributes: Mapping[str, Mapping[str, Any]], name: str) -> tuple[int, ...]:
    """Parts of a version such as 9.0.0; empty for what is none."""
    parts = text(attributes.get(name, {}).get("version")).split(".")
    if not all(part.isascii() and part.isdigit() and len(part) < 9 for part in parts):
        return ()
    return tuple(map(int, parts))
