"""Placements worked out for vLLM 0.19, to a hundredth of a GiB, and what other versions make."""

from dataclasses import replace

import pytest

from llama_operator.sizing.estimate import Estimate, estimate, largest_context
from llama_operator.sizing.models.model import ModelShape
from llama_operator.units import GIB
from unit.sizing.budget.settings import (
    A10G,
    A100_40GB,
    A100_80GB,
    H100,
    L4,
    LLAMA_8B,
    LLAMA_70B,
    LLAMA_405B,
    LLAMA_405B_JULY_2024,
    setting,
)


def gib_of(found: Estimate) -> tuple[float, ...]:
    """Weights, activation, non-torch, graphs, budget and KV cache of the tightest stage in GiB."""
    stage = found.tightest
    assert stage is not None
    assert found.budget_bytes is not None
    assert stage.kv_cache_bytes is not None
    sizes = (
        stage.weights_bytes,
        stage.activation_bytes,
        stage.non_torch_bytes,
        stage.cuda_graph_bytes,
        found.budget_bytes,
        stage.kv_cache_bytes,
    )
    return tuple(size / GIB for size in sizes)


@pytest.mark.parametrize(
    ("model", "scheme", "gpu", "tp", "pp", "expected", "tokens"),
    [
        pytest.param(
            LLAMA_405B, "none", H100, 8, 1,
            (94.54, 2.08, 2.15, 4.29, 71.27, -27.49), 0,
            id="bf16 on 8 H100",
        ),
        pytest.param(
            LLAMA_405B, "none", H100, 8, 2,
            (47.28, 2.08, 2.15, 2.37, 71.27, 19.76), 657_840,
            id="bf16 on two nodes of 8 H100, as stages",
        ),
        pytest.param(
            LLAMA_405B, "none", H100, 16, 1,
            (47.78, 2.08, 2.15, 4.29, 71.27, 19.27), 320_672,
            id="bf16 on 16 H100",
        ),
        pytest.param(
            LLAMA_405B, "fbgemm-fp8", H100, 8, 1,
            (56.77, 2.08, 2.15, 4.29, 71.27, 10.28), 171_056,
            id="Meta's FP8 on 8 H100",
        ),
        pytest.param(
            LLAMA_405B_JULY_2024, "fbgemm-fp8", H100, 8, 1,
            (57.75, 2.08, 2.15, 4.29, 71.27, 9.29), 77_328,
            id="Meta's FP8 of July 2024 on 8 H100",
        ),
        pytest.param(
            LLAMA_405B, "awq-int4-g128", H100, 8, 1,
            (25.31, 2.08, 2.15, 4.29, 71.27, 41.73), 694_608,
            id="AWQ on 8 H100",
        ),
        pytest.param(
            LLAMA_405B, "awq-int4-g128", A100_80GB, 8, 1,
            (25.31, 0.55, 2.15, 4.29, 71.33, 43.31), 720_928,
            id="AWQ on 8 A100 of 80 GB",
        ),
        pytest.param(
            LLAMA_405B, "awq-int4-g128", A100_40GB, 8, 1,
            (25.31, 0.55, 2.15, 4.29, 35.55, 7.54), 125_472,
            id="AWQ on 8 A100 of 40 GB",
        ),
        pytest.param(
            LLAMA_405B, "bnb-nf4-dq", A100_80GB, 8, 1,
            (25.27, 0.55, 2.15, 4.29, 71.33, 43.36), 721_616,
            id="NF4 on 8 A100 of 80 GB",
        ),
        pytest.param(
            LLAMA_405B, "bnb-nf4-dq", H100, 4, 1,
            (50.55, 2.08, 2.15, 4.29, 71.27, 16.49), 137_264,
            id="NF4 on 4 H100",
        ),
    ],
)  # fmt: skip
def test_placements_of_405b(
    model: ModelShape,
    scheme: str,
    gpu: str,
    tp: int,
    pp: int,
    expected: tuple[float, ...],
    tokens: int,
) -> None:
    found = estimate(setting(model, scheme, gpu, tp=tp, pp=pp))
    assert tuple(round(size, 2) for size in gib_of(found)) == expected
    assert found.kv_cache_tokens == tokens


@pytest.mark.parametrize(
    ("model", "scheme", "gpu", "tp", "reason"),
    [
        pytest.param(LLAMA_405B, "none", H100, 8, "weights", id="bf16 on 8 H100"),
        pytest.param(LLAMA_405B, "fbgemm-fp8", H100, 8, None, id="Meta's FP8"),
        pytest.param(
            LLAMA_405B_JULY_2024, "fbgemm-fp8", H100, 8, "kv-cache", id="Meta's FP8 of July 2024"
        ),
        pytest.param(LLAMA_405B, "awq-int4-g128", A100_40GB, 8, "kv-cache", id="AWQ on 40 GB"),
        pytest.param(LLAMA_405B, "bnb-nf4-dq", H100, 4, None, id="NF4 on 4 H100"),
        pytest.param(LLAMA_70B, "none", H100, 2, "kv-cache", id="70B on 2 H100"),
        pytest.param(LLAMA_70B, "none", H100, 3, "tensor-parallel-size", id="70B on 3 H100"),
        pytest.param(LLAMA_8B, "none", A10G, 1, "kv-cache", id="8B on an A10G"),
    ],
)
def test_the_whole_context_of_131_072_tokens(
    model: ModelShape, scheme: str, gpu: str, tp: int, reason: str | None
) -> None:
    found = estimate(setting(model, scheme, gpu, tp=tp, max_model_len=131_072))
    assert found.reason == reason
    assert found.fits is (reason is None)
    assert bool(found.message) is (reason is not None)


def test_awq_on_40_gb_is_a_third_of_a_gib_short_with_graphs() -> None:
    # 39.5 - 35.55 - 4.29
    found = estimate(setting(LLAMA_405B, "awq-int4-g128", A100_40GB, tp=8, max_model_len=65_536))
    assert found.headroom_bytes is not None
    assert round(found.headroom_bytes / GIB, 2) == -0.34
    assert found.reason == "graphs"
    eager = setting(
        LLAMA_405B, "awq-int4-g128", A100_40GB, tp=8, max_model_len=65_536, enforce_eager=True
    )
    assert estimate(eager).fits


@pytest.mark.parametrize(
    ("model", "scheme", "gpu", "tp", "context", "weights", "pool", "tokens"),
    [
        pytest.param(LLAMA_70B, "none", H100, 2, 8192, 65.74, 1.50, 9_824, id="70B on 2 H100"),
        pytest.param(LLAMA_70B, "none", H100, 4, 8192, 32.89, 34.28, 449_328, id="70B on 4 H100"),
        pytest.param(
            LLAMA_70B, "fp8-dynamic", H100, 1, 4096, 67.72, 1.35, 4_400, id="70B FP8 on 1 H100"
        ),
        pytest.param(
            LLAMA_70B, "fp8-dynamic", H100, 2, 8192, 33.88, 33.36, 218_624, id="70B FP8 on 2 H100"
        ),
        pytest.param(
            LLAMA_70B, "awq-int4-g128", H100, 4, 4096, 9.37, 57.81, 757_664, id="70B AWQ on 4 H100"
        ),
    ],
)
def test_placements_of_70b(
    model: ModelShape,
    scheme: str,
    gpu: str,
    tp: int,
    context: int,
    weights: float,
    pool: float,
    tokens: int,
) -> None:
    found = estimate(setting(model, scheme, gpu, tp=tp, max_model_len=context))
    assert found.fits
    assert found.kv_cache_tokens == tokens
    assert round(found.stages[0].weights_bytes / GIB, 2) == weights
    assert found.stages[0].kv_cache_bytes is not None
    assert round(found.stages[0].kv_cache_bytes / GIB, 2) == pool


@pytest.mark.parametrize(
    ("gpu", "scheme", "version", "utilization", "pool", "tokens"),
    [
        # "KV 4.1 GiB = 33.6k tokens"; worked out in test_arithmetic.py
        pytest.param(A10G, "none", "0.19.0", 0.9, 4.11, 33_680, id="A10G in 0.19"),
        pytest.param(L4, "none", "0.19.0", 0.9, 4.09, 33_472, id="L4 in 0.19"),
        pytest.param(
            A10G, "fp8-dynamic", "0.19.0", 0.9, 10.61, 86_896, id="A10G with fp8 weights in 0.19"
        ),
        # graphs are inside: "about" 25,900 and 25,700 tokens, at 0.88 22,300 and 22,000
        pytest.param(A10G, "none", "0.33.0", 0.9, 3.16, 25_872, id="A10G in 0.33"),
        pytest.param(L4, "none", "0.33.0", 0.9, 3.13, 25_648, id="L4 in 0.33"),
        pytest.param(A10G, "none", "0.33.0", 0.88, 2.72, 22_256, id="A10G in 0.33 as planned"),
        pytest.param(L4, "none", "0.33.0", 0.88, 2.69, 22_048, id="L4 in 0.33 as planned"),
    ],
)
def test_8b_on_cards_of_24_gb(
    gpu: str, scheme: str, version: str, utilization: float, pool: float, tokens: int
) -> None:
    wanted = setting(
        LLAMA_8B, scheme, gpu, version=version, utilization=utilization, max_model_len=8192
    )
    found = estimate(wanted)
    assert found.kv_cache_tokens == tokens
    assert found.stages[0].kv_cache_bytes is not None
    assert round(found.stages[0].kv_cache_bytes / GIB, 2) == pool


@pytest.mark.parametrize("gpu", [A10G, L4])
def test_the_largest_context_of_the_8b_on_cards_of_24_gb_is_what_the_engine_prints(
    gpu: str,
) -> None:
    # the whole pool is one request: 2,105 blocks of 16 tokens on an A10G, 2,092 on an L4
    wanted = setting(LLAMA_8B, "none", gpu)
    expected = {A10G: 33_680, L4: 33_472}[gpu]
    assert largest_context(wanted) == expected
    assert estimate(replace(wanted, max_model_len=expected)).fits
    assert estimate(replace(wanted, max_model_len=expected + 16)).reason == "kv-cache"


@pytest.mark.parametrize("gpu", [A10G, L4])
@pytest.mark.parametrize(("requests", "fits"), [(1, True), (2, True), (3, False), (4, False)])
def test_8b_on_a_card_of_24_gb_in_0_33_holds_two_requests_of_8192_tokens_not_four(
    gpu: str, requests: int, fits: bool
) -> None:
    # 22,256 or 22,048 tokens of 131,072 bytes; three requests are 24,576
    wanted = setting(
        LLAMA_8B, "none", gpu, version="0.33.0", utilization=0.88, max_model_len=8192,
        concurrency=requests,
    )  # fmt: skip
    found = estimate(wanted)
    assert found.fits is fits
    assert found.max_concurrency is not None
    assert int(found.max_concurrency) == 2


@pytest.mark.parametrize(
    ("scheme", "gpu", "tp", "tokens"),
    [
        # "about" 99,600, 101,600 and 54,100; worked out in test_arithmetic.py
        pytest.param("fbgemm-fp8", H100, 8, 99_648, id="Meta's FP8 on 8 H100"),
        pytest.param("bnb-nf4-dq", H100, 4, 101_568, id="NF4 on 4 H100"),
        pytest.param("awq-int4-g128", A100_40GB, 8, 54_080, id="AWQ on 8 A100 of 40 GB"),
    ],
)
def test_405b_with_graphs_inside_the_budget(scheme: str, gpu: str, tp: int, tokens: int) -> None:
    wanted = setting(LLAMA_405B, scheme, gpu, tp=tp, version="0.33.0", max_model_len=32_768)
    found = estimate(wanted)
    assert found.fits
    assert found.kv_cache_tokens == tokens


def test_graphs_inside_the_budget_are_the_reason_when_they_alone_are_too_large() -> None:
    wanted = setting(LLAMA_405B, "fbgemm-fp8", H100, tp=8, version="0.33.0", max_model_len=131_072)
    assert estimate(wanted).reason == "graphs"
