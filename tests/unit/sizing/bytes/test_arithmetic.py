"""The expected figures of the other tests here, worked out again with nothing but integers."""

from collections.abc import Callable

import pytest

from unit.sizing.llama_in_integers import (
    GIB,
    SHAPES,
    VOCABULARY,
    Stored,
    bf16,
    checkpoint,
    fp8_block,
    fp8_channel,
    fp8_tensor,
    gptq,
    grouped,
    linears,
    nf4,
    nf4_double,
    nvfp4,
    others,
    symmetric,
    symmetric_channel,
)


@pytest.mark.parametrize(
    ("size", "stored", "expected"),
    [
        pytest.param("8B", bf16, 16_060_522_496, id="8B in bf16"),
        pytest.param("70B", bf16, 141_107_412_992, id="70B in bf16"),
        pytest.param("405B", bf16, 811_706_777_600, id="405B in bf16"),
        pytest.param("8B", fp8_channel, 9_086_705_664, id="8B in FP8 or INT8, a scale a channel"),
        pytest.param("70B", fp8_channel, 72_683_241_472, id="70B in FP8, a scale a channel"),
        pytest.param("405B", fp8_channel, 410_139_705_344, id="405B in FP8, a scale a channel"),
        pytest.param("8B", fp8_tensor, 9_081_202_432, id="8B in FP8, a scale a tensor"),
        pytest.param("8B", fp8_block, 9_082_904_576, id="8B in FP8, a scale a block"),
        pytest.param("8B", grouped(4, 128), 5_727_854_592, id="8B in AWQ"),
        pytest.param("70B", grouped(4, 128), 39_767_785_472, id="70B in AWQ"),
        pytest.param("405B", grouped(4, 128), 217_081_610_240, id="405B in AWQ"),
        pytest.param("8B", gptq, 5_732_835_328, id="8B in GPTQ with g_idx"),
        pytest.param("8B", symmetric, 5_700_591_616, id="8B in symmetric 4 bit"),
        pytest.param("8B", symmetric_channel, 5_594_292_224, id="8B, one group an output"),
        pytest.param("8B", grouped(8, 64), 9_408_356_352, id="8B in 8 bit, groups of 64"),
        pytest.param("8B", grouped(3, 32), 5_237_121_024, id="8B in 3 bit, groups of 32"),
        pytest.param("70B", nf4, 42_709_041_152, id="70B in NF4"),
        pytest.param("70B", nf4_double, 39_517_110_272, id="70B in NF4 twice"),
        pytest.param("70B", nvfp4, 42_709_045_632, id="70B in NVFP4"),
    ],
)
def test_checkpoints(size: str, stored: Stored, expected: int) -> None:
    assert checkpoint(size, stored) == expected


@pytest.mark.parametrize(("stored", "gb"), [(nf4, "42.71"), (nf4_double, "39.52")])
def test_the_70b_in_4_bit_of_bitsandbytes(stored: Stored, gb: str) -> None:
    assert f"{checkpoint('70B', stored) / 10**9:.2f}" == gb


def test_parts_of_the_70b_in_awq_add_up_to_the_figure_of_its_card() -> None:
    weights = 80 * sum(o * i for o, i in linears("70B"))
    packed, scales, zeros = weights // 2, 2 * weights // 128, weights // 256
    matrices, norms = 2 * 2 * VOCABULARY * 8192, 2 * (2 * 80 + 1) * 8192
    assert weights == 68_451_041_280
    assert packed * 1000 == 31_875 * GIB
    assert f"{(scales + zeros) / GIB:.3f}" == "1.245"
    assert f"{matrices / GIB:.3f}" == "3.914"
    assert packed + scales + zeros + matrices + norms == 39_767_785_472
    assert f"{39_767_785_472 / GIB:.2f}" == "37.04"


def test_fp8_of_the_405b_as_meta_publishes_it() -> None:
    layers = SHAPES["405B"].layers
    attention, feed_forward = linears("405B")[:4], linears("405B")[4:]
    quantized = (layers - 2) * sum(fp8_channel(o, i) for o, i in feed_forward)
    edges = 2 * 2 * sum(o * i for o, i in feed_forward)
    kept = 2 * layers * sum(o * i for o, i in attention)
    assert quantized + edges + kept + others("405B") == 487_229_259_776


@pytest.mark.parametrize(
    ("size", "bits", "expected"),
    [
        ("8B", 4, 4_517_404_672),
        ("8B", 8, 8_532_402_176),
        ("70B", 4, 39_688_355_840),
        ("70B", 8, 74_964_549_632),
    ],
)
def test_mlx(size: str, bits: int, expected: int) -> None:
    h, layers = SHAPES[size].hidden, SHAPES[size].layers
    weights = layers * sum(o * i for o, i in linears(size)) + 2 * VOCABULARY * h
    norms = 2 * (2 * layers + 1) * h
    assert weights * bits // 8 + 4 * (weights // 64) + norms == expected


def _more(j: int, layers: int = 80) -> bool:
    """Whether layer j of a mix has more bits."""
    return j < layers // 8 or j >= 7 * layers // 8 or (j - layers // 8) % 3 == 2


def _constant(block: int) -> Callable[[int], int]:
    return lambda _: block


def _if_more(more: int, plain: int, layers: int = 80) -> Callable[[int], int]:
    return lambda j: more if _more(j, layers) else plain


def _first(count: int, more: int, plain: int) -> Callable[[int], int]:
    return lambda j: more if j < count else plain


# bytes of 256 weights
Q8, Q6, Q5, Q4, Q3, Q2 = 272, 210, 176, 144, 110, 84
IQ4_XS, IQ3_S, IQ3_XXS, IQ2_S = 136, 110, 98, 82


Blocks = Callable[[int], int]
"""Bytes of 256 weights of a tensor, by layer."""


@pytest.mark.parametrize(
    ("base", "values", "down", "attention_output", "output", "embedding", "expected", "gpu_gib"),
    [
        pytest.param(
            Q8, _constant(Q8), _constant(Q8), Q8, Q8, Q8, 74_967_187_456, "68.78",
            id="Q8_0",
        ),
        pytest.param(
            Q6, _constant(Q6), _constant(Q6), Q6, Q8, Q8, 58_389_200_896, "53.34",
            id="Q6_K_L",
        ),
        pytest.param(
            Q6, _constant(Q6), _constant(Q6), Q6, Q6, Q6, 57_880_281_088, "53.10",
            id="Q6_K",
        ),
        pytest.param(
            Q5, _if_more(Q6, Q5), _if_more(Q6, Q5), Q5, Q8, Q8, 50_590_416_896, "46.08",
            id="Q5_K_L",
        ),
        pytest.param(
            Q5, _if_more(Q6, Q5), _if_more(Q6, Q5), Q5, Q6, Q5, 49_941_954_560, "45.84",
            id="Q5_K_M",
        ),
        pytest.param(
            Q5, _constant(Q5), _constant(Q5), Q5, Q6, Q5, 48_649_584_640, "44.64",
            id="Q5_K_S",
        ),
        pytest.param(
            Q4, _if_more(Q6, Q5), _if_more(Q6, Q4), Q4, Q8, Q8, 43_292_327_936, "39.28",
            id="Q4_K_L",
        ),
        pytest.param(
            Q4, _if_more(Q6, Q5), _if_more(Q6, Q4), Q4, Q6, Q4, 42_512_531_456, "39.04",
            id="Q4_K_M",
        ),
        pytest.param(
            Q4, _constant(Q5), _first(10, Q5, Q4), Q4, Q6, Q4, 40_339_357_696, "37.02",
            id="Q4_K_S",
        ),
        pytest.param(
            Q3, _constant(Q5), _constant(Q5), Q5, Q8, Q8, 38_052_069_376, "34.40",
            id="Q3_K_XL",
        ),
        pytest.param(
            IQ4_XS, _constant(Q5), _constant(IQ4_XS), IQ4_XS, Q6, IQ4_XS, 37_894_799_360, "34.77",
            id="IQ4_XS",
        ),
        pytest.param(
            Q3, _constant(Q5), _constant(Q5), Q5, Q6, Q3, 37_132_730_368, "34.16",
            id="Q3_K_L",
        ),
        pytest.param(
            Q3, _constant(Q5), _first(5, Q5, Q4), Q4, Q6, Q3, 34_259_632_128, "31.49",
            id="Q3_K_M",
        ),
        pytest.param(
            IQ3_S, _constant(Q5), _first(10, Q4, IQ3_S), Q4, Q6, IQ3_S, 31_929_171_968, "29.32",
            id="IQ3_M",
        ),
        pytest.param(
            Q3, _constant(Q5), _constant(Q3), Q3, Q6, Q3, 30_904_188_928, "28.36",
            id="Q3_K_S",
        ),
        pytest.param(
            Q2, _constant(Q5), _constant(Q3), Q3, Q8, Q8, 27_393_294_336, "24.47",
            id="Q2_K_L",
        ),
        pytest.param(
            Q2, _constant(Q5), _constant(Q3), Q3, Q6, Q2, 26_367_246_336, "24.24",
            id="Q2_K",
        ),
        pytest.param(
            IQ2_S, _constant(Q4), _first(10, IQ3_S, IQ2_S), IQ3_S, Q5, IQ3_S,
            24_111_431_680, "22.04", id="IQ2_M",
        ),
    ],
)  # fmt: skip
def test_gguf_files_of_the_70b(
    base: int,
    values: Blocks,
    down: Blocks,
    attention_output: int,
    output: int,
    embedding: int,
    expected: int,
    gpu_gib: str,
) -> None:
    q, k, v, o, gate, up, last = (rows * inputs // 256 for rows, inputs in linears("70B"))
    matrix = VOCABULARY * 8192 // 256
    layers = sum(
        (q + k + gate + up) * base + v * values(j) + o * attention_output + last * down(j)
        for j in range(80)
    )
    norms = 4 * (2 * 80 + 1) * 8192
    assert layers + matrix * (output + embedding) + norms == expected
    # the embedding stays in host memory
    assert f"{(layers + matrix * output + norms) / GIB:.2f}" == gpu_gib


def test_iq3_xs_of_the_70b() -> None:
    q, k, v, o, gate, up, last = (rows * inputs // 256 for rows, inputs in linears("70B"))
    matrix = VOCABULARY * 8192 // 256
    middle = 60  # layers 10 to 69
    layers = 80 * ((q + k) * IQ3_XXS + v * Q5 + (o + last) * IQ3_S)
    layers += (gate + up) * (middle * IQ3_XXS + (80 - middle) * IQ3_S)
    norms = 4 * (2 * 80 + 1) * 8192
    assert layers + matrix * (Q6 + IQ3_S) + norms == 29_299_867_648
    assert f"{(layers + matrix * Q6 + norms) / GIB:.2f}" == "26.87"


@pytest.mark.parametrize(
    ("base", "values", "down", "attention_output", "output", "expected", "gb"),
    [
        # 32 layers: a rule for 80 layers does not hold, v of Q4_K_M is Q6_K or Q4_K
        pytest.param(
            Q3, _constant(Q5), _constant(Q5), Q5, Q6, 4_314_120_192, "4.31", id="Q3_K_L"
        ),
        pytest.param(
            IQ4_XS, _constant(Q5), _constant(IQ4_XS), IQ4_XS, Q6, 4_439_826_432, "4.44",
            id="IQ4_XS",
        ),
        pytest.param(
            Q4, _if_more(Q6, Q4, 32), _if_more(Q6, Q4, 32), Q4, Q6, 4_912_898_048, "4.91",
            id="Q4_K_M",
        ),
        pytest.param(
            Q5, _if_more(Q6, Q5, 32), _if_more(Q6, Q5, 32), Q5, Q6, 5_725_151_232, "5.73",
            id="Q5_K_M",
        ),
        pytest.param(Q6, _constant(Q6), _constant(Q6), Q6, Q6, 6_588_170_240, "6.59", id="Q6_K"),
        pytest.param(Q8, _constant(Q8), _constant(Q8), Q8, Q8, 8_532_934_656, "8.53", id="Q8_0"),
    ],
)  # fmt: skip
def test_gguf_files_of_the_8b(
    base: int,
    values: Blocks,
    down: Blocks,
    attention_output: int,
    output: int,
    expected: int,
    gb: str,
) -> None:
    q, k, v, o, gate, up, last = (rows * inputs // 256 for rows, inputs in linears("8B"))
    matrix = VOCABULARY * 4096 // 256
    layers = sum(
        (q + k + gate + up) * base + v * values(j) + o * attention_output + last * down(j)
        for j in range(32)
    )
    norms = 4 * (2 * 32 + 1) * 4096
    assert layers + matrix * (output + base) + norms == expected
    assert f"{expected / 10**9:.2f}" == gb
