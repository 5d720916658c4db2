"""Calling Go: is there one that is new enough, build a program, find a module's folder."""

import json
import os
import re
import shutil
import subprocess
from functools import cache
from pathlib import Path

from controlplane import external
from controlplane.errors import ToolMissingError
from controlplane.programs import go_version_of

_ENVIRONMENT = {
    "CGO_ENABLED": "0",  # no C compiler needed, and the result runs on any libc
    "GOFLAGS": "-mod=readonly",  # what the go.sum files say, whatever the user's settings are
    "GOWORK": "off",
}


def build(module_folder: Path, package: str, link_flags: str, output: Path) -> None:
    """Build one main package of the module in `module_folder` into the file `output`.

    Raises:
        ToolMissingError: there is no Go that is new enough.
        BuildError: the compiler or the download of the sources failed.
    """
    _run(
        module_folder,
        "build",
        "-buildvcs=false",
        "-trimpath",
        f"-ldflags={link_flags}",
        "-o",
        str(output),
        package,
    )


def module_source(module_folder: Path, module: str, version: str) -> Path:
    """Folder that holds the sources of a module, downloaded where they are missing."""
    answer = _run(module_folder, "mod", "download", "-json", f"{module}@{version}")
    return Path(json.loads(answer)["Dir"])


def _run(module_folder: Path, *arguments: str) -> str:
    go = find_go(module_folder)
    return external.run([go, *arguments], cwd=module_folder, environment=os.environ | _ENVIRONMENT)


@cache
def find_go(module_folder: Path) -> str:
    """Path of a Go that can build the module.

    Raises:
        ToolMissingError: there is none; the text says what is needed.
    """
    major, minor = go_version_of(module_folder / "go.mod")
    needed = (
        f"Go {major}.{minor} or newer is needed to build the control plane (or Go 1.21 or newer "
        f"with GOTOOLCHAIN=auto, which downloads it)"
    )
    go = shutil.which("go")
    if go is None:
        raise ToolMissingError(f"{needed}, and no `go` is on the PATH.")
    # Inside the module a Go with toolchain downloads names the version that it switches to, and
    # one without them fails here with its own reason.
    answer = subprocess.run(
        [go, "env", "GOVERSION"],
        cwd=module_folder,
        env=os.environ | _ENVIRONMENT,
        capture_output=True,
        text=True,
        check=False,
    )
    found = re.match(r"go(\d+)\.(\d+)", answer.stdout.strip())
    if found is not None and (int(found[1]), int(found[2])) >= (major, minor):
        return go
    said = answer.stdout.strip() or answer.stderr.strip()
    raise ToolMissingError(f"{needed}; {go} says: {said}")
