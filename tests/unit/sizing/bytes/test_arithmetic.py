"""The expected figures of the other tests here, worked out again with nothing but integers."""

import pytest

# hidden, intermediate, layers, query heads * head dim, KV heads * head dim
SHAPES = {
    "8B": (4096, 14336, 32, 4096, 1024),
    "70B": (8192, 28672, 80, 8192, 1024),
    "405B": (16384, 53248, 126, 16384, 1024),
}
VOCABULARY = 128_256


def linears(size: str) -> list[tuple[int, int]]:
    """Outputs and inputs of q, k, v, o, gate, up and down of one layer."""
    h, i, _, q, kv = SHAPES[size]
    return [(q, h), (kv, h), (kv, h), (h, q), (i, h), (i, h), (h, i)]


def others(size: str) -> int:
    h, _, layers, _, _ = SHAPES[size]
    return 2 * (2 * VOCABULARY * h + (2 * layers + 1) * h)


@pytest.mark.parametrize(
    ("size", "expected"),
    [("8B", 16_060_522_496), ("70B", 141_107_412_992), ("405B", 811_706_777_600)],
)
def test_16_bit(size: str, expected: int) -> None:
    layers = SHAPES[size][2]
    assert 2 * layers * sum(o * i for o, i in linears(size)) + others(size) == expected


@pytest.mark.parametrize(
    ("size", "expected"),
    [("8B", 9_086_705_664), ("70B", 72_683_241_472), ("405B", 410_139_705_344)],
)
def test_fp8_by_channel(size: str, expected: int) -> None:
    layers = SHAPES[size][2]
    assert layers * sum(o * i + 4 * o for o, i in linears(size)) + others(size) == expected


@pytest.mark.parametrize(
    ("size", "expected"),
    [("8B", 5_727_854_592), ("70B", 39_767_785_472), ("405B", 217_081_610_240)],
)
def test_awq(size: str, expected: int) -> None:
    layers = SHAPES[size][2]
    stored = layers * sum(o * i // 2 + 2 * (o * i // 128) + o * i // 256 for o, i in linears(size))
    assert stored + others(size) == expected


def test_fp8_of_the_405b_as_meta_publishes_it() -> None:
    layers = SHAPES["405B"][2]
    attention, feed_forward = linears("405B")[:4], linears("405B")[4:]
    quantized = (layers - 2) * sum(o * i + 4 * o for o, i in feed_forward)
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
    h, _, layers, _, _ = SHAPES[size]
    weights = layers * sum(o * i for o, i in linears(size)) + 2 * VOCABULARY * h
    norms = 2 * (2 * layers + 1) * h
    assert weights * bits // 8 + 4 * (weights // 64) + norms == expected


def _more(j: int) -> bool:
    return j < 10 or j >= 70 or (j - 10) % 3 == 2


# bytes of 256 weights
Q8, Q6, Q5, Q4, Q3, Q2 = 272, 210, 176, 144, 110, 84
IQ4_XS, IQ3_S, IQ3_XXS, IQ2_S = 136, 110, 98, 82


@pytest.mark.parametrize(
    ("name", "base", "values", "down", "attention_output", "output", "embedding", "expected"),
    [
        ("Q8_0", Q8, lambda _: Q8, lambda _: Q8, Q8, Q8, Q8, 74_967_187_456),
        ("Q6_K_L", Q6, lambda _: Q6, lambda _: Q6, Q6, Q8, Q8, 58_389_200_896),
        ("Q6_K", Q6, lambda _: Q6, lambda _: Q6, Q6, Q6, Q6, 57_880_281_088),
        (
            "Q5_K_L", Q5, lambda j: Q6 if _more(j) else Q5, lambda j: Q6 if _more(j) else Q5,
            Q5, Q8, Q8, 50_590_416_896,
        ),
        (
            "Q5_K_M", Q5, lambda j: Q6 if _more(j) else Q5, lambda j: Q6 if _more(j) else Q5,
            Q5, Q6, Q5, 49_941_954_560,
        ),
        ("Q5_K_S", Q5, lambda _: Q5, lambda _: Q5, Q5, Q6, Q5, 48_649_584_640),
        (
            "Q4_K_L", Q4, lambda j: Q6 if _more(j) else Q5, lambda j: Q6 if _more(j) else Q4,
            Q4, Q8, Q8, 43_292_327_936,
        ),
        (
            "Q4_K_M", Q4, lambda j: Q6 if _more(j) else Q5, lambda j: Q6 if _more(j) else Q4,
            Q4, Q6, Q4, 42_512_531_456,
        ),
        ("Q4_K_S", Q4, lambda _: Q5, lambda j: Q5 if j < 10 else Q4, Q4, Q6, Q4, 40_339_357_696),
        ("Q3_K_XL", Q3, lambda _: Q5, lambda _: Q5, Q5, Q8, Q8, 38_052_069_376),
        ("IQ4_XS", IQ4_XS, lambda _: Q5, lambda _: IQ4_XS, IQ4_XS, Q6, IQ4_XS, 37_894_799_360),
        ("Q3_K_L", Q3, lambda _: Q5, lambda _: Q5, Q5, Q6, Q3, 37_132_730_368),
        ("Q3_K_M", Q3, lambda _: Q5, lambda j: Q5 if j < 5 else Q4, Q4, Q6, Q3, 34_259_632_128),
        ("IQ3_M", IQ3_S, lambda _: Q5, lambda j: Q4 if j < 10 else Q3, Q4, Q6, Q3, 31_929_171_968),
        ("Q3_K_S", Q3, lambda _: Q5, lambda _: Q3, Q3, Q6, Q3, 30_904_188_928),
        ("Q2_K_L", Q2, lambda _: Q5, lambda _: Q3, Q3, Q8, Q8, 27_393_294_336),
        ("Q2_K", Q2, lambda _: Q5, lambda _: Q3, Q3, Q6, Q2, 26_367_246_336),
        (
            "IQ2_M", IQ2_S, lambda _: Q4, lambda j: IQ3_S if j < 10 else IQ2_S,
            IQ3_S, Q5, IQ3_S, 24_111_431_680,
        ),
    ],
)  # fmt: skip
def test_gguf_files_of_the_70b(
    name: str,
    base: int,
    values: "object",
    down: "object",
    attention_output: int,
    output: int,
    embedding: int,
    expected: int,
) -> None:
    assert callable(values)
    assert callable(down)
    q, k, v, o, gate, up, last = (rows * inputs // 256 for rows, inputs in linears("70B"))
    matrix = VOCABULARY * 8192 // 256
    layers = sum(
        (q + k + gate + up) * base + v * values(j) + o * attention_output + last * down(j)
        for j in range(80)
    )
    norms = 4 * (2 * 80 + 1) * 8192
    assert layers + matrix * (output + embedding) + norms == expected, name


def test_iq3_xs_of_the_70b() -> None:
    q, k, v, o, gate, up, last = (rows * inputs // 256 for rows, inputs in linears("70B"))
    matrix = VOCABULARY * 8192 // 256
    middle = 60  # layers 10 to 69
    layers = 80 * ((q + k) * IQ3_XXS + v * Q5 + (o + last) * IQ3_S)
    layers += (gate + up) * (middle * IQ3_XXS + (80 - middle) * IQ3_S)
    norms = 4 * (2 * 80 + 1) * 8192
    assert layers + matrix * (Q6 + IQ3_S) + norms == 29_299_867_648
