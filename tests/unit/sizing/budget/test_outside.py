"""Memory outside tensors: figures by version, capture sizes, llama.cpp's buffer."""

import pytest

from llama_operator.catalog.engine_memory import NEWEST, engine_memory
from llama_operator.sizing.models.model import ModelShape
from llama_operator.sizing.outside import (
    capture_sizes,
    compute_buffer_bytes,
    cuda_graph_bytes,
    non_torch_bytes,
)
from llama_operator.units import GIB
from unit.sizing.budget.shapes import (
    DEEPSEEK_V2_LITE,
    LLAMA_8B,
    LLAMA_405B,
    NEMOTRON_3_NANO,
)


@pytest.mark.parametrize(
    ("version", "tp", "pp", "nvlink", "gib"),
    [
        pytest.param((0, 19), 1, 1, True, 0.25, id="one GPU"),
        pytest.param((0, 17), 1, 1, True, 0.13, id="one GPU before 0.18"),
        pytest.param((0, 19), 2, 1, True, 2.08, id="two GPUs"),
        pytest.param((0, 17), 2, 1, True, 0.55, id="two GPUs before 0.18"),
        pytest.param((0, 19), 4, 1, True, 2.15, id="four GPUs"),
        pytest.param((0, 33), 16, 1, True, 2.15, id="sixteen GPUs"),
        pytest.param((0, 17), 8, 1, True, 0.55, id="eight GPUs before 0.18"),
        pytest.param((0, 19), 1, 2, True, 0.07, id="two stages of one GPU"),
        pytest.param((0, 19), 8, 2, True, 2.15, id="two stages of eight"),
        pytest.param((0, 33), 1, 1, False, 0.30, id="a PCIe GPU"),
        pytest.param((0, 19), 1, 1, False, 0.25, id="a PCIe GPU in 0.19, as worked out"),
    ],
)
def test_memory_outside_the_allocator(
    version: tuple[int, ...], tp: int, pp: int, nvlink: bool, gib: float
) -> None:
    found = non_torch_bytes(
        engine_memory("vLLM", version),
        tensor_parallel_size=tp,
        pipeline_parallel_size=pp,
        nvlink=nvlink,
    )
    assert found == int(gib * GIB)


@pytest.mark.parametrize(
    ("shape", "layers", "tp", "gib"),
    [
        pytest.param(LLAMA_8B, 32, 1, 0.9038, id="0.66 + 0.186 x 32 x 4096 / 1e5"),
        pytest.param(LLAMA_8B, 32, 2, 0.6938, id="0.21 less in parallel"),
        pytest.param(LLAMA_405B, 126, 8, 4.2897, id="0.66 + 3.8397 - 0.21"),
        pytest.param(LLAMA_405B, 63, 8, 2.3699, id="half of the layers on each of two stages"),
        pytest.param(DEEPSEEK_V2_LITE, 27, 1, 1.4829, id="0.66 + 0.1029 + 0.72 for experts"),
        pytest.param(NEMOTRON_3_NANO, 52, 1, 1.6400, id="0.66 + 0.2600 + 0.72 for experts"),
    ],
)
def test_graphs_of_the_default_sizes(shape: ModelShape, layers: int, tp: int, gib: float) -> None:
    found = cuda_graph_bytes(
        shape,
        layers=layers,
        tensor_parallel_size=tp,
        max_num_seqs=256,
        max_num_batched_tokens=2048,
    )
    assert found / GIB == pytest.approx(gib, abs=0.0001)


def test_graphs_of_8b_are_exact() -> None:
    found = cuda_graph_bytes(
        LLAMA_8B,
        layers=32,
        tensor_parallel_size=1,
        max_num_seqs=1024,
        max_num_batched_tokens=8192,
    )
    assert found == 970_441_332


@pytest.mark.parametrize(
    ("seqs", "tokens", "expected"),
    [
        pytest.param(1024, 8192, 51, id="all: 3 + 31 + 17"),
        pytest.param(256, 2048, 51, id="to 512"),
        pytest.param(128, 2048, 35, id="to 256: 3 + 31 + 1"),
        pytest.param(64, 2048, 19, id="to 128: 3 + 16"),
        pytest.param(4, 2048, 4, id="1, 2, 4 and 8"),
        pytest.param(1, 2048, 2, id="1 and 2"),
        pytest.param(256, 64, 11, id="to the tokens of a step: 3 + 8"),
    ],
)
def test_capture_sizes_end_at_twice_the_sequences(seqs: int, tokens: int, expected: int) -> None:
    assert capture_sizes(seqs, tokens) == expected


def test_fewer_capture_sizes_make_smaller_graphs() -> None:
    # 0.66 + 3.8397 x 19 / 51
    found = cuda_graph_bytes(
        LLAMA_405B,
        layers=126,
        tensor_parallel_size=1,
        max_num_seqs=64,
        max_num_batched_tokens=2048,
    )
    assert found / GIB == pytest.approx(2.0905, abs=0.0001)


@pytest.mark.parametrize(
    ("gpus", "flash_attention", "expected"),
    [
        # 512 x (128,256 + 3 x 14,336 + 6 x 4096) x 4
        pytest.param(1, True, 401_080_320, id="one GPU"),
        pytest.param(2, True, 1_604_321_280, id="four copies on several GPUs"),
        # and 512 x 8192 x 32 x 4
        pytest.param(1, False, 937_951_232, id="scores without flash attention"),
    ],
)
def test_the_compute_buffer_of_llama_cpp(gpus: int, flash_attention: bool, expected: int) -> None:
    found = compute_buffer_bytes(
        LLAMA_8B, ubatch=512, n_ctx=8192, gpus=gpus, flash_attention=flash_attention
    )
    assert found == expected


def test_engines_without_a_profile_take_that_of_vllm() -> None:
    for engine in ("SGLang", "TGI", "Transformers"):
        facts = engine_memory(engine, NEWEST)
        assert facts.sampler_alpha == 3.65
        assert not facts.captures_graphs
