"""From Node objects to what planning needs of them. Called for every node event, so it is quick."""

import sys
from collections.abc import Iterable, Mapping
from functools import lru_cache
from typing import Any, Final

from llama_operator.catalog.gpus import SHARED_SUFFIX
from llama_operator.planning.inventory import Inventory, NodeFacts
from llama_operator.units import MIB, parse_quantity

NVIDIA: Final = "nvidia.com/gpu"
NVIDIA_SHARED: Final = "nvidia.com/gpu.shared"
"""Resource of time-sliced GPUs where the device plugin renames them."""
NVIDIA_PRODUCT: Final = "nvidia.com/gpu.product"
NVIDIA_MEMORY: Final = "nvidia.com/gpu.memory"
NVIDIA_COUNT: Final = "nvidia.com/gpu.count"
NVIDIA_MAJOR: Final = "nvidia.com/gpu.compute.major"
NVIDIA_MINOR: Final = "nvidia.com/gpu.compute.minor"
NVIDIA_DRIVER: Final = ("nvidia.com/cuda.driver-version.major", "nvidia.com/cuda.driver.major")
"""Labels of the driver's major version, newer and older."""
NVIDIA_REPLICAS: Final = "nvidia.com/gpu.replicas"
NVIDIA_STRATEGY: Final = "nvidia.com/gpu.sharing-strategy"
AMD: Final = "amd.com/gpu"
AMD_PREFIXES: Final = ("amd.com/gpu.", "beta.amd.com/gpu.")
"""Labels of the AMD node labeller, newer and older."""

TOLERATED_TAINTS: Final = (NVIDIA, AMD, "habana.ai/gaudi")
"""Taints that mark GPU nodes; pods tolerate their own resource's."""
HARD_EFFECTS: Final = ("NoSchedule", "NoExecute")
MEMORY_LIMIT_MIB: Final = 1 << 22
"""Labels beyond 4 TiB for one GPU are garbage."""


def node_facts(node: Mapping[str, Any]) -> NodeFacts | None:
    """What planning needs of a Node object; None for nodes without GPUs.

    Labels that cannot be read become None, never an error: anybody may write labels. Sources: GPU
    Feature Discovery and AMD node labeller, as seen on public nodes.

    Args:
        node: the object as the API server gives it.
    """
    metadata, status = _mapping(node.get("metadata")), _mapping(node.get("status"))
    allocatable = _mapping(status.get("allocatable"))
    resource = next(
        (name for name in (NVIDIA, NVIDIA_SHARED, AMD) if _whole(allocatable.get(name)) > 0), None
    )
    name = metadata.get("name")
    if resource is None or not isinstance(name, str):
        return None
    labels = _mapping(metadata.get("labels"))
    gpus = _whole(allocatable.get(resource))
    read = _amd_gpu if resource == AMD else _nvidia_gpu
    label, product, memory_mib, capability, replicas = read(labels, gpus)
    return NodeFacts(
        name=name,
        product=product,
        resource=resource,
        label=label,
        gpus=gpus,
        gpu_memory_mib=memory_mib,
        compute_capability=capability,
        replicas=replicas,
        cpu_millicores=_thousandths(allocatable.get("cpu")),
        memory_bytes=_whole(allocatable.get("memory")),
        disk_bytes=_whole(allocatable.get("ephemeral-storage")),
        usable=_is_ready(status) and _is_schedulable(_mapping(node.get("spec"))),
        driver=next(
            (found for name in NVIDIA_DRIVER if (found := _positive(labels.get(name)))), None
        ),
    )


def inventory_from_nodes(nodes: Iterable[Mapping[str, Any]]) -> Inventory:
    """The inventory of a list of Node objects, with nothing held."""
    facts = (node_facts(node) for node in nodes)
    return Inventory(nodes=tuple(node for node in facts if node is not None))


_Gpu = tuple[str, str, int | None, tuple[int, int] | None, int]
"""Label that carries the product, product, memory in MiB, compute capability, replicas."""


def _nvidia_gpu(labels: Mapping[str, Any], gpus: int) -> _Gpu:
    product = sys.intern(_text(labels.get(NVIDIA_PRODUCT)))  # thousands of nodes have one
    replicas = _positive(labels.get(NVIDIA_REPLICAS)) or 1
    if product.endswith(SHARED_SUFFIX) and replicas == 1:
        cards = _positive(labels.get(NVIDIA_COUNT)) or 1
        replicas = max(2, gpus // cards)
    memory_mib = _memory_mib(_positive(labels.get(NVIDIA_MEMORY)))
    if memory_mib and replicas > 1 and labels.get(NVIDIA_STRATEGY) == "mps":
        # MPS limits every client to its share of the memory, time-slicing does not.
        memory_mib //= replicas
    major, minor = _digits(labels.get(NVIDIA_MAJOR)), _digits(labels.get(NVIDIA_MINOR))
    capability = None if not major or minor is None else (major, minor)
    return NVIDIA_PRODUCT, product, memory_mib or None, capability, replicas


def _amd_gpu(labels: Mapping[str, Any], _: int) -> _Gpu:
    for prefix in AMD_PREFIXES:
        label = f"{prefix}product-name"
        product = _text(labels.get(label))
        if product:
            memory = _quantity(_text(labels.get(f"{prefix}vram")).removesuffix("i") + "i")
            return label, product, _memory_mib((memory or 0) // MIB), None, 1
    return f"{AMD_PREFIXES[0]}product-name", "", None, None, 1


def _is_ready(status: Mapping[str, Any]) -> bool:
    conditions = status.get("conditions")
    if not isinstance(conditions, list):
        return False
    return any(
        isinstance(condition, Mapping)
        and condition.get("type") == "Ready"
        and condition.get("status") == "True"
        for condition in conditions
    )


def _is_schedulable(spec: Mapping[str, Any]) -> bool:
    if spec.get("unschedulable"):
        return False
    taints = spec.get("taints")
    if not isinstance(taints, list):
        return True
    return not any(
        isinstance(taint, Mapping)
        and taint.get("effect") in HARD_EFFECTS
        and taint.get("key") not in TOLERATED_TAINTS
        for taint in taints
    )


def _memory_mib(value: int | None) -> int | None:
    return value if value and value <= MEMORY_LIMIT_MIB else None


def _mapping(value: object) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}


def _text(value: object) -> str:
    return value if isinstance(value, str) else ""


@lru_cache(maxsize=4096)
def _number(text: str) -> int | None:
    return int(text) if text.isascii() and text.isdigit() and len(text) <= 18 else None


def _digits(value: object) -> int | None:
    return _number(value) if isinstance(value, str) else None


def _positive(value: object) -> int | None:
    return _digits(value) or None


@lru_cache(maxsize=16384)
def _quantity(text: str) -> int | None:
    try:
        return max(0, int(parse_quantity(text)))
    except ValueError:
        return None


@lru_cache(maxsize=16384)
def _milli(text: str) -> int:
    try:
        return max(0, int(parse_quantity(text) * 1000))
    except ValueError:
        return 0


def _whole(value: object) -> int:
    if isinstance(value, int) and not isinstance(value, bool):
        return max(0, value)
    return (_quantity(value) or 0) if isinstance(value, str) else 0


def _thousandths(value: object) -> int:
    if isinstance(value, int) and not isinstance(value, bool):
        return max(0, value * 1000)
    return _milli(value) if isinstance(value, str) else 0
