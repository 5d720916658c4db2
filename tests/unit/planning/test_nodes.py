from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llama_operator.catalog.gpu_node_labels import NODE_LABELS
from llama_operator.planning.inventory import Inventory, NodeFacts
from llama_operator.planning.nodes import inventory_from_nodes, node_offers
from llama_operator.planning.survey import survey
from unit.planning.cluster import CATALOG

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
            facts(product="", label="", gpu_memory_mib=None, compute_capability=None),
            id="GPUs without GPU Feature Discovery",
        ),
        pytest.param(
            node(
                labels(product="NVIDIA-A100-SXM4-80GB-SHARED", replicas="4"),
                allocatable={"nvidia.com/gpu": "32"},
            ),
            facts(
                product="NVIDIA-A100-SXM4-80GB-SHARED",
                gpus=32,
                replicas=4,
                sharing="time-slicing",
            ),
            id="time-slicing divides no memory",
        ),
        pytest.param(
            node(
                NVIDIA_LABELS
                | {"nvidia.com/gpu.replicas": "4", "nvidia.com/gpu.sharing-strategy": "mps"},
                allocatable={"nvidia.com/gpu": "32"},
            ),
            facts(gpus=32, replicas=4, sharing="mps"),
            id="MPS: the label is that of the card",
        ),
        pytest.param(
            node(
                labels(product="NVIDIA-A100-SXM4-80GB-SHARED", replicas=None),
                allocatable={"nvidia.com/gpu": "32"},
            ),
            facts(
                product="NVIDIA-A100-SXM4-80GB-SHARED",
                gpus=32,
                replicas=4,
                sharing="time-slicing",
            ),
            id="a shared product without replicas: shares follow from the count of cards",
        ),
        pytest.param(
            node(allocatable={"nvidia.com/gpu": "0", "nvidia.com/gpu.shared": "16"}),
            facts(resource="nvidia.com/gpu.shared", gpus=16, replicas=2, sharing="time-slicing"),
            id="time-sliced GPUs under a name of their own",
        ),
        pytest.param(
            node(
                labels(product="NVIDIA-A100-SXM4-80GB-MIG-3g.40gb", memory="40192", count="16"),
                allocatable={"nvidia.com/gpu": "16"},
            ),
            facts(product="NVIDIA-A100-SXM4-80GB-MIG-3g.40gb", gpus=16, gpu_memory_mib=40_192),
            id="MIG slices have their own memory",
        ),
        pytest.param(
            node(
                labels(product="NVIDIA-A100-SXM4-80GB-MIG-INVALID", memory="0", count="0"),
                allocatable={"nvidia.com/gpu": "2"},
            ),
            facts(
                product="NVIDIA-A100-SXM4-80GB-MIG-INVALID",
                gpus=2,
                gpu_memory_mib=None,
                closed="with MIG slices that differ (nvidia.com/gpu.product)",
            ),
            id="MIG slices that differ under the strategy single",
        ),
        pytest.param(
            node(allocatable={"nvidia.com/gpu": "32"}),
            facts(gpus=32, replicas=4, sharing="time-slicing"),
            id="more GPUs than cards: they are shared, whatever the labels say",
        ),
        pytest.param(
            node(allocatable={"nvidia.com/gpu": "6"}),
            facts(gpus=6),
            id="fewer GPUs than cards: some are not healthy",
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
    assert node_offers(found) == (expected,)


@pytest.mark.parametrize(
    ("found", "closed"),
    [
        pytest.param(node(), "", id="ready"),
        pytest.param(node(conditions=[]), "not ready", id="no conditions yet"),
        pytest.param(
            node(conditions=[{"type": "Ready", "status": "Unknown"}]),
            "not ready",
            id="kubelet is gone",
        ),
        pytest.param(
            node(conditions=[{"type": "DiskPressure", "status": "True"}, READY]),
            "",
            id="other conditions do not matter",
        ),
        pytest.param(node(unschedulable=True), "cordoned", id="cordoned"),
        pytest.param(
            node(taints=[{"key": "nvidia.com/gpu", "value": "present", "effect": "NoSchedule"}]),
            "",
            id="the taint of GPU nodes is tolerated",
        ),
        pytest.param(
            node(taints=[{"key": "team", "value": "a", "effect": "NoSchedule"}]),
            "tainted team:NoSchedule",
            id="another team's taint",
        ),
        pytest.param(
            node(taints=[{"key": "team", "effect": "NoExecute"}]),
            "tainted team:NoExecute",
            id="a taint that evicts",
        ),
        pytest.param(
            node(taints=[{"key": ["team"], "effect": ["NoSchedule"]}, "NoSchedule"]),
            "",
            id="taints that are none",
        ),
        pytest.param(
            node(taints=[{"key": "team", "effect": "PreferNoSchedule"}]),
            "",
            id="a mere preference",
        ),
    ],
)
def test_nodes_that_take_no_pods_say_why(found: dict[str, Any], closed: str) -> None:
    (result,) = node_offers(found)
    assert result.closed == closed
    assert result.usable is (closed == "")


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
    assert node_offers(found) == ()


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
    st.sampled_from(
        [
            *NVIDIA_LABELS,
            *NODE_LABELS,
            "nvidia.com/gpu.sharing-strategy",
            "nvidia.com/mig-1g.10gb.product",
            "nvidia.com/mig-1g.10gb.memory",
            "nvidia.com/mig-1g.10gb.replicas",
            "amd.com/gpu.product-name",
            "amd.com/gpu.vram",
            "cloud.google.com/gke-gpu-partition-size",
            "cloud.google.com/gke-gpu-sharing-strategy",
            "cloud.google.com/gke-max-shared-clients-per-gpu",
            "karpenter.k8s.aws/instance-gpu-count",
        ]
    ),
    anything | st.sampled_from(["nvidia-l4", "g5", "g6.xlarge", "1g.10gb", "mps", "4"]),
)


@given(
    labels=gpu_labels | anything,
    allocatable=st.fixed_dictionaries(
        {"nvidia.com/gpu": anything | st.just("8")},
        optional={
            "cpu": anything,
            "memory": anything,
            "amd.com/gpu": anything | st.just("8"),
            "habana.ai/gaudi": anything | st.just("8"),
            "nvidia.com/mig-": anything | st.just("2"),
            "nvidia.com/mig-1g.10gb": anything | st.just("7"),
            "nvidia.com/mig-1g.10gb.shared": anything | st.just("14"),
        },
    ),
    conditions=anything,
    taints=anything,
)
def test_garbage_never_raises(
    labels: object, allocatable: object, conditions: object, taints: object
) -> None:
    found = node_offers(
        {
            "metadata": {"name": "gpu-1", "labels": labels},
            "spec": {"taints": taints},
            "status": {"allocatable": allocatable, "conditions": conditions},
        }
    )
    assert all(offer.gpus > 0 and offer.replicas > 0 for offer in found)
    assert len({offer.resource for offer in found}) == len(found)
    survey(Inventory(found), CATALOG)
