"""From Node objects to what planning needs of them. Called for every node event, so it is quick."""

from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any, Final

from llama_operator.planning.devices import NodeDevices
from llama_operator.planning.gpu_resources import NVIDIA, TOLERATED_TAINTS, is_gpu_resource
from llama_operator.planning.inventory import Inventory, NodeFacts
from llama_operator.planning.label_values import mapping, positive, text, thousandths, whole
from llama_operator.planning.node_labels import read_labels

NVIDIA_DRIVER: Final = ("nvidia.com/cuda.driver-version.major", "nvidia.com/cuda.driver.major")
"""Labels of the driver's major version, newer and older."""
HARD_EFFECTS: Final = ("NoSchedule", "NoExecute")
NEEDS_CLASS: Final = "with GPUs for resource claims alone: no DeviceClass stands for nvidia.com/gpu"
NEEDS_LABEL: Final = "with GPUs of ResourceSlices and no label by which pods find their product"
SEVERAL_KINDS: Final = "with several kinds of GPUs in ResourceSlices, told apart by claims alone"


def node_offers(
    node: Mapping[str, Any], devices: NodeDevices | None = None
) -> tuple[NodeFacts, ...]:
    """What planning needs of a Node object: its GPUs by resource; none for nodes without GPUs.

    A node may offer whole GPUs and MIG slices of several profiles at once. Labels that cannot be
    read count as missing, never as an error. Sources: GPU Feature Discovery, the AMD node
    labeller and labels of clouds, as seen on public nodes.

    Args:
        node: the object as the API server gives it.
        devices: GPUs that a driver of dynamic resource allocation offers; they count where
            allocatable shows none.
    """
    status = mapping(node.get("status"))
    allocatable = mapping(status.get("allocatable"))
    resources = sorted(
        name
        for name in allocatable
        if isinstance(name, str) and is_gpu_resource(name) and whole(allocatable[name]) > 0
    )
    metadata = mapping(node.get("metadata"))
    name = metadata.get("name")
    if not (resources or devices) or not isinstance(name, str):
        return ()
    labels = mapping(metadata.get("labels"))
    closed = _closed(status, mapping(node.get("spec")))
    if devices and not resources:
        offer = _device_offer(name, labels, allocatable, devices)
        return (replace(offer, closed=closed or offer.closed),)
    cpu, memory = thousandths(allocatable.get("cpu")), whole(allocatable.get("memory"))
    disk = whole(allocatable.get("ephemeral-storage"))
    driver = next((found for key in NVIDIA_DRIVER if (found := positive(labels.get(key)))), None)
    offers: list[NodeFacts] = []
    for resource in resources:
        gpus = whole(allocatable[resource])
        told = read_labels(labels, resource, gpus)
        offers.append(
            NodeFacts(
                name=name,
                product=told.product,
                resource=resource,
                label=told.label,
                gpus=gpus,
                gpu_memory_mib=told.gpu_memory_mib,
                compute_capability=told.compute_capability,
                replicas=told.replicas,
                cpu_millicores=cpu,
                memory_bytes=memory,
                disk_bytes=disk,
                driver=driver,
                sharing=told.sharing,
                selector=told.selector,
                closed=closed or told.contradiction,
                further=bool(offers),
            )
        )
    return tuple(offers)


def _device_offer(
    name: str, labels: Mapping[str, Any], allocatable: Mapping[str, Any], devices: NodeDevices
) -> NodeFacts:
    """GPUs of slices, which pods find by the labels of their node as they do others."""
    told = read_labels(labels, NVIDIA, len(devices.gpus))
    kinds = set(devices.gpus)
    first = min(devices.gpus, key=lambda gpu: (gpu.memory_mib or 0, gpu.product))
    closed = told.contradiction
    if not devices.by_resource:
        closed = NEEDS_CLASS
    elif not told.product:
        closed = NEEDS_LABEL
    elif len({gpu.product for gpu in kinds}) > 1:
        closed = SEVERAL_KINDS
    return NodeFacts(
        name=name,
        product=told.product or first.product,
        resource=NVIDIA,
        label=told.label,
        gpus=len(devices.gpus),
        gpu_memory_mib=told.gpu_memory_mib or first.memory_mib,
        compute_capability=told.compute_capability or first.compute_capability,
        replicas=told.replicas,
        cpu_millicores=thousandths(allocatable.get("cpu")),
        memory_bytes=whole(allocatable.get("memory")),
        disk_bytes=whole(allocatable.get("ephemeral-storage")),
        driver=min((gpu.driver for gpu in kinds if gpu.driver), default=None),
        sharing=told.sharing,
        selector=told.selector,
        closed=closed,
    )


def inventory_from_nodes(nodes: Iterable[Mapping[str, Any]]) -> Inventory:
    """The inventory of a list of Node objects, with nothing held."""
    return Inventory(nodes=tuple(offer for node in nodes for offer in node_offers(node)))


def _closed(status: Mapping[str, Any], spec: Mapping[str, Any]) -> str:
    """Why a node takes no pods; empty when it does."""
    if not _is_ready(status):
        return "not ready"
    if spec.get("unschedulable"):
        return "cordoned"
    return _taint(spec)


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


def _taint(spec: Mapping[str, Any]) -> str:
    """The first taint that pods do not tolerate, e.g. `tainted team:NoSchedule`."""
    taints = spec.get("taints")
    if not isinstance(taints, list):
        return ""
    hard = [
        f"tainted {text(taint.get('key'))}:{taint.get('effect')}"
        for taint in taints
        if isinstance(taint, Mapping)
        and taint.get("effect") in HARD_EFFECTS
        and taint.get("key") not in TOLERATED_TAINTS
    ]
    return min(hard, default="")
