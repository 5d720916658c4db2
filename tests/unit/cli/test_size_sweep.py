"""`llama-operator size --sweep`: the longest context by GPU, number of GPUs and quantization."""

import json
from typing import Any

import pytest

from llama_operator.cli.main import main
from llama_operator.cli.size_sweep import COUNTS, PRODUCTS

WORDS = (
    "llama-3.1-instruct 70b --engine-version 0.19.0 --gpu-memory-utilization 0.9 "
    "--quantization none --quantization fp8-dynamic --gpu NVIDIA-H100-80GB-HBM3 --gpu NVIDIA-L4"
)


def sweep(words: str, capsys: pytest.CaptureFixture[str], expected: int = 0) -> Any:
    status = main(["size", *words.split(), "--sweep", "-o", "json"])
    printed = capsys.readouterr()
    assert status == expected, printed.err
    return json.loads(printed.out)


def test_cells_are_the_contexts_of_the_memory_model(capsys: pytest.CaptureFixture[str]) -> None:
    cells = {
        (cell["product"], cell["tensor_parallel_size"], cell["quantization"]): cell
        for cell in sweep(WORDS, capsys)
    }
    assert len(cells) == 2 * 4 * 2
    h100 = "NVIDIA-H100-80GB-HBM3"
    # 131.42 GiB of weights on 71.27; two hold 9,824 tokens; FP8: 4,400 on one, 218,624 on two, of
    # which a context is 131,072 at most.
    assert cells[h100, 1, "none"]["reason"] == "weights"
    assert cells[h100, 1, "none"]["max_model_len"] is None
    assert cells[h100, 2, "none"]["max_model_len"] == pytest.approx(9_824, abs=32)
    assert cells[h100, 1, "fp8-dynamic"]["max_model_len"] == pytest.approx(4_400, abs=32)
    assert cells[h100, 2, "fp8-dynamic"]["max_model_len"] == 131_072
    assert cells["NVIDIA-L4", 4, "none"]["reason"] == "weights"


def test_a_cell_is_the_longest_context_that_fits(capsys: pytest.CaptureFixture[str]) -> None:
    words = "llama-3.1-instruct 8b --gpu NVIDIA-A10G -tp 1 --quantization none"
    (cell,) = sweep(words, capsys)
    longest = cell["max_model_len"]
    assert 1024 < longest < 131_072
    one = "llama-3.1-instruct 8b --gpu NVIDIA-A10G --quantization none --max-model-len"
    assert main(["size", *one.split(), str(longest)]) == 0
    assert main(["size", *one.split(), str(longest + 16)]) == 3


def test_a_context_that_is_asked_for_bounds_the_cells(capsys: pytest.CaptureFixture[str]) -> None:
    words = "llama-3.1-instruct 8b --gpu NVIDIA-H200 -tp 1 --quantization none"
    (cell,) = sweep(f"{words} --max-model-len 8192", capsys)
    assert cell["max_model_len"] == 8192


def test_rows_and_columns_by_default(capsys: pytest.CaptureFixture[str]) -> None:
    cells = sweep("llama-3.1-instruct 70b", capsys)
    assert list(dict.fromkeys(cell["product"] for cell in cells)) == list(PRODUCTS)
    assert {cell["tensor_parallel_size"] for cell in cells} == set(COUNTS)
    schemes = {cell["quantization"] for cell in cells}
    assert {"none", "awq-int4-g128", "gptq-int4-g128"} <= schemes
    assert not {"Q4_K_M", "mlx-4bit-g64"} & schemes


def test_nothing_fits_is_3(capsys: pytest.CaptureFixture[str]) -> None:
    words = "llama-3.1-instruct 405b --gpu NVIDIA-L4 --quantization none"
    cells = sweep(words, capsys, 3)
    assert {cell["reason"] for cell in cells} == {"weights"}


def test_reasons_other_than_memory(capsys: pytest.CaptureFixture[str]) -> None:
    words = "llama-3.1-instruct 8b --gpu NVIDIA-L4 -tp 3 --quantization none"
    assert [cell["reason"] for cell in sweep(words, capsys, 3)] == ["tensor-parallel-size"]


@pytest.mark.parametrize(
    ("words", "message"),
    [
        pytest.param("--gpu RTX-1", "--gpu 'RTX-1' is not in the catalog", id="no such GPU"),
        pytest.param("--quantization int1", "--quantization: quantization 'int1'", id="scheme"),
        pytest.param(
            "--gpu NVIDIA-L4 --gpu NVIDIA-A10 --gpu-memory-mib 9000", "is of one GPU", id="memory"
        ),
    ],
)
def test_what_is_wrong_is_named(
    words: str, message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["size", "llama-3.1-instruct", "8b", "--sweep", *words.split()]) == 2
    assert message in capsys.readouterr().err


@pytest.mark.parametrize("columns", ["100", "200"])
def test_the_table(
    columns: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", columns)
    assert main(["size", *WORDS.split(), "--sweep", "--no-color"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith("llama-3.1-instruct 70b, vLLM 0.19.0: longest context")
    assert lines[1].split() == ["GPU", "GPUs", "none", "fp8-dynamic"]
    assert lines[2].split()[:3] == ["NVIDIA-H100-80GB-HBM3", "1", "weights"]
    assert len(lines) == 2 + 2 * 4
    assert max(map(len, lines)) <= int(columns)


@pytest.mark.parametrize("width", [40, 60, 80, 100, 200])
def test_no_figure_is_cut_and_every_row_keeps_its_name(
    width: int, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", str(width))
    words = (
        "llama-3.1-instruct 70b --sweep --gpu NVIDIA-L40S "
        "--gpu NVIDIA-RTX-PRO-6000-Blackwell-Server-Edition"
    )
    assert main(["size", *words.split(), "-o", "json"]) == 0
    cells = json.loads(capsys.readouterr().out)
    assert main(["size", *words.split()]) == 0
    printed = capsys.readouterr().out
    assert max(map(len, printed.splitlines())) <= width
    assert "\u2026" not in printed
    figures = [text for text in printed.split() if text.replace(",", "").isdecimal()]
    shown = sorted(figure for figure in figures if "," in figure)
    assert shown == sorted(f"{cell['max_model_len']:,}" for cell in cells if cell["max_model_len"])
    tables = printed.count("GPUs")
    assert [figures.count(count) for count in "1248"] == [2 * tables] * 4


def test_a_format_bounds_the_columns(capsys: pytest.CaptureFixture[str]) -> None:
    words = "llama-3.1-instruct 70b --sweep --format awq --gpu NVIDIA-L40S"
    assert main(["size", *words.split(), "-o", "json"]) == 0
    assert {cell["quantization"] for cell in json.loads(capsys.readouterr().out)} == {
        "awq-int4-g128"
    }
