"""A real engine as a process of a test."""

import http.client
import os
import signal
import socket
import ssl
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import Final, Self

from controlplane import processes, wait_until

START_SECONDS: Final = 60.0
"""The slowest engine is up in three seconds, but for a machine that is busy with others."""
LOOPBACK: Final = "127.0.0.1"
LINES_OF_ERROR: Final = 30


class EngineEndedError(RuntimeError):
    """The engine ended when it was waited for; the text ends with its last lines."""


@contextmanager
def reserved_port() -> Iterator[int]:
    """A loopback port that an engine can listen on and that nobody else gets meanwhile."""
    with socket.socket() as holder:
        # An engine sets one of the two; the kernel lets it in beside a holder that does not listen.
        holder.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        holder.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        holder.bind((LOOPBACK, 0))
        yield holder.getsockname()[1]


def get(url: str, timeout: float) -> tuple[int, str]:
    """Status and text of a URL; 0 when nobody speaks HTTP there.

    As in the kubelet's probes, no certificate is verified.
    """
    try:
        with urllib.request.urlopen(url, timeout=timeout, context=_unverified()) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.read().decode()
    except (OSError, http.client.HTTPException) as error:
        return 0, str(error)


def _unverified() -> ssl.SSLContext:
    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context


class EngineProcess:
    """Runs an engine; ends with its context, and with this process if that is killed.

    Attributes:
        url: where it listens, without a path.
        process: the process.
        log: all that it printed.
    """

    def __init__(
        self,
        arguments: Sequence[str | Path],
        port: int,
        directory: Path,
        environment: Mapping[str, str] | None = None,
        https: bool = False,
    ) -> None:
        """Start the process.

        Args:
            arguments: the program and its arguments.
            port: where these make it listen.
            directory: its home and working folder, and that of its log.
            environment: its variables beside PATH and HOME; it gets none of this process.
            https: whether these make it speak HTTPS.
        """
        directory.mkdir(parents=True, exist_ok=True)
        self.url = f"{'https' if https else 'http'}://{LOOPBACK}:{port}"
        self.log = directory / f"engine-{time.time_ns()}.log"
        with self.log.open("wb") as log:
            self.process = subprocess.Popen(
                arguments,
                stdout=log,
                stderr=subprocess.STDOUT,
                stdin=subprocess.DEVNULL,
                cwd=directory,
                env={"PATH": os.environ["PATH"], "HOME": str(directory), **(environment or {})},
                preexec_fn=partial(processes.die_with_parent, os.getpid()),
            )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.stop()

    def text(self) -> str:
        """All that it printed so far."""
        return self.log.read_text(encoding="utf-8", errors="replace")

    def get(self, path: str) -> tuple[int, str]:
        """Status and text of a path; 0 when nobody listens."""
        return get(f"{self.url}{path}", timeout=10)

    def wait(
        self, what: str, condition: Callable[[], bool], timeout: float = START_SECONDS
    ) -> None:
        """Wait until something is true of the running engine.

        Raises:
            EngineEndedError: it ended before that.
            TimeoutError: it did not come true.
        """

        def fulfilled() -> bool:
            if self.process.poll() is None:
                return condition()
            lines = self.text().splitlines()[-LINES_OF_ERROR:]
            raise EngineEndedError("\n".join([f"it ended: {self.process.returncode}", *lines]))

        wait_until(what, fulfilled, timeout=timeout)

    def wait_status(self, path: str, status: int = 200) -> None:
        """Wait until a path answers with a status."""
        self.wait(f"{path} answers {status}", lambda: self.get(path)[0] == status)

    def stop(self, timeout: float = 10.0) -> int:
        """SIGTERM, and SIGKILL after the timeout; returns the exit status."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
            try:
                self.process.wait(timeout)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
        return self.process.returncode
