"""KWOK's fast stages, read from its sources.

A stage says what a simulated node or pod turns into: nodes and pods become ready at once, pods of
Jobs complete, and deleted pods vanish without waiting for their grace period.
"""

from pathlib import Path

import yaml

_FAST = "kustomize/stage/fast"


def read(kwok_sources: Path) -> str:
    """Give the fast stages as one YAML text of several documents."""
    files = _resources(kwok_sources / _FAST)
    return "---\n".join(file.read_text().rstrip("\n") + "\n" for file in files)


def _resources(folder: Path) -> list[Path]:
    files: list[Path] = []
    for entry in yaml.safe_load((folder / "kustomization.yaml").read_text())["resources"]:
        path = (folder / entry).resolve()
        files.extend(_resources(path) if path.is_dir() else [path])
    return files
