"""`llama-operator size`: CPU, memory and disk of the node, and llama.cpp's layers on the CPU."""

import json
from typing import Any

import pytest

from llama_operator.cli.main import main
from llama_operator.cli.size_node import node_parts
from llama_operator.sizing.host import HostParts

GIB = 2**30
MIB = 2**20
Q4 = "llama-3.1-instruct 8b --quantization Q4_K_M --gpu NVIDIA-L4 --max-model-len 8192"
# Q4_K_M: input matrix, layers with fewer and with more bits; tests/unit/sizing/host/test_offload.py
TOKEN_EMBD, PLAIN, MORE = 295_501_824, 122_716_160, 138_936_320


def size(words: str, capsys: pytest.CaptureFixture[str], expected: int = 0) -> dict[str, Any]:
    """What `size WORDS -o json` prints."""
    status = main(["size", *words.split(), "-o", "json"])
    printed = capsys.readouterr()
    assert status == expected, printed.err
    found: dict[str, Any] = json.loads(printed.out)
    return found


def test_all_layers_are_on_the_gpu_unless_something_else_is_asked(
    capsys: pytest.CaptureFixture[str],
) -> None:
    found = size(Q4, capsys)
    assert "n_gpu_layers" not in found
    assert found["node"]["weights_bytes"] == TOKEN_EMBD
    assert found["node"]["kv_cache_bytes"] == 0
    assert found["node"]["prompt_cache_bytes"] == 8 * GIB
    assert (found["node"]["cpu_millicores"], found["node"]["cpu_threads"]) == (1_500, 1)


def test_layers_that_stay_are_in_memory_of_the_node(capsys: pytest.CaptureFixture[str]) -> None:
    # 21: the output and layers 12 to 31; 12 stay, half of them with more bits
    found = size(f"{Q4} -ngl 21", capsys)
    node = found["node"]
    assert found["n_gpu_layers"] == 21
    assert found["stages"][0]["layers"] == 20
    assert node["weights_bytes"] == TOKEN_EMBD + 6 * PLAIN + 6 * MORE
    assert node["kv_cache_bytes"] == 12 * 8192 * 4096
    assert (node["cpu_millicores"], node["cpu_threads"]) == (9_500, 9)
    assert node["weights_bytes"] + found["stages"][0]["weights_bytes"] == found["checkpoint_bytes"]


def test_auto_takes_as_many_layers_as_fit_and_one_more_does_not(
    capsys: pytest.CaptureFixture[str],
) -> None:
    large = "llama-3.1-instruct 70b --quantization Q4_K_M --gpu NVIDIA-L4 --max-model-len 8192"
    found = size(f"{large} -ngl auto", capsys)
    count = found["n_gpu_layers"]
    assert found["fits"]
    assert 0 < count < 81
    assert size(f"{large} -ngl {count + 1}", capsys, 3)["reason"] in ("kv-cache", "activation")
    refused = size(large, capsys, 3)
    assert refused["alternatives"][0]["options"] == {"--n-gpu-layers": str(count)}
    assert refused["alternatives"][0]["stages"] == found["stages"]


def test_a_server_without_gpu(capsys: pytest.CaptureFixture[str]) -> None:
    # 8,192 tokens: the file, 1 GiB of cache, buffers of 426,775,552, 0.5 GiB of processes, 64 MiB
    needed = 4_912_898_048 + GIB + 426_775_552 + GIB // 2 + 64 * MIB
    words = f"{Q4} -ngl 0 --cache-ram 0"
    found = size(words, capsys)
    assert (found.get("fits"), found["stages"]) == (None, [])
    assert found["node"]["memory_bytes"] == needed  # 6.54 GiB
    assert size(f"{words} --host-memory-gib 7", capsys)["fits"] is True
    refused = size(f"{words} --host-memory-gib 6", capsys, 3)
    assert (refused["fits"], refused["reason"]) == (False, "host-memory")
    main(["size", *words.split()])
    assert "on the CPU" in capsys.readouterr().out.splitlines()[0]


def test_a_cache_of_prompts_that_would_fit_is_named(capsys: pytest.CaptureFixture[str]) -> None:
    refused = size(f"{Q4} --host-memory-gib 8", capsys, 3)
    assert refused["reason"] == "host-memory"
    words, count, fits = refused["message"].rpartition("--cache-ram ")[2].partition(" fits")
    assert (count, fits) == (" fits", "")
    assert size(f"{Q4} --host-memory-gib 8 --cache-ram {words}", capsys)["fits"] is True
    more = int(words) + 1
    assert size(f"{Q4} --host-memory-gib 8 --cache-ram {more}", capsys, 3)["fits"] is False


def test_what_the_node_cannot_hold_is_not_proposed(capsys: pytest.CaptureFixture[str]) -> None:
    large = "llama-3.1-instruct 70b --quantization Q4_K_M --gpu NVIDIA-L4 --max-model-len 8192"
    # layers on the CPU take 33 GiB, all on GPUs 10
    found = size(f"{large} --host-memory-gib 16", capsys, 3)
    proposed = [set(item["options"]) for item in found["alternatives"]]
    assert {"--n-gpu-layers"} not in proposed
    assert {"--tensor-parallel-size"} in proposed


def test_both_sizes_are_told_of_what_the_engine_quantizes(
    capsys: pytest.CaptureFixture[str],
) -> None:
    words = "llama-3.1-instruct 8b --quantization fp8-online --gpu NVIDIA-L4 --max-model-len 8192"
    disk = size(words, capsys)["disk"]
    assert disk["download_bytes"] == 16_060_522_496
    # linears in one byte and 8 bytes of scales each, the rest in 16 bit: half of 13,958,643,712
    # less, in whole segments of the allocator
    assert 9.0e9 < disk["loaded_bytes"] < 9.2e9
    # 5 percent and 1 GiB
    assert disk["disk_bytes"] == 16_060_522_496 * 105 // 100 + GIB
    main(["size", *words.split()])
    assert "14.96 GiB, 16,060,522,496 bytes, quantized at load to 8." in capsys.readouterr().out


@pytest.mark.parametrize(
    ("words", "key", "expected"),
    [
        pytest.param("--kv-offloading-size 20", "pinned_bytes", 20 * GIB, id="pinned"),
        # one rank that reads a file with everything
        pytest.param("--no-mmap", "loader_bytes", 16_060_522_496, id="read"),
        pytest.param("", "loader_bytes", 0, id="mapped"),
    ],
)
def test_what_options_of_vllm_take(
    words: str, key: str, expected: int, capsys: pytest.CaptureFixture[str]
) -> None:
    node = size(f"llama-3.1-instruct 8b --gpu NVIDIA-A100-SXM4-80GB {words}", capsys)["node"]
    assert node[key] == expected
    # 8 GiB and 4 for the GPU, 1 of /dev/shm
    assert node["memory_bytes"] == 13 * GIB + expected


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ("llama-3.1-instruct 8b -ngl 3", "--n-gpu-layers is for llama.cpp with GGUF files; engine"),
        (
            "llama-3.1-instruct 8b --quantization Q4_K_M -ngl auto",
            "--n-gpu-layers auto needs a --gpu to fit",
        ),
        ("llama-3.1-instruct 8b --cache-ram 1", "--cache-ram is for llama.cpp; engine is vLLM"),
        (f"{Q4} --kv-offloading-size 1", "--kv-offloading-size is for vLLM; engine is LlamaCpp"),
    ],
)
def test_an_option_of_another_engine_is_refused(
    words: str, message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["size", *words.split()]) == 2
    printed = capsys.readouterr()
    assert printed.out == ""
    assert printed.err.startswith(f"llama-operator: {message}")


@pytest.mark.parametrize(
    "memory",
    [
        HostParts(1, 20, 300, 4_000, 50_000, 600_000, 0, 7_000_000),
        # loading takes more than serving
        HostParts(1, 20, 300, 4_000, 50_000, 600_000, 654_301, 7_000_000),
        HostParts(5, shm_bytes=1),
    ],
)
def test_parts_add_up(memory: HostParts) -> None:
    assert sum(part.size_bytes for part in node_parts(memory)) == memory.memory_bytes
