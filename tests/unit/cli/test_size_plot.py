"""`llama-operator size --plot`: pictures that are whole, the same every time, and readable."""

import builtins
import re
from collections.abc import Callable
from itertools import combinations
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest

from llama_operator.cli.main import main
from llama_operator.cli.size_plot import COLORS, NEEDED

FITS = "llama-3.1-instruct 70b --format awq --gpu NVIDIA-A100-SXM4-80GB --max-model-len 32768"
DOES_NOT_FIT = "llama-3.1-instruct 8b --gpu NVIDIA-A10G"
STAGES = "llama-3.1-instruct 405b --gpu NVIDIA-H100-80GB-HBM3 -tp 8 -pp 2 --max-model-len 4096"
TRAINING = "llama-3.1-instruct 8b --train lora"


def texts(path: Path) -> str:
    """Words of an SVG; matplotlib draws letters as paths and leaves the text as comments."""
    svg = path.read_text("utf-8")
    ElementTree.fromstring(svg)
    return "\n".join(re.findall(r"<!-- (.*?) -->", svg, re.DOTALL))


@pytest.mark.parametrize(
    ("words", "status", "shown"),
    [
        pytest.param(FITS, 0, ["weights", "KV cache", "headroom", "79.25"], id="it fits"),
        pytest.param(DOES_NOT_FIT, 3, ["1 request", "-max-model-len", "size of the GPU"], id="not"),
        pytest.param(STAGES, 0, ["stage 0", "stage 1"], id="two stages"),
        pytest.param(TRAINING, 0, ["adapters", "gradients", "activations"], id="fine-tuning"),
    ],
)
def test_an_svg_names_its_parts(
    words: str, status: int, shown: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "memory.svg"
    assert main(["size", *words.split(), "--plot", str(path)]) == status
    found = texts(path)
    assert "memory of one GPU, GiB" in found
    for text in shown:
        assert text in found
    assert capsys.readouterr().out


def test_the_same_bars_are_the_same_file(tmp_path: Path) -> None:
    for suffix in ("svg", "png"):
        paths = [tmp_path / f"{number}.{suffix}" for number in range(2)]
        for path in paths:
            main(["size", *FITS.split(), "--plot", str(path)])
        assert paths[0].read_bytes() == paths[1].read_bytes()
    assert (tmp_path / "0.png").read_bytes().startswith(b"\x89PNG")


def test_without_matplotlib_the_extra_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    original: Callable[..., Any] = builtins.__import__

    def without(name: str, *arguments: Any, **options: Any) -> Any:
        if name.split(".")[0] == "matplotlib":
            raise ImportError(name)
        return original(name, *arguments, **options)

    monkeypatch.setattr(builtins, "__import__", without)
    path = tmp_path / "memory.svg"
    assert main(["size", *FITS.split(), "--plot", str(path)]) == 2
    printed = capsys.readouterr()
    assert printed.err == f"llama-operator: {NEEDED}\n"
    assert "llama-operator[plot]" in printed.err
    assert not path.exists()


def test_a_folder_that_is_not_there_is_named(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "none" / "memory.svg"
    assert main(["size", *FITS.split(), "--plot", str(path)]) == 2
    assert f"--plot {path} cannot be written" in capsys.readouterr().err


def test_what_cannot_be_divided_has_nothing_to_draw(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["llama-3.1-instruct", "8b", "--gpu", "NVIDIA-L4", "-tp", "3", "--plot"]
    assert main(["size", *words, str(tmp_path / "memory.svg")]) == 2
    assert "there is nothing to draw" in capsys.readouterr().err


@pytest.mark.parametrize("letters", ["WANGK.", "WLROAT"], ids=["serving", "fine-tuning"])
def test_colours_of_one_picture_differ_in_lightness_or_hue(letters: str) -> None:
    def channels(letter: str) -> tuple[int, ...]:
        text = COLORS[letter].removeprefix("#")
        return tuple(int(text[start : start + 2], 16) for start in (0, 2, 4))

    for one, other in combinations(letters, 2):
        distance = sum((a - b) ** 2 for a, b in zip(channels(one), channels(other), strict=True))
        assert distance > 60**2, f"{one} and {other}"
