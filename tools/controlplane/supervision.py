"""Launching a supervisor and asking it for things."""

import json
import os
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from controlplane.errors import SupervisorError
from controlplane.folders import RunFolder
from controlplane.processes import MARKER

_PACKAGE_PARENT = Path(__file__).resolve().parent.parent
_REQUEST_SECONDS = 10.0


@dataclass(frozen=True)
class ComponentState:
    """What the supervisor knows about one component.

    Attributes:
        pid: process id of the last start.
        state: `running`, `paused`, `stopped` on request, or `ended` by itself.
        exit_code: exit code, negative for a signal; None while it lives.
    """

    pid: int
    state: str
    exit_code: int | None


def launch(folder: RunFolder, reserved: Sequence[socket.socket]) -> subprocess.Popen[bytes]:
    """Start the supervisor of a locked run folder.

    It inherits the lock and the bound sockets in `reserved`, and this process gives up its own
    hold of both. Its standard input is the bond to this process: when that pipe closes, because
    this process ended or closed it, the control plane ends.
    """
    environment = {
        "PATH": os.environ.get("PATH", os.defpath),
        "HOME": str(folder.home),
        "TMPDIR": tempfile.gettempdir(),
        "PYTHONPATH": str(_PACKAGE_PARENT),
        MARKER: str(folder.path),
    }
    assert folder.lock is not None
    with _listening(folder.socket) as listener, (folder.logs / "supervisor.log").open("ab") as log:
        supervisor = subprocess.Popen(
            [
                sys.executable,
                "-m",
                "controlplane.supervisor",
                str(folder.path),
                f"--listener={listener.fileno()}",
            ],
            cwd=folder.path,
            env=environment,
            stdin=subprocess.PIPE,
            stdout=log,
            stderr=subprocess.STDOUT,
            pass_fds=[listener.fileno(), folder.lock, *(one.fileno() for one in reserved)],
            # Ctrl-C in a terminal reaches the owner, which then ends the control plane in order.
            start_new_session=True,
        )
    folder.unlock()
    for one in reserved:
        one.close()
    return supervisor


class SupervisorClient:
    """Requests to the supervisor of one run folder."""

    def __init__(self, run_folder: Path) -> None:
        self._run_folder = run_folder

    def start(self, name: str, arguments: Sequence[str], log: Path) -> None:
        """Start a component."""
        self._request("start", name=name, arguments=list(arguments), log=str(log))

    def stop(self, name: str, *, kill: bool, seconds: float) -> None:
        """End a component: by SIGKILL, or by SIGTERM and after `seconds` by SIGKILL."""
        self._request("stop", timeout=seconds, name=name, kill=kill, seconds=seconds)

    def pause(self, name: str) -> None:
        """Freeze a component."""
        self._request("pause", name=name)

    def resume(self, name: str) -> None:
        """Let a frozen component go on."""
        self._request("resume", name=name)

    def status(self) -> dict[str, ComponentState]:
        """State of every component that was ever started."""
        answer = self._request("status")
        assert isinstance(answer, dict)
        return {name: ComponentState(**state) for name, state in answer.items()}

    def detach(self) -> None:
        """Let the control plane outlive its owner."""
        self._request("detach")

    def shutdown(self, *, remove: bool) -> None:
        """End the control plane; the supervisor is gone when its process has ended."""
        self._request("shutdown", remove=remove)

    def _request(self, operation: str, *, timeout: float = 0.0, **arguments: object) -> object:
        request = json.dumps({"operation": operation, **arguments}).encode() + b"\n"
        try:
            with (
                socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection,
                _short_name(self._run_folder / "control.sock") as name,
            ):
                connection.settimeout(_REQUEST_SECONDS + timeout)
                connection.connect(name)
                connection.sendall(request)
                with connection.makefile("rb") as stream:
                    line = stream.readline()
        except OSError as error:
            raise SupervisorError(
                f"the supervisor of {self._run_folder} does not answer: {error}"
            ) from error
        answer = json.loads(line or b'{"error": "it ended before it answered"}')
        if "error" in answer:
            raise SupervisorError(f"{operation}: {answer['error']}")
        return answer["answer"]


def reserve_ports(names: Sequence[str]) -> tuple[dict[str, int], list[socket.socket]]:
    """Take a free loopback port per name.

    The returned sockets stay bound without listening. As long as anybody holds them the kernel
    gives their ports to nobody who asks for any free port, while a program that asks for exactly
    this port may listen on it.
    """
    sockets = []
    ports = {}
    for name in names:
        one = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        one.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        one.bind(("127.0.0.1", 0))
        sockets.append(one)
        ports[name] = one.getsockname()[1]
    return ports, sockets


@contextmanager
def _listening(path: Path) -> Iterator[socket.socket]:
    with (
        socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as listener,
        _short_name(path) as name,
    ):
        listener.bind(name)
        listener.listen(16)
        yield listener


@contextmanager
def _short_name(path: Path) -> Iterator[str]:
    """Name a file in a way that fits the 107 bytes of a Unix socket's address."""
    folder = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        yield f"/proc/self/fd/{folder}/{path.name}"
    finally:
        os.close(folder)
