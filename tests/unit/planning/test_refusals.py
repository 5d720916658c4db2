import pytest

from llama_operator.api.reasons import Reason
from llama_operator.planning.inventory import NodeFacts
from unit.planning.cluster import (
    A10G,
    A100,
    H100,
    MI300X,
    T4,
    V100,
    node,
    refused,
    spec,
)

A100_NODE = node("a", A100, 1)
BNB = {"size": "8b", "format": "pytorch", "quantization": "4-bit"}


@pytest.mark.parametrize(
    ("fields", "nodes", "reason", "told"),
    [
        pytest.param(
            {"size": "70b", "format": "awq"},
            [],
            Reason.NO_GPUS,
            "no node offers nvidia.com/gpu or amd.com/gpu",
            id="no nodes",
        ),
        pytest.param(
            {"size": "70b", "format": "awq"},
            [node("a", A100, usable=False)],
            Reason.NO_GPUS,
            "no usable GPUs in this cluster: 1 GPU node cordoned",
            id="no node that takes pods",
        ),
        pytest.param(
            {"size": "70b", "format": "awq"},
            [node("a", ("NVIDIA-X1", None))],
            Reason.NO_GPUS,
            "1 GPU node without a label that tells the memory",
            id="GPUs of unknown memory",
        ),
        pytest.param(
            {"size": "70b", "format": "awq"},
            [node("a", ("", None), resource="habana.ai/gaudi")],
            Reason.UNSUPPORTED_GPU,
            "1 node with habana.ai/gaudi, which no engine of the catalog serves",
            id="GPUs that no engine serves",
        ),
        pytest.param(
            {"size": "70b", "format": "awq"},
            [
                node("a", ("", None), resource="habana.ai/gaudi"),
                node("b", A100, closed="tainted team:NoSchedule"),
            ],
            Reason.NO_GPUS,
            "1 GPU node tainted team:NoSchedule; 1 node with habana.ai/gaudi",
            id="GPUs that no engine serves beside closed nodes",
        ),
        pytest.param(
            {"size": "8b", "format": "awq"},
            [node("a", ("HL-225", None), resource="habana.ai/gaudi")],
            Reason.UNSUPPORTED_GPU,
            "HL-225: vLLM 0.33.0 is built here for GPUs of NVIDIA only",
            id="a Gaudi 2 that a label names",
        ),
        pytest.param(
            {"size": "70b", "format": "awq", "hardware": [{"gpu": "NVIDIA-L4"}]},
            [A100_NODE],
            Reason.GPU_NOT_IN_CLUSTER,
            "spec.hardware asks for NVIDIA-L4; usable nodes have NVIDIA-A100-SXM4-80GB",
            id="a GPU that no node has",
        ),
        pytest.param(
            {"model": "llama-9", "size": "70b"},
            [A100_NODE],
            Reason.UNKNOWN_MODEL,
            "spec.model: the catalog has no model 'llama-9'",
            id="an unknown model",
        ),
        pytest.param(
            {"size": "71b"},
            [A100_NODE],
            Reason.UNKNOWN_MODEL,
            "spec.size: llama-3.1-instruct has no size '71b'; it has 8b, 70b, 405b",
            id="an unknown size",
        ),
        pytest.param(
            {"model": "llama-guard-3", "size": "8b", "format": "awq"},
            [A100_NODE],
            Reason.NOT_PUBLISHED,
            "llama-guard-3 8b is not published as awq",
            id="a format that is not published",
        ),
        pytest.param(
            {"model": "prompt-guard", "size": "86m"},
            [A100_NODE],
            Reason.MODEL_NOT_SERVABLE,
            "it is a classifier",
            id="a model that generates nothing",
        ),
        pytest.param(
            {"size": "8b", "format": "ggufv2", "engine": {"type": "vLLM"}},
            [A100_NODE],
            Reason.UNSUPPORTED_FORMAT,
            "spec.engine.type: llama-3.1-instruct 8b in ggufv2 (Q4_K_M): "
            "vLLM does not load Q4_K_M: GGUF is not part of vLLM 0.33; it needs an image with "
            "vllm-gguf-plugin; engines that load it: LlamaCpp",
            id="GGUF by vLLM",
        ),
        pytest.param(
            {"size": "8b", "format": "mlx", "quantization": "none", "engine": {"type": "vLLM"}},
            [A100_NODE],
            Reason.UNSUPPORTED_FORMAT,
            "vLLM does not load none: MLX weights are for MLX; engines that load it: MLX",
            id="MLX by another engine, though its weights are plain",
        ),
        pytest.param(
            {
                "size": "8b",
                "format": "pytorch",
                "quantization": "4-bit",
                "engine": {"type": "vLLM"},
            },
            [A100_NODE],
            Reason.UNSUPPORTED_FORMAT,
            "bitsandbytes is not part of vLLM 0.33; it needs an image with vllm-bnb-plugin; "
            "engines that load it: Transformers, SGLang",
            id="bitsandbytes",
        ),
        pytest.param(
            {"size": "8b", "format": "awq"},
            [node("v", V100)],
            Reason.UNSUPPORTED_GPU,
            "Tesla-V100-SXM2-16GB: vLLM loads awq-int4-g128 on GPUs of compute capability 7.5 and "
            "above; this one has 7.0; Tesla-V100-SXM2-16GB: SGLang loads",
            id="a GPU too old for the engine",
        ),
        pytest.param(
            {"size": "8b", "format": "fp8"},
            [node("t", T4)],
            Reason.UNSUPPORTED_GPU,
            "vLLM loads fp8-dynamic on GPUs of compute capability 8.0 and above; this one has 7.5",
            id="a GPU too old for fp8",
        ),
        pytest.param(
            {"size": "8b", "format": "awq", "memory": {"kvCacheDType": "fp8"}},
            [node("t", T4)],
            Reason.UNSUPPORTED_GPU,
            "an fp8 KV cache needs compute capability 8.0, it has 7.5",
            id="a GPU too old for an fp8 KV cache",
        ),
        pytest.param(
            {"size": "8b", "format": "awq"},
            [node("m", MI300X, resource="amd.com/gpu")],
            Reason.UNSUPPORTED_GPU,
            "AMD_Instinct_MI300X_OAM: vLLM 0.33.0 is built here for GPUs of NVIDIA only",
            id="a GPU of another vendor",
        ),
        pytest.param(
            {"size": "8b", "format": "awq"},
            [node("x", ("NVIDIA-X1", 81_920))],
            Reason.UNSUPPORTED_GPU,
            "NVIDIA-X1: its compute capability is not known",
            id="a GPU without capability",
        ),
        pytest.param(
            {"size": "8b", "format": "awq", "hardware": [{"gpu": A100[0], "count": 8}]},
            [node("a", A100, 4)],
            Reason.TOO_FEW_GPUS,
            "on 8x NVIDIA-A100-SXM4-80GB: the largest node has 4",
            id="more GPUs than a node has",
        ),
        pytest.param(
            {
                "size": "8b",
                "format": "awq",
                "hardware": [{"gpu": "NVIDIA-A100-SXM4-80GB-MIG-3g.40gb", "count": 2}],
            },
            [node("a", ("NVIDIA-A100-SXM4-80GB-MIG-3g.40gb", 40_192), 2)],
            Reason.TENSOR_PARALLEL_SIZE,
            "MIG slices and shared GPUs cannot be joined, so count must be 1",
            id="a model over two MIG slices",
        ),
        pytest.param(
            {"size": "8b", "format": "awq", "context": {"maxModelLen": 131_073}},
            [A100_NODE],
            Reason.CONTEXT_TOO_LONG,
            "spec.context.maxModelLen: 131,073 exceeds the context of llama-3.1-instruct 8b; "
            "write at most 131072",
            id="a context beyond the model's",
        ),
        pytest.param(
            {"size": "70b", "format": "awq"},
            [node("a", A100, disk=20 * 2**30)],
            Reason.HOST_TOO_SMALL,
            "1x NVIDIA-A100-SXM4-80GB hold it, but no node of theirs offers enough: "
            "ephemeral storage: 39.89 GiB needed, at most 20.00 GiB there",
            id="a disk too small for the download",
        ),
        pytest.param(
            {"size": "70b", "format": "awq"},
            [node("a", A100, cpu=2_000, memory=4 * 2**30)],
            Reason.HOST_TOO_SMALL,
            "CPU: 3 cores needed, at most 2 cores there, "
            "memory: 13.00 GiB needed, at most 4.00 GiB there",
            id="too little CPU and memory",
        ),
    ],
)
def test_one_reason_and_a_message_that_names_what_is_wrong(
    fields: dict[str, object], nodes: list[NodeFacts], reason: Reason, told: str
) -> None:
    found = refused(spec(**fields), *nodes)
    assert found.reason is reason
    assert told in found.message
    assert (found.needed_bytes, found.available_bytes) == (None, None)


def test_weights_that_are_too_large_are_told_in_bytes() -> None:
    found = refused(spec(size="405b", format="pytorch"), node("a", A10G, 8))
    assert found.reason is Reason.WEIGHTS_TOO_LARGE
    # 81 % of 22.06 GiB; 94.54 + 0.55 + 2.15 + 4.29 + 16,384 tokens of 64,512 bytes
    # 23,686,744,637 * 81 / 100 = 19,186,263,155.97, rounded up
    assert found.available_bytes == 19_186_263_156
    assert found.needed_bytes == 110_067_279_033
    assert found.message == (
        "llama-3.1-instruct 405b in pytorch (none): the weights alone exceed what the engine may "
        "use; nearest is 8x NVIDIA-A10G, where each GPU needs 102.51 GiB (weights 94.54 GiB, "
        "activations 0.55 GiB, non-torch 2.15 GiB, CUDA graphs 4.29 GiB, KV cache 0.98 GiB for "
        "2 requests of 8,192 tokens) and the engine may use 17.87 GiB (81 % of 22.06 GiB)"
    )


@pytest.mark.parametrize(
    ("fields", "nodes", "reason", "nearest"),
    [
        pytest.param(
            {"size": "8b", "format": "pytorch"},
            [node("t", T4, 1)],
            Reason.WEIGHTS_TOO_LARGE,
            "1x Tesla-T4",
            id="14.99 GiB of weights in 13.41",
        ),
        pytest.param(
            {
                "size": "70b",
                "format": "fp8",
                "hardware": [{"gpu": H100[0], "count": 1}],
                "memory": {"maxNumBatchedTokens": 65_536, "maxNumSeqs": 4096},
            },
            [node("h", H100)],
            Reason.ACTIVATION_TOO_LARGE,
            "1x NVIDIA-H100-80GB-HBM3",
            id="a batch of 4,096 sequences beside 67.72 GiB",
        ),
        pytest.param(
            # 71.27 - 65.74 - 1.95 - 2.08 = 1.50 GiB; 2,048 tokens take 0.31, graphs 1.67
            {
                "size": "70b",
                "format": "pytorch",
                "hardware": [{"gpu": H100[0], "count": 2}],
                "context": {"maxModelLen": 2048, "concurrency": 1},
                "memory": {"utilizationPercent": 90},
            },
            [node("h", H100)],
            Reason.CUDA_GRAPHS_TOO_LARGE,
            "2x NVIDIA-H100-80GB-HBM3",
            id="graphs of 1.67 GiB where the KV cache would be",
        ),
        pytest.param(
            {"size": "8b", "format": "pytorch", "context": {"maxModelLen": 131_072}},
            [node("a", A10G, 1)],
            Reason.KV_CACHE_TOO_SMALL,
            "1x NVIDIA-A10G",
            id="the model's own context on an A10G",
        ),
    ],
)
def test_memory_reasons_name_the_nearest_placement(
    fields: dict[str, object], nodes: list[NodeFacts], reason: Reason, nearest: str
) -> None:
    found = refused(spec(**fields), *nodes)
    assert found.reason is reason
    assert f"nearest is {nearest}, where" in found.message
    assert found.needed_bytes is not None
    assert found.available_bytes is not None
    assert found.needed_bytes > found.available_bytes


def test_the_nearest_of_several_gpus_is_named() -> None:
    found = refused(
        spec(size="405b", format="pytorch"), node("a", A10G, 8), node("h", H100, 8), node("t", T4)
    )
    assert "nearest is 8x NVIDIA-H100-80GB-HBM3, where" in found.message
