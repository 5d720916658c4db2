"""Results as files: one JSON file a run, every sample in it."""

import json
from pathlib import Path
from typing import Any, Final

from workstation.install import ROOT

Json = dict[str, Any]

PUBLISHED: Final = ROOT / "benchmarks" / "results"
TRIALS: Final = ROOT / "build" / "benchmarks"
"""Results that are not published: quick ones, of some scenarios only, or of no commit."""
PAGE: Final = ROOT / "docs" / "benchmarks.md"


def save(result: Json, folder: Path) -> Path:
    """Write a result; its name tells the day and the commit of the operator."""
    path = folder / f"{result['started'][:10]}-{result['versions']['operator']}.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")
    return path


def newest(folder: Path = PUBLISHED) -> tuple[str, Json | None]:
    """File and result of the run that started last; no name and None before the first."""
    found = [(path, json.loads(path.read_text(encoding="utf-8"))) for path in folder.glob("*.json")]
    if not found:
        return "", None
    path, result = max(found, key=lambda one: str(one[1]["started"]))
    return path.name, result
