"""These parsers refuse what the engines refuse; else they would prove nothing."""

import shlex
from collections.abc import Callable
from typing import Any

import pytest

from support.captured_parser import ArgumentRefused, CapturedParser, capture
from unit.engines.wheel_parsers import mlx_parser, sglang_parser, transformers_parser

PARSERS: dict[str, Callable[[], CapturedParser]] = {
    "sglang": sglang_parser,
    "transformers": transformers_parser,
    "mlx": mlx_parser,
}
COMMON = {
    "sglang": "--model-path repo --served-model-name llama --host 0.0.0.0 --port 8000 --tp-size 4"
    " --context-length 8192 --enable-metrics --tool-call-parser llama3",
    "transformers": "repo@main --host 0.0.0.0 --port 8000 --continuous-batching",
    "mlx": "--model repo --host 0.0.0.0 --port 8080",
}
"""Command lines as models are served with."""


@pytest.fixture(scope="module")
def parsers() -> dict[str, CapturedParser]:
    return {engine: make() for engine, make in PARSERS.items()}


@pytest.mark.parametrize(
    ("engine", "file", "options", "names"),
    [
        pytest.param("sglang", "sglang-0.5.23.flags.json", 531, 559, id="SGLang"),
        pytest.param("transformers", "transformers-5.23.0.serve.json", 23, 28, id="transformers"),
        pytest.param("mlx", "mlx-lm-0.32.2.flags.json", 26, 26, id="mlx-lm"),
    ],
)
def test_every_captured_argument_is_known_by_each_of_its_names(
    parsers: dict[str, CapturedParser], engine: str, file: str, options: int, names: int
) -> None:
    flags = capture(file)["flags"]
    captured = {name for flag in flags for name in flag["flags"] if name.startswith("-")}
    assert len(flags) == options
    assert len(captured) == names
    assert captured == set(parsers[engine]._option_string_actions)


@pytest.mark.parametrize(
    ("engine", "more", "destination", "value"),
    [
        pytest.param("sglang", "", "model_path", "repo", id="SGLang: the model"),
        pytest.param("sglang", "", "tp_size", 4, id="SGLang: an integer"),
        pytest.param("sglang", "", "enable_metrics", True, id="SGLang: a switch"),
        pytest.param("sglang", "", "tool_call_parser", "llama3", id="SGLang: a parser of tools"),
        pytest.param(
            "sglang", "--tool-call-parser=auto", "tool_call_parser", "auto", id="SGLang: detection"
        ),
        pytest.param(
            "sglang", "--context-length=8k", "context_length", 8000, id="SGLang: an SI suffix"
        ),
        pytest.param(
            "sglang", "--context-length=8Ki", "context_length", 8192, id="SGLang: an IEC suffix"
        ),
        pytest.param(
            "sglang",
            "--quantization=bitsandbytes --load-format=bitsandbytes",
            "load_format",
            "bitsandbytes",
            id="SGLang: bitsandbytes",
        ),
        pytest.param("sglang", "--dtype=half", "dtype", "half", id="SGLang: a dtype"),
        pytest.param("sglang", "--tensor-parallel-size=8", "tp_size", 8, id="SGLang: an alias"),
        pytest.param(
            "sglang",
            "--lora-paths a=/models/a b=/models/b --enable-lora",
            "lora_paths",
            ["a=/models/a", "b=/models/b"],
            id="SGLang: a list ends at the next argument",
        ),
        pytest.param(
            "sglang",
            "--no-lora-strict-loading",
            "lora_strict_loading",
            False,
            id="SGLang: the opposite of a switch",
        ),
        pytest.param("sglang", "--disable-cuda-graph", "disable_cuda_graph", True, id="deprecated"),
        pytest.param("transformers", "", "force_model", "repo@main", id="transformers: the model"),
        pytest.param("transformers", "", "continuous_batching", True, id="transformers: a switch"),
        pytest.param(
            "transformers",
            "--no-continuous-batching",
            "continuous_batching",
            False,
            id="transformers: its opposite",
        ),
        pytest.param(
            "transformers",
            "--quantization bnb-4bit",
            "quantization",
            "bnb-4bit",
            id="transformers: 4 bit",
        ),
        pytest.param("mlx", "", "port", 8080, id="mlx: an integer"),
        pytest.param(
            "mlx", "--prompt-cache-bytes 10GB", "prompt_cache_bytes", 10**10, id="mlx: a size"
        ),
        pytest.param(
            "mlx", "--allowed-origins a,b", "allowed_origins", ["a", "b"], id="mlx: a list"
        ),
    ],
)
def test_arguments_are_taken(
    parsers: dict[str, CapturedParser], engine: str, more: str, destination: str, value: Any
) -> None:
    parsed = parsers[engine].parse(shlex.split(f"{COMMON[engine]} {more}"))

    assert getattr(parsed, destination) == value


@pytest.mark.parametrize(
    ("engine", "more"),
    [
        pytest.param("sglang", "--max-model-len 8192", id="SGLang: an argument of vLLM's"),
        pytest.param("sglang", "--contex-length 8192", id="SGLang: a misspelt name"),
        pytest.param("sglang", "--tp 4", id="SGLang: a name cut short"),
        pytest.param("sglang", "--cuda-graph-max-bs 8", id="SGLang: one that older versions had"),
        pytest.param("sglang", "--port http", id="SGLang: text for an integer"),
        pytest.param("sglang", "--tp-size 4.0", id="SGLang: a fraction for an integer"),
        pytest.param("sglang", "--mem-fraction-static 88%", id="SGLang: a percentage"),
        pytest.param("sglang", "--context-length 8K", id="SGLang: a suffix that is none"),
        pytest.param("sglang", "--context-length 8.5Ki", id="SGLang: decimals of an IEC suffix"),
        pytest.param("sglang", "--tool-call-parser llama3_json", id="SGLang: vLLM's parser"),
        pytest.param("sglang", "--quantization int4", id="SGLang: no quantization"),
        pytest.param("sglang", "--dtype bf16", id="SGLang: a dtype that is no choice"),
        pytest.param("sglang", "--enable-metrics=true", id="SGLang: a value for a switch"),
        pytest.param("sglang", "--max-lora-chunk-size 17", id="SGLang: an integer of no choice"),
        pytest.param("sglang", "--monokernel-backend cuda", id="SGLang: deprecated, of no choice"),
        pytest.param("sglang", "other", id="SGLang: a positional argument"),
        pytest.param("transformers", "--tp-size 4", id="transformers: tensor parallelism"),
        pytest.param("transformers", "--revision main", id="transformers: a revision"),
        pytest.param("transformers", "--served-model-name llama", id="transformers: a name"),
        pytest.param("transformers", "--continuous-batch", id="transformers: cut short"),
        pytest.param("transformers", "--compile=true", id="transformers: a value for a switch"),
        pytest.param("transformers", "--port http", id="transformers: text for an integer"),
        pytest.param(
            "transformers", "--cb-max-memory-percent 90%", id="transformers: a percentage"
        ),
        pytest.param("transformers", "--reasoning ON", id="transformers: a choice in capitals"),
        pytest.param("transformers", "other", id="transformers: two models"),
        pytest.param("mlx", "--served-model-name llama", id="mlx: a name"),
        pytest.param("mlx", "--max-token 512", id="mlx: a misspelt name"),
        pytest.param("mlx", "--log-level info", id="mlx: a level in small letters"),
        pytest.param("mlx", "--chat-template-args on", id="mlx: text for JSON"),
        pytest.param("mlx", "--prompt-cache-bytes 10GiB", id="mlx: a unit that is none"),
        pytest.param("mlx", "--kv-bits 4.5", id="mlx: a fraction for an integer"),
        pytest.param("mlx", "repo", id="mlx: a positional argument"),
    ],
)
def test_arguments_are_refused(parsers: dict[str, CapturedParser], engine: str, more: str) -> None:
    with pytest.raises(ArgumentRefused):
        parsers[engine].parse(shlex.split(f"{COMMON[engine]} {more}"))


def test_sglang_needs_a_model(parsers: dict[str, CapturedParser]) -> None:
    with pytest.raises(ArgumentRefused, match="--model-path"):
        parsers["sglang"].parse(["--port", "8000"])
