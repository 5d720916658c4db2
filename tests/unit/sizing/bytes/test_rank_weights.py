import pytest

from llama_operator.errors import UnsupportedSchemeError
from llama_operator.sizing.models.model import ModelShape
from llama_operator.sizing.rank_weights import rank_weights_bytes
from llama_operator.sizing.scheme_names import scheme_for
from llama_operator.units import GIB, MIB
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
        pytest.param(LLAMA_70B, "awq-int4-g128", 1, 1, 37.16, id="70B AWQ on one GPU"),
        pytest.param(LLAMA_70B, "awq-int4-g128", 2, 1, 18.55, id="70B AWQ on two GPUs"),
        pytest.param(LLAMA_70B, "awq-int4-g128", 4, 1, 9.37, id="70B AWQ on four GPUs"),
        pytest.param(LLAMA_70B, "awq-int4-g128", 8, 1, 4.73, id="70B AWQ on eight GPUs"),
        pytest.param(LLAMA_8B, "none", 1, 1, 14.99, id="8B bf16 on one GPU"),
        pytest.param(LLAMA_8B, "none", 2, 1, 7.51, id="8B bf16 on two GPUs"),
        pytest.param(LLAMA_8B, "none", 1, 2, 7.51, id="8B bf16 on two stages"),
        pytest.param(LLAMA_70B, "fp8-dynamic", 4, 1, 16.96, id="70B FP8 on four GPUs, as logged"),
        pytest.param(LLAMA_70B, "none", 2, 1, 65.74, id="70B bf16 on two GPUs"),
        pytest.param(LLAMA_70B, "none", 4, 1, 32.89, id="70B bf16 on four GPUs"),
        pytest.param(LLAMA_405B, "none", 8, 1, 94.54, id="405B bf16 on eight GPUs"),
        pytest.param(LLAMA_405B, "none", 8, 2, 47.28, id="405B bf16 on two nodes"),
        pytest.param(LLAMA_405B, "none", 16, 1, 47.78, id="405B bf16 on 16: KV heads repeat"),
        pytest.param(LLAMA_405B, "fbgemm-fp8", 8, 1, 56.77, id="405B FP8 as Meta publishes it"),
        pytest.param(
            LLAMA_405B_JULY_2024, "fbgemm-fp8", 8, 1, 57.75, id="405B FP8 with 16 KV heads, logged"
        ),
        pytest.param(LLAMA_405B, "awq-int4-g128", 8, 1, 25.31, id="405B AWQ on eight GPUs"),
        pytest.param(LLAMA_405B, "bnb-nf4-dq", 8, 1, 25.27, id="405B NF4 on eight GPUs"),
        pytest.param(LLAMA_405B, "bnb-nf4-dq", 4, 1, 50.55, id="405B NF4 on four GPUs"),
        # AWQ's 25.31 and 4 bytes an input on every GPU: (2*16384 + 16384/8 + 53248/8)*4*126 B
        pytest.param(LLAMA_405B, "gptq-int4-g128", 8, 1, 25.33, id="405B GPTQ with g_idx"),
    ],
)
def test_weights_per_gpu_agree_with_the_worked_figures(
    model: ModelShape, name: str, tp: int, pp: int, expected: float
) -> None:
    found = rank_weights_bytes(
        model, scheme_for(name), tensor_parallel_size=tp, pipeline_parallel_size=pp
    )
    assert found / GIB == pytest.approx(expected, abs=0.00501)


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
