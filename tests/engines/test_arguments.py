"""The parsers of the real engines take what is right and refuse what is not."""

import shlex

import pytest

from engines import Engines
from support.engine_parsers import llama_server_refusal, mlx_server_refusals
from unit.engines.engine_plans import PLANS, Variant, container, loads, variants

LLAMA_SERVER_LINES = [
    pytest.param("--model /m.gguf -ngl all -fa on -ctk q8_0 -ctv q8_0 --jinja", None, id="GPU"),
    pytest.param("--offline -hf owner/repo -hff model-00001-of-00002.gguf", None, id="repository"),
    pytest.param("--ctx-size 8k", None, id="a number with a tail, which is cut off"),
    pytest.param("--ctx-sise 8192", "invalid argument: --ctx-sise", id="misspelt"),
    pytest.param("--ctx-size=8192", "invalid argument: --ctx-size=8192", id="as one word"),
    pytest.param("--metrics true", "invalid argument: true", id="a value of a switch"),
    pytest.param("--ctx-size", "expected value for argument", id="no value at the end"),
    pytest.param("--ctx-size --metrics", "stoi", id="no value"),
    pytest.param("--ctx-size many", "stoi", id="no number"),
    pytest.param("--parallel 0", "invalid value for n_parallel", id="out of range"),
    pytest.param("--cache-type-k q9_0", "Unsupported cache type: q9_0", id="no cache type"),
    pytest.param("--split-mode diagonal", "invalid value", id="no split mode"),
    pytest.param("--flash-attn perhaps", "unknown value for --flash-attn", id="no choice"),
    pytest.param("--device CUDA0", "invalid device: CUDA0", id="a GPU where there is none"),
    pytest.param("--list-devices", "it ends by itself", id="prints and ends"),
]
MLX_LINES = [
    ("--model m --kv-bits 8 --prompt-cache-bytes 4GB", None),
    ("--model=m --port=8080", None),
    ("--prompt-cache-by 4GB", None),
    ("--modell m", "unrecognized arguments: --modell m"),
    ("--port x", "argument --port: invalid int value: 'x'"),
    ("--log-level LOUD", "argument --log-level: invalid choice: 'LOUD'"),
    ("--port", "argument --port: expected one argument"),
    ("--prompt-cache-bytes lots", "it breaks: InvalidOperation"),
    ("--help", "it ends by itself"),
]


@pytest.mark.parametrize(("line", "expected"), LLAMA_SERVER_LINES)
def test_llama_server_says_why_it_refuses(
    engines: Engines, line: str, expected: str | None
) -> None:
    refusal = llama_server_refusal(engines.llama_server, shlex.split(line))
    assert (refusal is None) == (expected is None), refusal
    assert (expected or "") in (refusal or "")


def test_mlx_says_why_it_refuses(engines: Engines) -> None:
    lines = [shlex.split(line) for line, _ in MLX_LINES]
    refusals = mlx_server_refusals(engines.mlx_python, lines)
    assert len(refusals) == len(MLX_LINES)
    for refusal, (line, expected) in zip(refusals, MLX_LINES, strict=True):
        assert (refusal is None) == (expected is None), (line, refusal)
        assert (refusal or "").startswith(expected or ""), line


@pytest.mark.parametrize("variant", variants(PLANS["LlamaCpp"]), ids=lambda one: one.name)
def test_llama_server_takes_what_is_rendered(engines: Engines, variant: Variant) -> None:
    arguments = container(PLANS["LlamaCpp"], variant).args
    assert llama_server_refusal(engines.llama_server, arguments) is None


def test_mlx_takes_what_is_rendered(engines: Engines) -> None:
    plan = PLANS["MLX"]
    lines = [container(plan, variant).args for variant in variants(plan) + loads(plan)]
    assert mlx_server_refusals(engines.mlx_python, lines) == [None] * len(lines)
