"""From Node objects to what planning needs of them. Called for every node event, so it is quick."""

from collections.abc import Iterable, Mapping
from typing import Any, Final

from llama_operator.planning.gpu_resources import TOLERATED_TAINTS, is_gpu_resource
from llama_operator.planning.inventory import Inventory, NodeFacts
from llama_operator.planning.label_values import mapping, positive, text, thousandths, whole
from llama_operator.planning.node_labels import read_labels

NVIDIA_DRIVER: Final = ("nvidia.com/cuda.driver-version.major", "nvidia.com/cuda.driver.major")
"""Labels of the driver's major version, newer and older."""
HARD_EFFECTS: Final = ("NoSchedule", "NoExecute")


def node_offers(node: Mapping[str, Any]) -> tuple[NodeFacts, ...]:
    """What planning needs of a Node object: its GPUs by resource; none for nodes without GPUs.

    A node may offer whole GPUs and MIG slices of several profiles at once. Labels that cannot be
    read count as missing, never as an error. Sources: GPU Feature Discovery, the AMD node
    labeller and labels of clouds, as seen on public nodes.

    Args:
        node: the object as the API server gives it.
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
    if not resources or not isinstance(name, str):
        return ()
    labels = mapping(metadata.get("labels"))
    closed = _closed(status, mapping(node.get("spec")))
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
