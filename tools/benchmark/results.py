"""Results as files: one JSON file a run, every sample in it."""

import json
from collections.abc import Collection, Iterable
from pathlib import Path
from typing import Any, Final

from benchmark.names import SCENARIOS
from workstation.install import ROOT

Json = dict[str, Any]
Run = tuple[str, Json]
"""Name of a file and the result in it."""

PUBLISHED: Final = ROOT / "benchmarks" / "results"
TRIALS: Final = ROOT / "build" / "benchmarks"
"""Results that are not published: quick ones, or of no commit."""
PAGE: Final = ROOT / "docs" / "benchmarks.md"


def save(result: Json, folder: Path, asked: Collection[str]) -> Path:
    """Write a result; its name tells the day, the commit, and scenarios where not all were asked.

    Args:
        result: what was measured so far.
        folder: where to write.
        asked: names of the scenarios of the run.
    """
    some = [] if set(asked) == set(SCENARIOS) else [name for name in SCENARIOS if name in asked]
    name = "-".join((result["started"][:10], result["versions"]["operator"], *some))
    path = folder / f"{name}.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")
    return path


def runs(folder: Path) -> list[Run]:
    """Files and results of all runs, the one that started last first."""
    found = [(path.name, json.loads(path.read_text("utf-8"))) for path in folder.glob("*.json")]
    return sorted(found, key=lambda run: (str(run[1]["started"]), run[0]), reverse=True)


def newest_of_each(found: Iterable[Run]) -> list[Run]:
    """Runs, the last one first, each with those scenarios alone that no later one has."""
    seen: set[str] = set()
    made = []
    for name, result in found:
        own = {key: one for key, one in result["scenarios"].items() if key not in seen}
        if own:
            made.append((name, {**result, "scenarios": own}))
        seen |= set(own)
    return made
