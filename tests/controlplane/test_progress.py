"""What is said while something takes long."""

import io

import pytest

from controlplane.progress import PlainProgress, TerminalProgress, progress_for
from controlplane.waiting import wait_until


def test_a_step_has_a_line_at_its_start_and_one_at_its_end() -> None:
    stream = io.StringIO()
    with PlainProgress(stream).step("build kubectl", 2, 8):
        assert stream.getvalue() == "[2/8] build kubectl ...\n"
    assert stream.getvalue().splitlines()[1].startswith("[2/8] build kubectl: done in 0.")


def test_a_failed_step_is_not_called_done() -> None:
    stream = io.StringIO()
    with pytest.raises(OSError, match="disk"), PlainProgress(stream).step("build etcd", 1, 1):
        raise OSError("disk")
    assert "[1/1] build etcd: failed after" in stream.getvalue()


def test_a_long_step_shows_that_it_lives() -> None:
    stream = io.StringIO()
    with PlainProgress(stream, heartbeat_seconds=0.01).step("build etcd", 1, 1):
        wait_until("heartbeat", lambda: "still at it after" in stream.getvalue(), timeout=5)


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_the_display_suits_the_stream() -> None:
    assert isinstance(progress_for(io.StringIO()), PlainProgress)
    assert isinstance(progress_for(Terminal()), TerminalProgress)


def test_a_terminal_shows_each_finished_step_once() -> None:
    stream = Terminal()
    with TerminalProgress(stream).step("build kubectl", 2, 8):
        pass
    last = stream.getvalue().splitlines()[-1]
    assert "build kubectl" in last
    assert "✓" in last
