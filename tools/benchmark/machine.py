"""On what and with which versions a run was made."""

import importlib.metadata
import os
import platform
import subprocess
from pathlib import Path
from typing import Any

from workstation.install import ROOT

CHANGED = "-changed"
"""What the commit ends in where the tree differs from it."""
_PACKAGES = ("kopf", "aiohttp", "pydantic", "kubernetes")


def machine() -> dict[str, Any]:
    """CPU, memory, kernel, and how busy the machine was with other things."""
    cpu = [
        line.partition(":")[2].strip()
        for line in Path("/proc/cpuinfo").read_text().splitlines()
        if line.startswith("model name")
    ]
    memory = Path("/proc/meminfo").read_text().split()[1]
    return {
        "cpu": cpu[0] if cpu else platform.processor() or platform.machine(),
        "cores": len(os.sched_getaffinity(0)),
        "memory_gib": round(int(memory) / 2**20, 1),
        "kernel": platform.release(),
        "load_before": round(os.getloadavg()[0], 2),
    }


def versions() -> dict[str, str]:
    """Versions of what runs, and the commit of the operator."""
    found = {"python": platform.python_version()}
    found |= {name: importlib.metadata.version(name) for name in _PACKAGES}
    return found | {"operator": commit()}


def commit() -> str:
    """The commit that is checked out, with a mark where the tree differs from it."""
    short = _git("rev-parse", "--short=10", "HEAD")
    # What earlier runs wrote changes nothing that is measured.
    changed = _git("status", "--porcelain", "--", "operator", "tools", "manifests", "crds")
    return f"{short}{CHANGED}" if changed else short


def file_system(folder: Path) -> str:
    """Type of the file system that a folder is on, such as ext4 or tmpfs."""
    best, kind = "", "unknown"
    for line in Path("/proc/mounts").read_text().splitlines():
        _, place, found, *_ = line.split()
        if folder.is_relative_to(place) and len(place) >= len(best):
            best, kind = place, found
    return kind


def _git(*arguments: str) -> str:
    done = subprocess.run(
        ["git", *arguments], cwd=ROOT, capture_output=True, text=True, check=False
    )
    return done.stdout.strip() or ("unknown" if arguments[0] == "rev-parse" else "")
