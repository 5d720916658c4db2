"""The literals of test_logs.py, worked out anew in plain integers: nothing of ours is used.

Every list holds the bytes of the engine's own tensors on one GPU, merged as vLLM merges them.
"""

from fractions import Fraction
from math import ceil

import pytest

from unit.sizing.llama_in_integers import (
    GIB,
    MIB,
    ROPE,
    allocated,
    bf16,
    ends_of_rank,
    fp8_channel,
    layer_of_rank,
    weights_of_rank,
)

BUDGET = ceil(int(Fraction("79.19") * GIB) * Fraction(95, 100))
STEP_TOKENS, SEQS = 8192, 1024


def matrix(rows: int, columns: int, *, count: int = 1) -> int:
    """One allocation of 16-bit elements."""
    return allocated(count * rows * columns * 2)


def vector(elements: int, *, count: int = 1) -> int:
    """Allocations of 16-bit elements, one each."""
    return count * allocated(2 * elements)


def dense(hidden: int, width: int) -> int:
    return matrix(2 * width, hidden) + matrix(hidden, width)


def gemma(hidden: int, width: int, keys: int) -> int:
    """Without norms of q and k; 4096 elements of queries, four norms."""
    attention = matrix(4096 + 2 * keys, hidden) + matrix(hidden, 4096)
    return attention + dense(hidden, width) + vector(hidden, count=4)


GEMMA_2_27B = (
    46 * gemma(4608, 36_864, 2048) + matrix(256_000, 4608) + vector(4608) + matrix(8192, 128)
)
SIGLIP_LAYER = (
    matrix(3456, 1152) + vector(3456) + matrix(1152, 1152) + vector(1152)
    + matrix(4304, 1152) + vector(4304) + matrix(1152, 4304) + vector(1152)
    + vector(1152, count=4)
)  # fmt: skip
GEMMA_3_27B = (
    62 * (gemma(5376, 21_504, 2048) + vector(128, count=2))
    + matrix(262_208, 5376) + vector(5376) + matrix(9 * 131_072, 128)
    # patches of 14 x 14 x 3 with a bias, 4096 positions, a last norm, a norm and the projector
    + matrix(1152, 588) + vector(1152) + matrix(4096, 1152) + 27 * SIGLIP_LAYER
    + vector(1152, count=3) + matrix(5376, 1152)
)  # fmt: skip
MIXTRAL_ON_TWO = (
    # half of 32 heads, of 8 and of each expert's width of 14336; the router whole
    32 * (
        matrix(2048 + 2 * 512, 4096) + matrix(4096, 2048)
        + matrix(2 * 7168, 4096, count=8) + matrix(4096, 7168, count=8) + matrix(8, 4096)
        + vector(4096, count=2)
    )
    + 2 * matrix(16_000, 4096) + vector(4096) + matrix(32_768, 128)
)  # fmt: skip
QWEN3_30B_A3B = (
    48 * (
        matrix(4096 + 2 * 512, 2048) + matrix(2048, 4096) + vector(128, count=2)
        + matrix(2 * 768, 2048, count=128) + matrix(2048, 768, count=128) + matrix(128, 2048)
        + vector(2048, count=2)
    )
    + 2 * matrix(151_936, 2048) + vector(2048) + matrix(40_960, 128)
)  # fmt: skip
# 4 bit and a scale of a byte for 32; hidden 2880 padded to 3072 and the width 2880 to 2944
MXFP4_GATE_UP = allocated(32 * 2 * 2944 * 3072 * 17 // 32)
MXFP4_DOWN = allocated(32 * 3072 * 2944 * 17 // 32)
GPT_OSS_20B = (
    24 * (
        matrix(4096 + 2 * 512, 2880) + vector(5120) + matrix(2880, 4096) + vector(2880) + vector(64)
        + MXFP4_GATE_UP + MXFP4_DOWN + matrix(32, 5760) + matrix(32, 3072)
        + matrix(32, 2880) + vector(32) + vector(2880, count=2)
    )
    + 2 * matrix(201_088, 2880) + vector(2880) + matrix(131_072, 64)
)  # fmt: skip
LATENT_ATTENTION = (
    # keys and values of 512 + 64 to 16 heads of 128 + 128, queries of 16 heads of 128 + 64
    matrix(576, 2048) + vector(512) + matrix(4096, 512) + matrix(2048, 2048) + matrix(3072, 2048)
    + vector(2048, count=2)
)  # fmt: skip
DEEPSEEK_V2_LITE = (
    27 * LATENT_ATTENTION + dense(2048, 10_944)
    + 26 * (
        matrix(2 * 1408, 2048, count=64) + matrix(2048, 1408, count=64) + matrix(64, 2048)
        + dense(2048, 2816)
    )
    + 2 * matrix(102_400, 2048) + vector(2048) + matrix(163_840, 64)
)  # fmt: skip
LLAMA_8B_STAGE = 16 * layer_of_rank("8B", 1, bf16, bf16) + ROPE


def peak(hidden: int, vocabulary: int, *, width: int = 0, experts: tuple[int, int] = (0, 0)) -> int:
    """Activation peak; `experts` are a rank's width of each and how many a token passes."""
    own, chosen = experts
    sampler = Fraction(365, 100) * SEQS * vocabulary * 4 + STEP_TOKENS * hidden * 2
    mixture = STEP_TOKENS * chosen * 2 * (max(2 * own, hidden) + own)
    mlp = STEP_TOKENS * 2 * (3 * width + Fraction(425, 100) * hidden)
    return int(max(sampler + Fraction(4, 100) * GIB + mixture, mlp))


def rest(weights: int, activation: int, non_torch: str = "0.25") -> int:
    return BUDGET - weights - activation - int(Fraction(non_torch) * GIB)


def test_weights_in_gib() -> None:
    sizes = [
        GEMMA_2_27B, GEMMA_3_27B, MIXTRAL_ON_TWO, QWEN3_30B_A3B, GPT_OSS_20B,
        DEEPSEEK_V2_LITE, DEEPSEEK_V2_LITE + 128 * MIB,
    ]  # fmt: skip
    printed = ["50.72", "51.44", "43.51", "56.88", "13.70", "29.30", "29.43"]
    assert [f"{size / GIB:.2f}" for size in sizes] == printed


def test_activation_in_gib() -> None:
    sizes = [
        peak(4096, 128_256, width=14_336),
        8192 * 2 * (3 * 14_336 + 17 * 4096 // 4 + 2 * 4096),  # the first of two stages
        peak(8192, 128_256, width=7168),
        peak(4608, 256_000, width=36_864),
        peak(5376, 262_208, width=21_504),
        peak(4096, 32_000, experts=(7168, 2)),
        peak(2048, 151_936, experts=(768, 8)),
        peak(2880, 201_088),  # experts in MXFP4 compute as they are stored
        peak(2048, 102_400, width=10_944, experts=(1408, 6)),
    ]
    printed = ["1.89", "1.05", "1.95", "3.67", "3.77", "1.20", "2.53", "2.88", "1.88"]
    assert [f"{size / GIB:.2f}" for size in sizes] == printed


@pytest.mark.parametrize(
    ("pool", "page", "tokens"),
    [
        pytest.param(
            rest(weights_of_rank("8B", bf16), peak(4096, 128_256)),
            16 * 4096 * 32, 475_968, id="Llama-3.1-8B",
        ),
        pytest.param(
            # the last stage, with lm_head and the sampler, holds fewer than the first
            rest(LLAMA_8B_STAGE + ends_of_rank("8B", 1)[1], peak(4096, 128_256), "0.07"),
            16 * 4096 * 16, 1_077_440, id="Llama-3.1-8B in two stages",
        ),
        pytest.param(
            rest(weights_of_rank("70B", fp8_channel, 4), peak(8192, 128_256), "2.15"),
            16 * 1024 * 80, 709_984, id="Llama-3.3-70B fp8-dynamic on four GPUs",
        ),
        pytest.param(
            rest(MIXTRAL_ON_TWO, peak(4096, 32_000, experts=(7168, 2)), "2.08"),
            16 * 2048 * 32, 465_952, id="Mixtral-8x7B on two GPUs",
        ),
        pytest.param(
            rest(QWEN3_30B_A3B, peak(2048, 151_936, experts=(768, 8))),
            16 * 2048 * 48, 170_048, id="Qwen3-30B-A3B",
        ),
        pytest.param(
            rest(DEEPSEEK_V2_LITE + 128 * MIB, peak(2048, 102_400, experts=(1408, 6))),
            16 * 1152 * 27, 1_507_552, id="DeepSeek-V2-Lite",
        ),
        pytest.param(
            rest(DEEPSEEK_V2_LITE, peak(2048, 102_400, experts=(1408, 6))),
            16 * 1152 * 27, 1_511_872, id="DeepSeek-V2-Lite without the 128 MiB",
        ),
    ],
)  # fmt: skip
def test_tokens_of_one_kind_of_layer(pool: int, page: int, tokens: int) -> None:
    assert pool // page * 16 == tokens


@pytest.mark.parametrize(
    ("pool", "page", "groups", "tokens"),
    [
        # 23 and 23 layers: two groups of 23
        pytest.param(
            rest(GEMMA_2_27B, peak(4608, 256_000, width=36_864)),
            16 * 8192 * 23, 2, 58_656, id="Gemma-2-27b",
        ),
        # 10 and 52 layers: groups of 10, six of them for the windowed ones
        pytest.param(
            rest(GEMMA_3_27B, peak(5376, 262_208, width=21_504)),
            16 * 8192 * 10, 7, 37_008, id="Gemma-3-27b",
        ),
        # 12 and 12 layers
        pytest.param(
            rest(GPT_OSS_20B, peak(2880, 201_088)), 16 * 2048 * 12, 2, 1_275_600, id="gpt-oss-20b"
        ),
    ],
)  # fmt: skip
def test_tokens_of_groups_of_layers(pool: int, page: int, groups: int, tokens: int) -> None:
    assert pool // page // groups * 16 == tokens
