"""Clusters made by hand: nodes as planning sees them."""

from dataclasses import replace
from typing import Any

from llama_operator.api.v1alpha1 import LlamaDeploymentSpec
from llama_operator.catalog.catalog import Catalog
from llama_operator.planning.inventory import Inventory, NodeFacts
from llama_operator.planning.outcome import Outcome, Planned, Refusal
from llama_operator.planning.plan import plan
from llama_operator.units import GIB

CATALOG = Catalog.load()
UNPRICED = Catalog(replace(CATALOG.tables, prices=()))

GPU = "nvidia.com/gpu"
V100 = ("Tesla-V100-SXM2-16GB", 16_384)
T4 = ("Tesla-T4", 15_360)
A10G = ("NVIDIA-A10G", 23_028)
L4 = ("NVIDIA-L4", 23_034)
L40S = ("NVIDIA-L40S", 46_068)
A100_40GB = ("NVIDIA-A100-SXM4-40GB", 40_960)
A100 = ("NVIDIA-A100-SXM4-80GB", 81_920)
H100 = ("NVIDIA-H100-80GB-HBM3", 81_559)
MI300X = ("AMD_Instinct_MI300X_OAM", 196_592)


def node(
    name: str,
    gpu: tuple[str, int | None],
    gpus: int = 8,
    *,
    capability: tuple[int, int] | None = None,
    replicas: int = 1,
    cpu: int = 96_000,
    memory: int = 1024 * GIB,
    disk: int = 4096 * GIB,
    usable: bool = True,
    resource: str = "nvidia.com/gpu",
    **more: Any,
) -> NodeFacts:
    values: dict[str, Any] = {
        "name": name,
        "product": gpu[0],
        "resource": resource,
        "label": f"{resource}.product",
        "gpus": gpus,
        "gpu_memory_mib": gpu[1],
        "compute_capability": capability,
        "replicas": replicas,
        "cpu_millicores": cpu,
        "memory_bytes": memory,
        "disk_bytes": disk,
        "closed": "" if usable else "cordoned",
        "sharing": "time-slicing" if replicas > 1 else "",
    }
    return NodeFacts(**(values | more))


TOKEN = {"tokenSecretRef": {"name": "hf-token"}}
"""Opens gated repositories."""


def spec(**fields: Any) -> LlamaDeploymentSpec:
    """The spec of somebody who has a token."""
    return LlamaDeploymentSpec.model_validate({**TOKEN, **fields})


def spec_without_token(**fields: Any) -> LlamaDeploymentSpec:
    return LlamaDeploymentSpec.model_validate(fields)


def outcome_of(
    wanted: LlamaDeploymentSpec, *nodes: NodeFacts, held: dict[str, int] | None = None, **kw: Any
) -> Outcome:
    reserved, catalog = kw.pop("reserved", ()), kw.pop("catalog", CATALOG)
    groups = kw.pop("leader_worker_set", False)
    return plan(wanted, catalog, Inventory(nodes, on_nodes(held or {}), reserved, groups), **kw)


def on_nodes(held: dict[str, int], resource: str = GPU) -> dict[tuple[str, str], int]:
    """Held GPUs of one resource by node, as an inventory counts them."""
    return {(name, resource): gpus for name, gpus in held.items()}


def planned(wanted: LlamaDeploymentSpec, *nodes: NodeFacts, **kw: Any) -> Planned:
    outcome = outcome_of(wanted, *nodes, **kw)
    assert isinstance(outcome, Planned), outcome
    return outcome


def refused(wanted: LlamaDeploymentSpec, *nodes: NodeFacts, **kw: Any) -> Refusal:
    outcome = outcome_of(wanted, *nodes, **kw)
    assert isinstance(outcome, Refusal), outcome
    return outcome
