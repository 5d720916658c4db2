from typing import Any

import pytest

from llama_operator.engines.transformers import Transformers
from unit.engines.engine_plans import PLANS, Variant, container, environment

PLAN = PLANS["Transformers"]


def test_the_arguments_in_their_order() -> None:
    result = container(PLAN)

    assert result.command == ()
    assert result.args == (
        "serve",
        "meta-llama/Llama-3.1-8B-Instruct",
        "--host=0.0.0.0",
        "--port=8000",
        "--device=auto",
        "--dtype=bfloat16",
    )


def test_the_environment() -> None:
    assert environment(container(PLAN)) == {
        "HOME": "/home/transformers",
        "USER": "transformers",
        "LOGNAME": "transformers",
        "TMPDIR": "/tmp",
        "XDG_CACHE_HOME": "/home/transformers/.cache",
        "XDG_CONFIG_HOME": "/home/transformers/.config",
        "XDG_DATA_HOME": "/home/transformers/.local/share",
        "TRITON_CACHE_DIR": "/home/transformers/.cache/triton",
        "TORCHINDUCTOR_CACHE_DIR": "/home/transformers/.cache/torchinductor",
        "NUMBA_CACHE_DIR": "/home/transformers/.cache/numba",
        "HF_HOME": "/cache/huggingface",
        "HF_HUB_DISABLE_TELEMETRY": "1",
    }


@pytest.mark.parametrize(
    ("values", "last"),
    [
        pytest.param({"scheme": "bnb-nf4"}, "--quantization=bnb-4bit", id="4 bit at load"),
        pytest.param({"scheme": "bnb-int8"}, "--quantization=bnb-8bit", id="8 bit at load"),
    ],
)
def test_it_quantizes_while_it_loads(values: dict[str, Any], last: str) -> None:
    variant = Variant("", {"format": "pytorch", "quantize_at_load": True, **values})

    assert container(PLAN, variant).args == (*container(PLAN).args, last)


def test_it_names_no_metrics_and_no_parser_of_tool_calls() -> None:
    assert Transformers().metric_names() == ()
    assert Transformers().tool_call_parser(("chat", "tools")) == ""
