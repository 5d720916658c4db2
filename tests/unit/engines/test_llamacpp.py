import re
from typing import Any

import pytest

from llama_operator.engines.llamacpp import LlamaCpp
from support.captured_parser import CAPTURES
from unit.engines.engine_plans import PLANS, Variant, container, environment, llama_server

PLAN = PLANS["LlamaCpp"]


def test_the_arguments_in_their_order() -> None:
    result = container(PLAN)

    assert result.command == ()
    assert result.args == (
        *("--hf-repo", "bartowski/Meta-Llama-3.1-8B-Instruct-GGUF"),
        *("--hf-file", "Meta-Llama-3.1-8B-Instruct-Q4_K_M.gguf"),
        *("--alias", "llama"),
        *("--host", "0.0.0.0"),
        *("--port", "8000"),
        # 4 slots of 8,192 tokens each.
        *("--ctx-size", "32768"),
        *("--parallel", "4"),
        *("--batch-size", "2048"),
        *("--ubatch-size", "2048"),
        *("--n-gpu-layers", "all"),
        *("--fit", "off"),
        *("--flash-attn", "on"),
        # Of 3.5 cores.
        *("--threads", "3"),
        "--metrics",
        *("--log-verbosity", "4"),
    )


def test_the_environment() -> None:
    assert environment(container(PLAN)) == {"HOME": "/cache", "LLAMA_CACHE": "/cache"}


@pytest.mark.parametrize(
    ("values", "spec", "changes"),
    [
        pytest.param(
            {"kv_cache_dtype": "q8_0"},
            {},
            {"--cache-type-k": ["q8_0"], "--cache-type-v": ["q8_0"]},
            id="q8_0 KV cache",
        ),
        pytest.param({"gpu_layers": 12}, {}, {"--n-gpu-layers": ["12"]}, id="layers on the CPU"),
        pytest.param(
            {"max_num_batched_tokens": 512},
            {},
            {"--ubatch-size": ["512"]},
            id="a micro-batch below the batch",
        ),
        pytest.param(
            {"max_num_batched_tokens": 4096},
            {},
            {"--batch-size": ["4096"], "--ubatch-size": ["4096"]},
            id="a micro-batch above the usual batch",
        ),
        pytest.param(
            {"max_num_seqs": 256},
            {},
            # 256 x 8,192
            {"--parallel": ["256"], "--ctx-size": ["2097152"]},
            id="the most slots",
        ),
        pytest.param(
            {"file": "Q8_0/llama-Q8_0-00001-of-00002.gguf"},
            {},
            {"--hf-file": ["Q8_0/llama-Q8_0-00001-of-00002.gguf"]},
            id="the first part of a split file",
        ),
        pytest.param(
            {}, {"servedModelNames": ["a", "b/c"]}, {"--alias": ["a,b/c"]}, id="two names"
        ),
    ],
)
def test_arguments_follow_the_plan(
    values: dict[str, Any], spec: dict[str, Any], changes: dict[str, list[str]]
) -> None:
    plain = llama_server().parse(container(PLAN).args)
    found = llama_server().parse(container(PLAN, Variant("", values, spec)).args)

    assert {name: words for name, words in found.items() if plain.get(name) != words} == changes
    assert plain.keys() <= found.keys()


def test_less_than_a_core_is_one_thread() -> None:
    host = PLAN.host.model_copy(update={"cpu_millicores": 500})

    found = llama_server().parse(container(PLAN, Variant("", {"host": host})).args)

    assert found["--threads"] == ["1"]


def test_model_scope_is_another_endpoint() -> None:
    found = environment(container(PLAN, Variant("", {"hub": "ModelScope"})))

    assert found["MODEL_ENDPOINT"] == "https://modelscope.cn/"


def test_a_running_llama_server_exports_every_metric_that_is_named() -> None:
    text = (CAPTURES / "llama-server-0c1e57098.metrics.txt").read_text(encoding="utf-8")
    exported = set(re.findall(r"^# TYPE (\S+)", text, re.MULTILINE))

    assert "llamacpp:requests_processing" in exported
    assert set(LlamaCpp().metric_names()) <= exported


def test_no_parser_of_tool_calls_is_named() -> None:
    assert LlamaCpp().tool_call_parser(("chat", "tools")) == ""
