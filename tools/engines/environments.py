"""Virtual environments with exactly the packages that a file of requirements pins."""

import sys
from pathlib import Path

from controlplane import external


def create(folder: Path, requirements: Path) -> None:
    """Make a virtual environment and install packages, checked by hash.

    Raises:
        BuildError: a package could not be had, or is not the pinned one.
    """
    external.run([sys.executable, "-m", "venv", "--clear", folder])
    external.run([*pip(folder), "install", "--require-hashes", "--requirement", requirements])


def python(folder: Path) -> Path:
    """The interpreter of a virtual environment."""
    return folder / "bin" / "python"


def pip(folder: Path) -> list[str | Path]:
    """First words of a command of its pip."""
    return [python(folder), "-m", "pip", "--quiet", "--disable-pip-version-check"]
