"""Activation peaks in bytes, worked out by hand from the formulas."""

from dataclasses import replace

import pytest

from llama_operator.catalog.engine_memory import EngineMemory, engine_memory
from llama_operator.sizing.models.model import FeedForward, ModelShape
from llama_operator.sizing.models.tensors import Part, Tensor
from llama_operator.sizing.peak import Step, activation_bytes, image_bound_bytes
from llama_operator.units import GIB
from unit.sizing.budget.shapes import (
    DEEPSEEK_V2_LITE,
    GPT_OSS_20B,
    LLAMA_8B,
    LLAMA_405B,
    heads,
    layer,
    model,
)

V0 = engine_memory("vLLM", (0, 6))
VLLM_0_11 = engine_memory("vLLM", (0, 11))
VLLM_0_19 = engine_memory("vLLM", (0, 19))
H100 = Step(tokens=8192, seqs=1024, tensor_parallel_size=1, dtype_bytes=2)
UNGATED = model(layer(heads(8), FeedForward(width=10_240, gated=False)), hidden=2560, vocabulary=64)
DENSE_AND_EXPERTS = model(
    layer(heads(8), FeedForward(2112, True, 704, 128, 8)), hidden=2816, vocabulary=262_144
)


@pytest.mark.parametrize(
    ("shape", "step", "engine", "expected"),
    [
        # 3.65 x 1024 x 128,256 x 4 = 1,917,478,502.4; 8192 x 4096 x 2; 0.04 GiB = 42,949,672.96
        pytest.param(LLAMA_8B, H100, VLLM_0_19, 2_027_537_039, id="8B: logits and sampler"),
        # 9.5 x 525,336,576 = 4,990,697,472
        pytest.param(LLAMA_8B, H100, VLLM_0_11, 5_100_756_008, id="8B before 0.17"),
        # 9.5 x 256 x 128,256 x 4 = 1,247,674,368; 8192 x 4096 x 2; 0.04 GiB
        pytest.param(LLAMA_8B, Step(8192, 256, 1, 2), V0, 1_357_732_904, id="8B in V0"),
        # 8192 x 2 x (3 x 53,248 / 8 + 4.25 x 16,384) = 1,468,006,400 is less than
        # 1,917,478,502.4 + 8192 x 16,384 x 2 + 42,949,672.96
        pytest.param(LLAMA_405B, Step(8192, 1024, 8, 2), VLLM_0_19, 2_228_863_631, id="405B, tp 8"),
        # 2048 x 2 x (3 x 53,248 + 4.25 x 16,384) = 939,524,096
        pytest.param(LLAMA_405B, Step(2048, 256, 1, 2), VLLM_0_19, 939_524_096, id="feed-forward"),
        # 2048 x 2 x (3 x 53,248 + 1.1 x 16,384)
        pytest.param(LLAMA_405B, Step(2048, 64, 1, 2), V0, 728_131_174, id="V0 keeps fewer copies"),
        # 8192 x 6 x 2 x (max(2 x 1408, 2048) + 1408) = 415,236,096 more than the sampler's
        # 3.65 x 1024 x 102,400 x 4 + 8192 x 2048 x 2 + 0.04 GiB = 1,607,425,064.96
        pytest.param(DEEPSEEK_V2_LITE, H100, VLLM_0_19, 2_022_661_160, id="experts"),
        # 98,304 x (max(2 x 704, 2048) + 704) = 270,532,608
        pytest.param(
            DEEPSEEK_V2_LITE, Step(8192, 1024, 2, 2), VLLM_0_19, 1_877_957_672, id="experts on tp 2"
        ),
        # 3.65 x 1024 x 201,088 x 4 + 8192 x 2880 x 2 + 0.04 GiB
        pytest.param(
            GPT_OSS_20B,
            Step(8192, 1024, 1, 2, fused_experts=True),
            VLLM_0_19,
            3_096_481_628,
            id="experts in mxfp4 take nothing",
        ),
        # the narrow model: 8192 x 4 x (2 x 10,240 + 4.25 x 2560)
        pytest.param(
            UNGATED, Step(8192, 1, 1, 4), VLLM_0_19, 1_027_604_480, id="two matrices, fp32"
        ),
    ],
)
def test_the_peak_of_the_last_stage(
    shape: ModelShape, step: Step, engine: EngineMemory, expected: int
) -> None:
    assert activation_bytes(shape, step, engine) == expected


def test_a_stage_without_lm_head_has_no_sampler() -> None:
    # 8192 x 2 x (3 x 14,336 + 4.25 x 4096 + 2 x 4096) = 1,124,073,472
    peak = activation_bytes(LLAMA_8B, H100, VLLM_0_19, first_layer=0, layers=16, last_stage=False)
    assert peak == 1_124_073_472
    assert peak / GIB == pytest.approx(1.05, abs=0.005)


def test_a_stage_counts_its_own_layers_only() -> None:
    # layer 0 is dense with 10,944, the others have experts and shared ones of 2816:
    # dense 8192 x 2 x (3 x 10,944 + 4.25 x 2048) + hidden 2 x 8192 x 2048 x 2
    first = activation_bytes(
        DEEPSEEK_V2_LITE, H100, VLLM_0_19, first_layer=0, layers=1, last_stage=False
    )
    assert first == 16_384 * (32_832 + 8_704 + 4_096)
    # 16,384 x (3 x 2816 + 8704 + 4096) + 16,384 x 6 x (2816 + 1408)
    second = activation_bytes(
        DEEPSEEK_V2_LITE, H100, VLLM_0_19, first_layer=1, layers=13, last_stage=False
    )
    assert second == 16_384 * (8_448 + 8_704 + 4_096 + 25_344)


def test_fp32_doubles_what_goes_by_the_compute_dtype_only() -> None:
    # the second 8192 x 4096 x 2 bytes; logits are fp32 in any case
    wide = Step(8192, 1024, 1, 4)
    difference = activation_bytes(LLAMA_8B, wide, VLLM_0_19) - 2_027_537_039
    assert difference == 8192 * 4096 * 2


def test_a_layer_may_have_a_dense_part_beside_experts() -> None:
    # 3.65 x 1024 x 262,144 x 4 + 8192 x 2816 x 2 + 0.04 GiB + 131,072 x (max(1408, 2816) + 704)
    assert activation_bytes(DENSE_AND_EXPERTS, H100, VLLM_0_19) == 4_469_618_114


def test_the_largest_image_is_as_many_patches_as_there_are_positions() -> None:
    # 4,096 positions x 4,304 x 2 bytes x 2
    seen = replace(
        LLAMA_8B,
        vision=(
            Tensor("position_embedding", Part.VISION, (4096, 1152)),
            Tensor("fc1", Part.VISION, (4304, 1152), linear=True),
            Tensor("mlp", Part.PROJECTOR, (9999, 1152), linear=True),
        ),
    )
    assert image_bound_bytes(seen, 2) == 70_516_736


def test_rotary_positions_bound_no_image() -> None:
    rotary = replace(
        LLAMA_8B, vision=(Tensor("gate_proj", Part.VISION, (4096, 1024), linear=True),)
    )
    assert image_bound_bytes(rotary, 2) is None
    assert image_bound_bytes(LLAMA_8B, 2) == 0
