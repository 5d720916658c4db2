"""Whether the real engines take a command line, asked of their own parsers."""

import json
import subprocess
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

_USAGE = "----- common params -----"
_TESTS = Path(__file__).parents[1]
_MLX_SCRIPT = Path(__file__).with_name("mlx_parser.py")
_VLLM_SCRIPT = Path(__file__).with_name("vllm_own_parser.py")


def llama_server_refusal(program: Path, arguments: Sequence[str]) -> str | None:
    """Why `llama-server` does not take these arguments; None when it does.

    Its parser reads all of them before it prints the help that is asked for in front. It takes a
    number that other characters follow (`8k` is 8), and checks no file but that of a template;
    what it finds wrong when it loads the model is not found here.
    """
    answer = subprocess.run(
        [program, "--help", *arguments],
        capture_output=True,
        text=True,
        check=False,
        env={"HOME": "/nonexistent"},  # no settings but the arguments
        timeout=60,
    )
    if answer.returncode == 0 and answer.stdout.startswith(_USAGE):
        return None
    return answer.stderr.strip() or f"it ends by itself: {answer.stdout.strip()[:200]}"


def mlx_server_refusals(python: Path, lines: Iterable[Sequence[str]]) -> list[str | None]:
    """Why `mlx_lm.server` does not take each of these lists of arguments; None where it does.

    One process for all of them. The parser takes the beginning of a flag for the flag, where no
    other one begins so.
    """
    refusals: list[str | None] = _answer(python, _MLX_SCRIPT, lines)
    return refusals


def vllm_answers(
    python: Path, lines: Iterable[Sequence[str]]
) -> tuple[list[list[str]], list[str | None]]:
    """The names of each option of `vllm serve`, and why it does not take each of these lists.

    A list is what follows `vllm serve`. One process for all of them, which imports for ten seconds.
    """
    told = _answer(python, _VLLM_SCRIPT, lines)
    return told["options"], told["refusals"]


def _answer(python: Path, script: Path, lines: Iterable[Sequence[str]]) -> Any:
    answer = subprocess.run(
        [python, script],
        input=json.dumps([list(line) for line in lines]),
        capture_output=True,
        text=True,
        check=True,
        env={"HOME": "/nonexistent", "PYTHONPATH": str(_TESTS)},
        timeout=120,
    )
    return json.loads(answer.stdout.splitlines()[-1])
