"""The literals of the other tests, worked out anew in plain integers from the formulas alone."""

from fractions import Fraction
from math import ceil

import pytest

GIB = 1 << 30
LLAMA = {  # layers, hidden size, intermediate size, query heads, KV heads
    "8B": (32, 4096, 14_336, 32, 8),
    "70B": (80, 8192, 28_672, 64, 8),
    "405B": (126, 16_384, 53_248, 128, 8),
    "405B-2024-07": (126, 16_384, 53_248, 128, 16),
}
VOCABULARY = 128_256
HUNDREDTH = Fraction(1, 100)


@pytest.mark.parametrize(
    ("name", "bytes_per_token"),
    [("8B", 131_072), ("70B", 327_680), ("405B", 516_096), ("405B-2024-07", 1_032_192)],
)
def test_bytes_of_a_token(name: str, bytes_per_token: int) -> None:
    layers, hidden, _, heads, kv_heads = LLAMA[name]
    assert 2 * layers * kv_heads * (hidden // heads) * 2 == bytes_per_token


@pytest.mark.parametrize(
    ("name", "tp", "tokens", "seqs", "alpha", "expected"),
    [
        ("8B", 1, 8192, 1024, Fraction(365, 100), 2_027_537_039),
        ("8B", 1, 8192, 1024, Fraction(95, 10), 5_100_756_008),
        ("8B", 1, 8192, 256, Fraction(95, 10), 1_357_732_904),
        ("405B", 8, 8192, 1024, Fraction(365, 100), 2_228_863_631),
    ],
)
def test_peaks_of_dense_models(
    name: str, tp: int, tokens: int, seqs: int, alpha: Fraction, expected: int
) -> None:
    _, hidden, width, _, _ = LLAMA[name]
    sampler = alpha * seqs * VOCABULARY * 4 + tokens * hidden * 2 + 4 * HUNDREDTH * GIB
    mlp = tokens * 2 * (3 * Fraction(width, tp) + Fraction(425, 100) * hidden)
    assert int(max(sampler, mlp)) == expected


@pytest.mark.parametrize(
    ("layers", "hidden", "tp", "experts", "gib"),
    [
        (32, 4096, 1, False, "0.90"),
        (126, 16_384, 8, False, "4.29"),
        (63, 16_384, 8, False, "2.37"),
        (27, 2048, 1, True, "1.48"),
    ],
)
def test_graphs(layers: int, hidden: int, tp: int, experts: bool, gib: str) -> None:
    thousandths = Fraction(660) + Fraction(186 * layers * hidden, 100_000)
    thousandths += (720 if experts else 0) - (210 if tp > 1 else 0)
    assert f"{float(thousandths / 1000):.2f}" == gib


@pytest.mark.parametrize(
    ("name", "tp", "pp", "total", "weights", "activation", "outside", "pool", "tokens"),
    [
        ("405B", 8, 2, "79.19", "47.28", "2.08", "2.15", "19.76", 657_840),
        ("405B", 16, 1, "79.19", "47.78", "2.08", "2.15", "19.27", 320_672),
        ("405B", 8, 1, "79.19", "56.77", "2.08", "2.15", "10.28", 171_056),
        ("405B-2024-07", 8, 1, "79.19", "57.75", "2.08", "2.15", "9.29", 77_328),
        ("405B", 8, 1, "79.25", "25.31", "0.55", "2.15", "43.31", 720_928),
        ("405B", 8, 1, "39.50", "25.31", "0.55", "2.15", "7.54", 125_472),
        ("405B", 4, 1, "79.19", "50.55", "2.08", "2.15", "16.49", 137_264),
    ],
)
def test_placements_add_up_and_hold_their_tokens(
    name: str,
    tp: int,
    pp: int,
    total: str,
    weights: str,
    activation: str,
    outside: str,
    pool: str,
    tokens: int,
) -> None:
    budget = Fraction(9, 10) * Fraction(total)
    rest = budget - Fraction(weights) - Fraction(activation) - Fraction(outside)
    assert abs(rest - Fraction(pool)) <= 2 * HUNDREDTH
    layers, hidden, _, heads, kv_heads = LLAMA[name]
    block = 16 * 2 * max(1, kv_heads // tp) * (hidden // heads) * 2 * ceil(layers / pp)
    assert tokens % 16 == 0
    assert abs(tokens // 16 * block - Fraction(pool) * GIB) <= HUNDREDTH * GIB


@pytest.mark.parametrize(
    ("full", "windowed", "page", "pool", "tokens"),
    [
        (23, 23, 16 * 2 * 16 * 128 * 2, 22_108_344_156, 58_656),
        (10, 52, 16 * 2 * 16 * 128 * 2, 20_970_177_822, 36_560),
        (12, 12, 16 * 2 * 8 * 64 * 2, 62_781_684_449, 1_277_296),
        (5, 25, 16 * 2 * 8 * 256 * 2, 23_085_449_216, 93_920),
    ],
)
def test_tokens_of_groups(full: int, windowed: int, page: int, pool: int, tokens: int) -> None:
    less, more = sorted((full, windowed))
    group = more if 4 * more < 5 * less else less
    groups = -(-full // group) - (-windowed // group)
    assert pool // (page * group) // groups * 16 == tokens


def test_a_state_stretches_the_block_of_attention() -> None:
    state = 64 * 64 * 128 * 4 + (64 * 64 + 2 * 8 * 128) * 3 * 2
    block = 16 * 2 * 2 * 128 * 2
    assert (state, block, -(-state // block)) == (2_134_016, 16_384, 131)
    page = 131 * block
    pages = 40 * GIB // (6 * page)
    assert pages // (4 + 1) * (131 * 16) == 1_398_032
    assert pages * 131_072 // (-(-131_072 // (131 * 16)) + 4) == 6_524_255
