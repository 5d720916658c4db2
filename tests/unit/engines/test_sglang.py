import pytest

from llama_operator.engines.engine import HttpProbe
from llama_operator.engines.sglang import SGLang
from unit.engines.engine_plans import PLANS, STAGES, VARIANTS, Variant, container, environment

PLAN = PLANS["SGLang"]
BY_NAME = {variant.name: variant for variant in (*VARIANTS, STAGES)}


def test_command_and_arguments_in_their_order() -> None:
    result = container(PLAN)

    assert result.command == ("python3", "-m", "sglang.launch_server")
    assert result.args == (
        "--model-path=meta-llama/Llama-3.1-8B-Instruct",
        "--served-model-name=llama",
        "--host=0.0.0.0",
        "--port=8000",
        "--tp-size=1",
        "--context-length=8192",
        "--mem-fraction-static=0.92",
        "--max-running-requests=4",
        "--chunked-prefill-size=2048",
        "--kv-cache-dtype=auto",
        "--dtype=bfloat16",
        "--enable-metrics",
        "--tool-call-parser=llama3",
    )


def test_the_environment() -> None:
    assert environment(container(PLAN)) == {
        "HOME": "/home/sglang",
        "USER": "sglang",
        "LOGNAME": "sglang",
        "TMPDIR": "/tmp",
        "XDG_CACHE_HOME": "/home/sglang/.cache",
        "XDG_CONFIG_HOME": "/home/sglang/.config",
        "XDG_DATA_HOME": "/home/sglang/.local/share",
        "TRITON_CACHE_DIR": "/home/sglang/.cache/triton",
        "TORCHINDUCTOR_CACHE_DIR": "/home/sglang/.cache/torchinductor",
        "NUMBA_CACHE_DIR": "/home/sglang/.cache/numba",
        "SGLANG_CACHE_DIR": "/home/sglang/.cache/sglang",
        "HF_HOME": "/cache/huggingface",
        "SGLANG_ENABLE_HEALTH_ENDPOINT_GENERATION": "false",
        "SGLANG_WARMUP_TIMEOUT": "1801",
        "HF_HUB_DISABLE_TELEMETRY": "1",
    }


NF4 = {"scheme": "bnb-nf4", "format": "bnb"}


@pytest.mark.parametrize(
    ("variant", "more", "less"),
    [
        pytest.param(
            BY_NAME["fp8 KV cache"], ["--kv-cache-dtype=fp8_e4m3"], ["--kv-cache-dtype=auto"],
            id="fp8 KV cache",
        ),
        pytest.param(
            BY_NAME["without CUDA graphs"],
            ["--cuda-graph-backend-decode=disabled", "--cuda-graph-backend-prefill=disabled"],
            [],
            id="without CUDA graphs",
        ),
        pytest.param(BY_NAME["two stages"], ["--pp-size=2"], [], id="two stages"),
        pytest.param(BY_NAME["four GPUs"], ["--tp-size=4"], ["--tp-size=1"], id="four GPUs"),
        pytest.param(BY_NAME["dtype auto"], [], ["--dtype=bfloat16"], id="dtype auto"),
        pytest.param(
            BY_NAME["another name"],
            ["--served-model-name=a/B-1.0:x"],
            ["--served-model-name=llama"],
            id="another name",
        ),
        pytest.param(
            Variant("", {"scheme": "fp8-online", "format": "fp8", "quantize_at_load": True}),
            ["--quantization=fp8"],
            [],
            id="fp8 made at load",
        ),
        pytest.param(
            Variant("", NF4),
            ["--quantization=bitsandbytes", "--load-format=bitsandbytes"],
            [],
            id="bitsandbytes",
        ),
        pytest.param(
            BY_NAME["a model without tools"], [], ["--tool-call-parser=llama3"], id="no tools"
        ),
    ],
)  # fmt: skip
def test_arguments_follow_the_plan(variant: Variant, more: list[str], less: list[str]) -> None:
    plain, args = set(container(PLAN).args), set(container(PLAN, variant).args)

    assert args - plain == set(more)
    assert plain - args == set(less)


def test_model_scope_has_its_own_switch_and_cache() -> None:
    found = environment(container(PLAN, BY_NAME["ModelScope"]))

    assert found["SGLANG_USE_MODELSCOPE"] == "true"
    assert found["MODELSCOPE_CACHE"] == "/cache/modelscope"


def test_it_is_ready_after_its_warm_up_and_alive_without_generating() -> None:
    result = container(PLAN)

    probes = (result.startup, result.readiness, result.liveness)
    assert all(isinstance(probe, HttpProbe) for probe in probes)
    assert [getattr(probe, "path", None) for probe in probes] == ["/ready", "/ready", "/health"]


@pytest.mark.parametrize(
    ("abilities", "expected"),
    [
        pytest.param(("chat", "tools"), "llama3", id="an instruct model"),
        pytest.param(("generate",), "", id="a base model"),
    ],
)
def test_the_tool_call_parser_follows_the_abilities(
    abilities: tuple[str, ...], expected: str
) -> None:
    assert SGLang().tool_call_parser(abilities) == expected
