"""Parameters of every family, exact: ours, the sum by hand, and the published number if any."""

from typing import Any

import pytest

from llama_operator.sizing.models.shape import model_shape
from unit.sizing.models import configs
from unit.sizing.models import counted_by_hand as by_hand
from unit.sizing.models.configs import config_of

PUBLISHED = [
    # of memory model, section 2
    ("meta-llama--Llama-3.1-8B-Instruct", 8_030_261_248, by_hand.LLAMA_8B),
    ("meta-llama--Llama-3.1-70B-Instruct", 70_553_706_496, by_hand.LLAMA_70B),
    ("meta-llama--Meta-Llama-3.1-405B-Instruct", 405_853_388_800, by_hand.LLAMA_405B),
    (
        "meta-llama--Meta-Llama-3.1-405B-Instruct-FP8@2024-07",
        410_081_247_232,
        by_hand.LLAMA_405B_JULY_2024,
    ),
    ("Qwen--Qwen3-30B-A3B", 30_532_122_624, by_hand.qwen3_moe(2048, 48, 4096, 512, 768)),
    ("Qwen--Qwen3-235B-A22B", 235_093_634_560, by_hand.qwen3_moe(4096, 94, 8192, 512, 1536)),
    ("mistralai--Mixtral-8x7B-Instruct-v0.1", 46_702_792_704, by_hand.MIXTRAL),
    ("deepseek-ai--DeepSeek-V2-Lite-Chat", 15_706_484_224, by_hand.DEEPSEEK_V2_LITE),
    ("deepseek-ai--DeepSeek-R1", 671_026_419_200, by_hand.DEEPSEEK_R1),
    ("openai--gpt-oss-20b", 20_914_757_184, by_hand.gpt_oss(24, 32)),
    ("openai--gpt-oss-120b", 116_829_156_672, by_hand.gpt_oss(36, 128)),
    ("microsoft--phi-2", 2_779_683_840, by_hand.PHI_2),
    ("google--gemma-3-4b-it", 4_300_079_472, by_hand.gemma3(2560, 10240, 34, 2048, 1024, 256)),
    ("google--gemma-3-12b-it", 12_187_325_040, by_hand.gemma3(3840, 15360, 48, 4096, 2048, 256)),
    ("microsoft--phi-4", 14_659_507_200, by_hand.PHI_4),
    ("Qwen--Qwen2.5-7B-Instruct", 7_615_616_512, by_hand.QWEN2_5_7B),
    ("ibm-granite--granite-3.1-8b-instruct", 8_170_848_256, by_hand.GRANITE_8B),
    # of the models' cards
    ("google--gemma-3-27b-it", 27_432_406_640, by_hand.gemma3(5376, 21504, 62, 4096, 2048, 128)),
    ("google--gemma-2-2b-it", 2_614_341_888, by_hand.gemma2(2304, 9216, 26, 2048, 1024)),
    ("google--gemma-2-9b-it", 9_241_705_984, by_hand.gemma2(3584, 14336, 42, 4096, 2048)),
    ("google--gemma-2-27b-it", 27_227_128_320, by_hand.gemma2(4608, 36864, 46, 4096, 2048)),
    ("google--gemma-7b", 8_537_680_896, by_hand.GEMMA_7B),
    ("Qwen--Qwen3-8B", 8_190_735_360, by_hand.QWEN3_8B),
    ("Qwen--Qwen1.5-MoE-A2.7B", 14_315_784_192, by_hand.QWEN1_5_MOE),
    (
        "mistralai--Mistral-Small-3.2-24B-Instruct-2506",
        24_011_361_280,
        by_hand.MISTRAL_SMALL_3,
    ),
    ("meta-llama--Llama-3.2-11B-Vision", 10_670_220_835, by_hand.LLAMA_3_2_11B_VISION),
    ("meta-llama--Llama-4-Scout-17B-16E-Instruct", 108_641_793_536, by_hand.LLAMA_4_SCOUT),
    ("MiniMaxAI--MiniMax-M2", 228_689_764_864, by_hand.MINIMAX_M2),
]
SHAPES = [
    ("Nemotron-3-Nano-30B-A3B", configs.NEMOTRON_3_NANO, 31_577_940_288, by_hand.NEMOTRON_3_NANO),
    (
        "Nemotron-Nano-9B-v2",
        configs.NEMOTRON_NANO_9B_V2,
        8_888_227_328,
        by_hand.NEMOTRON_NANO_9B_V2,
    ),
    (
        "Granite-4.0-H-Small",
        configs.GRANITE_4_H_SMALL,
        32_207_337_984,
        by_hand.GRANITE_4_H_SMALL,
    ),
    ("Granite-4.0-Micro", configs.GRANITE_4_MICRO, 3_402_836_480, by_hand.GRANITE_4_MICRO),
    ("Jamba-v0.1", configs.JAMBA, 51_570_323_328, by_hand.JAMBA),
    ("Qwen2-VL-7B", configs.QWEN2_VL_7B, 8_291_375_616, by_hand.QWEN2_VL_7B),
    ("Qwen2.5-VL-7B", configs.QWEN2_5_VL_7B, 8_292_166_656, by_hand.QWEN2_5_VL_7B),
    ("Llama-Guard-4-12B", configs.LLAMA_GUARD_4, 12_001_097_216, by_hand.LLAMA_GUARD_4),
    ("Phi-3-mini", configs.PHI_3_MINI, 3_821_079_552, by_hand.PHI_3_MINI),
    ("OLMo-2-7B", configs.OLMO_2_7B, 7_298_617_344, by_hand.OLMO_2_7B),
    ("SmolLM3-3B", configs.SMOLLM3, 3_075_098_624, by_hand.SMOLLM3),
]
NOT_PUBLISHED = [
    ("Kimi-VL-A3B", config_of("moonshotai--Kimi-VL-A3B-Instruct"), by_hand.KIMI_VL),
    (
        "Granite-Vision-3.3-2B",
        config_of("ibm-granite--granite-vision-3.3-2b"),
        by_hand.GRANITE_VISION_2B,
    ),
    ("Gemma-4-26B-A4B", config_of("google--gemma-4-26B-A4B"), by_hand.GEMMA_4_26B_A4B),
    ("Bamba-9B", configs.BAMBA, by_hand.BAMBA),
]
WITH_MTP = [
    # what hubs publish for these counts the MTP layers, which are not loaded
    (
        "Qwen3-Next-80B-A3B",
        configs.QWEN3_NEXT,
        81_324_862_720,
        by_hand.QWEN3_NEXT,
        by_hand.QWEN3_NEXT_MTP,
    ),
    (
        "Qwen3.8-27B",
        configs.QWEN3_8_27B,
        27_781_427_952,
        by_hand.QWEN3_8_27B,
        by_hand.QWEN3_8_27B_MTP,
    ),
    (
        "GLM-4.5-Air",
        configs.GLM_4_5_AIR,
        110_468_824_832,
        by_hand.GLM_4_5_AIR,
        by_hand.GLM_4_5_AIR_MTP,
    ),
    (
        "DeepSeek-R1",
        config_of("deepseek-ai--DeepSeek-R1"),
        671_026_419_200 + by_hand.DEEPSEEK_R1_MTP,
        by_hand.DEEPSEEK_R1,
        by_hand.DEEPSEEK_R1_MTP,
    ),
]
MEASURED_WITH_PARAMETERS = [
    ("RedHatAI--Llama-3.3-70B-Instruct-fp8-dynamic", 70_553_706_496),
    ("RedHatAI--Llama-3.3-70B-Instruct-FP8-dynamic", 70_553_706_496),
    ("RedHatAI--Meta-Llama-3.1-8B-Instruct-quantized.w4a16", 8_030_261_248),
    ("RedHatAI--Meta-Llama-3.1-8B-Instruct-quantized.w8a8", 8_030_261_248),
    ("meta-llama--Meta-Llama-3-8B", 8_030_261_248),
    ("meta-llama--Meta-Llama-3-8B-Instruct", 8_030_261_248),
    ("meta-llama--Meta-Llama-3-70B", 70_553_706_496),
    ("unsloth--meta-llama-3.1-8b-instruct-bnb-4bit", 8_030_261_248),
    ("bartowski--Meta-Llama-3.1-70B-Instruct-GGUF", 70_553_706_496),
    ("Qwen2.5-7B-Instruct-Q4_K_M", 7_615_616_512),
]


@pytest.mark.parametrize(("name", "published", "sum_by_hand"), PUBLISHED)
def test_parameters_of_a_file_are_exact(name: str, published: int, sum_by_hand: int) -> None:
    assert sum_by_hand == published
    assert model_shape(config_of(name)).parameters() == published


@pytest.mark.parametrize(
    ("config", "published", "sum_by_hand"), [pytest.param(*case[1:], id=case[0]) for case in SHAPES]
)
def test_parameters_of_other_families_are_exact(
    config: dict[str, Any], published: int, sum_by_hand: int
) -> None:
    assert sum_by_hand == published
    assert model_shape(config).parameters() == published


@pytest.mark.parametrize(
    ("config", "sum_by_hand"), [pytest.param(*case[1:], id=case[0]) for case in NOT_PUBLISHED]
)
def test_parameters_without_a_published_number_are_the_sum_by_hand(
    config: dict[str, Any], sum_by_hand: int
) -> None:
    assert model_shape(config).parameters() == sum_by_hand


@pytest.mark.parametrize(
    ("config", "published", "served", "prediction"),
    [pytest.param(*case[1:], id=case[0]) for case in WITH_MTP],
)
def test_mtp_layers_are_counted_but_not_loaded(
    config: dict[str, Any], published: int, served: int, prediction: int
) -> None:
    model = model_shape(config)
    assert served + prediction == published
    assert model.parameters() == served
    assert sum(tensor.elements for tensor in model.not_loaded) == prediction


@pytest.mark.parametrize(("name", "parameters"), MEASURED_WITH_PARAMETERS)
def test_parameters_agree_with_the_measured_rows(name: str, parameters: int) -> None:
    assert model_shape(config_of(name)).parameters() == parameters
