"""Memory as engines tell it: bytes, tokens and rounding by device, from logs and metrics.

Lines are those of the table's versions behind what the engine's logger writes before them; figures
are measured ones (jgchn/llm-d-planner, logs of Llama 3.1 8B). GiB and MiB become bytes by hand.
"""

from pathlib import Path

import pytest

from llama_operator.engines.memory_lines import (
    TEXT_BYTES_LIMIT,
    Reading,
    looked_for,
    read_memory,
)

CAPTURES = Path(__file__).resolve().parents[2] / "captures"
GIB_STEP, MIB_STEP = 10_737_419, 10_486
"""0.01 GiB = 10,737,418.24 bytes and 0.01 MiB = 10,485.76 bytes, rounded up."""
VLLM_TWO_RANKS = """\
(APIServer pid=7) INFO 11-20 10:00:00 [api_server.py:1971] vLLM API server version 0.33.0
\x1b[1;36m(Worker_TP0 pid=71)\x1b[0;0m INFO 11-20 10:00:30 [gpu_model_runner.py:4879] Model loading took 7.51 GiB memory and 31.657031 seconds
(Worker_TP1 pid=72) INFO 11-20 10:00:30 [gpu_model_runner.py:4879] Model loading took 7.5 GiB memory and 31.7 seconds\r
(Worker_TP0 pid=71) INFO 11-20 10:01:00 [gpu_worker.py:460] Available KV cache memory: 63.76 GiB
(EngineCore_DP0 pid=70) INFO 11-20 10:01:01 [kv_cache_utils.py:1286] GPU KV cache size: 1,044,688 tokens, Maximum concurrency for 8,192 tokens per request: 127.53x
(Worker_TP0 pid=71) INFO 11-20 10:01:20 [gpu_model_runner.py:6971] Graph capturing finished in 12 secs, took 0.76 GiB
(Worker_TP0 pid=71) INFO 11-20 10:01:20 [gpu_worker.py:600] Free memory on device (78.61/79.19 GiB) on startup. Desired GPU memory utilization is (0.95, 75.23 GiB). Actual usage is 9.58 GiB for consumed memory (weights + non-torch), 1.89 GiB for peak activation, and 0.76 GiB for CUDAGraph memory. Replace gpu_memory_utilization config with `--kv-cache-memory=68000000000` (63.33 GiB) to fit into requested memory.
"""  # noqa: E501 - lines of a log
VLLM_OF_2024 = """\
INFO 12-11 10:00:00 model_runner.py:1077] Loading model weights took 14.9888 GB
INFO 12-11 10:00:05 worker.py:237] model weights take 14.99GiB; non_torch_memory takes 0.12GiB; PyTorch activation peak memory takes 1.19GiB; the rest of the memory reserved for KV Cache is 54.93GiB.
INFO 12-11 10:00:06 gpu_executor.py:76] # GPU blocks: 28126, # CPU blocks: 2048
"""  # noqa: E501 - lines of a log
SGLANG = """\
[2026-11-20 10:00:00 TP0] Load weight begin. avail mem=78.50 GB
[2026-11-20 10:00:13 TP0] Load weight end. elapsed=13.25 s, type=LlamaForCausalLM, avail mem=70.90 GB, mem usage=7.60 GB.
[2026-11-20 10:00:13 DP0 TP1] Load weight end. elapsed=13.30 s, type=LlamaForCausalLM, avail mem=70.88 GB, mem usage=7.61 GB.
[2026-11-20 10:00:14 TP0] KV Cache VA upper bound. dtype: torch.bfloat16, #tokens: 900000, K size: 40.00 GB, V size: 40.00 GB
[2026-11-20 10:00:14 TP0] KV Cache is allocated. dtype: torch.bfloat16, #tokens: 442750, K size: 27.02 GB, V size: 27.02 GB
[2026-11-20 10:00:30 TP0] Capture decode CUDA graph end. bs=[1, 2, 4], elapsed=5.20 s, mem usage=0.11 GB, avail mem=4.66 GB.
[2026-11-20 10:00:40 TP0] Capture prefill CUDA graph end. elapsed=9.20 s, mem usage=0.14 GB, avail mem=4.52 GB.
[2026-11-20 10:00:41 TP0] max_total_num_tokens=442750, chunked_prefill_size=8192, max_prefill_tokens=16384, max_running_requests=2048, context_len=131072, available_gpu_mem=4.52 GB
"""  # noqa: E501 - lines of a log
LLAMA_CPP_TWO_GPUS = """\
0.01.000.000 I load_tensors: offloaded 33/33 layers to GPU
0.01.000.001 I load_tensors:        CUDA0 model buffer size =  4403.49 MiB
0.01.000.002 I load_tensors:        CUDA1 model buffer size =  4685.30 MiB
0.01.000.003 I load_tensors:   CPU_Mapped model buffer size =   281.81 MiB
0.01.000.004 I llama_context: n_ctx                 = 8192
0.01.000.005 I llama_context: n_ctx_seq             = 2048
0.01.000.006 I llama_context:  CUDA_Host  output buffer size =     0.49 MiB
0.01.000.007 I llama_kv_cache:      CUDA0 KV buffer size =   512.00 MiB
0.01.000.008 I llama_kv_cache:      CUDA1 KV buffer size =   448.00 MiB
0.01.000.009 I llama_kv_cache: size =  960.00 MiB (  2048 cells,  32 layers,  4/4 seqs), K (f16):  480.00 MiB, V (f16):  480.00 MiB
0.01.000.010 I llama_kv_cache:      CUDA1 KV buffer size =    64.00 MiB
0.01.000.011 I sched_reserve:      CUDA0 compute buffer size =   300.00 MiB
0.01.000.012 I sched_reserve:      CUDA0 compute buffer size =   258.50 MiB
0.01.000.013 I sched_reserve:  CUDA_Host compute buffer size =    24.01 MiB
0.01.000.014 I sched_reserve:        CPU compute buffer size =     2.18 MiB
"""  # noqa: E501 - lines of a log
Readings = dict[str, list[tuple[str, int, int]]]


def read(engine: str, version: tuple[int, ...], text: str | bytes) -> Readings:
    """Device, value and step of every part."""
    return {
        part.part: [(one.device, one.value, one.step) for one in part.readings]
        for part in read_memory(engine, version, text)
    }


@pytest.mark.parametrize(
    ("engine", "version", "text", "expected"),
    [
        pytest.param(
            "vLLM", (0, 33), VLLM_TWO_RANKS,
            {
                "weights": [
                    ("Worker_TP0 pid=71", 8_063_801_098, GIB_STEP),
                    # 7.5 is written without its second digit, to which it is rounded all the same.
                    ("Worker_TP1 pid=72", 8_053_063_680, GIB_STEP),
                ],
                "weights-and-non-torch": [("Worker_TP0 pid=71", 10_286_446_674, GIB_STEP)],
                "activation": [("Worker_TP0 pid=71", 2_029_372_047, GIB_STEP)],
                "cuda-graphs": [("Worker_TP0 pid=71", 816_043_786, GIB_STEP)],
                "kv-cache": [("Worker_TP0 pid=71", 68_461_778_698, GIB_STEP)],
                "kv-tokens": [("EngineCore_DP0 pid=70", 1_044_688, 0)],
                "load-time": [
                    ("Worker_TP0 pid=71", 31_657, 1), ("Worker_TP1 pid=72", 31_700, 1),
                ],
            },
            id="vLLM on two GPUs",
        ),
        pytest.param(
            "vLLM", (0, 6), VLLM_OF_2024,
            {
                # 14.9888 GiB, rounded to 0.0001 GiB = 107,374.1824 bytes
                "weights": [("", 16_094_101_452, 107_375)],
                "activation": [("", 1_277_752_771, GIB_STEP)],
                "non-torch": [("", 128_849_019, GIB_STEP)],
                "kv-cache": [("", 58_980_638_392, GIB_STEP)],
                "kv-tokens": [("", 28_126 * 16, 0)],
            },
            id="vLLM of 2024",
        ),
        pytest.param(
            "SGLang", (0, 5), SGLANG,
            {
                "weights": [("TP0", 8_160_437_862, GIB_STEP), ("DP0 TP1", 8_171_175_281, GIB_STEP)],
                # 0.11 + 0.14 = 0.25 GiB, each rounded
                "cuda-graphs": [("TP0", 268_435_456, 2 * GIB_STEP)],
                # 27.02 + 27.02 = 54.04 GiB; 0.02 GiB = 21,474,836.48 bytes
                "kv-cache": [("TP0", 58_025_008_169, 21_474_837)],
                "kv-tokens": [("TP0", 442_750, 0)],
                "load-time": [("TP0", 13_250, 10), ("DP0 TP1", 13_300, 10)],
            },
            id="SGLang on two GPUs",
        ),
        pytest.param(
            "SGLang", (0, 5),
            'sglang:weight_memory_usage_gb{model_name="a",tp_rank="1"} 15.113525390625\n'
            'sglang:graph_memory_usage_gb{phase="decode",tp_rank="1"} 2.5e-01\n'
            'sglang:max_total_num_tokens{model_name="a",tp_rank="1"} 442750.0\n',
            {
                # All 12 digits are shown, which is less than a byte.
                "weights": [("1", 16_228_024_320, 1)],
                "cuda-graphs": [("1", 268_435_456, GIB_STEP)],
                "kv-tokens": [("1", 442_750, 1)],
            },
            id="metrics of SGLang",
        ),
        pytest.param(
            "TGI", (3, 3), "INFO text_generation_launcher: KV-cache blocks: 9528, size: 2\n",
            {"kv-tokens": [("", 19_056, 0)]},
            id="TGI",
        ),
        pytest.param(
            "TGI", (2, 2), "INFO text_generation_router: Setting max batch total tokens to 19056\n",
            {"kv-tokens": [("", 19_056, 0)]},
            id="TGI 2",
        ),
        pytest.param(
            "LlamaCpp", (11434, 0), LLAMA_CPP_TWO_GPUS,
            {
                "weights": [
                    ("CUDA0", 4_617_393_930, MIB_STEP),
                    ("CUDA1", 4_912_893_133, MIB_STEP),
                    ("CPU_Mapped", 295_499_203, MIB_STEP),
                ],
                # The last one of CUDA0 counts.
                "activation": [
                    ("CUDA0", 271_056_896, MIB_STEP),
                    ("CUDA_Host", 25_176_310, MIB_STEP),
                    ("CPU", 2_285_896, MIB_STEP),
                ],
                "output-buffer": [("CUDA_Host", 513_802, MIB_STEP)],
                # 448 + 64 MiB: windowed layers have a cache of their own.
                "kv-cache": [
                    ("CUDA0", 536_870_912, MIB_STEP), ("CUDA1", 536_870_912, 2 * MIB_STEP),
                ],
                "kv-tokens": [("", 8192, 0)],
            },
            id="llama.cpp on two GPUs",
        ),
        pytest.param(
            "LlamaCpp", (3472, 0), "llm_load_tensors:      CUDA0 buffer size =  5434.38 MiB\n",
            {"weights": [("CUDA0", 5_698_360_443, MIB_STEP)]},
            id="llama.cpp of 2024",
        ),
    ],
)  # fmt: skip
def test_what_an_engine_tells(
    engine: str, version: tuple[int, ...], text: str, expected: Readings
) -> None:
    assert read(engine, version, text) == expected


def test_captured_metrics_of_vllm() -> None:
    text = (CAPTURES / "vllm-0.32.0-cpu.metrics.txt").read_text("utf-8")
    # 8192 blocks of 128 tokens, of 1 GiB
    assert read("vLLM", (0, 32), text) == {
        "kv-cache": [("0", 1_073_741_824, 0)],
        "kv-tokens": [("0", 1_048_576, 0)],
    }
    older = text.replace('kv_cache_size_tokens="1048576",', "")
    assert read("vLLM", (0, 32), older)["kv-tokens"] == [("", 1_048_576, 0)]


def test_captured_metrics_of_llama_server_tell_nothing() -> None:
    text = (CAPTURES / "llama-server-0c1e57098.metrics.txt").read_text("utf-8")
    assert read("LlamaCpp", (11434, 0), text) == {}


def test_the_fullest_gpu_and_the_host() -> None:
    found = {part.part: part for part in read_memory("LlamaCpp", (11434, 0), LLAMA_CPP_TWO_GPUS)}
    weights, compute = found["weights"], found["activation"]
    assert weights.fullest() == Reading("CUDA1", 4_912_893_133, MIB_STEP)
    assert weights.host() == Reading("CPU", 295_499_203, MIB_STEP)
    # 24.01 + 2.18 MiB
    assert compute.host() == Reading("CPU", 27_462_206, 2 * MIB_STEP)
    assert found["kv-cache"].host() is None
    assert found["output-buffer"].fullest() is None


def test_fewest_tokens_count() -> None:
    text = "".join(
        f"(EngineCore_DP{rank} pid={rank}) INFO GPU KV cache size: {tokens} tokens\n"
        for rank, tokens in enumerate(("476,016", "475,968"))
    )
    [tokens] = read_memory("vLLM", (0, 33), text)
    assert tokens.fullest() == Reading("EngineCore_DP1 pid=1", 475_968, 0)


@pytest.mark.parametrize(
    ("engine", "text", "parts"),
    [
        pytest.param("vLLM", "", {}, id="nothing"),
        pytest.param("MLX", VLLM_TWO_RANKS, {}, id="an engine that tells nothing"),
        pytest.param("vLLM", SGLANG, {}, id="another engine's"),
        pytest.param("vLLM", "Model loading took 9 seconds\n", {}, id="seconds instead of GiB"),
        pytest.param(
            "vLLM", "Model loading took\n14.99 GiB memory\n", {}, id="divided between lines"
        ),
        pytest.param(
            "vLLM", "Model loading took " + "9" * 5000 + " GiB\n", {}, id="a number without end"
        ),
        pytest.param(
            "vLLM", b"\xff\xfe\x00 Available KV cache memory: -7.83 GiB",
            {"kv-cache": [("", -8_407_398_482, GIB_STEP)]}, id="bytes that are no text",
        ),
        pytest.param(
            "vLLM",
            " " * TEXT_BYTES_LIMIT + "\nAvailable KV cache memory: 1 GiB\n", {},
            id="beyond the limit",
        ),
        pytest.param("vLLM", "(a pid=1)" * 100_000, {}, id="processes on one line"),
        pytest.param(
            "SGLang", "sglang:weight_memory_usage_gb{" + 'tp_rank="' * 100_000, {}, id="labels"
        ),
        pytest.param("LlamaCpp", "load_tensors: " + " " * 10**6, {}, id="blanks"),
        pytest.param(
            "LlamaCpp", "load_tensors: CPU model buffer size = 1.00 MiB\n" * 20_000,
            {"weights": [("CPU", 20_000 * 1_048_576, 20_000 * MIB_STEP)]}, id="the same line again",
        ),
    ],
)  # fmt: skip
def test_hostile_text(engine: str, text: str | bytes, parts: Readings) -> None:
    assert read(engine, (11434, 0) if engine == "LlamaCpp" else (0, 5), text) == parts


def test_what_is_looked_for_is_told_once() -> None:
    assert looked_for("TGI", (2, 2)) == (
        "KV-cache blocks: 19056, size: 1",
        "Setting max batch total tokens to 19056",
    )
    assert looked_for("MLX", (0, 32)) == ()
