"""What an engine says beside what is computed: by part and place, with difference and rounding."""

from collections.abc import Mapping

import pytest

from llama_operator.engines.memory_lines import read_memory
from llama_operator.sizing.comparison import (
    GPU,
    HOST,
    Compared,
    Computed,
    compare,
    computed_parts,
)
from llama_operator.sizing.estimate import estimate
from llama_operator.sizing.models.shape import model_shape
from llama_operator.sizing.scheme_names import scheme_for
from llama_operator.sizing.serving import Serving
from support.llama_8b import CONFIG as LLAMA_8B

GIB_STEP, MIB_STEP = 10_737_419, 10_486
"""0.01 GiB = 10,737,418.24 bytes and 0.01 MiB = 10,485.76 bytes, rounded up."""
H100_BYTES = 85_029_615_042
"""79.19 GiB."""
LOG = """\
Model loading took 14.99 GiB memory and 4.5 seconds
Available KV cache memory: 58.11 GiB
GPU KV cache size: 476,016 tokens
"""
"""Figures of Llama 3.1 8B on an H100 with vLLM 0.19.0 (jgchn/llm-d-planner)."""


def test_llama_8b_as_vllm_measured_it() -> None:
    setting = Serving(
        model=model_shape(LLAMA_8B, name="8b"),
        scheme=scheme_for("none"),
        engine_version="0.19.0",
        product="NVIDIA-H100-80GB-HBM3",
        total_bytes=H100_BYTES,
        utilization=0.95,
        max_model_len=8192,
        max_num_batched_tokens=8192,
        max_num_seqs=1024,
    ).setting()
    found = compare(computed_parts(setting, estimate(setting)), read_memory("vLLM", (0, 19), LOG))
    weights, cache, tokens, time = found
    # 14.99 GiB = 16,095,389,942 bytes; the memory model, section 13, has 16,094,076,928.
    assert weights == Compared("weights", GPU, Computed(16_094_076_928), 16_095_389_942, GIB_STEP)
    assert weights.difference == 1_313_014
    # 58.11 GiB = 62,395,137,393 bytes; section 9 computes 58.10 GiB and 475,968 tokens.
    assert (cache.part, cache.observed) == ("kv-cache", 62_395_137_393)
    assert cache.difference is not None
    assert abs(cache.difference) < 2 * GIB_STEP
    assert tokens == Compared("kv-tokens", GPU, Computed(475_968), 476_016, 0)
    assert tokens.difference == 48
    assert time == Compared("load-time", GPU, None, 4500, 1)
    assert time.difference is None


@pytest.mark.parametrize(
    ("computed", "log", "expected"),
    [
        pytest.param({}, "", (), id="nothing"),
        pytest.param(
            {("weights", GPU): Computed(1)}, "", (), id="computed alone is not shown"
        ),
        pytest.param(
            {("weights", GPU): Computed(3_145_728), ("weights", HOST): Computed(1_048_576)},
            "load_tensors: CPU_Mapped model buffer size = 1.00 MiB\n"
            "load_tensors: CUDA0 model buffer size = 2.00 MiB\n"
            "load_tensors: CUDA1 model buffer size = 3.00 MiB\n"
            "load_tensors: CPU_REPACK model buffer size = 1.00 MiB\n",
            (
                Compared("weights", GPU, Computed(3_145_728), 3_145_728, MIB_STEP),
                Compared("weights", HOST, Computed(1_048_576), 1_048_576, MIB_STEP),
                Compared("repacked-weights", HOST, None, 1_048_576, MIB_STEP),
            ),
            id="the fullest GPU, and the host",
        ),
    ],
)  # fmt: skip
def test_parts_by_place(
    computed: Mapping[tuple[str, str], Computed], log: str, expected: tuple[Compared, ...]
) -> None:
    assert compare(computed, read_memory("LlamaCpp", (11434, 0), log)) == expected


def test_llama_cpp_is_computed_on_gpu_and_host() -> None:
    setting = Serving(
        model=model_shape(LLAMA_8B, name="8b"),
        scheme=scheme_for("Q8_0"),
        engine="llama.cpp",
        max_model_len=8192,
        concurrency=2,
    ).setting()
    found = computed_parts(setting, estimate(setting))
    assert {key: figure.is_bound for key, figure in found.items()} == {
        ("kv-tokens", GPU): False,
        ("weights", GPU): False,
        ("activation", GPU): True,
        ("non-torch", GPU): False,
        ("weights-and-non-torch", GPU): False,
        ("kv-cache", GPU): False,
        ("weights", HOST): False,
        ("activation", HOST): True,
    }
    assert found["kv-tokens", GPU].value == 16_384
    # 2 x 32 layers x 8 KV heads x 128 x 2 bytes = 128 KiB a token
    assert found["kv-cache", GPU].value == 16_384 * 131_072
    # 128256 x 4096 elements of 8.5 bits
    assert found["weights", HOST].value == 558_170_112
