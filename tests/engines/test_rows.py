"""The parsers of the real engines take the arguments of every row that they serve."""

from pathlib import Path

from engines import Engines
from golden.row_facts import container
from golden.rows import ROWS
from support.engine_parsers import llama_server_refusal, mlx_server_refusals


def _lines(engine: str) -> dict[str, tuple[str, ...]]:
    """Arguments by the name of the row."""
    return {row.name: container(row).args for row in ROWS if row.engine == engine}


def test_llama_server_takes_the_arguments_of_every_row(engines: Engines) -> None:
    lines = _lines("LlamaCpp")
    # 6 and 5 of spec 1, 8 of spec 6, 19 of the card, 3 over several GPUs, 14 of the base model,
    # 3 of the small model, 2 with a draft
    assert len(lines) == 6 + 5 + 8 + 19 + 3 + 14 + 3 + 2
    program = Path(engines.llama_server)
    for name, line in lines.items():
        assert llama_server_refusal(program, line) is None, name


def test_mlx_takes_the_arguments_of_every_row(engines: Engines) -> None:
    lines = _lines("MLX")
    # 6 of the catalog page, the small model, a draft
    assert len(lines) == 6 + 1 + 1
    refusals = mlx_server_refusals(engines.mlx_python, list(lines.values()))
    assert refusals == [None] * len(lines), dict(zip(lines, refusals, strict=True))
