"""What the tests start engines with: the arguments after the program."""

from pathlib import Path

from support.engine_process import LOOPBACK

ALIAS = "tiny"
"""The name that llama-server gives the model."""
CONTEXT_PER_SLOT, SLOTS = 2048, 2


def llama_server(model: Path, port: int, *, metrics: bool = True) -> list[str]:
    """Arguments of `llama-server` for a GGUF file."""
    options = {
        "--model": model,
        "--alias": ALIAS,
        "--host": LOOPBACK,
        "--port": port,
        "--ctx-size": CONTEXT_PER_SLOT * SLOTS,
        "--parallel": SLOTS,
        "--threads": 1,
        "-lv": 4,
    }
    pairs = [str(word) for pair in options.items() for word in pair]
    return [*pairs, "--metrics"] if metrics else pairs


def mlx_server(model: Path, port: int) -> list[str]:
    """Arguments of `mlx_lm.server` for a folder as Hugging Face has it."""
    return ["--model", str(model), "--host", LOOPBACK, "--port", str(port)]
