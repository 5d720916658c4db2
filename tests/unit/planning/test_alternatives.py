import json

import pytest

from llama_operator.api.reasons import Reason
from llama_operator.api.v1alpha1 import LlamaDeploymentSpec
from llama_operator.planning.alternatives import merge
from llama_operator.planning.inventory import NodeFacts
from llama_operator.planning.outcome import Refusal
from unit.planning.cluster import (
    A10G,
    A100,
    H100,
    L4,
    node,
    planned,
    refused,
    spec,
)


def patches(refusal: Refusal) -> list[dict[str, object]]:
    return [json.loads(alternative.patch)["spec"] for alternative in refusal.alternatives]


def test_a_lighter_format_is_proposed_with_its_numbers() -> None:
    found = refused(spec(size="70b", format="pytorch"), node("a", A100, 1))
    assert found.reason is Reason.WEIGHTS_TOO_LARGE
    first, second = found.alternatives[:2]
    assert first.patch == '{"spec":{"format":"awq"}}'
    assert first.summary == (
        "format awq (Int4): 1x NVIDIA-A100-SXM4-80GB, weights 37.16 GiB per GPU, "
        "KV cache 108,464 tokens, context 54,224"
    )
    assert second.patch == '{"spec":{"format":"gptq"}}'


@pytest.mark.parametrize(
    ("fields", "nodes", "expected"),
    [
        pytest.param(
            {"size": "8b", "format": "pytorch", "context": {"maxModelLen": 131_072}},
            [node("a", A10G, 1)],
            {"context": {"maxModelLen": 11_120}},
            id="the longest context that fits comes first",
        ),
        pytest.param(
            # 22,256 tokens hold two requests of 8,192
            {
                "size": "8b",
                "format": "pytorch",
                "context": {"maxModelLen": 8192, "concurrency": 8},
            },
            [node("a", A10G, 1)],
            {"context": {"concurrency": 2}},
            id="fewer requests at once",
        ),
        pytest.param(
            {"size": "8b", "format": "pytorch", "memory": {"utilizationPercent": 70}},
            [node("a", A10G, 1)],
            {"memory": {"utilizationPercent": 89}},
            id="a larger share of the memory",
        ),
        pytest.param(
            {"size": "8b", "format": "pytorch", "context": {"maxModelLen": 16_384}},
            [node("l", L4, 1)],
            {"memory": {"kvCacheDType": "fp8"}},
            id="an fp8 KV cache on a GPU that has it in hardware",
        ),
        pytest.param(
            # 3,440 tokens; activations of 0.52 instead of 1.95 GiB make room for 4,686 more
            {"size": "70b", "format": "fp8", "context": {"maxModelLen": 8000, "concurrency": 1}},
            [node("h", H100, 1)],
            {"memory": {"maxNumBatchedTokens": 2048, "maxNumSeqs": 256}},
            id="a smaller batch",
        ),
        pytest.param(
            {"size": "8b", "format": "pytorch", "context": {"maxModelLen": 14_000}},
            [node("a", A10G, 1)],
            {"memory": {"cudaGraphs": "Disabled"}},
            id="no CUDA graphs",
        ),
        pytest.param(
            {"size": "70b", "format": "pytorch", "hardware": [{"gpu": A100[0], "count": 1}]},
            [node("a", A100, 4)],
            {"hardware": [{"gpu": A100[0], "count": 2}]},
            id="more of the same GPUs",
        ),
        pytest.param(
            {"size": "70b", "format": "awq", "hardware": [{"gpu": A10G[0]}]},
            [node("a", A10G, 1), node("h", H100, 1)],
            {"hardware": [{"gpu": H100[0]}]},
            id="a larger GPU that the cluster has",
        ),
        pytest.param(
            {
                "size": "8b",
                "format": "ggufv2",
                "quantization": "Q4_K_M",
                "engine": {"type": "vLLM"},
            },
            [node("a", A10G, 1)],
            {"format": "pytorch", "quantization": None},
            id="a format that the engine loads",
        ),
        pytest.param(
            {"size": "8b", "format": "awq", "engine": {"type": "LlamaCpp", "version": "11434"}},
            [node("a", A10G, 1)],
            {"engine": {"type": "vLLM", "version": None}},
            id="an engine that loads the format",
        ),
        pytest.param(
            {"size": "70b", "format": "pytorch", "context": {"maxModelLen": 131_072}},
            [node("a", A100, 1)],
            {"format": "awq", "context": {"maxModelLen": 54_224}},
            id="a lighter format and a shorter context, when neither alone fits",
        ),
        pytest.param(
            {"size": "8b", "format": "pytorch", "context": {"maxModelLen": 200_000}},
            [node("h", H100, 1)],
            {"context": {"maxModelLen": 131_072}},
            id="the model's own context",
        ),
        pytest.param(
            {"size": "70b", "format": "awq", "hardware": [{"gpu": A100[0], "count": 8}]},
            [node("a", A100, 4)],
            {"hardware": [{"gpu": A100[0], "count": 1}]},
            id="a count that a node has",
        ),
    ],
)
def test_the_nearest_changes_are_among_the_proposals(
    fields: dict[str, object], nodes: list[NodeFacts], expected: dict[str, object]
) -> None:
    wanted = spec(**fields)
    found = refused(wanted, *nodes)
    assert expected in patches(found)
    assert len(found.alternatives) <= 5
    for patch in patches(found):
        changed = LlamaDeploymentSpec.model_validate(merge(wanted.to_object(), patch))
        planned(changed, *nodes)


def test_nothing_is_proposed_that_the_cluster_does_not_have() -> None:
    found = refused(spec(size="405b", format="pytorch"), node("a", A10G, 8))
    assert found.alternatives == ()


def test_smaller_changes_come_before_larger_ones() -> None:
    wanted = spec(
        size="8b",
        format="pytorch",
        context={"maxModelLen": 16_384},
        hardware=[{"gpu": L4[0], "count": 1}],
    )
    found = refused(wanted, node("l", L4, 8), node("h", H100, 8))
    assert patches(found) == [
        {"context": {"maxModelLen": 11_024}},
        {"context": {"concurrency": 1}},
        {"memory": {"kvCacheDType": "fp8"}},
        {"hardware": [{"gpu": L4[0], "count": 2}]},
        {"hardware": [{"gpu": L4[0], "count": 4}]},
    ]


@pytest.mark.parametrize(
    ("target", "patch", "expected"),
    [
        pytest.param({"a": 1}, {"a": None}, {}, id="null removes"),
        pytest.param({"a": {"b": 1, "c": 2}}, {"a": {"b": 3}}, {"a": {"b": 3, "c": 2}}, id="deep"),
        pytest.param({"a": [1, 2]}, {"a": [3]}, {"a": [3]}, id="lists are replaced"),
        pytest.param({"a": 1}, {"a": {"b": None}}, {"a": {}}, id="a scalar becomes an object"),
    ],
)
def test_merge_patches_work_as_rfc_7386_says(
    target: dict[str, object], patch: dict[str, object], expected: dict[str, object]
) -> None:
    assert merge(target, patch) == expected
