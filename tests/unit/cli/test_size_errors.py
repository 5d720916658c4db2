"""`llama-operator size`: bad input is refused with the argument and what is allowed."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from llama_operator.cli.main import main
from support.llama_8b import CONFIG as LLAMA_8B


@pytest.mark.parametrize(
    ("words", "message"),
    [
        pytest.param("", "MODEL or --config is needed", id="nothing"),
        pytest.param("llama-3.1-instruct", "sizes are 8b, 70b, 405b", id="no size"),
        pytest.param("llama-9 8b", "MODEL: ", id="no such model"),
        pytest.param("llama-9", "the catalog has ", id="no such model and no size"),
        pytest.param("llama-3.1-instruct 9b", "SIZE: ", id="no such size"),
        pytest.param("llama-3.1-instruct 8b --format zip", "--format: ", id="no such format"),
        pytest.param(
            "llama-3.1-instruct 8b --quantization int1", "quantization 'int1'", id="no such scheme"
        ),
        pytest.param(
            "llama-3.1-instruct 8b --gpu RTX-1", "--gpu 'RTX-1' is not in the catalog", id="no GPU"
        ),
        pytest.param("llama-3.1-instruct 8b --engine cublas", "--engine: ", id="no such engine"),
        pytest.param(
            "llama-3.1-instruct 8b --kv-cache-dtype int1", "--kv-cache-dtype", id="no such dtype"
        ),
        pytest.param(
            "llama-3.1-instruct 8b --gpu-memory-mib 10", "name it by --gpu", id="memory of no GPU"
        ),
        pytest.param(
            "llama-3.1-instruct 8b --gpu NVIDIA-L4 --gpu NVIDIA-L40S",
            "--gpu: several only with --sweep",
            id="two GPUs",
        ),
        pytest.param(
            "llama-3.1-instruct 8b --quantization none --quantization fp8",
            "--quantization: several only with --sweep",
            id="two quantizations",
        ),
        pytest.param("llama-3.1-instruct 8b --config x", "exclude each other", id="two models"),
        pytest.param("owner/name 8b", "a repository has no sizes", id="a repository's size"),
        pytest.param("--config nowhere.json", "cannot be read", id="no such file"),
        pytest.param(
            "llama-3.1-instruct 8b --sweep --train full",
            "--sweep does not go with --train",
            id="two kinds",
        ),
        pytest.param(
            "llama-3.1-instruct 8b --gpus 4",
            "--gpus goes with --train alone",
            id="GPUs of training",
        ),
        pytest.param(
            "llama-3.1-instruct 8b --train lora -tp 2",
            "--tensor-parallel-size does not go with --train",
            id="ranks of serving",
        ),
        pytest.param(
            "llama-3.1-instruct 8b --sweep -ngl 3",
            "--n-gpu-layers does not go with --sweep",
            id="layers of a sweep",
        ),
        pytest.param(
            "llama-3.1-instruct 8b --revision main",
            "--revision is of a repository",
            id="a revision of the catalog",
        ),
        pytest.param(
            "llama-3.1-instruct 8b --engine-version new",
            "--engine-version 'new' does not begin with a number",
            id="a version without number",
        ),
        pytest.param(
            "llama-3.1-instruct 8b --gpu NVIDIA-L4 --gpu-memory-mib 100",
            "--gpu-memory-mib 100 is less than the driver of NVIDIA-L4 keeps",
            id="a GPU smaller than its driver",
        ),
        pytest.param(
            "llama-3.1-instruct 8b --gpu NVIDIA-L4 --kv-cache-dtype q8_0",
            "kv_cache_dtype q8_0 is a dtype of LlamaCpp alone; the engine is vLLM",
            id="a KV dtype of another engine",
        ),
        pytest.param(
            "llama-3.1-instruct 8b --quantization Q4_K_M --kv-cache-dtype fp8",
            "kv_cache_dtype fp8 is no dtype of LlamaCpp; the engine is LlamaCpp",
            id="a KV dtype that llama.cpp has not",
        ),
        pytest.param(
            "llama-3.1-instruct 8b -fa off", "--flash-attn is for llama.cpp", id="attention of vLLM"
        ),
        pytest.param(
            "llama-3.1-instruct 8b --enable-expert-parallel",
            "--enable-expert-parallel: the model has no experts",
            id="no experts",
        ),
        pytest.param(
            "llama-3.1-instruct 8b --engine sglang --enable-expert-parallel",
            "--enable-expert-parallel is for vLLM",
            id="experts of another engine",
        ),
        pytest.param(
            "llama-3.1-instruct 8b --max-num-batched-tokens 16 --max-num-seqs 256",
            "--max-num-batched-tokens 16 is below --max-num-seqs 256",
            id="fewer tokens than sequences",
        ),
        pytest.param("llama-3.1-instruct 8b --plot a.gif", ".svg or .png", id="another picture"),
    ],
)
def test_what_is_wrong_is_named_with_what_is_allowed(
    words: str, message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["size", *words.split()]) == 2
    printed = capsys.readouterr()
    assert printed.out == ""
    assert message in printed.err
    assert "Traceback" not in printed.err


@pytest.mark.parametrize(
    "words",
    [
        "-tp 0", "-tp x", "-pp -1", "--max-model-len 1e9", "--gpu-memory-utilization 0",
        "--gpu-memory-utilization nan", "--gpu-memory-utilization 1.1", "--dtype int4",
        "--max-num-seqs 0", "--max-num-batched-tokens 0", "--lora-rank 0", "--train half",
    ],
)  # fmt: skip
def test_values_out_of_bounds_are_refused_by_name(
    words: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as stopped:
        main(["size", "llama-3.1-instruct", "8b", *words.split()])
    assert stopped.value.code == 2
    assert words.split()[0] in capsys.readouterr().err


@pytest.mark.parametrize(
    "text",
    [
        pytest.param("", id="empty"),
        pytest.param("[]", id="a list"),
        pytest.param("{}", id="an empty object"),
        pytest.param("[" * 100_000, id="nested"),
        pytest.param('{"a": ' + "[" * 100 + "]" * 100 + "}", id="nested and closed"),
        pytest.param('{"model_type": "llama", "hidden_size": NaN}', id="NaN"),
        pytest.param('{"model_type": "llama", "hidden_size": -1}', id="negative"),
        pytest.param('{"model_type": "llama", "hidden_size": "x"}', id="a text"),
    ],
)
def test_a_configuration_that_is_none_is_refused(
    text: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "config.json"
    path.write_text(text, encoding="utf-8")
    assert main(["size", "--config", str(path)]) == 2
    printed = capsys.readouterr()
    assert str(path) in printed.err
    assert "Traceback" not in printed.err


def test_a_byte_order_mark_does_no_harm(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "config.json"
    path.write_text(json.dumps(LLAMA_8B), encoding="utf-8-sig")
    assert main(["size", "--config", str(path)]) == 0
    assert "8,030,261,248 parameters" in capsys.readouterr().out


def test_a_number_of_5_000_digits_is_told_without_python(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "config.json"
    path.write_text('{"hidden_size": ' + "9" * 5_000 + "}", encoding="utf-8")
    assert main(["size", "--config", str(path)]) == 2
    assert capsys.readouterr().err.endswith("its numbers or its nesting have no end\n")


@pytest.mark.parametrize(
    ("words", "stdin", "redirection", "status", "message"),
    [
        pytest.param("size llama-3.1-instruct 8b", "", ">/dev/full", 1, "No space", id="full"),
        pytest.param("size --jsonl", "{}\n", ">/dev/full", 1, "No space", id="full, rows"),
        pytest.param("size --jsonl", "", "<&-", 2, "standard input, which is closed", id="no rows"),
        pytest.param("size llama-3.1-instruct 8b", "", ">&-", 0, "", id="closed"),
        pytest.param("size --jsonl", "{}\n", ">&-", 0, "", id="closed, rows"),
        pytest.param("size --jsonl", "{}\n" * 5_000, "| head -1", 0, "", id="a pipe that ends"),
    ],
)
def test_output_that_cannot_be_written(
    words: str, stdin: str, redirection: str, status: int, message: str
) -> None:
    command = (
        f"set -o pipefail; '{sys.executable}' -m llama_operator.cli.main {words} {redirection}"
    )
    done = subprocess.run(
        ["bash", "-c", command], input=stdin, capture_output=True, text=True, check=False
    )
    assert done.returncode == status, done.stderr
    assert message in done.stderr
    assert "Traceback" not in done.stderr
