"""Shares, defaults and pools of engines by version, and the utilization that a plan writes."""

from dataclasses import replace

import pytest

from llama_operator.errors import SizingError
from llama_operator.sizing.engine_budget import (
    Taken,
    budget_bytes,
    default_batch,
    default_utilization,
    engine_rules,
    highest_utilization_percent,
    planned_utilization_percent,
    pool_bytes,
    share_bytes,
)
from llama_operator.units import GIB

H100 = int(79.19 * GIB)
H100_NAME = "NVIDIA-H100-80GB-HBM3"
A100 = int(79.25 * GIB)
A100_NAME = "NVIDIA-A100-SXM4-80GB"
A10G = int(22.06 * GIB)
H200 = int(139.81 * GIB)
B200 = int(178.35 * GIB)
L40S = int(44.39 * GIB)


@pytest.mark.parametrize(
    ("engine", "version", "numbers"),
    [
        ("vllm", "0.19.0", (0, 19)),
        ("vLLM", "v0.10.x", (0, 10)),
        ("vllm", "0.6.4+", (0, 6)),
        ("vllm", None, (0, 33)),
        ("vllm", "nightly", (0, 33)),
        ("vllm-gfx906", None, (0, 33)),
        ("sglang", None, (0, 5)),
        ("ollama", "", (11434, 0)),
    ],
)
def test_versions_are_their_leading_numbers(
    engine: str, version: str | None, numbers: tuple[int, ...]
) -> None:
    assert engine_rules(engine, version).version == numbers


def test_an_unknown_engine_names_those_that_are_known() -> None:
    with pytest.raises(SizingError, match=r"engine is 'triton'; allowed are vllm, .*sglang"):
        engine_rules("triton", None)


@pytest.mark.parametrize(
    ("version", "total", "product", "context", "expected"),
    [
        pytest.param("0.19.0", H100, H100_NAME, 131_072, (8192, 1024), id="0.19 on H100"),
        pytest.param("0.19.0", A100, A100_NAME, 131_072, (2048, 256), id="0.19 on A100"),
        pytest.param("0.9", A10G, "NVIDIA-A10G", 8192, (2048, 256), id="0.9 on A10G"),
        pytest.param("0.19.0", 0, "", 8192, (2048, 256), id="0.19 on an unknown GPU"),
        pytest.param("0.33.0", B200, "NVIDIA-B200", 8192, (16_384, 1024), id="0.33 on B200"),
        pytest.param("0.19.0", B200, "NVIDIA-B200", 8192, (8192, 1024), id="0.19 on B200"),
        pytest.param("0.33.0", H100, H100_NAME, 8192, (8192, 1024), id="0.33 on H100"),
        pytest.param("0.33.0", A100, A100_NAME, 8192, (2048, 256), id="0.33 on A100"),
        pytest.param("0.33.0", H200, "NVIDIA-H200", 8192, (8192, 1024), id="0.33 on H200"),
        pytest.param("0.33.0", A10G, "NVIDIA-A10G", 8192, (2048, 256), id="0.33 on A10G"),
        pytest.param("0.19.0", L40S, "NVIDIA-L40S", 8192, (2048, 256), id="0.19 on L40S"),
        pytest.param("0.33.0", 70 * GIB, "", 8192, (8192, 1024), id="70 GiB"),
        pytest.param("0.33.0", 70 * GIB - 1, "", 8192, (2048, 256), id="a byte less"),
        pytest.param("0.8.5", H100, H100_NAME, 131_072, (2048, 256), id="before 0.9"),
        pytest.param("0.6.6", H100, H100_NAME, 1024, (2048, 256), id="V0: at least 2048"),
        pytest.param("0.6.6", H100, H100_NAME, 8192, (8192, 256), id="V0: the whole context"),
        pytest.param("0.6.6", H100, H100_NAME, 32_768, (32_768, 256), id="V0: up to 32,768"),
        pytest.param("0.6.6", H100, H100_NAME, 32_769, (2048, 256), id="V0: chunks beyond"),
    ],
)
def test_batch_defaults_of_vllm(
    version: str, total: int, product: str, context: int, expected: tuple[int, int]
) -> None:
    assert default_batch(engine_rules("vllm", version), total, product, context) == expected


def test_an_engine_without_defaults_is_named() -> None:
    rules = replace(engine_rules("vllm", None), engine="Ollama")
    with pytest.raises(SizingError, match=r"engine_defaults\.csv has no row for Ollama"):
        default_batch(rules, H100, H100_NAME, 8192)


@pytest.mark.parametrize(
    ("engine", "version", "total", "tp", "pp", "expected"),
    [
        pytest.param("vllm", "0.19.0", H100, 1, 1, 0.9, id="vLLM"),
        pytest.param("vllm", "0.33.0", H100, 1, 1, 0.92, id="vLLM 0.33"),
        pytest.param("sglang", "0.4.9", A10G, 1, 1, 0.88, id="SGLang 0.4"),
        pytest.param("sglang", "0.4.9", H100, 4, 1, 0.85, id="SGLang 0.4 on four GPUs"),
        pytest.param("sglang", "0.4.9", H100, 16, 1, 0.79, id="SGLang 0.4 on sixteen"),
        # (79.19 - 9.5 - 0.5) / 79.19
        pytest.param("sglang", "0.5.2", H100, 1, 1, 0.87372, id="SGLang 0.5 on H100"),
        # (79.19 - 9.5 - 8 / 2) / 79.19
        pytest.param("sglang", "0.5.2", H100, 4, 2, 0.82952, id="SGLang 0.5 on eight H100"),
        # (139.81 - 12 - 0.5) / 139.81
        pytest.param("sglang", None, H200, 1, 1, 0.91059, id="SGLang on H200"),
        # (22.06 - 2.9) / 22.06
        pytest.param("sglang", None, A10G, 1, 1, 0.86854, id="SGLang on A10G"),
        # (178.35 - 32) / 178.35
        pytest.param("sglang", None, B200, 1, 1, 0.82058, id="SGLang on B200"),
        pytest.param("tgi", "2.0", H100, 1, 1, 1.0, id="TGI"),
        pytest.param("llama.cpp", None, H100, 1, 1, 1.0, id="llama.cpp"),
        pytest.param("transformers", None, H100, 1, 1, 0.85, id="Transformers"),
    ],
)
def test_default_shares(
    engine: str, version: str | None, total: int, tp: int, pp: int, expected: float
) -> None:
    found = default_utilization(
        engine_rules(engine, version), total, tensor_parallel_size=tp, pipeline_parallel_size=pp
    )
    assert found == pytest.approx(expected, abs=0.00001)


TAKEN = Taken(weights_bytes=1500, activation_bytes=200, non_torch_bytes=30, cuda_graph_bytes=90)


@pytest.mark.parametrize(
    ("engine", "version", "utilization", "budget", "pool"),
    [
        pytest.param("vllm", "0.19.0", 0.9, 9000, 7270, id="vLLM: graphs outside"),
        pytest.param("vllm", "0.21.0", 0.9, 9000, 7180, id="vLLM from 0.21: graphs inside"),
        # 0.88 x (10,000 - 400) - 1500
        pytest.param("sglang", "0.4.9", 0.88, 8448, 6948, id="SGLang: weights and cache"),
        # 10,000 - 400 - 0.05 x 10,000
        pytest.param("tgi", "2.0", 1.0, 9100, 7370, id="TGI: after the warm-up"),
        pytest.param("llama.cpp", None, 1.0, 9600, 7870, id="llama.cpp: all that is free"),
        pytest.param("transformers", None, 0.85, 8500, 6770, id="Transformers"),
        pytest.param("mlx-lm", None, 0.85, 8500, 6770, id="MLX"),
    ],
)
def test_budget_and_pool(
    engine: str, version: str | None, utilization: float, budget: int, pool: int
) -> None:
    rules = engine_rules(engine, version)
    found = budget_bytes(rules, 10_000, utilization, 400)
    assert found == budget
    assert pool_bytes(rules, found, TAKEN) == pool


def test_shares_are_whole_bytes() -> None:
    # vLLM rounds up: 85,029,615,042 x 0.95 = 80,778,134,289.9
    assert share_bytes(85_029_615_042, 0.95) == 80_778_134_290
    assert share_bytes(1000, 0.9) == 900
    assert share_bytes(1000, 0.875) == 875
    # 1001 x 0.92 = 920.92
    assert share_bytes(1001, 0.92) == 921


@pytest.mark.parametrize(
    ("total_gib", "reserved_gib", "tp", "planned", "highest"),
    [
        # (22.06 - 2.28 - 0.25) / 22.06 = 0.8853; (22.06 - 2.28 - 0.05) / 22.06 = 0.8943
        pytest.param(22.06, 2.28, 1, 88, 89, id="A10G"),
        # (22.03 - 2.28 - 0.25) / 22.03 = 0.8851; 0.8942
        pytest.param(22.03, 2.28, 1, 88, 89, id="L4"),
        pytest.param(79.19, 0.5, 1, 92, 95, id="H100: the limits"),
        # (39.5 - 0.5 - 0.25) / 39.5 = 0.981; with 1.5 GiB more 0.943, and 0.948 with 0.05 spare
        pytest.param(39.5, 0.5, 2, 92, 94, id="two A100 of 40 GB"),
        # (22.06 - 2.28 - 1.5 - 0.25) / 22.06 = 0.8173; 0.8264
        pytest.param(22.06, 2.28, 4, 81, 82, id="four A10G"),
        # (39.5 - 0.5 - 1.5 - 0.25) / 39.5 = 0.9430; 0.9481
        pytest.param(39.5, 0.5, 8, 92, 94, id="eight A100 of 40 GB"),
        # (14.58 - 0.5 - 0.25) / 14.58 = 0.9486; 0.9623
        pytest.param(14.58, 0.5, 1, 92, 95, id="one T4"),
        # (4.75 - 0.5 - 0.25) / 4.75 = 0.842; 0.884
        pytest.param(4.75, 0.5, 1, 84, 88, id="a small MIG slice"),
        pytest.param(0.5, 0.5, 1, 0, 0, id="nothing left is zero, not negative"),
        # (14.58 - 2.0 - 0.25) / 14.58 = 0.8456; 0.8594
        pytest.param(14.58, 0.5, 2, 84, 85, id="two T4"),
        pytest.param(1.0, 2.0, 1, 0, 0, id="less than what is taken"),
    ],
)
def test_the_utilization_that_a_plan_writes(
    total_gib: float, reserved_gib: float, tp: int, planned: int, highest: int
) -> None:
    total, reserved = int(total_gib * GIB), int(reserved_gib * GIB)
    assert planned_utilization_percent(total, reserved, tp) == planned
    assert highest_utilization_percent(total, reserved, tp) == highest


def test_a_gpu_of_no_size_has_no_utilization() -> None:
    assert planned_utilization_percent(0, 0, 1) == 0
