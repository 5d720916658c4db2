from dataclasses import replace

import pytest

from llama_operator.catalog.host_tables import engine_loading
from llama_operator.sizing.host import (
    HostParts,
    cpu_millicores,
    cpu_threads,
    host_needs,
    host_parts,
    process_parts,
)
from llama_operator.sizing.settings import Setting
from llama_operator.units import GIB, MIB
from unit.sizing.budget.settings import A100_80GB, CATALOG, LLAMA_8B, LLAMA_70B, setting
from unit.sizing.bytes.shapes import llama
from unit.sizing.host.settings import llama_cpp

LM_HEAD = 1_050_673_152  # 8B: 128,256 * 4,096 * 2


def test_memory_is_that_of_serving_or_of_loading_whichever_is_more() -> None:
    parts = HostParts(
        processes_bytes=1,
        weights_bytes=20,
        kv_cache_bytes=300,
        compute_bytes=4_000,
        prompt_cache_bytes=50_000,
        pinned_bytes=600_000,
        shm_bytes=7_000_000,
    )
    assert parts.memory_bytes == 7_654_321
    assert replace(parts, loader_bytes=654_300).memory_bytes == 7_654_321
    assert replace(parts, loader_bytes=654_301).memory_bytes == 7_654_322


@pytest.mark.parametrize("size", [1, 2, 4, 8])
def test_vllm_keeps_nothing_of_a_model_on_the_host(size: int) -> None:
    host = CATALOG.host("vLLM")
    made = setting(LLAMA_70B, "none", A100_80GB, tp=size)
    found = host_parts(made, host)
    assert found == process_parts(host, size)
    assert found.memory_bytes == host_needs(made, host, download_bytes=1).memory_bytes


def test_needs_of_llama_cpp_with_layers_on_the_host() -> None:
    # 1 CPU, 0.5 for the GPU, 8 for layers; 2,703,234,048 of the model, see test_offload, 1.5 GiB
    # of processes, 8 GiB of prompts; a file of 4.92 GB with 1 percent and 0.25 GiB
    found = host_needs(
        llama_cpp(gpu_layers=21), CATALOG.host("LlamaCpp"), download_bytes=4_920_000_000
    )
    assert found.cpu_millicores == 9_500
    assert found.memory_bytes == 2_694_845_440 + 3 * GIB // 2 + 8 * GIB + 64 * MIB
    assert found.shm_bytes == 64 * MIB
    assert found.disk_bytes == 4_969_200_000 + GIB // 4


@pytest.mark.parametrize(
    ("size", "memory_gib"),
    [
        pytest.param(1, 8 + 4 + 1, id="one rank"),
        pytest.param(4, 8 + 4 * 4 + 8, id="four ranks"),
    ],
)
def test_processes_of_vllm(size: int, memory_gib: int) -> None:
    found = process_parts(CATALOG.host("vLLM"), size)
    assert found.memory_bytes == memory_gib * GIB


@pytest.mark.parametrize(
    ("largest_file_bytes", "expected"),
    [
        pytest.param(4_976_698_672, 2 * 4_976_698_672, id="its largest file, on both ranks"),
        pytest.param(None, 2 * 16_060_522_496, id="one file with all of it"),
        pytest.param(10**12, 2 * 16_060_522_496, id="never more than all of it"),
    ],
)
def test_vllm_that_reads_eagerly_holds_a_file_on_each_rank(
    largest_file_bytes: int | None, expected: int
) -> None:
    found = host_parts(
        setting(LLAMA_8B, tp=2),
        CATALOG.host("vLLM"),
        maps_files=False,
        largest_file_bytes=largest_file_bytes,
    )
    assert found.loader_bytes == expected
    assert found.memory_bytes == (8 + 2 * 4 + 8) * GIB + expected


def test_ranks_of_other_nodes_do_not_count() -> None:
    made = setting(LLAMA_70B, tp=8, pp=2)
    host = CATALOG.host("vLLM")
    assert host_parts(made, host).processes_bytes == (8 + 16 * 4) * GIB
    assert host_parts(made, host, ranks=8).processes_bytes == (8 + 8 * 4) * GIB


def test_memory_that_options_pin_is_counted() -> None:
    found = host_parts(setting(LLAMA_8B), CATALOG.host("vLLM"), pinned_bytes=20 * GIB)
    assert found.memory_bytes == (8 + 4 + 1 + 20) * GIB


@pytest.mark.parametrize(
    ("engine", "scheme", "quantize_at_load", "expected"),
    [
        pytest.param("transformers", "none", False, 4 * LM_HEAD, id="four tensors of Transformers"),
        pytest.param("transformers", "bnb-nf4", True, 4 * LM_HEAD, id="quantized only on the GPU"),
        pytest.param("tgi", "none", False, 2 * LM_HEAD, id="one tensor on each rank of TGI"),
        # 128,256 * 4,096 * 9 / 16: the matrix is quantized too
        pytest.param("mlx", "mlx-4bit-g64", False, 295_501_824, id="one tensor of MLX"),
        pytest.param("sglang", "none", False, 0, id="files that SGLang maps"),
    ],
)
def test_what_is_in_flight_while_a_model_loads(
    engine: str, scheme: str, quantize_at_load: bool, expected: int
) -> None:
    made = setting(LLAMA_8B, scheme, engine=engine, version=None, tp=2)
    found = host_parts(made, CATALOG.host(made.rules.engine), quantize_at_load=quantize_at_load)
    assert found.loader_bytes == expected


@pytest.mark.parametrize(
    ("scheme", "quantize_at_load", "expected"),
    [
        # gate_proj of 57,344 * 4,096 is larger than lm_head of 8,192 rows; a scale for each row
        pytest.param("fp8-dynamic", False, 57_344 * 4_096 + 4 * 57_344, id="stored in 8 bit"),
        pytest.param("fp8-dynamic", True, 57_344 * 4_096 * 2, id="stored in 16 bit"),
        pytest.param("fp8-online", False, 57_344 * 4_096 * 2, id="always stored in 16 bit"),
    ],
)
def test_a_model_that_is_quantized_at_load_passes_in_16_bit(
    scheme: str, quantize_at_load: bool, expected: int
) -> None:
    shape = llama(hidden=4096, intermediate=57_344, layers=2, heads=32, kv_heads=8, vocab=8_192)
    made = setting(shape, scheme, engine="tgi", version=None)
    found = host_parts(made, CATALOG.host("TGI"), quantize_at_load=quantize_at_load)
    assert found.loader_bytes == expected


def test_llama_cpp_with_all_layers_on_the_gpu() -> None:
    # processes 0.5 + 1 GiB; see test_offload for the rest
    assert host_parts(llama_cpp(), CATALOG.host("LlamaCpp")) == HostParts(
        processes_bytes=3 * GIB // 2,
        weights_bytes=295_501_824,
        kv_cache_bytes=0,
        compute_bytes=25_165_824 + 529_408,
        prompt_cache_bytes=8 * GIB,
        loader_bytes=0,
        shm_bytes=64 * MIB,
    )


def test_llama_cpp_with_layers_on_the_host() -> None:
    host = CATALOG.host("LlamaCpp")
    found = host_parts(llama_cpp(gpu_layers=21), host, prompt_cache_bytes=GIB)
    # weights, cache and buffers: 2,703,234,048; 1.5 GiB, 1 GiB and 64 MiB
    assert found.memory_bytes == 2_694_845_440 + 5 * GIB // 2 + 64 * MIB


def test_llama_cpp_without_gpu_has_no_context_of_one() -> None:
    found = host_parts(llama_cpp(gpu_layers=0), CATALOG.host("LlamaCpp"), prompt_cache_bytes=0)
    assert found.processes_bytes == GIB // 2
    assert found.weights_bytes == 4_912_898_048


@pytest.mark.parametrize(
    ("file_type", "expected"),
    [
        pytest.param("Q4_K_M", 430_956_544, id="the output matrix with its norm, 411 MiB"),
        pytest.param("Q2_K", 430_956_544, id="Q6_K in any mix"),
    ],
)
def test_llama_cpp_that_reads_holds_its_largest_tensor(file_type: str, expected: int) -> None:
    found = host_parts(llama_cpp(scheme=file_type), CATALOG.host("LlamaCpp"), maps_files=False)
    assert found.loader_bytes == expected
    # the cache of prompts takes more later
    assert (
        found.memory_bytes
        == host_parts(llama_cpp(scheme=file_type), CATALOG.host("LlamaCpp")).memory_bytes
    )


def test_llama_cpp_that_reads_small_tensors_has_four_pinned_buffers() -> None:
    shape = llama(hidden=1024, intermediate=4096, layers=2, heads=8, kv_heads=8, vocab=8_192)
    found = host_parts(llama_cpp(shape), CATALOG.host("LlamaCpp"), maps_files=False)
    assert found.loader_bytes == 4 * 64 * MIB


def test_a_server_with_a_full_prompt_cache_was_seen_below_its_estimate() -> None:
    # gemma4:12b, all on one GPU: 787 MiB of weights and about 100 MiB of buffers on the host, 7,378
    # of at most 8,192 MiB of prompts; 9.4 GB resident (ollama/ollama#18264)
    parts = replace(
        process_parts(CATALOG.host("LlamaCpp"), 1),
        weights_bytes=787 * MIB,
        compute_bytes=100 * MIB,
        prompt_cache_bytes=engine_loading("LlamaCpp").prompt_cache_bytes,
    )
    assert 9_400_000_000 < parts.memory_bytes < 1.3 * 9_400_000_000


@pytest.mark.parametrize(
    ("made", "expected"),
    [
        pytest.param(setting(LLAMA_70B, tp=4), 6_000, id="vLLM: 2 + N"),
        pytest.param(llama_cpp(), 1_500, id="llama.cpp on one GPU"),
        pytest.param(llama_cpp(gpu_layers=21), 9_500, id="llama.cpp with layers on the host"),
        pytest.param(llama_cpp(gpu_layers=0), 9_000, id="llama.cpp without GPU"),
    ],
)
def test_cpu_requests(made: Setting, expected: int) -> None:
    assert cpu_millicores(made, CATALOG.host(made.rules.engine)) == expected


@pytest.mark.parametrize(
    ("millicores", "expected"),
    [
        pytest.param(7_650, 7, id="one more than the quota would throttle all"),
        pytest.param(8_000, 8, id="whole cores"),
        pytest.param(500, 1, id="never none"),
    ],
)
def test_threads_are_the_whole_cores_of_a_request(millicores: int, expected: int) -> None:
    assert cpu_threads(millicores) == expected
