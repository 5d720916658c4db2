from llama_operator.engines.engine import ExecProbe
from llama_operator.engines.mlx import MLX
from unit.engines.engine_plans import PLANS, container, environment

PLAN = PLANS["MLX"]


def test_the_arguments_in_their_order() -> None:
    result = container(PLAN)

    assert result.command == ()
    assert result.args == (
        "--model=mlx-community/Meta-Llama-3.1-8B-Instruct-4bit",
        "--host=0.0.0.0",
        "--port=8000",
        "--decode-concurrency=4",
        "--prefill-step-size=2048",
        "--prompt-cache-size=1",
    )


def test_the_environment() -> None:
    assert environment(container(PLAN)) == {
        "HOME": "/home/mlx",
        "USER": "mlx",
        "LOGNAME": "mlx",
        "TMPDIR": "/tmp",
        "XDG_CACHE_HOME": "/home/mlx/.cache",
        "XDG_CONFIG_HOME": "/home/mlx/.config",
        "XDG_DATA_HOME": "/home/mlx/.local/share",
        "TRITON_CACHE_DIR": "/home/mlx/.cache/triton",
        "TORCHINDUCTOR_CACHE_DIR": "/home/mlx/.cache/torchinductor",
        "NUMBA_CACHE_DIR": "/home/mlx/.cache/numba",
        "HF_HOME": "/cache/huggingface",
        "HF_HUB_DISABLE_TELEMETRY": "1",
    }


def test_it_has_started_when_it_completes_a_text() -> None:
    probe = container(PLAN).startup

    assert isinstance(probe, ExecProbe)
    assert "http://127.0.0.1:8000/v1/completions" in probe.command[2]
    assert (probe.timeout_seconds, probe.failure_threshold) == (10, 181)


def test_it_names_no_metrics_and_no_parser_of_tool_calls() -> None:
    assert MLX().metric_names() == ()
    assert MLX().tool_call_parser(("chat", "tools")) == ""
