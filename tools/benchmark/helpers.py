"""Processes of the benchmark beside the operator: they get one JSON line and tell JSON lines."""

import json
import os
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self

_TOOLS: Final = Path(__file__).resolve().parents[1]


class Helper:
    """A module of this package as a process of its own.

    Args:
        module: its name.
        asked: what it reads from its standard input.
        take: told each object that it writes, in a thread.
    """

    def __init__(self, module: str, asked: object, take: Callable[[dict[str, Any]], None]) -> None:
        self._take = take
        self._watching = threading.Event()
        known = filter(None, (os.environ.get("PYTHONPATH"),))
        self.process = subprocess.Popen(
            [sys.executable, "-m", f"benchmark.{module}"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env={**os.environ, "PYTHONPATH": os.pathsep.join((str(_TOOLS), *known))},
        )
        assert self.process.stdin is not None
        self.process.stdin.write(json.dumps(asked) + "\n")
        self.process.stdin.flush()
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()
        if not self._watching.wait(30):
            self.stop()
            msg = f"{module} does not watch"
            raise RuntimeError(msg)

    def __enter__(self) -> Self:
        """Give the helper itself."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """End it."""
        self.stop()

    def stop(self) -> None:
        """End it."""
        self.process.kill()
        self.process.wait()
        self._reader.join(10)
        for pipe in (self.process.stdin, self.process.stdout):
            if pipe is not None:
                pipe.close()

    def _read(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            told = json.loads(line)
            if told == "watching":
                self._watching.set()
            else:
                self._take(told)
