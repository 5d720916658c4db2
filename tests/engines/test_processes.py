"""An engine of a test leaves nothing behind, whatever becomes of the test."""

import json
import os
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from controlplane import wait_until
from support.engine_process import LOOPBACK, EngineEndedError, EngineProcess, reserved_port
from support.rendered_engine import RenderedEngine

ROOT = Path(__file__).resolve().parents[2]
CODE = """
import json, signal, sys
from pathlib import Path
from support.engine_process import EngineProcess

port, folder, environment, *arguments = sys.argv[1:]
with EngineProcess(arguments, int(port), Path(folder), json.loads(environment)) as engine:
    engine.wait_status("/health")
    print(engine.process.pid, flush=True)
    signal.pause()
"""


def test_it_dies_with_a_test_run_that_is_killed(
    llama_server: RenderedEngine, tmp_path: Path
) -> None:
    settings = (str(llama_server.port), str(tmp_path), json.dumps(llama_server.environment))
    path = os.pathsep.join(str(ROOT / name) for name in ("tools", "tests"))
    with subprocess.Popen(
        [sys.executable, "-c", CODE, *settings, *llama_server.arguments],
        stdout=subprocess.PIPE,
        env=os.environ | {"PYTHONPATH": path},
        text=True,
    ) as run:
        assert run.stdout is not None
        handle = os.pidfd_open(int(run.stdout.readline()))
        try:
            run.kill()
            run.wait()
            wait_until("the engine is gone", lambda: _ended(handle))
        finally:
            os.close(handle)


def _ended(handle: int) -> bool:
    try:
        signal.pidfd_send_signal(handle, 0)
    except ProcessLookupError:
        return True
    return False


def test_one_that_does_not_listen_to_signals_is_killed(port: int, tmp_path: Path) -> None:
    code = "import signal; signal.signal(15, signal.SIG_IGN); print('deaf', flush=True)"
    arguments = [sys.executable, "-c", f"{code}; signal.pause()"]
    with EngineProcess(arguments, port, tmp_path) as engine:
        engine.wait("it is deaf", lambda: "deaf" in engine.text())
        assert engine.stop(timeout=0.1) == -signal.SIGKILL


def test_it_gets_no_setting_of_the_one_who_tests(
    monkeypatch: pytest.MonkeyPatch, port: int, tmp_path: Path
) -> None:
    monkeypatch.setenv("LLAMA_ARG_CTX_SIZE", "512")
    arguments = ["env"]
    with EngineProcess(arguments, port, tmp_path, {"HF_HUB_OFFLINE": "1"}) as engine:
        engine.process.wait()
        names = {line.partition("=")[0] for line in engine.text().splitlines()}
    assert names == {"PATH", "HOME", "HF_HUB_OFFLINE"}


def test_waiting_for_one_that_has_ended_tells_its_last_words(port: int, tmp_path: Path) -> None:
    arguments = ["sh", "-c", "echo no model; exit 3"]
    with (
        EngineProcess(arguments, port, tmp_path) as engine,
        pytest.raises(EngineEndedError, match=r"it ended: 3\nno model"),
    ):
        engine.wait_status("/health")


def test_a_reserved_port_is_given_to_nobody_else() -> None:
    with reserved_port() as first, reserved_port() as second, socket.socket() as engine:
        assert first != second
        engine.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        engine.bind((LOOPBACK, first))
        engine.listen()
        with socket.socket() as stranger, pytest.raises(OSError, match="in use"):
            stranger.bind((LOOPBACK, second))
