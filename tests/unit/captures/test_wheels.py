"""Each wheel that is read has a reader, a pin and a table; nothing else is offered."""

import re

import pytest

from captures.__main__ import READERS, main
from captures.wheels import wheels
from support.captured_parser import capture


def test_each_wheel_is_pinned_and_read_into_a_table_of_its_version() -> None:
    assert wheels().keys() == READERS.keys()
    for wheel in wheels().values():
        assert re.fullmatch(r"[0-9a-f]{64}", wheel.sha256)
        content = capture(wheel.capture)
        assert (content["engine"], content["version"]) == (wheel.engine, wheel.version)


def test_an_engine_without_a_wheel_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["check", "vllm"])
    assert "there are sglang, transformers, mlx-lm" in capsys.readouterr().err
