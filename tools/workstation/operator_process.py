"""One operator process under the identity that the chart ships."""

import json
import os
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self

from controlplane import ControlPlane, processes, wait_until
from workstation.install import NAMESPACE, SERVICE_ACCOUNT

START_SECONDS: Final = 120.0
"""A process is up within two seconds, but for a machine that is busy with others."""


class OperatorProcess:
    """Runs `llama-operator run`; ends with its context, and with its parent if that is killed."""

    def __init__(
        self,
        control_plane: ControlPlane,
        directory: Path,
        *,
        kubeconfig: Path | None = None,
        arguments: Sequence[str] = (),
        environment: dict[str, str] | None = None,
        outlive: bool = False,
    ) -> None:
        """Start the process.

        Args:
            control_plane: where it runs; ending that for good ends the process too.
            directory: where its log goes.
            kubeconfig: another identity than the chart's ServiceAccount.
            arguments: more flags of `llama-operator run`.
            environment: more variables.
            outlive: let it go on when this process ends.
        """
        directory.mkdir(parents=True, exist_ok=True)
        self.log = directory / f"operator-{time.time_ns()}.log"
        if kubeconfig is None:
            kubeconfig = control_plane.service_account_kubeconfig(NAMESPACE, SERVICE_ACCOUNT)
        command = [
            sys.executable,
            "-m",
            "llama_operator",
            "run",
            f"--kubeconfig={kubeconfig}",
            f"--namespace={NAMESPACE}",
            "--listen-address=127.0.0.1",
            "--health-port=0",
            "--metrics-port=0",
            *arguments,
        ]
        with self.log.open("wb") as log:
            self.process = subprocess.Popen(
                command,
                stdout=log,
                stderr=subprocess.STDOUT,
                stdin=subprocess.DEVNULL,
                env={
                    **os.environ,
                    processes.MARKER: str(control_plane.directory),
                    **(environment or {}),
                },
                start_new_session=outlive,
                preexec_fn=None if outlive else partial(processes.die_with_parent, os.getpid()),
            )
        self._ports: tuple[int, int] | None = None

    def __enter__(self) -> Self:
        """Give the process itself."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """End it, by force if it does not end by itself."""
        self.stop()

    def lines(self) -> Iterator[dict[str, Any]]:
        """The log, parsed; a line that is no JSON object is a defect."""
        for line in self.log.read_text(encoding="utf-8").splitlines():
            entry = json.loads(line)
            assert isinstance(entry, dict), line
            yield entry

    def ports(self) -> tuple[int, int]:
        """Ports of health and metrics, as the process logged them."""
        if self._ports is None:
            self._ports = wait_until(
                "the operator logs its ports", self._find_ports, timeout=START_SECONDS
            )
        assert self._ports is not None
        return self._ports

    def _find_ports(self) -> tuple[int, int] | None:
        if self.process.poll() is not None:
            msg = f"the operator ended with {self.process.returncode}:\n{self.log.read_text()}"
            raise RuntimeError(msg)
        for line in self.log.read_text(encoding="utf-8").splitlines():
            if "health on port" in line:
                words = json.loads(line)["message"].replace(",", "").split()
                numbers = [int(words[i + 1]) for i, word in enumerate(words[:-1]) if word == "port"]
                return numbers[0], numbers[1]
        return None

    def get(self, path: str) -> tuple[int, str]:
        """Status and text of a path: `/metrics` from its port, the rest from health's."""
        port = self.ports()[1 if path == "/metrics" else 0]
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=10) as answer:
                return answer.status, answer.read().decode()
        except urllib.error.HTTPError as error:
            with error:
                return error.code, error.read().decode()

    def is_leader(self) -> bool:
        """Whether the process leads now, with its caches filled."""
        return "llama_operator_leader 1.0" in self.get("/metrics")[1]

    def wait_ready(self, timeout: float = START_SECONDS) -> None:
        """Wait until the process leads and answers that it is ready."""
        self.ports()
        wait_until("the operator leads", self.is_leader, timeout=timeout)
        wait_until("the operator is ready", lambda: self.get("/readyz")[0] == 200, timeout=timeout)

    def stop(self, timeout: float = 30.0) -> int:
        """SIGTERM, and SIGKILL after the timeout; returns the exit status."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
            try:
                self.process.wait(timeout)
            except subprocess.TimeoutExpired:
                self.kill()
        return self.process.returncode

    def kill(self) -> None:
        """SIGKILL."""
        self.process.kill()
        self.process.wait()
