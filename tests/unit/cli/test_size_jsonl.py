"""`llama-operator size --jsonl`: a line in, a line out, whatever the line holds."""

import io
import json
from collections.abc import Iterable
from typing import Any

import pytest

from llama_operator.cli import size_jsonl
from llama_operator.cli.main import main
from llama_operator.cli.size_jsonl import INTERNAL_ERROR, answer_lines
from llama_operator.sizing.batch import INVALID_INPUT, RowAnswer
from support.llama_8b import ROW

ANSWER = {
    "id": "a",
    "checkpoint_bytes": 16060522496,
    "weights_bytes": 16094076928,
    "weights_bytes_per_stage": [16094076928],
    "activation_bytes": 2027537039,
    "activation_bytes_per_stage": [2027537039],
    "non_torch_bytes": 268435456,
    "cuda_graph_bytes": 970441332,
    "kv_cache_bytes": 62388084867,
    "kv_cache_tokens": 475968,
    "fits": True,
}
"""The example of the memory model, section 13."""


def line(**changes: Any) -> bytes:
    return json.dumps({**ROW, **changes}).encode() + b"\n"


def answers(lines: Iterable[bytes]) -> list[dict[str, Any]]:
    out = io.StringIO()
    answer_lines(lines, out, io.StringIO())
    return [json.loads(text) for text in out.getvalue().splitlines()]


def test_the_example_of_the_memory_model() -> None:
    (found,) = answers([line()])
    assert found.pop("max_concurrency") == pytest.approx(58.1, abs=0.01)
    assert found == ANSWER


def test_the_command(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    lines = line() + b"no JSON\n" + line(id="b", quantization="made-up")
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(lines)))
    assert main(["size", "--jsonl"]) == 0
    printed = capsys.readouterr()
    first, broken, unsupported = map(json.loads, printed.out.splitlines())
    assert first["kv_cache_tokens"] == 475968
    assert broken == {"id": None, "reason": INVALID_INPUT}
    assert (unsupported["id"], unsupported["reason"]) == ("b", "unsupported-quantization")
    no_json, made_up = printed.err.splitlines()
    assert no_json == "llama-operator: line 2 is no JSON object"
    assert made_up.startswith("llama-operator: line 3: ")
    assert "'made-up'" in made_up


@pytest.mark.parametrize(
    "text",
    [
        pytest.param(b"{", id="cut off"),
        pytest.param(b"[1]", id="no object"),
        pytest.param(b"null", id="null"),
        pytest.param(b'"a"', id="a text"),
        pytest.param(b"\xff\xfe{}", id="no UTF-8"),
        pytest.param(b"[" * 100_000, id="nested 100,000 deep"),
        pytest.param(b'{"id":' + b"[" * 100_000 + b"]" * 100_000 + b"}", id="nested and closed"),
        pytest.param(b"{} {}", id="two on one line"),
        pytest.param(b"\x00", id="a zero byte"),
        pytest.param(b'{"id":' + b"9" * 5_000 + b"}", id="a number of 5,000 digits"),
    ],
)
def test_a_broken_line_has_an_answer_and_the_next_is_read(text: bytes) -> None:
    broken, good = answers([text + b"\n", line()])
    assert broken == {"id": None, "reason": INVALID_INPUT}
    assert good["kv_cache_tokens"] == 475968


@pytest.mark.parametrize("depth", [65, 200, 900, 980, 990, 1000])
def test_a_configuration_that_nests_too_deep_is_refused_and_the_next_row_is_read(
    depth: int,
) -> None:
    nested = "[" * depth + "]" * depth
    text = json.dumps({**ROW, "config": 0}).replace('"config": 0', f'"config": {{"a": {nested}}}')
    deep, good = answers([text.encode() + b"\n", line(id="b")])
    assert deep["reason"] == INVALID_INPUT
    assert good["kv_cache_tokens"] == 475968


@pytest.mark.parametrize(
    "text",
    [
        pytest.param(b"\n", id="empty"),
        pytest.param(b" \r\n", id="blanks"),
    ],
)
def test_blank_lines_are_left_out(text: bytes) -> None:
    assert [found["id"] for found in answers([text, line(), text])] == ["a"]


def test_line_ends_and_a_byte_order_mark_do_no_harm() -> None:
    marked = b"\xef\xbb\xbf" + line().replace(b"\n", b"\r\n")
    assert [found["id"] for found in answers([marked, line(id="b").rstrip()])] == ["a", "b"]


@pytest.mark.parametrize("key", [key for key in ROW if key != "id"])
@pytest.mark.parametrize(
    "value",
    [
        pytest.param(float("nan"), id="NaN"),
        pytest.param(float("inf"), id="Infinity"),
        pytest.param(-1, id="negative"),
        pytest.param(0, id="zero"),
        pytest.param(10**30, id="huge"),
        pytest.param("x", id="text"),
        pytest.param([], id="list"),
        pytest.param({}, id="object"),
        pytest.param(True, id="true"),
        pytest.param(None, id="null"),
    ],
)
def test_any_value_has_an_answer_that_is_json_with_its_id(key: str, value: object) -> None:
    (found,) = answers([line(**{key: value})])
    assert found["id"] == "a"
    assert {"reason", "fits", "kv_cache_tokens", "weights_bytes"} & set(found)
    assert found.get("reason") != INTERNAL_ERROR


@pytest.mark.parametrize(
    ("written", "answered"),
    [
        pytest.param(7, 7, id="a number"),
        pytest.param(None, None, id="null"),
        pytest.param("\ud800", "\ud800", id="half a surrogate pair"),
        pytest.param("a\u2028b\n", "a\u2028b\n", id="line separators"),
        pytest.param(float("nan"), None, id="NaN, which JSON has not"),
    ],
)
def test_the_id_is_copied(written: object, answered: object) -> None:
    (found,) = answers([line(id=written)])
    assert found["id"] == answered


def test_a_line_of_50_megabytes() -> None:
    (found,) = answers([line(model="x" * 50_000_000)])
    assert found["kv_cache_tokens"] == 475968


def test_every_answer_is_flushed_before_the_next_line_is_read() -> None:
    class Pipe(io.StringIO):
        flushed = ""

        def flush(self) -> None:
            self.flushed = self.getvalue()

    out = Pipe()

    def lines() -> Iterable[bytes]:
        for number in range(3):
            assert out.flushed.count("\n") == number
            yield line(id=str(number))

    answer_lines(lines(), out, io.StringIO())
    assert out.flushed.count("\n") == 3


def test_a_mistake_of_the_program_is_one_row_s(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(row: dict[str, Any]) -> RowAnswer:
        if row["id"] == "bad":
            raise ZeroDivisionError
        return RowAnswer({"id": row["id"], "fits": True})

    monkeypatch.setattr(size_jsonl, "estimate_row", fail)
    out, errors = io.StringIO(), io.StringIO()
    answer_lines([line(id="bad"), line()], out, errors)
    assert list(map(json.loads, out.getvalue().splitlines())) == [
        {"id": "bad", "reason": INTERNAL_ERROR},
        {"id": "a", "fits": True},
    ]
    assert "line 1: ZeroDivisionError" in errors.getvalue()


@pytest.mark.parametrize(
    "words",
    [
        ["llama-3.1-instruct", "8b"],
        ["--sweep"],
        ["--gpu", "NVIDIA-L4"],
        ["--train", "lora"],
        ["-tp", "2"],
        ["-o", "json"],
    ],
    ids=" ".join,
)
def test_it_goes_with_no_other_argument(
    words: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["size", "--jsonl", *words]) == 2
    assert "--jsonl reads everything from standard input" in capsys.readouterr().err
