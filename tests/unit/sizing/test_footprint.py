from typing import TypedDict

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llama_operator.sizing.footprint import footprint
from llama_operator.sizing.placement import Placement
from llama_operator.units import GIB
from unit.sizing.rows import (
    A10G,
    A100_40GB,
    A100_80GB,
    H100,
    L4,
    LLAMA_8B,
    LLAMA_70B,
    LLAMA_405B,
    LLAMA_405B_JULY_2024,
    VLLM_0_19,
    VLLM_0_33,
    placed,
)


class Batch(TypedDict):
    tokens: int
    seqs: int


SMALL_BATCH: Batch = {"tokens": 2048, "seqs": 256}

# Memory model, section 9, "Placements of 405B": vLLM 0.19 rules, utilization 90, GiB per GPU:
# weights, activation, non-torch, graphs, budget, KV cache, tokens.
PLACEMENTS = [
    pytest.param(
        placed(LLAMA_405B, "none", H100, tp=8),
        (94.54, 2.08, 2.15, 4.29, 71.27, -27.49),
        0,
        id="bf16 on 8 H100 does not fit",
    ),
    pytest.param(
        placed(LLAMA_405B, "none", H100, tp=8, pp=2),
        (47.28, 2.08, 2.15, 2.37, 71.27, 19.76),
        657_840,
        id="bf16 on two nodes of 8 H100",
    ),
    pytest.param(
        placed(LLAMA_405B, "none", H100, tp=16),
        (47.78, 2.08, 2.15, 4.29, 71.27, 19.27),
        320_672,
        id="bf16 on 16 H100, KV heads twice",
    ),
    pytest.param(
        placed(LLAMA_405B, "fbgemm-fp8", H100, tp=8),
        (56.77, 2.08, 2.15, 4.29, 71.27, 10.28),
        171_056,
        id="FP8 on 8 H100",
    ),
    pytest.param(
        placed(LLAMA_405B_JULY_2024, "fbgemm-fp8", H100, tp=8),
        (57.75, 2.08, 2.15, 4.29, 71.27, 9.29),
        77_328,
        id="FP8 with 16 KV heads on 8 H100",
    ),
    pytest.param(
        placed(LLAMA_405B, "awq-int4-g128", H100, tp=8),
        (25.31, 2.08, 2.15, 4.29, 71.27, 41.73),
        694_608,
        id="AWQ on 8 H100",
    ),
    pytest.param(
        placed(LLAMA_405B, "awq-int4-g128", A100_80GB, tp=8, **SMALL_BATCH),
        (25.31, 0.55, 2.15, 4.29, 71.33, 43.31),
        720_928,
        id="AWQ on 8 A100 of 80 GB",
    ),
    pytest.param(
        placed(LLAMA_405B, "awq-int4-g128", A100_40GB, tp=8, **SMALL_BATCH),
        (25.31, 0.55, 2.15, 4.29, 35.55, 7.54),
        125_472,
        id="AWQ on 8 A100 of 40 GB",
    ),
    pytest.param(
        placed(LLAMA_405B, "bnb-nf4-dq", A100_80GB, tp=8, **SMALL_BATCH),
        (25.27, 0.55, 2.15, 4.29, 71.33, 43.36),
        721_616,
        id="NF4 on 8 A100 of 80 GB",
    ),
    pytest.param(
        placed(LLAMA_405B, "bnb-nf4-dq", H100, tp=4),
        (50.55, 2.08, 2.15, 4.29, 71.27, 16.49),
        137_264,
        id="NF4 on 4 H100",
    ),
]


@pytest.mark.parametrize(("placement", "gib", "tokens"), PLACEMENTS)
def test_placements_of_the_405b_agree_with_the_worked_table(
    placement: Placement, gib: tuple[float, ...], tokens: int
) -> None:
    found = footprint(placement)
    parts = (
        found.weights_bytes,
        found.activation_bytes,
        found.non_torch_bytes,
        found.cuda_graph_bytes,
        found.budget_bytes,
        found.kv_cache_bytes,
    )
    assert [part / GIB for part in parts] == pytest.approx(list(gib), abs=0.0051)
    assert found.kv_cache_tokens == tokens


# Memory model, section 9, "Others": vLLM 0.19 rules, utilization 90.
@pytest.mark.parametrize(
    ("placement", "tokens"),
    [
        pytest.param(placed(LLAMA_70B, "none", H100, tp=2), 9_824, id="70B bf16 on 2 H100"),
        pytest.param(placed(LLAMA_70B, "none", H100, tp=4), 449_328, id="70B bf16 on 4 H100"),
        pytest.param(placed(LLAMA_70B, "fp8-dynamic", H100), 4_400, id="70B FP8 on one H100"),
        pytest.param(
            placed(LLAMA_70B, "fp8-dynamic", H100, tp=2), 218_624, id="70B FP8 on two H100"
        ),
        pytest.param(
            placed(LLAMA_70B, "awq-int4-g128", H100, tp=4), 757_664, id="70B AWQ on four H100"
        ),
        pytest.param(
            placed(LLAMA_8B, "fp8-dynamic", A10G, **SMALL_BATCH), 86_896, id="8B FP8 on an A10G"
        ),
    ],
)
def test_tokens_agree_with_the_other_worked_figures(placement: Placement, tokens: int) -> None:
    assert footprint(placement).kv_cache_tokens == tokens


@pytest.mark.parametrize("gpu", [A10G, L4], ids=["A10G", "L4"])
def test_the_8b_on_a_24_gb_card_holds_33_600_tokens_under_0_19(gpu: object) -> None:
    on = A10G if gpu is A10G else L4
    found = footprint(placed(LLAMA_8B, "none", on, **SMALL_BATCH))
    assert found.weights_bytes / GIB == pytest.approx(14.99, abs=0.005)
    assert found.kv_cache_bytes / GIB == pytest.approx(4.1, abs=0.05)
    assert found.kv_cache_tokens == pytest.approx(33_600, abs=150)


# Memory model, section 9, "Engine version matters": 0.33 rules, graphs inside the budget. The
# figures are rounded to hundreds there.
@pytest.mark.parametrize(
    ("placement", "tokens"),
    [
        pytest.param(
            placed(LLAMA_8B, "none", A10G, engine=VLLM_0_33, **SMALL_BATCH), 25_900, id="A10G at 90"
        ),
        pytest.param(
            placed(LLAMA_8B, "none", L4, engine=VLLM_0_33, **SMALL_BATCH), 25_700, id="L4 at 90"
        ),
        pytest.param(
            placed(LLAMA_8B, "none", A10G, engine=VLLM_0_33, utilization=88, **SMALL_BATCH),
            22_300,
            id="A10G at the planned 88",
        ),
        pytest.param(
            placed(LLAMA_8B, "none", L4, engine=VLLM_0_33, utilization=88, **SMALL_BATCH),
            22_000,
            id="L4 at the planned 88",
        ),
        pytest.param(
            placed(LLAMA_405B, "fbgemm-fp8", H100, tp=8, engine=VLLM_0_33),
            99_600,
            id="405B FP8 on 8 H100",
        ),
        pytest.param(
            placed(LLAMA_405B, "bnb-nf4-dq", H100, tp=4, engine=VLLM_0_33),
            101_600,
            id="405B NF4 on 4 H100",
        ),
        pytest.param(
            placed(LLAMA_405B, "awq-int4-g128", A100_40GB, tp=8, engine=VLLM_0_33, **SMALL_BATCH),
            54_100,
            id="405B AWQ on 8 A100 of 40 GB fits with graphs",
        ),
    ],
)
def test_graphs_inside_the_budget_leave_fewer_tokens(placement: Placement, tokens: int) -> None:
    assert footprint(placement).kv_cache_tokens == pytest.approx(tokens, abs=60)


def test_the_documented_example_is_reproduced_byte_by_byte() -> None:
    # Memory model, section 13: 8B bf16 on an H100, vLLM 0.19, utilization 95.
    found = footprint(placed(LLAMA_8B, "none", H100, utilization=95))
    assert found.weights_bytes == 16_094_076_928
    assert found.activation_bytes == 2_027_537_039
    assert found.non_torch_bytes == 268_435_456
    assert found.cuda_graph_bytes == 970_441_332
    assert found.kv_cache_bytes == pytest.approx(62_388_084_867, abs=2)
    assert found.kv_cache_tokens == 475_968


def test_disabled_graphs_take_nothing_and_free_their_room() -> None:
    on = footprint(placed(LLAMA_8B, "none", A10G, engine=VLLM_0_33, **SMALL_BATCH))
    off = footprint(placed(LLAMA_8B, "none", A10G, engine=VLLM_0_33, graphs=False, **SMALL_BATCH))
    assert off.cuda_graph_bytes == 0
    assert off.kv_cache_bytes == on.kv_cache_bytes + on.cuda_graph_bytes


def test_fp8_kv_cache_holds_twice_the_tokens() -> None:
    sixteen = footprint(placed(LLAMA_70B, "awq-int4-g128", H100))
    eight = footprint(placed(LLAMA_70B, "awq-int4-g128", H100, kv_bytes=1))
    assert eight.kv_cache_tokens == pytest.approx(2 * sixteen.kv_cache_tokens, abs=16)


placements = st.builds(
    placed,
    st.sampled_from([LLAMA_8B, LLAMA_70B, LLAMA_405B]),
    st.sampled_from(["none", "fp8-dynamic", "awq-int4-g128", "gptq-int4-g128", "bnb-nf4-dq"]),
    st.sampled_from([A10G, A100_40GB, A100_80GB, H100]),
    tp=st.sampled_from([1, 2, 4, 8, 16]),
    utilization=st.integers(50, 98),
    engine=st.sampled_from([VLLM_0_19, VLLM_0_33]),
    tokens=st.integers(512, 16384),
    seqs=st.integers(1, 1024),
    graphs=st.booleans(),
    kv_bytes=st.sampled_from([1, 2]),
)


@given(placements)
def test_the_parts_of_a_gpu_add_up_to_its_total(placement: Placement) -> None:
    found = footprint(placement)
    outside = 0 if placement.engine.graphs_inside_budget else found.cuda_graph_bytes
    inside = found.cuda_graph_bytes - outside
    assert found.budget_bytes == (
        found.weights_bytes
        + found.activation_bytes
        + found.non_torch_bytes
        + inside
        + found.kv_cache_bytes
    )
    assert placement.total_bytes == found.budget_bytes + outside + found.headroom_bytes


@given(placements, st.integers(1, 40))
def test_a_larger_share_never_holds_fewer_tokens(placement: Placement, more: int) -> None:
    larger = Placement(
        **{
            name: getattr(placement, name)
            for name in Placement.__dataclass_fields__
            if name != "utilization_percent"
        },
        utilization_percent=min(100, placement.utilization_percent + more),
    )
    assert footprint(larger).kv_cache_tokens >= footprint(placement).kv_cache_tokens
