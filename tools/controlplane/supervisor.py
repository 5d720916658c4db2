"""The process that owns the components of one control plane.

It is a process of its own because then nothing can be left behind:

* It has one thread, so the kernel's parent-death signal, which follows the *thread* that forked,
  ends every component when the supervisor ends, however it ends.
* Its standard input is a pipe from its owner, say pytest. When the owner ends, however it ends,
  the supervisor sees the end of that pipe, ends the components and removes the run folder. An
  owner that asks to be left (`detach`) ends that bond.
* It has inherited the lock of the run folder and the bound sockets of the components' ports, and
  holds both as long as it lives: a restarted component gets the same port again.

Requests come over a Unix socket in the run folder, one JSON line each, answered by one JSON line.
"""

import argparse
import contextlib
import json
import os
import selectors
import signal
import socket
import subprocess
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

from controlplane import folders, processes

_TICK_SECONDS = 1.0
_REQUEST_SECONDS = 5.0


class Supervisor:
    """Starts, stops and watches components until it is told to end or its owner is gone.

    Args:
        folder: the run folder.
        environment: environment of every component.
    """

    def __init__(self, folder: Path, environment: dict[str, str]) -> None:
        self._folder = folder
        self._environment = environment
        self._owner: int | None = os.getppid()
        self._components: dict[str, subprocess.Popen[bytes]] = {}
        self._paused: set[str] = set()
        self._stopped: set[str] = set()
        self._over = False
        self._remove = True
        self._operations: dict[str, Callable[..., object]] = {
            "start": self.start,
            "stop": self.stop,
            "pause": self.pause,
            "resume": self.resume,
            "status": self.status,
            "detach": self.detach,
            "shutdown": self.shutdown,
        }

    def serve(self, listener: socket.socket) -> None:
        """Answer requests until the end, then end all components."""
        with selectors.DefaultSelector() as selector:
            selector.register(listener, selectors.EVENT_READ)
            selector.register(sys.stdin.fileno(), selectors.EVENT_READ)
            try:
                while not self._over:
                    for key, _ in selector.select(_TICK_SECONDS):
                        if key.fileobj is listener:
                            self._answer(listener)
                        elif not os.read(sys.stdin.fileno(), 1):
                            selector.unregister(sys.stdin.fileno())
                            self._over = self._owner is not None
                    # The pipe alone is not enough: a fork of the owner may hold it open.
                    self._over |= self._owner is not None and os.getppid() != self._owner
            finally:
                for component in self._components.values():
                    component.kill()
                for component in self._components.values():
                    component.wait()
                if self._remove:
                    folders.remove(self._folder)

    def start(self, name: str, arguments: list[str], log: str) -> None:
        """Start a component that is not running; its output is appended to `log`."""
        if name in self._components and self._components[name].poll() is None:
            raise ValueError(f"{name} is running")
        self._stopped.discard(name)
        with Path(log).open("ab") as output:
            self._components[name] = subprocess.Popen(
                arguments,
                cwd=self._folder,
                env=self._environment,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                preexec_fn=partial(processes.die_with_parent, os.getpid()),
            )

    def stop(self, name: str, *, kill: bool, seconds: float) -> None:
        """End a component: at once, or by SIGTERM and after `seconds` by force."""
        component = self._components[name]
        self._stopped.add(name)
        if kill:
            component.kill()
        else:
            component.terminate()
            component.send_signal(signal.SIGCONT)  # a paused one must see the SIGTERM
        try:
            component.wait(seconds)
        except subprocess.TimeoutExpired:
            component.kill()
            component.wait()
        self._paused.discard(name)

    def pause(self, name: str) -> None:
        """Freeze a component: its connections stay open and nothing is answered."""
        self._components[name].send_signal(signal.SIGSTOP)
        processes.wait_frozen(self._components[name].pid)
        self._paused.add(name)

    def resume(self, name: str) -> None:
        """Let a frozen component go on."""
        self._components[name].send_signal(signal.SIGCONT)
        self._paused.discard(name)

    def status(self) -> dict[str, dict[str, Any]]:
        """State of every component that was ever started."""
        states = {}
        for name, component in self._components.items():
            code = component.poll()
            if code is None:
                state = "paused" if name in self._paused else "running"
            else:
                state = "stopped" if name in self._stopped else "ended"
            states[name] = {"pid": component.pid, "state": state, "exit_code": code}
        return states

    def detach(self) -> None:
        """Live on when the owner ends."""
        self._owner = None

    def shutdown(self, *, remove: bool) -> None:
        """End everything; with `remove` the run folder goes too."""
        self._remove = remove
        self._over = True

    def _answer(self, listener: socket.socket) -> None:
        connection, _ = listener.accept()
        with connection, contextlib.suppress(OSError):
            connection.settimeout(_REQUEST_SECONDS)
            with connection.makefile("rwb") as stream:
                answer = self._perform(stream.readline())
                stream.write(json.dumps(answer).encode() + b"\n")

    def _perform(self, line: bytes) -> dict[str, object]:
        try:
            request = json.loads(line)
            return {"answer": self._operations[request.pop("operation")](**request)}
        except KeyError as error:
            return {"error": f"{error} is not known here"}
        except (OSError, TypeError, ValueError) as error:
            return {"error": str(error)}


def main() -> None:
    """Run the supervisor of one run folder."""
    parser = argparse.ArgumentParser(prog="supervisor", description=__doc__)
    parser.add_argument("folder", type=Path, help="run folder, locked by an inherited descriptor")
    parser.add_argument("--listener", type=int, required=True, help="inherited Unix socket")
    arguments = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    with socket.socket(fileno=arguments.listener) as listener:
        Supervisor(arguments.folder, environment).serve(listener)


if __name__ == "__main__":
    main()
