"""Running a program of a build to its end."""

import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path

from controlplane.errors import BuildError

_LINES_OF_ERROR = 20


def run(
    arguments: Sequence[str | Path],
    *,
    cwd: Path | None = None,
    environment: Mapping[str, str] | None = None,
    text: str | None = None,
) -> str:
    """Give what a program prints on standard output.

    Args:
        arguments: the program and its arguments.
        cwd: folder it runs in; None means this process's.
        environment: all its variables; None means those of this process.
        text: its standard input; None means an empty one.

    Raises:
        BuildError: it failed; the message ends with the last lines that it printed.
    """
    done = subprocess.run(
        arguments,
        cwd=cwd,
        env=environment,
        input=text or "",
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode != 0:
        lines = (done.stderr.strip() or done.stdout.strip()).splitlines()[-_LINES_OF_ERROR:]
        words = " ".join([Path(arguments[0]).name, *map(str, arguments[1:])])
        raise BuildError("\n".join([f"{words} failed:", *lines]))
    return done.stdout
