"""Replicas on several nodes: when they are planned, what each GPU holds, and why they are not."""

import json

import pytest

from llama_operator.api.plan import Plan
from llama_operator.api.reasons import Reason
from llama_operator.planning.capacity import waiting_message
from llama_operator.planning.explain import Verdict, explain
from llama_operator.planning.inventory import Inventory, NodeFacts
from llama_operator.planning.survey import survey
from llama_operator.units import GIB
from unit.planning.cluster import (
    A10G,
    A100,
    CATALOG,
    H100,
    L4,
    node,
    on_nodes,
    planned,
    refused,
    spec,
)

LARGE = {"size": "405b", "format": "pytorch"}
TWO = (node("a", H100, 8), node("b", H100, 8))


def over_nodes(fields: dict[str, object], *nodes: NodeFacts) -> Plan:
    return planned(spec(**fields), *nodes, leader_worker_set=True).plan


def test_the_405b_in_16_bit_on_two_nodes_of_eight_h100() -> None:
    found = planned(spec(**LARGE), *TWO, leader_worker_set=True)
    plan, memory = found.plan, found.plan.memory_per_gpu
    assert found.fits_now
    assert plan.gpus == "2 nodes of 8x NVIDIA-H100-80GB-HBM3"
    assert (plan.nodes, plan.gpu.count, plan.gpu_count) == (2, 8, 16)
    assert (plan.tensor_parallel_size, plan.pipeline_parallel_size) == (8, 2)
    # One layer on one GPU: qkv 2,304 x 16,384, o 2,048 x 16,384, gate and up 13,312 x 16,384,
    # down 6,656 x 16,384 of 2 bytes, and two norms: 796,917,760 + 65,536. The last stage has 63 of
    # 126 layers, the final norm (32,768), the output (16,032 x 16,384 x 2 = 501 MiB, of whole
    # 2 MiB blocks 502) and the table of angles (131,072 x 128 x 2 = 32 MiB).
    assert memory.weights_bytes == 63 * 796_983_296 + 32_768 + (502 + 32) * 2**20
    assert memory.weights_bytes == 50_769_920_000
    # 92 % of 85,029,615,042, rounded up
    assert memory.budget_bytes == 78_227_245_839
    # (0.66 + 0.186 * 63 * 16,384 / 1e5 - 0.21) GiB of graphs for 63 layers
    assert memory.cuda_graph_bytes == pytest.approx(2.36987 * GIB, rel=1e-5)
    # 2.15 GiB from three GPUs a stage on
    assert memory.non_torch_bytes == 2_308_544_921
    assert memory.kv_cache_bytes == (
        memory.budget_bytes
        - memory.weights_bytes
        - memory.activation_bytes
        - memory.non_torch_bytes
        - memory.cuda_graph_bytes
    )
    # A token takes 63 layers * 2 * 1 head * 128 * 2 bytes = 32,256 on one GPU of a stage:
    # 20,375,281,106 / (16 * 32,256) = 39,479.6 blocks
    assert memory.kv_cache_bytes == 20_375_281_106
    assert plan.kv_cache_tokens == 16 * 39_479
    # Of each pod: 2 + 8 cores; 8 + 8 * 4 GiB and 8 GiB of /dev/shm
    assert plan.host.cpu_millicores == 10_000
    assert plan.host.memory_bytes == 48 * GIB
    assert plan.reasons[1].startswith(f"{plan.gpus}: the fewest nodes that fit; none holds it")


@pytest.mark.parametrize(
    ("fields", "nodes", "gpus"),
    [
        # 755.96 GiB of weights over 16 x 39.5 GiB are 47.3 GiB each, over 24 31.6
        pytest.param(
            LARGE, [node(name, A100, 8) for name in "abc"],
            "2 nodes of 8x NVIDIA-A100-SXM4-80GB", id="two of three nodes",
        ),
        pytest.param(
            {**LARGE, "engine": {"type": "SGLang"}}, TWO,
            "2 nodes of 8x NVIDIA-H100-80GB-HBM3", id="SGLang",
        ),
        pytest.param(
            {"size": "405b"}, TWO,
            "8x NVIDIA-H100-80GB-HBM3", id="a lighter format on one node comes first",
        ),
        pytest.param(
            {"size": "70b", "format": "pytorch"}, TWO,
            "4x NVIDIA-H100-80GB-HBM3", id="what one node holds stays there",
        ),
        pytest.param(
            {"size": "8b", "format": "pytorch", "hardware": [
                {"gpu": H100[0], "count": 1, "nodes": 2}]}, TWO,
            "2 nodes of 1x NVIDIA-H100-80GB-HBM3", id="what is asked for",
        ),
        pytest.param(
            {"size": "8b", "format": "pytorch", "hardware": [{"gpu": H100[0], "nodes": 2}]}, TWO,
            "2 nodes of 8x NVIDIA-H100-80GB-HBM3", id="whole nodes where no count is asked for",
        ),
        pytest.param(
            {"size": "70b", "format": "pytorch"}, [node(name, L4, 4) for name in "abc"],
            "3 nodes of 4x NVIDIA-L4", id="131.5 GiB over 12 L4: 10.96 GiB each",
        ),
    ],
)  # fmt: skip
def test_which_nodes_are_taken(
    fields: dict[str, object], nodes: list[NodeFacts], gpus: str
) -> None:
    assert over_nodes(fields, *nodes).gpus == gpus


def test_only_the_chosen_product_is_accepted() -> None:
    plan = over_nodes(LARGE, *TWO, node("c", A100, 8), node("d", A100, 8))
    assert plan.gpu.accepted_products == [plan.gpu.product]


def test_today_stays_on_its_nodes() -> None:
    fields = {**LARGE, "context": {"concurrency": 1}}
    today = over_nodes(LARGE, *TWO)
    kept = planned(spec(**fields), *TWO, leader_worker_set=True, current=today).plan
    assert kept.gpus == today.gpus


def test_replicas_are_counted_by_groups_of_nodes() -> None:
    three = planned(spec(**LARGE, replicas=2), *TWO, node("c", H100, 8), leader_worker_set=True)
    assert not three.fits_now
    assert three.waiting_message == (
        "needs 32 GPUs (2 replicas of 2 nodes with 8 each); "
        "free: 24 of 24 NVIDIA-H100-80GB-HBM3; room for 1 replica now"
    )
    held = planned(spec(**LARGE), *TWO, leader_worker_set=True, held={"a": 1})
    assert not held.fits_now
    surveyed = survey(Inventory(TWO, on_nodes({"a": 1})), CATALOG)
    assert waiting_message(held.plan, 2, surveyed).startswith(
        "waiting for 8 free GPUs NVIDIA-H100-80GB-HBM3 on each of 2 nodes for each of 1 replica;"
    )
    assert waiting_message(held.plan, 1, surveyed) == ""


@pytest.mark.parametrize(
    ("fields", "nodes", "reason", "told"),
    [
        pytest.param(
            LARGE, TWO, Reason.MULTI_NODE_UNAVAILABLE,
            "2 nodes of 8x NVIDIA-H100-80GB-HBM3 hold it, but a replica on several nodes needs "
            "LeaderWorkerSet (leaderworkerset.x-k8s.io/v1), which this cluster does not have",
            id="it would fit",
        ),
        pytest.param(
            {**LARGE, "hardware": [{"gpu": H100[0], "count": 8, "nodes": 2}]}, TWO,
            Reason.MULTI_NODE_UNAVAILABLE,
            "spec.hardware asks for 2 nodes of NVIDIA-H100-80GB-HBM3; a replica on several nodes",
            id="it is asked for",
        ),
        pytest.param(
            LARGE, TWO[:1], Reason.WEIGHTS_TOO_LARGE, "nearest is 8x NVIDIA-H100-80GB-HBM3, where",
            id="one node alone",
        ),
        pytest.param(
            {**LARGE, "engine": {"type": "Transformers"}}, TWO,
            Reason.WEIGHTS_TOO_LARGE, "nearest is", id="an engine of one node",
        ),
        pytest.param(
            {**LARGE, "hardware": [{"gpu": H100[0], "nodes": 1}]}, TWO,
            Reason.WEIGHTS_TOO_LARGE, "nearest is", id="one node is asked for",
        ),
    ],
)  # fmt: skip
def test_without_leader_worker_set(
    fields: dict[str, object], nodes: list[NodeFacts], reason: Reason, told: str
) -> None:
    found = refused(spec(**fields), *nodes)
    assert found.reason is reason
    assert told in found.message


@pytest.mark.parametrize(
    ("fields", "nodes", "reason", "told"),
    [
        pytest.param(
            {**LARGE, "hardware": [{"gpu": H100[0], "nodes": 3}]}, TWO,
            Reason.TOO_FEW_GPUS, "2 nodes with 8 GPUs there", id="too few nodes",
        ),
        pytest.param(
            {"size": "8b", "format": "pytorch", "hardware": [{"gpu": A10G[0], "nodes": 2}]},
            [node(name, A10G, 4, replicas=4) for name in "ab"],
            Reason.TENSOR_PARALLEL_SIZE, "MIG slices and shared GPUs cannot be joined",
            id="shared GPUs",
        ),
        pytest.param(
            {**LARGE, "engine": {"type": "TGI"}, "hardware": [{"gpu": H100[0], "nodes": 2}]}, TWO,
            Reason.INVALID_SPEC, "TGI 3.3.7 cannot follow it: it serves from one node", id="TGI",
        ),
        pytest.param(
            {
                **LARGE,
                "hardware": [{"gpu": H100[0], "nodes": 2}],
                "cache": {"claim": {"accessMode": "ReadWriteOnce"}},
            },
            TWO, Reason.INVALID_SPEC, "write ReadWriteMany", id="a claim of one node",
        ),
        pytest.param(
            {
                **LARGE,
                "hardware": [{"gpu": H100[0], "nodes": 2}],
                "speculative": {"ngram": {}},
            },
            TWO, Reason.INVALID_SPEC, "spec.speculative: drafts do not work", id="drafts",
        ),
        pytest.param(
            {**LARGE, "speculative": {"ngram": {}}}, TWO,
            Reason.WEIGHTS_TOO_LARGE, "nearest is 8x", id="drafts, nodes unasked",
        ),
        pytest.param(
            {**LARGE, "cache": {"claim": {"accessMode": "ReadWriteOnce"}}}, TWO,
            Reason.WEIGHTS_TOO_LARGE, "nearest is 8x", id="a claim of one node, nodes unasked",
        ),
        pytest.param(
            LARGE, [node(name, H100, 8, disk=790 * GIB) for name in "ab"],
            Reason.HOST_TOO_SMALL, "ephemeral storage: 794.76 GiB", id="no room for the download",
        ),
    ],
)  # fmt: skip
def test_with_leader_worker_set_it_may_still_be_refused(
    fields: dict[str, object], nodes: list[NodeFacts], reason: Reason, told: str
) -> None:
    found = refused(spec(**fields), *nodes, leader_worker_set=True)
    assert found.reason is reason
    assert told in found.message


def test_nodes_are_an_alternative_where_a_count_is_fixed() -> None:
    wanted = spec(**LARGE, hardware=[{"gpu": H100[0], "count": 8}])
    last = refused(wanted, *TWO, leader_worker_set=True).alternatives[-1]
    assert last.summary.startswith("nodes 2 of NVIDIA-H100-80GB-HBM3: 2 nodes of 8x")
    assert json.loads(last.patch) == {
        "spec": {"hardware": [{"gpu": H100[0], "count": 8, "nodes": 2}]}
    }
    assert not any("nodes" in one.patch for one in refused(wanted, *TWO).alternatives)


def test_gpus_of_an_entry_for_several_nodes_are_not_accepted_for_one() -> None:
    """The 8b of one A100 fits an H100 too, but that one is for two nodes."""
    hardware = [{"gpu": A100[0]}, {"gpu": H100[0], "nodes": 2}]
    wanted = spec(size="8b", format="pytorch", hardware=hardware)
    found = planned(wanted, *TWO, node("c", A100, 8), leader_worker_set=True)
    assert found.plan.gpu.accepted_products == [A100[0]]


def test_several_nodes_are_explained_where_one_was_not_enough() -> None:
    nodes = (*TWO, node("c", H100, 8))
    surveyed = survey(Inventory(nodes, leader_worker_set=True), CATALOG)
    rows = explain(spec(**LARGE), CATALOG, surveyed)
    told = [(row.verdict, row.count, row.reason) for row in rows if row.engine == "vLLM"]
    assert told[0] == (Verdict.CHOSEN, 16, "on 2 nodes: ranks first; free now")
    assert told[1][:2] == (Verdict.FITS, 24)
    assert told[1][2].startswith("on 3 nodes: ")
    assert {verdict for verdict, count, _ in told if count <= 8} == {Verdict.DOES_NOT_FIT}
    small = explain(spec(size="8b", format="pytorch"), CATALOG, surveyed)
    assert not any("nodes" in row.reason for row in small)
