"""The literals of the other tests, worked out anew in plain integers from the formulas alone."""

from fractions import Fraction
from math import ceil

import pytest

from unit.sizing.llama_in_integers import (
    GIB,
    HEAD,
    ROPE,
    SHAPES,
    VOCABULARY,
    bf16,
    ends_of_rank,
    fp8_channel,
    grouped,
    layer_of_rank,
    nf4_double,
    weights_of_meta_fp8,
    weights_of_rank,
)

HUNDREDTH = Fraction(1, 100)


@pytest.mark.parametrize(
    ("name", "bytes_per_token"),
    [("8B", 131_072), ("70B", 327_680), ("405B", 516_096), ("405B-2024-07", 1_032_192)],
)
def test_bytes_of_a_token(name: str, bytes_per_token: int) -> None:
    assert 2 * SHAPES[name].layers * SHAPES[name].keys * 2 == bytes_per_token


@pytest.mark.parametrize(
    ("bytes_per_token", "gib"),
    [
        (131_072, ("0.1250", "1.9531", "15.6250")),
        (327_680, ("0.3125", "4.8828", "39.0625")),
        (1_032_192, ("0.9844", "15.3809", "123.0469")),
        (516_096, ("0.4922", "7.6904", "61.5234")),
    ],
)
def test_the_published_table_of_kv_caches(bytes_per_token: int, gib: tuple[str, ...]) -> None:
    sizes = [tokens * bytes_per_token for tokens in (1024, 16_000, 128_000)]
    assert tuple(f"{size / GIB:.4f}" for size in sizes) == gib


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
    hidden, width = SHAPES[name].hidden, SHAPES[name].intermediate
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


# weights, activation peak, non-torch memory and graphs of vLLM 0.19 are tested apart
H100, A100_80GB, A100_40GB, A10G, L4 = (
    int(Fraction(gib) * GIB) for gib in ("79.19", "79.25", "39.50", "22.06", "22.03")
)
AWQ = grouped(4, 128)
BF16_405B_STAGE = 63 * layer_of_rank("405B", 8, bf16, bf16) + ends_of_rank("405B", 8)[0] + ROPE
FP8_405B, FP8_405B_2024_07 = weights_of_meta_fp8("405B", 8), weights_of_meta_fp8("405B-2024-07", 8)


def peak(hidden: int, step_tokens: int, seqs: int) -> int:
    """Of the sampler, which exceeds the feed-forward part in all rows here."""
    logits = Fraction(365, 100) * seqs * VOCABULARY * 4
    return int(logits + step_tokens * hidden * 2 + 4 * HUNDREDTH * GIB)


def non_torch(gib: str) -> int:
    return int(Fraction(gib) * GIB)


def pool(total: int, share: str, *taken: int) -> int:
    """What a share of the GPU, rounded up, leaves."""
    return ceil(total * Fraction(share)) - sum(taken)


def tokens_of(pool_bytes: int, name: str, tp: int, layers: int = 0) -> int:
    """Blocks of 16 tokens on one GPU, whole ones."""
    shape = SHAPES[name]
    heads = max(1, shape.keys // HEAD // tp)
    block = 16 * 2 * heads * HEAD * 2 * (layers or shape.layers)
    return max(0, pool_bytes // block * 16)


LARGE, SMALL = (8192, 1024), (2048, 256)  # tokens and sequences of a step


@pytest.mark.parametrize(
    ("name", "tp", "layers", "total", "weights", "batch", "printed", "tokens"),
    [
        pytest.param(
            "405B", 8, 126, H100, weights_of_rank("405B", bf16, 8), LARGE,
            ("94.54", "2.08", "2.15", "-27.49"), 0, id="bf16 on 8 H100",
        ),
        pytest.param(
            "405B", 8, 63, H100, BF16_405B_STAGE, LARGE,
            ("47.28", "2.08", "2.15", "19.76"), 657_840, id="bf16 on two nodes of 8 H100",
        ),
        pytest.param(
            "405B", 16, 126, H100, weights_of_rank("405B", bf16, 16), LARGE,
            ("47.78", "2.08", "2.15", "19.27"), 320_672, id="bf16 on 16 H100",
        ),
        pytest.param(
            "405B", 8, 126, H100, FP8_405B, LARGE,
            ("56.77", "2.08", "2.15", "10.28"), 171_056, id="Meta's FP8 on 8 H100",
        ),
        pytest.param(
            "405B-2024-07", 8, 126, H100, FP8_405B_2024_07, LARGE,
            ("57.75", "2.08", "2.15", "9.29"), 77_328, id="Meta's FP8 of July 2024 on 8 H100",
        ),
        pytest.param(
            "405B", 8, 126, H100, weights_of_rank("405B", AWQ, 8), LARGE,
            ("25.31", "2.08", "2.15", "41.73"), 694_608, id="AWQ on 8 H100",
        ),
        pytest.param(
            "405B", 8, 126, A100_80GB, weights_of_rank("405B", AWQ, 8), SMALL,
            ("25.31", "0.55", "2.15", "43.31"), 720_928, id="AWQ on 8 A100 of 80 GB",
        ),
        pytest.param(
            "405B", 8, 126, A100_40GB, weights_of_rank("405B", AWQ, 8), SMALL,
            ("25.31", "0.55", "2.15", "7.54"), 125_472, id="AWQ on 8 A100 of 40 GB",
        ),
        pytest.param(
            "405B", 8, 126, A100_80GB, weights_of_rank("405B", nf4_double, 8), SMALL,
            ("25.27", "0.55", "2.15", "43.36"), 721_616, id="NF4 on 8 A100 of 80 GB",
        ),
        pytest.param(
            "405B", 4, 126, H100, weights_of_rank("405B", nf4_double, 4), LARGE,
            ("50.55", "2.08", "2.15", "16.49"), 137_264, id="NF4 on 4 H100",
        ),
        pytest.param(
            "70B", 2, 80, H100, weights_of_rank("70B", bf16, 2), LARGE,
            ("65.74", "1.95", "2.08", "1.50"), 9_824, id="70B bf16 on 2 H100",
        ),
        pytest.param(
            "70B", 4, 80, H100, weights_of_rank("70B", bf16, 4), LARGE,
            ("32.89", "1.95", "2.15", "34.28"), 449_328, id="70B bf16 on 4 H100",
        ),
        pytest.param(
            "70B", 1, 80, H100, weights_of_rank("70B", fp8_channel), LARGE,
            ("67.72", "1.95", "0.25", "1.35"), 4_400, id="70B FP8 on 1 H100",
        ),
        pytest.param(
            "70B", 2, 80, H100, weights_of_rank("70B", fp8_channel, 2), LARGE,
            ("33.88", "1.95", "2.08", "33.36"), 218_624, id="70B FP8 on 2 H100",
        ),
        pytest.param(
            "70B", 4, 80, H100, weights_of_rank("70B", AWQ, 4), LARGE,
            ("9.37", "1.95", "2.15", "57.81"), 757_664, id="70B AWQ on 4 H100",
        ),
        pytest.param(
            "8B", 1, 32, A10G, weights_of_rank("8B", bf16), SMALL,
            ("14.99", "0.50", "0.25", "4.11"), 33_680, id="8B bf16 on an A10G",
        ),
        pytest.param(
            "8B", 1, 32, L4, weights_of_rank("8B", bf16), SMALL,
            ("14.99", "0.50", "0.25", "4.09"), 33_472, id="8B bf16 on an L4",
        ),
        pytest.param(
            "8B", 1, 32, A10G, weights_of_rank("8B", fp8_channel), SMALL,
            ("8.49", "0.50", "0.25", "10.61"), 86_896, id="8B FP8 on an A10G",
        ),
    ],
)  # fmt: skip
def test_placements_add_up_and_hold_their_tokens(
    name: str,
    tp: int,
    layers: int,
    total: int,
    weights: int,
    batch: tuple[int, int],
    printed: tuple[str, ...],
    tokens: int,
) -> None:
    activation = peak(SHAPES[name].hidden, *batch)
    beside = non_torch({1: "0.25", 2: "2.08"}.get(tp, "2.15"))
    left = pool(total, "0.9", weights, activation, beside)
    assert tuple(f"{size / GIB:.2f}" for size in (weights, activation, beside, left)) == printed
    assert tokens_of(left, name, tp, layers) == tokens


@pytest.mark.parametrize(
    ("name", "tp", "total", "share", "weights", "batch", "beside", "tokens"),
    [
        pytest.param(
            "8B", 1, A10G, "0.9", weights_of_rank("8B", bf16), SMALL, "0.30", 25_872, id="A10G"
        ),
        pytest.param(
            "8B", 1, L4, "0.9", weights_of_rank("8B", bf16), SMALL, "0.30", 25_648, id="L4"
        ),
        pytest.param(
            "8B", 1, A10G, "0.88", weights_of_rank("8B", bf16), SMALL, "0.30", 22_256,
            id="A10G as planned",
        ),
        pytest.param(
            "8B", 1, L4, "0.88", weights_of_rank("8B", bf16), SMALL, "0.30", 22_048,
            id="L4 as planned",
        ),
        pytest.param("405B", 8, H100, "0.9", FP8_405B, LARGE, "2.15", 99_648, id="Meta's FP8"),
        pytest.param(
            "405B", 4, H100, "0.9", weights_of_rank("405B", nf4_double, 4), LARGE, "2.15", 101_568,
            id="NF4 on 4 H100",
        ),
        pytest.param(
            "405B", 8, A100_40GB, "0.9", weights_of_rank("405B", AWQ, 8), SMALL, "2.15", 54_080,
            id="AWQ on 8 A100 of 40 GB",
        ),
    ],
)  # fmt: skip
def test_tokens_with_graphs_inside_the_budget(
    name: str,
    tp: int,
    total: int,
    share: str,
    weights: int,
    batch: tuple[int, int],
    beside: str,
    tokens: int,
) -> None:
    shape = SHAPES[name]
    graphs = 660 + Fraction(186 * shape.layers * shape.hidden, 100_000) - (210 if tp > 1 else 0)
    taken = (peak(shape.hidden, *batch), non_torch(beside), int(graphs / 1000 * GIB))
    left = pool(total, share, weights, *taken)
    assert tokens_of(left, name, tp) == tokens


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
