"""Kinds of GPUs on a real API server and scheduler: slices, labels of clouds, and what is shown."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import pytest

from cluster.world import World
from controlplane import GpuNode
from unit.planning.test_node_labels import MIXED_A100
from workstation import OperatorProcess

pytestmark = pytest.mark.cluster

GKE_A100 = {"cloud.google.com/gke-accelerator": "nvidia-a100-80gb"}
SLICED = {**GKE_A100, "cloud.google.com/gke-gpu-partition-size": "1g.10gb"}
MIXED = {**MIXED_A100, "nvidia.com/cuda.driver.major": "580"}
SMALL = {"size": "8b", "format": "awq"}


def inventory(world: World) -> dict[str, Any]:
    done = subprocess.run(
        [sys.executable, "-m", "llama_operator", "inventory", "-o", "json"],
        env={**os.environ, "KUBECONFIG": str(world.plane.kubeconfig)},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def free(world: World) -> dict[str, tuple[int, int]]:
    """Free and all cards by resource."""
    return {row["resource"]: (row["freeCards"], row["cards"]) for row in inventory(world)["gpus"]}


def test_a_model_runs_on_slices_of_a_node_with_several_kinds_of_gpus(
    world: World, operator: OperatorProcess
) -> None:
    resources = {"nvidia.com/mig-1g.10gb": "1", "nvidia.com/mig-3g.40gb": "2"}
    world.add_nodes(GpuNode("mixed-0", labels=MIXED, resources=resources))
    assert free(world) == {"nvidia.com/mig-1g.10gb": (1, 1), "nvidia.com/mig-3g.40gb": (2, 2)}
    wanted = {"hardware": [{"gpu": "NVIDIA-A100-80GB-PCIe-MIG-3g.40gb"}]}
    world.apply("small", {**SMALL, **wanted, "replicas": 2})
    plan = world.wait_ready("small")["status"]["plan"]
    assert plan["gpu"]["resource"] == "nvidia.com/mig-3g.40gb"
    assert free(world) == {"nvidia.com/mig-1g.10gb": (1, 1), "nvidia.com/mig-3g.40gb": (0, 2)}
    world.apply("late", {**SMALL, **wanted})
    world.wait_condition("late", "Ready", "False", "WaitingForGPUs")


def test_pods_find_whole_cards_of_gke_and_not_its_slices(
    world: World, operator: OperatorProcess
) -> None:
    world.add_nodes(
        GpuNode("sliced-0", labels=SLICED, resources={"nvidia.com/gpu": "7"}),
        GpuNode("whole-0", labels=GKE_A100, resources={"nvidia.com/gpu": "1"}),
    )
    world.apply("big", {"size": "70b", "format": "awq"})
    plan = world.wait_ready("big")["status"]["plan"]
    assert plan["gpu"]["product"] == "NVIDIA-A100-SXM4-80GB"
    [pod] = world.pods("big")
    assert pod["spec"]["nodeName"] == "whole-0"
    rows = {row["product"]: row for row in inventory(world)["gpus"]}
    assert rows["NVIDIA-A100-SXM4-80GB"]["freeCards"] == 0
    assert rows["NVIDIA-A100-SXM4-80GB-MIG-1g.10gb"]["cards"] == 7
    assert rows["NVIDIA-A100-SXM4-80GB"]["knownBy"] == ["cloud.google.com/gke-accelerator"]


def test_a_product_that_two_labels_tell_is_one_pool(
    world: World, operator: OperatorProcess
) -> None:
    labels = {"nvidia.com/gpu.product": "NVIDIA-A100-SXM4-80GB", "nvidia.com/gpu.memory": "81920"}
    world.add_nodes(
        GpuNode("gke-0", labels=GKE_A100, resources={"nvidia.com/gpu": "1"}),
        GpuNode("gfd-0", labels=labels, resources={"nvidia.com/gpu": "1"}),
    )
    world.apply("small", {**SMALL, "replicas": 2})
    world.wait_ready("small")
    assert {pod["spec"]["nodeName"] for pod in world.pods("small")} == {"gke-0", "gfd-0"}


def test_gpus_that_no_engine_serves_are_a_refusal_of_their_own(
    world: World, operator: OperatorProcess
) -> None:
    world.add_nodes(GpuNode("gaudi-0", resources={"habana.ai/gaudi": "8"}))
    world.apply("small", SMALL)
    told = world.wait_condition("small", "Stalled", "True", "UnsupportedGPU")
    assert "1 node with habana.ai/gaudi, which no engine of the catalog serves" in told
    [row] = inventory(world)["leftOut"]
    assert (row["nodes"], row["cause"]) == (["gaudi-0"], "no engine of the catalog serves it")


def resource_slice(world: World, name: str, node: str, gpus: int) -> None:
    """What NVIDIA's driver publishes of a node with H100, by its public examples."""
    devices = [
        {
            "name": f"gpu-{number}",
            "attributes": {
                "type": {"string": "gpu"},
                "uuid": {"string": f"GPU-{number}"},
                "productName": {"string": "NVIDIA H100 80GB HBM3"},
                "architecture": {"string": "Hopper"},
                "cudaComputeCapability": {"version": "9.0.0"},
                "driverVersion": {"version": "580.65.6"},
            },
            "capacity": {"memory": {"value": "81559Mi"}},
        }
        for number in range(gpus)
    ]
    world.api.create(
        "/apis/resource.k8s.io/v1/resourceslices",
        {
            "apiVersion": "resource.k8s.io/v1",
            "kind": "ResourceSlice",
            "metadata": {"name": name},
            "spec": {
                "driver": "gpu.nvidia.com",
                "nodeName": node,
                "pool": {"name": node, "generation": 1, "resourceSliceCount": 1},
                "devices": devices,
            },
        },
    )


DEVICE_CLASS = """\
apiVersion: resource.k8s.io/v1
kind: DeviceClass
metadata: {name: gpu.nvidia.com}
spec:
  extendedResourceName: nvidia.com/gpu
  selectors:
    - cel:
        expression: >-
          device.driver == 'gpu.nvidia.com' && device.attributes['gpu.nvidia.com'].type == 'gpu'
"""


@pytest.fixture
def devices(world: World) -> Iterator[World]:
    """A node whose GPUs only a ResourceSlice shows, and whose product a label tells."""
    labels = {"nvidia.com/gpu.product": "NVIDIA-H100-80GB-HBM3"}
    world.add_nodes(GpuNode("dra-0", labels=labels))
    resource_slice(world, "dra-0-gpus", "dra-0", 2)
    yield world
    world.kubectl("delete", "resourceslice", "dra-0-gpus", "--ignore-not-found")
    world.kubectl("delete", "deviceclass", "gpu.nvidia.com", "--ignore-not-found")


def test_gpus_of_resource_slices_are_used_once_plain_requests_get_them(
    devices: World, operator: OperatorProcess
) -> None:
    devices.apply("small", SMALL)
    told = devices.wait_condition("small", "Stalled", "True", "NoGPUs")
    assert "no DeviceClass stands for nvidia.com/gpu" in told
    [row] = inventory(devices)["leftOut"]
    assert (row["product"], row["gpus"], row["nodes"]) == ("NVIDIA-H100-80GB-HBM3", 2, ["dra-0"])
    devices.kubectl("apply", "-f", "-", stdin=DEVICE_CLASS)
    plan = devices.wait_ready("small")["status"]["plan"]
    assert (plan["gpu"]["product"], plan["gpu"]["resource"]) == (
        "NVIDIA-H100-80GB-HBM3",
        "nvidia.com/gpu",
    )
    assert free(devices) == {"nvidia.com/gpu": (1, 2)}


def test_gpus_vanish_with_their_slice(devices: World, operator: OperatorProcess) -> None:
    devices.kubectl("apply", "-f", "-", stdin=DEVICE_CLASS)
    devices.wait(
        "the GPUs are seen",
        lambda: 'llama_operator_gpu_usable{product="NVIDIA-H100' in operator.get("/metrics")[1],
    )
    devices.kubectl("delete", "resourceslice", "dra-0-gpus")
    devices.wait(
        "the GPUs are gone",
        lambda: 'llama_operator_gpu_usable{product="NVIDIA-H100' not in operator.get("/metrics")[1],
    )
