from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llama_operator.planning.inventory import NodeFacts
from llama_operator.planning.nodes import inventory_from_nodes, node_facts

NVIDIA_LABELS = {
    "nvidia.com/gpu.product": "NVIDIA-A100-SXM4-80GB",
    "nvidia.com/gpu.memory": "81920",
    "nvidia.com/gpu.count": "8",
    "nvidia.com/gpu.compute.major": "8",
    "nvidia.com/gpu.compute.minor": "0",
    "nvidia.com/gpu.replicas": "1",
    "kubernetes.io/hostname": "gpu-1",
}
READY = {"type": "Ready", "status": "True"}


def node(
    labels: dict[str, str] | None = None,
    *,
    allocatable: dict[str, str] | None = None,
    conditions: list[dict[str, str]] | None = None,
    **spec: Any,
) -> dict[str, Any]:
    return {
        "metadata": {"name": "gpu-1", "labels": NVIDIA_LABELS if labels is None else labels},
        "spec": spec,
        "status": {
            "allocatable": {
                "cpu": "95690m",
                "memory": "1031Gi",
                "ephemeral-storage": "95551679124",
                "nvidia.com/gpu": "8",
            }
            | (allocatable or {}),
            "conditions": [READY] if conditions is None else conditions,
        },
    }


def facts(**changed: Any) -> NodeFacts:
    values: dict[str, Any] = {
        "name": "gpu-1",
        "product": "NVIDIA-A100-SXM4-80GB",
        "resource": "nvidia.com/gpu",
        "label": "nvidia.com/gpu.product",
        "gpus": 8,
        "gpu_memory_mib": 81_920,
        "compute_capability": (8, 0),
        "replicas": 1,
        "cpu_millicores": 95_690,
        "memory_bytes": 1031 * 1024**3,
        "disk_bytes": 95_551_679_124,
        "usable": True,
    }
    return NodeFacts(**(values | changed))


def labels(**changed: str | None) -> dict[str, str]:
    merged = NVIDIA_LABELS | {f"nvidia.com/gpu.{key}": value for key, value in changed.items()}
    return {key: value for key, value in merged.items() if value is not None}


@pytest.mark.parametrize(
    ("found", "expected"),
    [
        pytest.param(node(), facts(), id="a node with eight A100"),
        pytest.param(
            node(labels(memory=None)), facts(gpu_memory_mib=None), id="no label for the memory"
        ),
        pytest.param(
            node(labels(memory="80Gi")), facts(gpu_memory_mib=None), id="memory that is no number"
        ),
        pytest.param(
            node(labels(memory="0")), facts(gpu_memory_mib=None), id="memory of a broken MIG node"
        ),
        pytest.param(
            node(labels(memory="9" * 15)), facts(gpu_memory_mib=None), id="memory beyond belief"
        ),
        pytest.param(
            node(labels(memory="-81920")), facts(gpu_memory_mib=None), id="negative memory"
        ),
        pytest.param(
            node(NVIDIA_LABELS | {"nvidia.com/gpu.compute.major": "eight"}),
            facts(compute_capability=None),
            id="a compute capability that is no number",
        ),
        pytest.param(
            node({}),
            facts(product="", gpu_memory_mib=None, compute_capability=None),
            id="GPUs without GPU Feature Discovery",
        ),
        pytest.param(
            node(
                labels(product="NVIDIA-A100-SXM4-80GB-SHARED", replicas="4"),
                allocatable={"nvidia.com/gpu": "32"},
            ),
            facts(product="NVIDIA-A100-SXM4-80GB-SHARED", gpus=32, replicas=4),
            id="time-slicing divides no memory",
        ),
        pytest.param(
            node(
                NVIDIA_LABELS
                | {"nvidia.com/gpu.replicas": "4", "nvidia.com/gpu.sharing-strategy": "mps"},
                allocatable={"nvidia.com/gpu": "32"},
            ),
            facts(gpus=32, replicas=4, gpu_memory_mib=20_480),
            id="MPS limits every client to its share",
        ),
        pytest.param(
            node(
                labels(product="NVIDIA-A100-SXM4-80GB-SHARED", replicas=None),
                allocatable={"nvidia.com/gpu": "32"},
            ),
            facts(product="NVIDIA-A100-SXM4-80GB-SHARED", gpus=32, replicas=4),
            id="a shared product without replicas: shares follow from the count of cards",
        ),
        pytest.param(
            node(allocatable={"nvidia.com/gpu": "0", "nvidia.com/gpu.shared": "16"}),
            facts(resource="nvidia.com/gpu.shared", gpus=16),
            id="time-sliced GPUs under a name of their own",
        ),
        pytest.param(
            node(
                labels(product="NVIDIA-A100-SXM4-80GB-MIG-3g.40gb", memory="40192"),
                allocatable={"nvidia.com/gpu": "16"},
            ),
            facts(product="NVIDIA-A100-SXM4-80GB-MIG-3g.40gb", gpus=16, gpu_memory_mib=40_192),
            id="MIG slices have their own memory",
        ),
        pytest.param(
            node(
                {"amd.com/gpu.product-name": "AMD_Instinct_MI300X_OAM", "amd.com/gpu.vram": "192G"},
                allocatable={"nvidia.com/gpu": "0", "amd.com/gpu": "8"},
            ),
            facts(
                product="AMD_Instinct_MI300X_OAM",
                resource="amd.com/gpu",
                label="amd.com/gpu.product-name",
                gpu_memory_mib=196_608,
                compute_capability=None,
            ),
            id="AMD: memory in GiB without saying so",
        ),
        pytest.param(
            node(
                {
                    "beta.amd.com/gpu.product-name": "AMD_Instinct_MI300X_OAM",
                    "beta.amd.com/gpu.vram": "191G",
                },
                allocatable={"nvidia.com/gpu": "0", "amd.com/gpu": "8"},
            ),
            facts(
                product="AMD_Instinct_MI300X_OAM",
                resource="amd.com/gpu",
                label="beta.amd.com/gpu.product-name",
                gpu_memory_mib=195_584,
                compute_capability=None,
            ),
            id="AMD: an older labeller",
        ),
        pytest.param(
            node(allocatable={"cpu": "96", "memory": "1Ti", "ephemeral-storage": "lots"}),
            facts(cpu_millicores=96_000, memory_bytes=1024**4, disk_bytes=0),
            id="whole cores, and a disk that is no quantity",
        ),
    ],
)
def test_a_node_becomes_facts(found: dict[str, Any], expected: NodeFacts) -> None:
    assert node_facts(found) == expected


@pytest.mark.parametrize(
    ("found", "usable"),
    [
        pytest.param(node(), True, id="ready"),
        pytest.param(node(conditions=[]), False, id="no conditions yet"),
        pytest.param(
            node(conditions=[{"type": "Ready", "status": "Unknown"}]), False, id="kubelet is gone"
        ),
        pytest.param(
            node(conditions=[{"type": "DiskPressure", "status": "True"}, READY]),
            True,
            id="other conditions do not matter",
        ),
        pytest.param(node(unschedulable=True), False, id="cordoned"),
        pytest.param(
            node(taints=[{"key": "nvidia.com/gpu", "value": "present", "effect": "NoSchedule"}]),
            True,
            id="the taint of GPU nodes is tolerated",
        ),
        pytest.param(
            node(taints=[{"key": "team", "value": "a", "effect": "NoSchedule"}]),
            False,
            id="another team's taint",
        ),
        pytest.param(
            node(taints=[{"key": "team", "effect": "NoExecute"}]), False, id="a taint that evicts"
        ),
        pytest.param(
            node(taints=[{"key": ["team"], "effect": ["NoSchedule"]}, "NoSchedule"]),
            True,
            id="taints that are none",
        ),
        pytest.param(
            node(taints=[{"key": "team", "effect": "PreferNoSchedule"}]),
            True,
            id="a mere preference",
        ),
    ],
)
def test_nodes_that_take_no_pods_are_not_usable(found: dict[str, Any], usable: bool) -> None:
    result = node_facts(found)
    assert result is not None
    assert result.usable is usable


@pytest.mark.parametrize(
    "found",
    [
        pytest.param(node(allocatable={"nvidia.com/gpu": "0"}), id="no GPU is healthy"),
        pytest.param({"metadata": {"name": "cpu-1"}}, id="no status"),
        pytest.param({}, id="an empty object"),
        pytest.param(node(allocatable={"nvidia.com/gpu": "many"}), id="GPUs that are no number"),
        pytest.param({"metadata": None, "status": "ready", "spec": []}, id="nonsense"),
        pytest.param({"status": {"allocatable": {"nvidia.com/gpu": "8"}}}, id="no name"),
    ],
)
def test_nodes_without_gpus_are_left_out(found: dict[str, Any]) -> None:
    assert node_facts(found) is None


def test_an_inventory_holds_gpu_nodes_alone() -> None:
    inventory = inventory_from_nodes([node(), {"metadata": {"name": "cpu-1"}}])
    assert [found.name for found in inventory.nodes] == ["gpu-1"]
    assert inventory.held == {}


anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=12),
    lambda children: (
        st.lists(children, max_size=3) | st.dictionaries(st.text(max_size=8), children, max_size=3)
    ),
    max_leaves=6,
)
gpu_labels = st.dictionaries(
    st.sampled_from([*NVIDIA_LABELS, "nvidia.com/gpu.sharing-strategy", "amd.com/gpu.vram"]),
    anything,
)


@given(
    labels=gpu_labels | anything,
    allocatable=st.fixed_dictionaries(
        {"nvidia.com/gpu": anything | st.just("8")}, optional={"cpu": anything, "memory": anything}
    ),
    conditions=anything,
    taints=anything,
)
def test_garbage_never_raises(
    labels: object, allocatable: object, conditions: object, taints: object
) -> None:
    found = node_facts(
        {
            "metadata": {"name": "gpu-1", "labels": labels},
            "spec": {"taints": taints},
            "status": {"allocatable": allocatable, "conditions": conditions},
        }
    )
    assert found is None or found.gpus > 0
