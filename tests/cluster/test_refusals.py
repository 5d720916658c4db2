"""Every refusal of catalog and planning on the real API server, with what it must name.

Each case has a namespace and nodes of its own; a check makes sure that no reason lacks a case.
"""

from dataclasses import dataclass, field
from typing import Any

import pytest

from cluster.world import World, gpu_node
from controlplane import GpuNode
from llama_operator.api.reasons import REASONS, Reason
from workstation import OperatorProcess

pytestmark = pytest.mark.cluster

A100, A10G, H100 = "NVIDIA-A100-SXM4-80GB", "NVIDIA-A10G", "NVIDIA-H100-80GB-HBM3"
V100, T4 = "Tesla-V100-SXM2-16GB", "Tesla-T4"
AWQ_8B: dict[str, Any] = {"size": "8b", "format": "awq"}
ONE_A100 = (gpu_node("a100-0", A100, 1),)


@dataclass(frozen=True)
class Case:
    """Nodes, a spec, the one reason, and words that its message must hold."""

    what: str
    spec: dict[str, Any]
    reason: Reason
    words: tuple[str, ...]
    nodes: tuple[GpuNode, ...] = field(default=ONE_A100)


CASES = (
    Case(
        "an unknown model names those there are",
        {"model": "no-such-model", "size": "8b"},
        Reason.UNKNOWN_MODEL,
        ("spec.model", "llama-3.1-instruct"),
    ),
    Case(
        "an unknown size names those there are",
        {"size": "9b"},
        Reason.UNKNOWN_MODEL,
        ("spec.size", "8b", "70b", "405b"),
    ),
    Case(
        "an unpublished quantization names the published ones",
        {**AWQ_8B, "quantization": "nf4"},
        Reason.NOT_PUBLISHED,
        ("spec.quantization", "Int4"),
    ),
    Case(
        "an unpublished format names the published ones",
        {"size": "405b", "format": "mlx"},
        Reason.NOT_PUBLISHED,
        ("spec.format", "awq"),
    ),
    Case(
        "a hub without the file names the hub that has it",
        {"size": "8b", "format": "ggufv2", "quantization": "IQ4_XS", "hub": "ModelScope"},
        Reason.NOT_PUBLISHED,
        ("HuggingFace",),
    ),
    Case(
        "a classifier is refused with the reason",
        {"model": "prompt-guard", "size": "86m"},
        Reason.MODEL_NOT_SERVABLE,
        ("classif",),
    ),
    Case(
        "an engine that does not load the format names those that do",
        {"size": "8b", "format": "ggufv2", "engine": {"type": "vLLM"}},
        Reason.UNSUPPORTED_FORMAT,
        ("ggufv2", "LlamaCpp", "awq"),
    ),
    Case(
        "a field that the engine cannot follow",
        {"size": "8b", "format": "mlx", "memory": {"utilizationPercent": 80}},
        Reason.INVALID_SPEC,
        ("spec.memory.utilizationPercent", "MLX"),
    ),
    Case(
        "an argument that the plan sets, and the field to use",
        {**AWQ_8B, "engine": {"extraArgs": ["--gpu-memory-util=0.9"]}},
        Reason.INVALID_SPEC,
        ("spec.engine.extraArgs[0]", "of vLLM", "spec.memory.utilizationPercent"),
    ),
    Case("no GPU nodes", AWQ_8B, Reason.NO_GPUS, ("nvidia.com/gpu",), ()),
    Case(
        "only cordoned GPU nodes",
        AWQ_8B,
        Reason.NO_GPUS,
        ("1 GPU node", "cordoned"),
        (gpu_node("a100-0", A100, 1, unschedulable=True),),
    ),
    Case(
        "a GPU that the cluster does not have",
        {**AWQ_8B, "hardware": [{"gpu": "NVIDIA-B200"}]},
        Reason.GPU_NOT_IN_CLUSTER,
        ("spec.hardware", "NVIDIA-B200", A100),
    ),
    Case(
        "a GPU too old for the engine",
        AWQ_8B,
        Reason.UNSUPPORTED_GPU,
        (V100, "7.5", "7.0"),
        (GpuNode("v100-0", V100, 4, 16384, "7.0"),),
    ),
    Case(
        "more GPUs than a node has",
        {**AWQ_8B, "hardware": [{"gpu": A100, "count": 8}]},
        Reason.TOO_FEW_GPUS,
        ("8x", "the largest node has 4"),
        (gpu_node("a100-0", A100, 4),),
    ),
    Case(
        "a model over two MIG slices",
        {**AWQ_8B, "hardware": [{"gpu": f"{A100}-MIG-3g.40gb", "count": 2}]},
        Reason.TENSOR_PARALLEL_SIZE,
        ("MIG", "count must be 1"),
        (GpuNode("mig-0", f"{A100}-MIG-3g.40gb", 2, 40192, "8.0"),),
    ),
    Case(
        "a context beyond the model's own",
        {**AWQ_8B, "context": {"maxModelLen": 131_073}},
        Reason.CONTEXT_TOO_LONG,
        ("spec.context.maxModelLen", "at most 131072"),
    ),
    Case(
        "a disk too small for the download",
        {"size": "70b", "format": "awq"},
        Reason.HOST_TOO_SMALL,
        ("ephemeral storage", "20.00 GiB"),
        (gpu_node("a100-0", A100, 1, ephemeral_storage="20Gi"),),
    ),
    Case(
        "a gated repository without a token",
        {"size": "8b", "format": "pytorch"},
        Reason.TOKEN_REQUIRED,
        ("meta-llama/Meta-Llama-3.1-8B-Instruct", "hub: ModelScope"),
        (gpu_node("a100-0", A100, 1),),
    ),
    Case(
        # 14.99 GiB of weights; 92 % of 14.58 GiB are 13.41
        "weights that exceed the card",
        {"size": "8b", "format": "pytorch"},
        Reason.WEIGHTS_TOO_LARGE,
        (T4, "14.99 GiB"),
        (GpuNode("t4-0", T4, 1, 15360, "7.5"),),
    ),
    Case(
        "a batch that leaves no room",
        {
            "size": "70b",
            "format": "fp8",
            "hardware": [{"gpu": H100, "count": 1}],
            "memory": {"maxNumBatchedTokens": 65_536, "maxNumSeqs": 4096},
        },
        Reason.ACTIVATION_TOO_LARGE,
        (H100, "activations"),
        (gpu_node("h100-0", H100, 1),),
    ),
    Case(
        # 71.27 - 65.74 - 1.95 - 2.08 = 1.50 GiB; 2,048 tokens take 0.31, graphs 1.67
        "graphs where the KV cache would be",
        {
            "size": "70b",
            "format": "pytorch",
            "hardware": [{"gpu": H100, "count": 2}],
            "context": {"maxModelLen": 2048, "concurrency": 1},
            "memory": {"utilizationPercent": 90},
        },
        Reason.CUDA_GRAPHS_TOO_LARGE,
        (H100, "CUDA graphs"),
        (gpu_node("h100-0", H100, 2),),
    ),
    Case(
        "the model's own context on an A10G",
        {"size": "8b", "format": "pytorch", "context": {"maxModelLen": 131_072}},
        Reason.KV_CACHE_TOO_SMALL,
        (A10G, "131,072 tokens"),
        (gpu_node("a10g-0", A10G, 1),),
    ),
)
ELSEWHERE = {
    # tests/hub: llama-operator prefetch ends with them
    Reason.MODEL_NOT_FETCHED,
    Reason.REPOSITORY_NOT_FOUND,
    Reason.REPOSITORY_UNUSABLE,
    Reason.VOLUME_TOO_SMALL,
    Reason.VOLUME_UNUSABLE,
    # test_situations, test_children
    Reason.NAME_CONFLICT,
    Reason.REJECTED_BY_API_SERVER,
    # tests/faults/test_upgrade.py
    Reason.RECORD_UNREADABLE,
    # test_several_nodes.py
    Reason.MULTI_NODE_UNAVAILABLE,
}


def test_every_reason_that_stalls_has_a_case() -> None:
    stalling = {reason for reason, facts in REASONS.items() if facts.stalled}
    assert {case.reason for case in CASES} == stalling - ELSEWHERE


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.what)
def test_one_reason_and_what_it_names(world: World, operator: OperatorProcess, case: Case) -> None:
    world.add_nodes(*case.nodes)
    world.apply("wrong", case.spec)
    message = world.wait_condition("wrong", "Stalled", "True", case.reason)
    assert [word for word in case.words if word not in message] == [], message
    assert world.conditions("wrong")["Ready"][:2] == ("False", case.reason)
    assert not any(world.children().values())


def test_a_policy_that_refuses_a_child_is_told(world: World, operator: OperatorProcess) -> None:
    world.add_nodes(*ONE_A100)
    policy = {
        "apiVersion": "admissionregistration.k8s.io/v1",
        "kind": "ValidatingAdmissionPolicy",
        "metadata": {"name": f"no-gpus-{world.namespace}"},
        "spec": {
            "failurePolicy": "Fail",
            "matchConstraints": {
                "resourceRules": [
                    {
                        "apiGroups": ["apps"],
                        "apiVersions": ["v1"],
                        "operations": ["CREATE"],
                        "resources": ["statefulsets"],
                    }
                ]
            },
            "validations": [{"expression": "false", "message": "no models in this namespace"}],
        },
    }
    binding = {
        "apiVersion": "admissionregistration.k8s.io/v1",
        "kind": "ValidatingAdmissionPolicyBinding",
        "metadata": {"name": f"no-gpus-{world.namespace}"},
        "spec": {
            "policyName": f"no-gpus-{world.namespace}",
            "validationActions": ["Deny"],
            "matchResources": {
                "namespaceSelector": {
                    "matchLabels": {"kubernetes.io/metadata.name": world.namespace}
                }
            },
        },
    }
    world.plane.apply([policy, binding])
    probe = {
        "apiVersion": "apps/v1",
        "kind": "StatefulSet",
        "metadata": {"name": "probe"},
        "spec": {
            "serviceName": "probe",
            "selector": {"matchLabels": {"a": "b"}},
            "template": {
                "metadata": {"labels": {"a": "b"}},
                "spec": {"containers": [{"name": "c", "image": "i:1"}]},
            },
        },
    }
    try:
        world.wait(
            "the policy is in force",
            lambda: world.plane.kubectl(
                "--namespace", world.namespace, "create", "--dry-run=server", "-f", "-",
                input=str(probe).replace("'", '"'), check=False,
            ).returncode,
        )  # fmt: skip
        world.apply("small", AWQ_8B)
        message = world.wait_condition("small", "Stalled", "True", Reason.REJECTED_BY_API_SERVER)
        assert "StatefulSet small-a" in message
        assert "no models in this namespace" in message
    finally:
        for item in (binding, policy):
            world.plane.kubectl("delete", item["kind"].lower(), item["metadata"]["name"])
