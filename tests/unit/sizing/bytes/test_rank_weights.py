import pytest

from llama_operator.errors import UnsupportedSchemeError
from llama_operator.sizing.models.model import ModelShape
from llama_operator.sizing.rank_weights import rank_weights_bytes
from llama_operator.sizing.scheme_names import scheme_for
from llama_operator.units import MIB
from unit.sizing.bytes.shapes import (
    LLAMA_3B,
    LLAMA_8B,
    LLAMA_70B,
    LLAMA_405B,
    LLAMA_405B_JULY_2024,
)


@pytest.mark.parametrize(
    ("model", "name", "tp", "pp", "expected"),
    [
        # worked out in test_rank_arithmetic.py
        pytest.param(
            LLAMA_70B, "awq-int4-g128", 1, 1, 39_900_954_624, id="70B AWQ on one GPU: 37.16 GiB"
        ),
        pytest.param(
            LLAMA_70B, "awq-int4-g128", 2, 1, 19_918_766_080, id="70B AWQ on two GPUs: 18.55 GiB"
        ),
        pytest.param(
            LLAMA_70B, "awq-int4-g128", 4, 1, 10_055_598_080, id="70B AWQ on four GPUs: 9.37 GiB"
        ),
        pytest.param(
            LLAMA_70B, "awq-int4-g128", 8, 1, 5_082_857_472, id="70B AWQ on eight GPUs: 4.73 GiB"
        ),
        pytest.param(LLAMA_8B, "none", 1, 1, 16_094_076_928, id="8B bf16 on one GPU: 14.99 GiB"),
        pytest.param(LLAMA_8B, "none", 2, 1, 8_066_179_072, id="8B bf16 on two GPUs: 7.51 GiB"),
        pytest.param(LLAMA_8B, "none", 1, 2, 8_063_811_584, id="8B bf16 on two stages: 7.51 GiB"),
        pytest.param(
            LLAMA_8B, "fp8-dynamic", 1, 1, 9_120_260_096, id="8B FP8 on one GPU: 8.49 GiB"
        ),
        pytest.param(
            LLAMA_70B, "fp8-dynamic", 1, 1, 72_716_795_904, id="70B FP8 on one GPU: 67.72 GiB"
        ),
        pytest.param(
            LLAMA_70B, "fp8-dynamic", 2, 1, 36_379_115_520, id="70B FP8 on two GPUs: 33.88 GiB"
        ),
        pytest.param(
            LLAMA_70B,
            "fp8-dynamic",
            4,
            1,
            18_212_372_480,
            id="70B FP8 on four GPUs: 16.96 GiB, as logged",
        ),
        pytest.param(LLAMA_70B, "none", 2, 1, 70_588_579_840, id="70B bf16 on two GPUs: 65.74 GiB"),
        pytest.param(
            LLAMA_70B, "none", 4, 1, 35_314_483_200, id="70B bf16 on four GPUs: 32.89 GiB"
        ),
        pytest.param(
            LLAMA_405B, "none", 8, 1, 101_506_252_800, id="405B bf16 on eight GPUs: 94.54 GiB"
        ),
        pytest.param(
            LLAMA_405B, "none", 8, 2, 50_769_887_232, id="405B bf16 on two nodes: 47.28 GiB"
        ),
        pytest.param(
            LLAMA_405B,
            "none",
            16,
            1,
            51_301_482_496,
            id="405B bf16 on 16, KV heads repeat: 47.78 GiB",
        ),
        pytest.param(
            LLAMA_405B,
            "fbgemm-fp8",
            8,
            1,
            60_953_673_728,
            id="405B FP8 as Meta publishes it: 56.77 GiB",
        ),
        pytest.param(
            LLAMA_405B_JULY_2024,
            "fbgemm-fp8",
            8,
            1,
            62_010_638_336,
            id="405B FP8, 16 KV heads: 57.75 GiB, as logged",
        ),
        pytest.param(
            LLAMA_405B,
            "awq-int4-g128",
            8,
            1,
            27_178_106_880,
            id="405B AWQ on eight GPUs: 25.31 GiB",
        ),
        pytest.param(
            LLAMA_405B, "bnb-nf4-dq", 8, 1, 27_132_819_456, id="405B NF4 on eight GPUs: 25.27 GiB"
        ),
        pytest.param(
            LLAMA_405B, "bnb-nf4-dq", 4, 1, 54_278_176_768, id="405B NF4 on four GPUs: 50.55 GiB"
        ),
        # AWQ and 4 bytes an input of what the engine merges: (2*16384 + 16384/8 + 53248/8)*4*126
        pytest.param(LLAMA_405B, "gptq-int4-g128", 8, 1, 27_199_008_768, id="405B GPTQ with g_idx"),
    ],
)
def test_weights_per_gpu_are_exact(
    model: ModelShape, name: str, tp: int, pp: int, expected: int
) -> None:
    found = rank_weights_bytes(
        model, scheme_for(name), tensor_parallel_size=tp, pipeline_parallel_size=pp
    )
    assert found == expected


def test_weights_of_the_8b_on_one_gpu_are_exact() -> None:
    # the checkpoint and a RoPE table of 131072 positions x 128 x 2 bytes
    assert rank_weights_bytes(LLAMA_8B, scheme_for("none")) == 16_060_522_496 + 33_554_432


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
    found = rank_weights_bytes(LLAMA_8B, scheme_for("none"), pipeline_parallel_size=4, stage=stage)
    assert found == expected


def test_tied_embeddings_are_held_once_on_one_stage_and_on_both_ends_of_two() -> None:
    none = scheme_for("none")
    whole = rank_weights_bytes(LLAMA_3B, none)
    ends = sum(
        rank_weights_bytes(LLAMA_3B, none, pipeline_parallel_size=2, stage=stage)
        for stage in (0, 1)
    )
    matrix, rope = 128_256 * 3072 * 2, 131_072 * 128 * 2
    assert ends - whole == pytest.approx(matrix + rope, abs=2 * MIB)


def test_gguf_files_have_no_ranks() -> None:
    with pytest.raises(UnsupportedSchemeError, match=r"Q4_K_M is a file of llama\.cpp"):
        rank_weights_bytes(LLAMA_8B, scheme_for("Q4_K_M"))
