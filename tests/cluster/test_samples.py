"""Every sample on a fleet that has what it asks for: ready on the GPUs it names."""

from pathlib import Path

import pytest
import yaml

from cluster.world import World, gpu_node
from workstation import OperatorProcess

pytestmark = pytest.mark.cluster

SAMPLES = Path(__file__).resolve().parents[2] / "manifests" / "samples"
A100_80, A100_40 = "NVIDIA-A100-SXM4-80GB", "NVIDIA-A100-SXM4-40GB"
A10G, H100 = "NVIDIA-A10G", "NVIDIA-H100-80GB-HBM3"
ROOMY = {"memory": "2000Gi", "ephemeral_storage": "20Ti", "cpu": "192"}

PLACED = {
    # sample: product, GPUs of a replica, context in tokens (None: the file leaves it to the plan)
    "llama-405b-awq-8xa100-40gb": (A100_40, 8, 8192),
    "llama-405b-awq-8xa100-80gb": (A100_80, 8, None),
    "llama-405b-fp8-8xh100": (H100, 8, 16384),
    "llama-70b-awq": (A100_80, 1, None),
    "llama-70b-awq-tgi-4xa100": (A100_80, 4, 4096),
    "llama-70b-gguf": (A100_80, 1, None),
    "llama-70b-gptq-2xa100": (A100_80, 2, None),
    "llama-70b-pytorch-4xa100": (A100_80, 4, None),
    "llama-8b-awq-modelscope": (A10G, 1, None),
    "llama-8b-base": (A10G, 1, None),
    "llama-8b-gated": (A10G, 1, None),
    "llama-8b-mlx": (A10G, 1, None),
    "llama-8b-pytorch-24gb": (A10G, 1, 8192),
    "llama-guard-3-8b": (A10G, 2, 4096),
}
"""A file that names no GPU gets the cheapest that hold it: an A10G is 1.006 dollars an hour, an
A100 2.7447 or 3.4309, an H100 6.88."""


def test_every_sample_is_tried() -> None:
    assert {path.stem for path in SAMPLES.glob("*.yaml")} == set(PLACED)


def test_samples_become_ready_on_the_gpus_they_name(
    world: World, operator: OperatorProcess
) -> None:
    world.add_nodes(
        *(gpu_node(f"h100-{n}", H100, 8, **ROOMY) for n in range(2)),
        *(gpu_node(f"a100-80-{n}", A100_80, 8, **ROOMY) for n in range(3)),
        gpu_node("a100-40-0", A100_40, 8, **ROOMY),
        *(gpu_node(f"a10g-{n}", A10G, 4, **ROOMY) for n in range(3)),
    )
    names = {}
    for sample in PLACED:
        text = (SAMPLES / f"{sample}.yaml").read_text(encoding="utf-8")
        names[sample] = yaml.safe_load(text)["metadata"]["name"]
        world.apply_text(text)
    for sample, (product, gpus, context) in PLACED.items():
        plan = world.wait_ready(names[sample])["status"]["plan"]
        assert (plan["gpu"]["product"], plan["gpu"]["count"]) == (product, gpus), sample
        assert context in (None, plan["maxModelLen"]), sample
        nodes = {pod["spec"]["nodeName"] for pod in world.pods(names[sample])}
        labels = [world.api.get(f"/api/v1/nodes/{node}")["metadata"]["labels"] for node in nodes]
        accepted = plan["gpu"]["acceptedProducts"]
        assert all(label["nvidia.com/gpu.product"] in accepted for label in labels), sample


def test_the_overlay_of_several_deployments_becomes_ready(
    world: World, operator: OperatorProcess
) -> None:
    world.add_nodes(gpu_node("h100-0", H100, 8, **ROOMY), gpu_node("h100-1", H100, 8, **ROOMY))
    text = world.kubectl("kustomize", str(SAMPLES / "overlay"))
    objects = [item for item in yaml.safe_load_all(text) if item["kind"] == "LlamaDeployment"]
    assert len(objects) > 1
    for item in objects:
        item["metadata"]["namespace"] = world.namespace
        world.apply_text(yaml.safe_dump(item))
    for item in objects:
        status = world.wait_ready(item["metadata"]["name"])["status"]
        assert status["readyReplicas"] == item["spec"].get("replicas", 1)
