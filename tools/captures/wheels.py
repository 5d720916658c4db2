"""The wheels that are read: their pins, and how they are fetched."""

import csv
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final
from zipfile import ZipFile

HERE: Final = Path(__file__).resolve().parent
TABLE: Final = HERE / "wheels.csv"
CAPTURES: Final = HERE.parents[1] / "tests" / "captures"
TARGET: Final = ("--python-version=3.12", "--platform=manylinux_2_34_x86_64")
"""The wheels are those for this Python and platform, whatever runs the command; none is run."""


@dataclass(frozen=True)
class Wheel:
    """One row of wheels.csv."""

    engine: str
    """The name that the command takes."""
    package: str
    version: str
    sha256: str
    capture: str
    """The file in tests/captures that is written from it."""

    @property
    def path(self) -> Path:
        """Where the table stands."""
        return CAPTURES / self.capture


def wheels(table: Path = TABLE) -> dict[str, Wheel]:
    """The rows by engine."""
    with table.open(encoding="utf-8", newline="") as lines:
        return {row["engine"]: Wheel(**row) for row in csv.DictReader(lines)}


def python_files(wheel: Wheel) -> dict[str, str]:
    """The Python sources of a wheel by their path in it, fetched by pip and compared by hash.

    Raises:
        subprocess.CalledProcessError: pip found no such wheel, or one with another hash.
    """
    with TemporaryDirectory(prefix="captures-") as folder:
        pins = Path(folder) / "pins.txt"
        pins.write_text(f"{wheel.package}=={wheel.version} --hash=sha256:{wheel.sha256}\n", "utf-8")
        subprocess.run(
            [
                *(sys.executable, "-m", "pip", "download", "--quiet", "--no-deps"),
                *("--disable-pip-version-check", "--only-binary=:all:", *TARGET),
                *("--require-hashes", "--requirement", str(pins), "--dest", folder),
            ],
            check=True,
        )
        [file] = Path(folder).glob("*.whl")
        with ZipFile(file) as archive:
            return {
                name: archive.read(name).decode("utf-8")
                for name in archive.namelist()
                if name.endswith(".py")
            }
