"""Node objects of simulated nodes."""

import pytest

from controlplane import GpuNode, Taint

A100 = GpuNode(
    name="a100-0",
    product="NVIDIA-A100-SXM4-80GB",
    gpus=8,
    memory_mib=81920,
    compute_capability="8.0",
    cpu="96",
    memory="1100Gi",
    ephemeral_storage="2Ti",
    driver="580.65.06",
    instance_type="p4de.24xlarge",
    labels={"topology.kubernetes.io/zone": "b"},
)


def test_a_gpu_node_looks_as_feature_discovery_and_the_device_plugin_make_it() -> None:
    resources = {
        "cpu": "96",
        "memory": "1100Gi",
        "ephemeral-storage": "2Ti",
        "pods": "110",
        "nvidia.com/gpu": "8",
    }
    assert A100.manifest() == {
        "apiVersion": "v1",
        "kind": "Node",
        "metadata": {
            "name": "a100-0",
            "annotations": {"kwok.x-k8s.io/node": "fake"},
            "labels": {
                "kubernetes.io/hostname": "a100-0",
                "kubernetes.io/arch": "amd64",
                "kubernetes.io/os": "linux",
                "node.kubernetes.io/instance-type": "p4de.24xlarge",
                "nvidia.com/gpu.present": "true",
                "nvidia.com/gpu.product": "NVIDIA-A100-SXM4-80GB",
                "nvidia.com/gpu.count": "8",
                "nvidia.com/gpu.memory": "81920",
                "nvidia.com/gpu.replicas": "1",
                "nvidia.com/gpu.compute.major": "8",
                "nvidia.com/gpu.compute.minor": "0",
                "nvidia.com/cuda.driver-version.major": "580",
                "nvidia.com/cuda.driver-version.minor": "65",
                "nvidia.com/cuda.driver-version.revision": "06",
                "nvidia.com/cuda.driver-version.full": "580.65.06",
                "topology.kubernetes.io/zone": "b",
            },
        },
        "spec": {"taints": [{"key": "nvidia.com/gpu", "effect": "NoSchedule"}]},
        "status": {"capacity": resources, "allocatable": resources},
    }


def test_a_node_without_gpus_has_no_trace_of_them() -> None:
    manifest = GpuNode(name="cpu").manifest()
    assert "nvidia" not in str(manifest)
    assert manifest["spec"] == {}


@pytest.mark.parametrize(
    ("taints", "expected"),
    [
        pytest.param((), None, id="none at all"),
        pytest.param(
            (Taint("team", "NoExecute", "ml"),),
            [{"key": "team", "value": "ml", "effect": "NoExecute"}],
            id="others instead",
        ),
    ],
)
def test_given_taints_replace_the_one_of_gpu_nodes(
    taints: tuple[Taint, ...], expected: list[dict[str, str]] | None
) -> None:
    node = GpuNode("n", "P", 1, 1, "9.0", taints=taints)
    assert node.manifest()["spec"].get("taints") == expected


def test_a_cordoned_node_is_unschedulable() -> None:
    assert GpuNode("n", unschedulable=True).manifest()["spec"] == {"unschedulable": True}


def test_a_driver_without_a_revision_has_no_label_for_it() -> None:
    labels = GpuNode("n", "P", 1, 1, "9.0", driver="580.65").manifest()["metadata"]["labels"]
    assert "nvidia.com/cuda.driver-version.revision" not in labels
    assert labels["nvidia.com/cuda.driver-version.full"] == "580.65"


def test_a_node_with_unnamed_gpus_is_refused() -> None:
    with pytest.raises(ValueError, match="needs product, memory_mib and compute_capability"):
        GpuNode("n", gpus=1)
