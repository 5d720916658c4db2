import pytest

from llama_operator.api.plan import NodeLabel
from llama_operator.planning.inventory import NodeFacts
from llama_operator.units import GIB
from unit.planning.cluster import (
    A10G,
    A100,
    A100_40GB,
    GPU,
    H100,
    L4,
    L40S,
    T4,
    UNPRICED,
    V100,
    node,
    outcome_of,
    planned,
    spec,
)


def test_the_70b_in_awq_on_one_a100() -> None:
    found = planned(spec(size="70b", format="awq"), node("a", A100, 1))
    plan, memory = found.plan, found.plan.memory_per_gpu
    assert found.fits_now
    assert (plan.gpus, plan.tensor_parallel_size) == ("1x NVIDIA-A100-SXM4-80GB", 1)
    assert plan.repository == "hugging-quants/Meta-Llama-3.1-70B-Instruct-AWQ-INT4"
    assert (plan.scheme, plan.dtype, plan.utilization_percent) == ("awq-int4-g128", "float16", 92)
    # 79.25 GiB; 92 % of it; 37.16 GiB; 3.65*256*128256*4 + 2048*8192*2 + 0.04 GiB; 0.25 GiB;
    # 0.66 + 0.186*80*8192/1e5 GiB
    assert memory.total_bytes == 85_094_039_552
    assert memory.budget_bytes == 78_286_516_388
    assert memory.weights_bytes == 39_900_954_624
    assert memory.activation_bytes == 555_873_730
    assert memory.non_torch_bytes == 268_435_456
    assert memory.cuda_graph_bytes == 2_017_528_245
    assert memory.kv_cache_bytes == 35_543_724_333
    assert memory.headroom_bytes == 6_807_523_164
    # 35,543,724,333 / (16 * 327,680) = 6,779.4 blocks of 16; half of them is 3,389.7 blocks
    assert plan.kv_cache_tokens == 108_464
    assert (plan.max_model_len, plan.concurrency, plan.max_concurrency) == (54_224, 2, 2)
    assert (plan.max_num_seqs, plan.max_num_batched_tokens) == (256, 2048)
    assert plan.gpu.accepted_products == ["NVIDIA-A100-SXM4-80GB"]
    assert (plan.gpu.resource, plan.gpu.label) == ("nvidia.com/gpu", "nvidia.com/gpu.product")
    assert plan.tool_call_parser == "llama3_json"


def test_what_the_node_must_offer_beside_gpus() -> None:
    plan = planned(spec(size="70b", format="awq"), node("a", A100, 1)).plan
    # 2 + 1 cores; 8 + 4 GiB and 1 GiB of /dev/shm; 39,767,785,472 bytes, 5 % and 1 GiB
    assert plan.host.cpu_millicores == 3_000
    assert plan.host.memory_bytes == 13 * GIB
    assert plan.host.shm_bytes == GIB
    assert plan.host.disk_bytes == 39_767_785_472 + 1_988_389_273 + GIB
    # 796 s of download, 80 s of loading, 300 s of compiling: 1,176, in whole minutes
    assert plan.startup_seconds == 1_200


@pytest.mark.parametrize(
    ("fields", "nodes", "gpus", "context"),
    [
        # 22,256 tokens (88 % of 22.06 GiB); half is 11,128, in whole blocks 11,120
        pytest.param(
            {"size": "8b", "format": "pytorch"},
            [node("a", A10G, 1)],
            "1x NVIDIA-A10G",
            11_120,
            id="8b on an A10G",
        ),
        pytest.param(
            {"size": "8b", "format": "pytorch"},
            [node("a", H100, 1)],
            "1x NVIDIA-H100-80GB-HBM3",
            131_072,
            id="8b on an H100: the model's own context",
        ),
        # 84 % of 14.58 - 7.512 - 0.502 - 2.08 - 0.694 = 1.459 GiB: 1,494 blocks of 2^20; 747 each
        pytest.param(
            {"size": "8b", "format": "pytorch"},
            [node("a", T4, 4)],
            "2x Tesla-T4",
            11_952,
            id="8b on T4 needs two",
        ),
        # 92 % of 79.19 - 56.768 - 2.083 - 2.15 - 4.290 = 7.573 GiB: 7,876 blocks of 16*64,512 B
        pytest.param(
            {"size": "405b", "format": "fp8"},
            [node("a", H100, 8)],
            "8x NVIDIA-H100-80GB-HBM3",
            63_008,
            id="405b FP8 as Meta publishes it",
        ),
        # 92 % of 39.5 - 25.312 - 0.549 - 2.15 - 4.290 = 4.040 GiB: 4,202 blocks of 16*64,512 B
        pytest.param(
            {"size": "405b", "format": "awq"},
            [node("a", A100_40GB, 8)],
            "8x NVIDIA-A100-SXM4-40GB",
            33_616,
            id="405b AWQ on 40 GB cards",
        ),
        # 92 % of 79.25 - 50.76 - 0.549 - 2.15 - 4.290 = 15.162 GiB: 7,886 blocks of 16*129,024 B
        pytest.param(
            {"size": "405b", "format": "gptq"},
            [node("a", A100, 8)],
            "4x NVIDIA-A100-SXM4-80GB",
            63_088,
            id="405b GPTQ needs four A100 of 80 GB",
        ),
        pytest.param(
            {"size": "8b", "format": "pytorch", "context": {"maxModelLen": 4096}},
            [node("a", A10G, 1)],
            "1x NVIDIA-A10G",
            4_096,
            id="a context that is asked for is kept",
        ),
        pytest.param(
            {"size": "8b", "format": "pytorch", "context": {"concurrency": 16}},
            [node("a", A10G, 1)],
            "1x NVIDIA-A10G",
            1_376,
            id="16 requests share the tokens of the placement that holds two of 8,192",
        ),
        pytest.param(
            {"size": "8b", "format": "pytorch", "context": {"maxModelLen": 11_200}},
            [node("a", A10G, 4)],
            "2x NVIDIA-A10G",
            11_200,
            id="a block too long takes two GPUs",
        ),
        pytest.param(
            {"size": "8b", "format": "pytorch", "memory": {"kvCacheDType": "fp8"}},
            [node("a", L4, 1)],
            "1x NVIDIA-L4",
            22_048,
            id="an fp8 KV cache doubles the context of an L4",
        ),
    ],
)
def test_placements_and_contexts(
    fields: dict[str, object], nodes: list[NodeFacts], gpus: str, context: int
) -> None:
    plan = planned(spec(**fields), *nodes).plan
    assert (plan.gpus, plan.max_model_len) == (gpus, context)


UNPRICED_RANKING = [
    pytest.param(
        [node("a", A100, 8), node("h", H100, 8)],
        {},
        "1x NVIDIA-H100-80GB-HBM3",
        id="equal GPUs: the higher bandwidth",
    ),
    pytest.param(
        [node("a", A100, 8), node("h", H100, 8)],
        {"h": 8},
        "1x NVIDIA-A100-SXM4-80GB",
        id="free before fast",
    ),
    pytest.param(
        [node("g", L40S, 8), node("h", H100, 8)],
        {},
        "1x NVIDIA-H100-80GB-HBM3",
        id="fewer GPUs first",
    ),
    pytest.param(
        [node("g", L40S, 8), node("h", H100, 8)],
        {"h": 8},
        "2x NVIDIA-L40S",
        id="free before few",
    ),
    pytest.param(
        [node("g", L40S, 8), node("h", H100, 8)],
        {"h": 8, "g": 7},
        "1x NVIDIA-H100-80GB-HBM3",
        id="all busy: the best to wait for",
    ),
]


@pytest.mark.parametrize(("nodes", "held", "gpus"), UNPRICED_RANKING)
def test_without_prices_what_is_free_then_few_then_fast(
    nodes: list[NodeFacts], held: dict[str, int], gpus: str
) -> None:
    wanted = spec(size="70b", format="awq")
    found = planned(wanted, *nodes, held=held, catalog=UNPRICED).plan
    assert (found.gpus, found.usd_per_hour) == (gpus, None)


@pytest.mark.parametrize(
    ("hardware", "held", "gpus"),
    [
        pytest.param(
            [{"gpu": A100[0]}, {"gpu": H100[0]}], {}, "1x NVIDIA-A100-SXM4-80GB", id="first entry"
        ),
        pytest.param(
            [{"gpu": A100[0]}, {"gpu": H100[0]}],
            {"a": 8},
            "1x NVIDIA-H100-80GB-HBM3",
            id="the first entry is busy",
        ),
        pytest.param(
            [{"gpu": A100[0]}, {"gpu": H100[0]}],
            {"a": 8, "h": 8},
            "1x NVIDIA-A100-SXM4-80GB",
            id="all are busy: wait for the first",
        ),
        pytest.param(
            [{"gpu": A10G[0]}, {"gpu": H100[0]}],
            {},
            "1x NVIDIA-H100-80GB-HBM3",
            id="the first entry is not in the cluster",
        ),
        pytest.param(
            [{"gpu": A100[0], "count": 4}], {}, "4x NVIDIA-A100-SXM4-80GB", id="a fixed count"
        ),
    ],
)
def test_hardware_is_in_order_of_preference(
    hardware: list[dict[str, object]], held: dict[str, int], gpus: str
) -> None:
    wanted = spec(size="70b", format="awq", hardware=hardware)
    assert planned(wanted, node("a", A100), node("h", H100), held=held).plan.gpus == gpus


@pytest.mark.parametrize(
    ("size", "nodes", "expected"),
    [
        pytest.param("8b", [node("a", A10G, 1)], "pytorch", id="16 bit where it fits"),
        pytest.param("70b", [node("a", H100, 2)], "fp8", id="8 bit where 16 bit does not fit"),
        pytest.param("70b", [node("a", A100, 1)], "awq", id="4 bit where nothing else fits"),
    ],
)
def test_auto_takes_the_best_format_that_fits_the_gpu_types(
    size: str, nodes: list[NodeFacts], expected: str
) -> None:
    assert planned(spec(size=size), *nodes).plan.format == expected


def test_auto_looks_at_gpu_types_not_at_what_is_free() -> None:
    found = planned(spec(size="70b"), node("a", A100, 1), node("h", H100, 8), held={"h": 8})
    assert (found.plan.format, found.fits_now) == ("pytorch", False)


def test_nothing_below_the_gpus_of_one_node_is_joined_across_nodes() -> None:
    wanted = spec(size="70b", format="pytorch")
    assert not hasattr(outcome_of(wanted, node("a", A100, 1), node("b", A100, 1)), "plan")
    assert planned(wanted, node("a", A100, 2)).plan.gpus == "2x NVIDIA-A100-SXM4-80GB"


def test_accepted_products_hold_the_very_same_plan() -> None:
    wanted = spec(size="8b", format="awq", context={"maxModelLen": 8192})
    nodes = (node("a", A100), node("h", H100), node("g", A10G), node("t", T4), node("v", V100))
    found = planned(wanted, *nodes, catalog=UNPRICED)
    # An A10G starts with 2.28 GiB taken, so the 92 % chosen for an H100 are not free on it, and
    # vLLM is not built for a V100. A T4 holds it: 13.41 - 5.39 - 2.03 - 0.30 - 0.90 = 4.79 GiB.
    assert found.plan.gpus == "1x NVIDIA-H100-80GB-HBM3"
    assert found.plan.gpu.accepted_products == [
        "NVIDIA-A100-SXM4-80GB",
        "NVIDIA-H100-80GB-HBM3",
        "Tesla-T4",
    ]


def test_accepted_products_stay_within_spec_hardware() -> None:
    wanted = spec(
        size="8b", format="awq", context={"maxModelLen": 8192}, hardware=[{"gpu": H100[0]}]
    )
    found = planned(wanted, node("a", A100), node("h", H100))
    assert found.plan.gpu.accepted_products == ["NVIDIA-H100-80GB-HBM3"]


def test_replicas_may_be_spread_over_accepted_products() -> None:
    wanted = spec(size="8b", format="awq", context={"maxModelLen": 8192}, replicas=2)
    found = planned(wanted, node("a", A100, 1), node("h", H100, 1), catalog=UNPRICED)
    assert found.fits_now
    assert len(found.plan.gpu.accepted_products) == 2


def test_a_busy_cluster_is_waited_for_by_name_and_number() -> None:
    wanted = spec(size="70b", format="awq", replicas=3)
    found = planned(wanted, node("a", A100, 4), held={"a": 3})
    assert not found.fits_now
    assert found.waiting_message == (
        "needs 3 GPUs (3 replicas of 1, each on one node); "
        "free: 1 of 4 NVIDIA-A100-SXM4-80GB; room for 1 replica now"
    )


def test_a_plan_names_the_labels_of_a_cloud_by_which_pods_find_nodes() -> None:
    whole = (
        ("cloud.google.com/gke-accelerator", "nvidia-a100-80gb"),
        ("cloud.google.com/gke-gpu-partition-size", ""),
    )
    nodes = [node("a", A100, 1, selector=whole, label=whole[0][0]), node("b", H100, 1)]
    wanted = spec(size="8b", format="awq", replicas=2)
    found = planned(wanted, *nodes, catalog=UNPRICED).plan.gpu
    assert found.accepted_products == ["NVIDIA-A100-SXM4-80GB", "NVIDIA-H100-80GB-HBM3"]
    assert found.product == "NVIDIA-H100-80GB-HBM3"
    assert [one.to_object() for one in found.node_selectors or ()] == [
        {
            "product": "NVIDIA-H100-80GB-HBM3",
            "labels": [{"label": "nvidia.com/gpu.product", "value": "NVIDIA-H100-80GB-HBM3"}],
            "absentLabels": [],
        },
        {
            "product": "NVIDIA-A100-SXM4-80GB",
            "labels": [{"label": "cloud.google.com/gke-accelerator", "value": "nvidia-a100-80gb"}],
            "absentLabels": ["cloud.google.com/gke-gpu-partition-size"],
        },
    ]


def test_pods_find_nodes_of_a_cloud_that_are_discovered_later_too() -> None:
    family = (("karpenter.k8s.aws/instance-family", "p4de"), ("nvidia.com/gpu.product", ""))
    nodes = [node("a", A100, 1, selector=family, label=family[0][0])]
    found = planned(spec(size="8b", format="awq"), *nodes).plan.gpu
    told = [(one.labels, one.absent_labels) for one in found.node_selectors or ()]
    assert told == [
        (
            [NodeLabel(label="karpenter.k8s.aws/instance-family", value="p4de")],
            ["nvidia.com/gpu.product"],
        ),
        ([NodeLabel(label="nvidia.com/gpu.product", value="NVIDIA-A100-SXM4-80GB")], []),
    ]


def test_a_slice_is_requested_by_its_own_resource() -> None:
    slices = ("NVIDIA-A100-SXM4-80GB-MIG-3g.40gb", 40_192)
    found = planned(
        spec(size="8b", format="awq"),
        node("a", slices, 2, resource="nvidia.com/mig-3g.40gb"),
    ).plan
    assert (found.gpu.resource, found.gpu.count) == ("nvidia.com/mig-3g.40gb", 1)
    assert found.gpu.label == "nvidia.com/mig-3g.40gb.product"
    assert found.gpu.node_selectors is None


def test_reserved_gpus_count_as_taken() -> None:
    wanted = spec(size="70b", format="awq")
    nodes = [node("a", A100, 2)]
    one, two = ((GPU, (A100[0],), 1, count) for count in (1, 2))
    assert planned(wanted, *nodes, reserved=(one,)).fits_now
    assert not planned(wanted, *nodes, reserved=(two,)).fits_now


def test_zero_replicas_are_planned_as_one() -> None:
    found = planned(spec(size="70b", format="awq", replicas=0), node("a", A100, 1))
    assert found.fits_now
    assert found.plan.gpu.count == 1
