"""`python tools/captures write|check [ENGINE ...]`: command lines from engines' wheels."""

import argparse
import subprocess
import sys
from collections.abc import Callable, Sequence
from typing import Final

from captures import mlx_lm, sglang, transformers
from captures.source import Library
from captures.table import CommandLine, Flag
from captures.wheels import CAPTURES, Wheel, python_files, wheels

READERS: Final[dict[str, Callable[[Library], list[Flag]]]] = {
    "sglang": sglang.flags,
    "transformers": transformers.flags,
    "mlx-lm": mlx_lm.flags,
}
ABBREVIATING: Final = ("sglang", "mlx-lm")
"""Engines whose argparse.ArgumentParser does not set allow_abbrev; typer takes whole names."""


def command_line(wheel: Wheel) -> CommandLine:
    """The options that stand in a wheel, which is fetched.

    Raises:
        subprocess.CalledProcessError: the wheel was not fetched.
        Unreadable: its source has a form that is not followed.
    """
    found = READERS[wheel.engine](Library(python_files(wheel)))
    return CommandLine(wheel.engine, wheel.version, wheel.engine in ABBREVIATING, found)


def main(argv: Sequence[str] | None = None) -> int:
    """1 when a file is not what its wheel says, or its wheel was not fetched."""
    table = wheels()
    parser = argparse.ArgumentParser(prog="captures", description=__doc__)
    parser.add_argument("verb", choices=["write", "check"])
    parser.add_argument("engines", nargs="*", metavar="ENGINE", help=f"of {', '.join(table)}")
    options = parser.parse_args(argv)
    if unknown := sorted(set(options.engines) - set(table)):
        parser.error(
            f"no wheel in wheels.csv for {', '.join(unknown)}; there are {', '.join(table)}"
        )
    differing = []
    for engine in options.engines or table:
        wheel = table[engine]
        try:
            text = command_line(wheel).text()
        except subprocess.CalledProcessError:
            print(f"{wheel.package} {wheel.version} was not fetched; what pip says is above")
            return 1
        if options.verb == "write":
            wheel.path.write_text(text, encoding="utf-8")
            print(f"{wheel.path.relative_to(CAPTURES.parents[1])} is written")
        elif not wheel.path.exists() or wheel.path.read_text(encoding="utf-8") != text:
            differing.append(wheel.capture)
    for name in differing:
        print(f"{name} is not what its wheel says; run `make captures` and review the difference")
    return 1 if differing else 0


if __name__ == "__main__":
    sys.exit(main())
