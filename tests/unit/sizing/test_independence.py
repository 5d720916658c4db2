"""What works expectations out anew shares nothing with the code under test."""

from pathlib import Path

import pytest

FOLDER = Path(__file__).parent
FILES = [
    *sorted(FOLDER.glob("*/test_*arithmetic.py")),
    FOLDER / "llama_in_integers.py",
    FOLDER / "models/counted_by_hand.py",
]


def test_every_such_file_is_found() -> None:
    assert [path.name for path in FILES] == [
        "test_arithmetic.py",
        "test_log_arithmetic.py",
        "test_arithmetic.py",
        "test_rank_arithmetic.py",
        "llama_in_integers.py",
        "counted_by_hand.py",
    ]


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_it_imports_nothing_of_ours(path: Path) -> None:
    assert "llama_operator" not in path.read_text("utf-8")
