"""Weights of one GPU in every worked placement, worked out again with nothing but integers."""

import pytest

from unit.sizing.llama_in_integers import (
    GIB,
    MIB,
    ROPE,
    Stored,
    allocated,
    bf16,
    ends_of_rank,
    fp8_channel,
    gptq,
    grouped,
    layer_of_rank,
    nf4_double,
    weights_of_meta_fp8,
    weights_of_rank,
)

AWQ = grouped(4, 128)


def gib(size: int) -> str:
    return f"{size / GIB:.2f}"


@pytest.mark.parametrize(
    ("size", "stored", "tp", "expected", "printed"),
    [
        pytest.param("70B", AWQ, 1, 39_900_954_624, "37.16", id="70B AWQ on one GPU"),
        pytest.param("70B", AWQ, 2, 19_918_766_080, "18.55", id="70B AWQ on two GPUs"),
        pytest.param("70B", AWQ, 4, 10_055_598_080, "9.37", id="70B AWQ on four GPUs"),
        pytest.param("70B", AWQ, 8, 5_082_857_472, "4.73", id="70B AWQ on eight GPUs"),
        pytest.param("8B", bf16, 1, 16_094_076_928, "14.99", id="8B bf16 on one GPU"),
        pytest.param("8B", bf16, 2, 8_066_179_072, "7.51", id="8B bf16 on two GPUs"),
        pytest.param("8B", fp8_channel, 1, 9_120_260_096, "8.49", id="8B FP8 on one GPU"),
        pytest.param("70B", fp8_channel, 1, 72_716_795_904, "67.72", id="70B FP8 on one GPU"),
        pytest.param("70B", fp8_channel, 2, 36_379_115_520, "33.88", id="70B FP8 on two GPUs"),
        pytest.param("70B", fp8_channel, 4, 18_212_372_480, "16.96", id="70B FP8 on four GPUs"),
        pytest.param("70B", bf16, 2, 70_588_579_840, "65.74", id="70B bf16 on two GPUs"),
        pytest.param("70B", bf16, 4, 35_314_483_200, "32.89", id="70B bf16 on four GPUs"),
        pytest.param("405B", bf16, 8, 101_506_252_800, "94.54", id="405B bf16 on eight GPUs"),
        pytest.param("405B", bf16, 16, 51_301_482_496, "47.78", id="405B bf16 on 16 GPUs"),
        pytest.param("405B", AWQ, 8, 27_178_106_880, "25.31", id="405B AWQ on eight GPUs"),
        pytest.param("405B", gptq, 8, 27_199_008_768, "25.33", id="405B GPTQ on eight GPUs"),
        pytest.param("405B", nf4_double, 8, 27_132_819_456, "25.27", id="405B NF4 on eight GPUs"),
        pytest.param("405B", nf4_double, 4, 54_278_176_768, "50.55", id="405B NF4 on four GPUs"),
    ],
)
def test_weights_of_a_gpu(size: str, stored: Stored, tp: int, expected: int, printed: str) -> None:
    found = weights_of_rank(size, stored, tp)
    assert found == expected
    assert gib(found) == printed


@pytest.mark.parametrize(
    ("size", "expected", "printed"),
    [("405B", 60_953_673_728, "56.77"), ("405B-2024-07", 62_010_638_336, "57.75")],
)
def test_weights_of_meta_s_fp8_on_eight_gpus(size: str, expected: int, printed: str) -> None:
    found = weights_of_meta_fp8(size, 8)
    assert found == expected
    assert gib(found) == printed


@pytest.mark.parametrize(
    ("size", "tp", "layers", "expected", "printed"),
    [("8B", 1, 16, 8_063_811_584, "7.51"), ("405B", 8, 63, 50_769_887_232, "47.28")],
)
def test_weights_of_the_first_of_two_stages(
    size: str, tp: int, layers: int, expected: int, printed: str
) -> None:
    embedding, _ = ends_of_rank(size, tp)
    found = layers * layer_of_rank(size, tp, bf16, bf16) + embedding + ROPE
    assert found == expected
    assert gib(found) == printed


def test_what_a_gpu_holds_beside_the_file_of_the_70b_in_awq() -> None:
    # q, k and v take 41.5625 MiB and get 42, o 33.25 and gets 34; gate and up take 232.75 and down
    # 116.375 MiB, of which more than 1 MiB of the next 2 would be lost
    sizes = [AWQ(10_240, 8192), AWQ(8192, 8192), AWQ(57_344, 8192), AWQ(8192, 28_672)]
    lost = [allocated(size) - size for size in sizes]
    assert [16 * size // MIB for size in sizes] == [665, 532, 3724, 1862]
    assert [16 * size // MIB for size in lost] == [7, 12, 0, 0]
    assert weights_of_rank("70B", AWQ) == 39_767_785_472 + 80 * sum(lost) + 131_072 * 128 * 2
