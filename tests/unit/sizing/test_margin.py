"""What is said of engine versions that nobody measured."""

import pytest

from llama_operator.sizing.engine_budget import engine_rules
from llama_operator.sizing.margin import margin_text


@pytest.mark.parametrize(
    ("engine", "version", "text"),
    [
        pytest.param("vllm", "0.19.0", "", id="the last that was measured"),
        pytest.param("vllm", "0.5.3", "", id="the first"),
        pytest.param(
            "vllm",
            "0.33.0",
            "vLLM 0.33.0 has not been measured: the KV cache may differ by 1.00 GiB per GPU",
            id="newer",
        ),
        pytest.param(
            "vllm",
            "0.4.2",
            "vLLM 0.4.2 has not been measured: the KV cache may differ by 1.00 GiB per GPU",
            id="older",
        ),
        pytest.param(
            "sglang",
            "",
            "no profile of SGLang is published; all but weights and KV cache are guesses",
            id="another engine",
        ),
    ],
)
def test_a_margin(engine: str, version: str, text: str) -> None:
    assert margin_text(engine_rules(engine, version), version) == text
