"""Telling people what takes long: a live display on a terminal, plain lines elsewhere."""

import threading
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Protocol, TextIO

from rich.console import Console
from rich.progress import Progress as RichBars
from rich.progress import SpinnerColumn, TextColumn, TimeElapsedColumn

HEARTBEAT_SECONDS = 30.0


class Progress(Protocol):
    """Hears of every step of a build or a start."""

    def step(self, what: str, number: int, of: int) -> AbstractContextManager[None]:
        """Enclose one step.

        Args:
            what: the step in words, such as `build kubectl`.
            number: its place, from 1.
            of: how many steps there are.
        """


class SilentProgress:
    """Says nothing; the choice of tests."""

    def step(self, what: str, number: int, of: int) -> AbstractContextManager[None]:
        """Enclose one step without a word."""
        return nullcontext()


class PlainProgress:
    """One line when a step starts, one when it ends, and a heartbeat line in between.

    Args:
        stream: where the lines go.
        heartbeat_seconds: time between two signs of life of a long step.
    """

    def __init__(self, stream: TextIO, heartbeat_seconds: float = HEARTBEAT_SECONDS) -> None:
        self._stream = stream
        self._heartbeat_seconds = heartbeat_seconds

    @contextmanager
    def step(self, what: str, number: int, of: int) -> Iterator[None]:
        """Enclose one step with lines such as `[2/8] build kubectl: done in 3.0 s`."""
        prefix = f"[{number}/{of}] {what}"
        started = time.monotonic()
        over = threading.Event()

        def beat() -> None:
            while not over.wait(self._heartbeat_seconds):
                self._say(f"{prefix}: still at it after {time.monotonic() - started:.0f} s")

        self._say(f"{prefix} ...")
        heart = threading.Thread(target=beat, name="progress-heartbeat", daemon=True)
        heart.start()
        outcome = "failed after"
        try:
            yield
            outcome = "done in"
        finally:
            over.set()
            heart.join()
            self._say(f"{prefix}: {outcome} {time.monotonic() - started:.1f} s")

    def _say(self, line: str) -> None:
        print(line, file=self._stream, flush=True)


class TerminalProgress:
    """A spinner with the elapsed time for the running step, above it a line per finished one."""

    def __init__(self, stream: TextIO) -> None:
        self._console = Console(file=stream)

    @contextmanager
    def step(self, what: str, number: int, of: int) -> Iterator[None]:
        """Enclose one step with a live line."""
        prefix = f"{number}/{of}"
        started = time.monotonic()
        columns = (
            SpinnerColumn(),
            TextColumn("[dim]{task.fields[prefix]}[/] {task.description}"),
            TimeElapsedColumn(),
        )
        mark = "[red]✗[/]"
        try:
            with RichBars(*columns, console=self._console, transient=True) as bars:
                bars.add_task(what, total=None, prefix=prefix)
                yield
            mark = "[green]✓[/]"
        finally:
            seconds = time.monotonic() - started
            self._console.print(f"{mark} [dim]{prefix}[/] {what} [dim]{seconds:.1f} s[/]")


def progress_for(stream: TextIO) -> Progress:
    """Choose the display that suits a stream."""
    if stream.isatty():
        return TerminalProgress(stream)
    return PlainProgress(stream)
