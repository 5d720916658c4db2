"""A run of the tests ends with whoever started it."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from controlplane.processes import die_with_parent
from controlplane.waiting import wait_until

ROOT = Path(__file__).resolve().parents[2]
RUNNER = """
import sys
tests, test, folder = sys.argv[1:]
sys.path.insert(0, tests)
import run
run.GROUPS = {"one": ["-p", "no:cacheprovider", test]}
run.RUNNING = run.Path(folder)
sys.argv[1:] = []
run.main()
"""
TEST = """
import os, signal, pathlib
def test_it():
    pathlib.Path({told!r}).write_text(str(os.getpid()))
    signal.pause()
"""


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_a_runner_that_is_killed_takes_its_tests_along(number: int, tmp_path: Path) -> None:
    told, test = tmp_path / "pid", tmp_path / "test_waiting.py"
    test.write_text(TEST.format(told=str(told)), "utf-8")
    arguments = [str(ROOT / "tests"), str(test), str(tmp_path / "running")]
    runner = subprocess.Popen(
        [sys.executable, "-c", RUNNER, *arguments],
        cwd=ROOT,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    wait_until("the test runs", lambda: told.exists() and told.read_text("utf-8"), timeout=60)
    child = int(told.read_text("utf-8"))
    runner.send_signal(number)
    runner.wait(timeout=30)
    wait_until("its tests are gone", lambda: not Path(f"/proc/{child}").exists(), timeout=30)


def test_a_process_whose_parent_is_gone_already_ends_at_once() -> None:
    child = os.fork()
    if child == 0:
        die_with_parent(os.getpid())
        os._exit(0)
    _, status = os.waitpid(child, 0)
    assert os.waitstatus_to_exitcode(status) == 1
