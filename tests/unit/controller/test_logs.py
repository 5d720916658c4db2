import io
import json
import logging
import sys
from collections.abc import Iterator
from datetime import datetime
from typing import Any

import aiohttp
import pytest
from hypothesis import given
from hypothesis import strategies as st

from llama_operator.controller.logs import JsonFormatter, object_reference, set_up_logs


def record(message: str, *arguments: object, error: BaseException | None = None) -> Any:
    trace = (type(error), error, error.__traceback__) if error is not None else None
    made = logging.LogRecord(
        "llama_operator.test", logging.WARNING, __file__, 1, message, arguments, trace
    )
    made.created = 1_767_323_045.678  # 2026-01-02T03:04:05.678Z
    return made


def line_of(*args: Any, **kwargs: Any) -> dict[str, Any]:
    text = JsonFormatter().format(record(*args, **kwargs))
    assert text.splitlines() == [text], "more than one line"
    parsed: dict[str, Any] = json.loads(text)
    return parsed


def test_a_line_has_time_level_logger_and_message() -> None:
    line = line_of("watch of %s broken, again in %.1f s", "nodes", 0.5)
    assert line == {
        "time": "2026-01-02T03:04:05.678+00:00",
        "level": "warning",
        "logger": "llama_operator.test",
        "message": "watch of nodes broken, again in 0.5 s",
    }
    assert datetime.fromisoformat(line["time"]).tzinfo is not None


def test_the_object_that_is_worked_on_stands_beside_it() -> None:
    reference = {"namespace": "ml", "name": "llama", "uid": "u1", "generation": 3, "pass": 7}
    token = object_reference.set(reference)
    try:
        assert line_of("create")["object"] == reference
    finally:
        object_reference.reset(token)
    assert "object" not in line_of("create")


def test_an_exception_comes_with_its_trace_in_the_same_line() -> None:
    try:
        raise ValueError("first\nsecond")
    except ValueError as error:
        line = line_of("a bug", error=error)
    assert line["traceback"].startswith("Traceback (most recent call last):\n")
    assert line["traceback"].endswith("ValueError: first\nsecond\n")


@given(st.text())
def test_any_text_stays_in_one_line_and_comes_back_as_it_was(text: str) -> None:
    assert line_of("%s", text)["message"] == text


@pytest.mark.parametrize(
    "text",
    [
        pytest.param(
            "a\u2028b\u2029c\x85d\x0be\x0cf\x1cg", id="what some readers take for new lines"
        ),
        pytest.param('"}\n{"level":"error"', id="an end of the object"),
        pytest.param("\ud800", id="half of a surrogate pair"),
        pytest.param("\x1b[2J", id="terminal escapes"),
    ],
)
def test_hostile_text_can_be_written_to_any_stream(text: str) -> None:
    stream = io.TextIOWrapper(io.BytesIO(), encoding="ascii")
    handler = logging.StreamHandler(stream)
    handler.setFormatter(JsonFormatter())
    handler.emit(record("%s", text))
    stream.seek(0)
    [line] = stream.read().splitlines()
    assert json.loads(line)["message"] == text


@pytest.fixture
def logging_restored() -> Iterator[None]:
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    levels = {name: logging.getLogger(name).level for name in ("kopf", "aiohttp", "asyncio")}
    yield
    root.handlers[:] = handlers
    root.setLevel(level)
    for name, value in levels.items():
        logging.getLogger(name).setLevel(value)


@pytest.mark.parametrize(
    ("level", "shown"),
    [
        pytest.param("info", {"own info", "own warning", "kopf warning"}, id="info"),
        pytest.param("warning", {"own warning", "kopf warning"}, id="warning"),
        pytest.param("error", set(), id="error"),
        pytest.param(
            "debug",
            {"own debug", "own info", "own warning", "kopf info", "kopf warning"},
            id="debug",
        ),
    ],
)
def test_libraries_speak_up_from_warnings_on_and_at_debug_from_everything(
    logging_restored: None, level: str, shown: set[str]
) -> None:
    stream = io.StringIO()
    set_up_logs(level, stream)
    for name in ("own", "kopf"):
        logger = logging.getLogger("llama_operator.x" if name == "own" else name)
        logger.info("%s info", name)
        logger.warning("%s warning", name)
    logging.getLogger("llama_operator.x").debug("own debug")
    assert {json.loads(line)["message"] for line in stream.getvalue().splitlines()} == shown


def test_lines_go_to_standard_error(
    logging_restored: None, capsys: pytest.CaptureFixture[str]
) -> None:
    set_up_logs("info")
    logging.getLogger("llama_operator.x").info("told")
    captured = capsys.readouterr()
    assert captured.out == ""
    assert json.loads(captured.err)["message"] == "told"
    assert sys.stderr is not None


@pytest.mark.parametrize(
    ("logger", "error", "traced"),
    [
        pytest.param("kopf.objects", ConnectionResetError("cut"), False, id="kopf, no connection"),
        pytest.param(
            "kopf", aiohttp.ServerDisconnectedError(), False, id="kopf, a connection that ended"
        ),
        pytest.param("kopf.objects", ValueError("wrong"), True, id="kopf, a bug"),
        pytest.param("llama_operator", ConnectionResetError("cut"), True, id="ours, anything"),
    ],
)
def test_an_api_server_that_fails_leaves_no_trace_in_what_kopf_logs(
    logging_restored: None, logger: str, error: Exception, traced: bool
) -> None:
    stream = io.StringIO()
    set_up_logs("info", stream)
    logging.getLogger(logger).error("it failed", exc_info=error)
    assert ("traceback" in json.loads(stream.getvalue())) is traced
