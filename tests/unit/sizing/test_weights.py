import pytest

from llama_operator.catalog.rows import Architecture
from llama_operator.errors import UnsupportedSchemeError
from llama_operator.sizing.allocator import allocated_bytes
from llama_operator.sizing.weights import checkpoint_bytes, weights_bytes
from llama_operator.units import GIB, MIB
from unit.sizing.rows import (
    A100_80GB,
    H100,
    LLAMA_3B,
    LLAMA_8B,
    LLAMA_70B,
    LLAMA_405B,
    LLAMA_405B_JULY_2024,
    placed,
    scheme,
)


@pytest.mark.parametrize(
    ("architecture", "name", "expected"),
    [
        pytest.param(LLAMA_8B, "none", 16_060_522_496, id="8B in bf16"),
        pytest.param(LLAMA_8B, "fp8-dynamic", 9_086_705_664, id="8B in FP8, one scale a channel"),
        pytest.param(LLAMA_8B, "awq-int4-g128", 5_727_854_592, id="8B in AWQ"),
        pytest.param(LLAMA_70B, "none", 141_107_412_992, id="70B in bf16"),
        pytest.param(LLAMA_70B, "fp8-dynamic", 72_683_241_472, id="70B in FP8, a scale a channel"),
        pytest.param(LLAMA_70B, "awq-int4-g128", 39_767_785_472, id="70B in AWQ"),
        pytest.param(LLAMA_405B, "none", 811_706_777_600, id="405B in bf16"),
        pytest.param(LLAMA_405B, "fp8-dynamic", 410_139_705_344, id="405B in FP8, all linears"),
        pytest.param(LLAMA_405B, "fbgemm-fp8", 487_229_259_776, id="405B in FP8 as Meta publishes"),
        pytest.param(LLAMA_405B, "awq-int4-g128", 217_081_610_240, id="405B in AWQ"),
        # 8B: 7 scales of 8 bytes in each of 32 layers, 6,979,321,856 linear weights and
        # 1,050,939,392 others in 16 bit: 6,979,321,856 + 1,792 + 2,101,878,784
        pytest.param(LLAMA_8B, "fp8", 9_081_202_432, id="8B in FP8, one scale a tensor"),
        pytest.param(
            LLAMA_8B, "fp8-online", 16_060_522_496, id="FP8 at load has a bf16 checkpoint"
        ),
        # AWQ and 4 bytes an input: (6*4096 + 14336) * 4 * 32 layers = 4,980,736
        pytest.param(LLAMA_8B, "gptq-int4-g128", 5_732_835_328, id="8B in GPTQ with g_idx"),
        # n/2 + 2n/128 = 3,489,660,928 + 109,051,904; and 2,101,878,784
        pytest.param(LLAMA_8B, "gptq-w4a16", 5_700_591_616, id="8B in symmetric 4 bit"),
        # 70B: n/2 + 4n/64 = 34,225,520,640 + 4,278,190,080; and 4,205,330,432
        pytest.param(LLAMA_70B, "bnb-nf4", 42_709_041_152, id="70B in NF4: 42.71 GB"),
        # n/2 + n/64 + 4n/16384 = 34,225,520,640 + 1,069,547,520 + 16,711,680; and 4,205,330,432
        pytest.param(LLAMA_70B, "bnb-nf4-dq", 39_517_110_272, id="70B in NF4 twice: 39.52 GB"),
    ],
)
def test_checkpoint_has_exactly_these_bytes(
    architecture: Architecture, name: str, expected: int
) -> None:
    assert checkpoint_bytes(architecture, scheme(name)) == expected


def test_int8_checkpoints_weigh_as_much_as_fp8_per_channel() -> None:
    assert checkpoint_bytes(LLAMA_8B, scheme("int8-w8a8")) == 9_086_705_664
    assert checkpoint_bytes(LLAMA_8B, scheme("bnb-int8")) == 9_086_705_664


@pytest.mark.parametrize(
    ("architecture", "name", "tp", "expected"),
    [
        pytest.param(LLAMA_70B, "awq-int4-g128", 1, 37.16, id="70B AWQ on one GPU"),
        pytest.param(LLAMA_70B, "awq-int4-g128", 2, 18.55, id="70B AWQ on two GPUs"),
        pytest.param(LLAMA_70B, "awq-int4-g128", 4, 9.37, id="70B AWQ on four GPUs"),
        pytest.param(LLAMA_70B, "awq-int4-g128", 8, 4.73, id="70B AWQ on eight GPUs"),
        pytest.param(LLAMA_8B, "none", 1, 14.99, id="8B bf16 on one GPU"),
        pytest.param(LLAMA_8B, "none", 2, 7.51, id="8B bf16 on two GPUs"),
        pytest.param(LLAMA_70B, "none", 2, 65.74, id="70B bf16 on two GPUs"),
        pytest.param(LLAMA_70B, "none", 4, 32.89, id="70B bf16 on four GPUs"),
        pytest.param(LLAMA_405B, "none", 8, 94.54, id="405B bf16 on eight GPUs"),
        pytest.param(LLAMA_405B, "none", 16, 47.78, id="405B bf16 on 16: KV heads repeat"),
        pytest.param(LLAMA_405B, "fbgemm-fp8", 8, 56.77, id="405B FP8 as Meta publishes it"),
        pytest.param(
            LLAMA_405B_JULY_2024, "fbgemm-fp8", 8, 57.75, id="405B FP8 with 16 KV heads, as logged"
        ),
        pytest.param(LLAMA_405B, "awq-int4-g128", 8, 25.31, id="405B AWQ on eight GPUs"),
        pytest.param(LLAMA_405B, "bnb-nf4-dq", 8, 25.27, id="405B NF4 on eight GPUs"),
        pytest.param(LLAMA_405B, "bnb-nf4-dq", 4, 50.55, id="405B NF4 on four GPUs"),
        # AWQ's 25.31 and 4 bytes an input on every GPU: (2*16384 + 16384/8 + 53248/8)*4*126 B
        pytest.param(LLAMA_405B, "gptq-int4-g128", 8, 25.33, id="405B GPTQ with g_idx"),
    ],
)
def test_weights_per_gpu_agree_with_the_worked_figures(
    architecture: Architecture, name: str, tp: int, expected: float
) -> None:
    placement = placed(architecture, name, H100, tp=tp)
    assert weights_bytes(placement) / GIB == pytest.approx(expected, abs=0.00501)


def test_weights_of_the_8b_on_one_gpu_are_exact() -> None:
    # the checkpoint and a RoPE table of 131072 positions x 128 x 2 bytes
    assert weights_bytes(placed(LLAMA_8B, "none", H100)) == 16_060_522_496 + 33_554_432


@pytest.mark.parametrize(
    ("stage", "expected"),
    [
        # 8*(218,103,808 + 8,192)*2 + 33,554,432; the ends hold 1,050,673,152 bytes more
        pytest.param(0, 3_523_346_432 + 1_050_673_152, id="the first stage holds the embedding"),
        pytest.param(1, 3_523_346_432, id="a middle stage holds layers alone"),
        pytest.param(
            3, 3_523_346_432 + 1_050_673_152 + 8192, id="the last holds lm_head and the final norm"
        ),
    ],
)
def test_stages_hold_their_own_parts(stage: int, expected: int) -> None:
    assert weights_bytes(placed(LLAMA_8B, "none", H100, pp=4), stage=stage) == expected


def test_tied_embeddings_are_held_once_on_one_stage_and_on_both_ends_of_two() -> None:
    matrix = 128_256 * 3072 * 2
    whole = weights_bytes(placed(LLAMA_3B, "none", A100_80GB))
    ends = sum(weights_bytes(placed(LLAMA_3B, "none", A100_80GB, pp=2), stage=s) for s in (0, 1))
    rope = 131_072 * 128 * 2
    assert ends - whole == pytest.approx(matrix + rope, abs=2 * MIB)


@pytest.mark.parametrize(
    ("tensor", "expected"),
    [
        pytest.param(1, 512, id="a tiny tensor takes 512 bytes"),
        pytest.param(513, 1024, id="small tensors are multiples of 512 bytes"),
        pytest.param(10 * MIB, 10 * MIB, id="10 MiB stay 10 MiB"),
        pytest.param(11 * MIB, 12 * MIB, id="a rest of 1 MiB is lost"),
        pytest.param(11 * MIB - 512, 11 * MIB - 512, id="a larger rest is given to others"),
    ],
)
def test_allocator_rounds_as_pytorch_does(tensor: int, expected: int) -> None:
    assert allocated_bytes(tensor) == expected


def test_a_scheme_without_rule_is_refused_with_the_families_that_have_one() -> None:
    with pytest.raises(UnsupportedSchemeError, match=r"'mxfp4' cannot be sized.*awq.*none"):
        checkpoint_bytes(LLAMA_8B, scheme("mxfp4"))
