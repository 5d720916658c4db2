"""`llama-operator size --compare-log`: an engine's figures beside the computed ones."""

import io
import json
from pathlib import Path

import pytest

from llama_operator.cli.main import main

# Measured with vLLM 0.19.0 on an H100 (jgchn/llm-d-planner), in the words of its log.
LOG = """\
INFO 04-01 10:00:30 [gpu_model_runner.py:4879] Model loading took 14.99 GiB memory and 4.512345 seconds
INFO 04-01 10:01:00 [gpu_worker.py:460] Available KV cache memory: 58.11 GiB
INFO 04-01 10:01:01 [kv_cache_utils.py:1286] GPU KV cache size: 476,016 tokens
INFO 04-01 10:01:20 [gpu_model_runner.py:6971] Graph capturing finished in 12 secs, took 0.91 GiB
"""  # noqa: E501 - lines of a log
MEASURED = (
    "size llama-3.1-instruct 8b --gpu NVIDIA-H100-80GB-HBM3 --engine-version 0.19.0 "
    "--max-model-len 8192 --gpu-memory-utilization 0.95"
)


@pytest.fixture
def log(tmp_path: Path) -> Path:
    path = tmp_path / "engine.log"
    path.write_text(LOG, encoding="utf-8")
    return path


def test_a_table_below_the_answer(
    log: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "100")
    assert main([*MEASURED.split(), "--no-color", "--compare-log", str(log)]) == 0
    printed = capsys.readouterr().out
    _, _, table = printed.partition("What the engine says\n")
    # 16,095,389,942 - 16,094,076,928 = 1.25 MiB; 0.01 GiB = 10.24 MiB.
    assert [line.rstrip() for line in table.splitlines()] == [
        "                     computed        observed  difference  its rounding",
        "  weights           14.99 GiB       14.99 GiB   +1.25 MiB     10.24 MiB",
        "  CUDA graphs      925.48 MiB      931.84 MiB   +6.36 MiB     10.24 MiB",
        "  KV cache          58.10 GiB       58.11 GiB   +6.73 MiB     10.24 MiB",
        "  KV tokens    475,968 tokens  476,016 tokens  +48 tokens         exact",
        "  load time                           4.512 s                   0.001 s",
    ]


def test_json_has_every_part(log: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([*MEASURED.split(), "-o", "json", "--compare-log", str(log)]) == 0
    weights, _, _, tokens, time = json.loads(capsys.readouterr().out)["observed"]
    assert weights == {
        "part": "weights",
        "place": "GPU",
        "unit": "bytes",
        "observed": 16_095_389_942,
        "rounding": 10_737_419,
        "computed": 16_094_076_928,
        "difference": 1_313_014,
    }
    assert (tokens["unit"], tokens["rounding"], tokens["difference"]) == ("tokens", 0, 48)
    assert time == {
        "part": "load-time",
        "place": "GPU",
        "unit": "milliseconds",
        "observed": 4512,
        "rounding": 1,
    }


def test_upper_bounds_are_told_apart(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "100")
    log = tmp_path / "engine.log"
    log.write_text(
        "load_tensors:   CPU_Mapped model buffer size =   532.31 MiB\n"
        "load_tensors:        CUDA0 model buffer size =  7605.33 MiB\n"
        "sched_reserve:      CUDA0 compute buffer size =   258.50 MiB\n",
        encoding="utf-8",
    )
    words = "size llama-3.1-instruct 8b --quantization Q8_0 --engine llama.cpp --no-color"
    assert main([*words.split(), "--compare-log", str(log)]) == 0
    printed = capsys.readouterr().out
    # 128256 x 4096 x 8.5 bits = 532.31 MiB; 512 x (128256 + 3 x 14336 + 6 x 4096) x 4 bytes =
    # 382.50 MiB.
    assert "  weights, node     532.31 MiB  532.31 MiB" in printed
    assert "  activation     <= 382.50 MiB  258.50 MiB  -124.00 MiB" in printed
    assert "at most: the sizing has an upper bound of it alone" in printed


def test_standard_input(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(LOG.encode())))
    assert main([*MEASURED.split(), "--compare-log", "-"]) == 0
    assert "476,016 tokens" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("words", "messages"),
    [
        pytest.param(
            "--compare-log nowhere.log", ["--compare-log nowhere.log cannot be read: No such file"],
            id="no file",
        ),
        pytest.param(
            "--compare-log .", ["--compare-log . cannot be read: Is a dir"], id="a folder"
        ),
        pytest.param(
            "--compare-log LOG --engine sglang --engine-version 0.5.23",
            ["no line of SGLang 0.5 tells of memory; such lines do, whatever their figures:",
             "\n  KV Cache is allocated. dtype: torch.bfloat16, #tokens: 442750, K size: "],
            id="another engine's log",
        ),
        pytest.param(
            "--compare-log LOG --engine transformers",
            ["--compare-log: no line is known in which Transformers tells of its memory"],
            id="an engine that tells nothing",
        ),
        pytest.param(
            "--compare-log LOG --sweep", ["--compare-log does not go with --sweep"], id="sweep"
        ),
        pytest.param(
            "--compare-log LOG --train lora", ["--compare-log does not go with --train"], id="train"
        ),
    ],
)  # fmt: skip
def test_what_cannot_be_compared(
    words: str, messages: list[str], log: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    given = [str(log) if word == "LOG" else word for word in words.split()]
    assert main(["size", "llama-3.1-instruct", "8b", *given]) == 2
    printed = capsys.readouterr()
    assert printed.out == ""
    assert all(message in printed.err for message in messages), printed.err
