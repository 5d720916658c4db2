"""What the newest runs showed of each promise; kept in the repository as docs/verification.json."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any, Final

from verification.promises import Promise
from verification.report import FAILED, PASSED, SKIPPED, Report

FILE: Final = Path("docs/verification.json")
TEST_REPORT: Final = Path("build/test-report.json")
SOAK_REPORT: Final = Path("build/soak-report.json")
BENCHMARKS: Final = Path("benchmarks/results")
MET: Final = "met"
NOT_MET: Final = "not met"
NOT_SHOWN: Final = "not shown"

Record = dict[str, Any]
"""`runs`: where and when each kind of run took place, or null; of the benchmark a list, the newest
first. `promises`: by id, what the run of all tests, the soak run and the benchmark showed of it."""


def make(root: Path, promises: Sequence[Promise]) -> Record:
    """Make the record from the newest reports; what has none keeps what was recorded before."""
    earlier = load(root)
    sources = {
        "test": _of_tests(root / TEST_REPORT, promises),
        "soak": _of_tests(root / SOAK_REPORT, promises, partial=True),
        "benchmark": _of_benchmark(root / BENCHMARKS, promises),
    }
    runs: dict[str, Any] = {}
    shown: dict[str, dict[str, Any]] = {promise.id: {} for promise in promises}
    for kind, source in sources.items():
        runs[kind] = source[0] if source else earlier["runs"].get(kind)
        for name, entry in shown.items():
            found = source[1] if source else _earlier(earlier, kind)
            if name in found:
                entry[kind] = found[name]
    return {"runs": runs, "promises": shown}


def load(root: Path) -> Record:
    """The record as it stands in the repository; an empty one before the first."""
    path = root / FILE
    if not path.exists():
        return {"runs": {}, "promises": {}}
    found: Record = json.loads(path.read_text("utf-8"))
    return found


def save(root: Path, record: Record) -> None:
    """Write the record."""
    (root / FILE).write_text(json.dumps(record, indent=1, ensure_ascii=False) + "\n", "utf-8")


def outcome(promise: Promise, entry: Mapping[str, Any]) -> str:
    """Whether a promise is met, by what was recorded of it.

    A failure anywhere is `not met`. What has no proof, or a proof that did not run as a whole, is
    `not shown`. A fault needs a test that is marked with its number: other tests show parts of it.
    """
    tests, benchmark = entry.get("test", {}), entry.get("benchmark", {})
    if tests.get(FAILED) or entry.get("soak", {}).get(FAILED):
        return NOT_MET
    if any(figure["met"] is False for figure in benchmark.values()):
        return NOT_MET
    bounds = {shown.name: shown.at_most for shown in promise.figures if shown.at_most is not None}
    values = {name: tests.get("figures", {}).get(name, ()) for name in bounds}
    if any(value > bounds[name] for name, found in values.items() for value in found):
        return NOT_MET
    if not all(values.values()):
        return NOT_SHOWN
    if (promise.tests or not promise.benchmarks) and not _whole(promise, tests):
        return NOT_SHOWN
    if any(not benchmark.get(key, {}).get("met") for key in promise.benchmarks):
        return NOT_SHOWN
    return MET


def _whole(promise: Promise, tests: Mapping[str, Any]) -> bool:
    if not tests.get(PASSED) or tests["missing"] or tests[SKIPPED]:
        return False
    return promise.fault is None or bool(tests["marked"])


def _earlier(record: Record, kind: str) -> dict[str, Any]:
    return {name: entry[kind] for name, entry in record["promises"].items() if kind in entry}


def _of_tests(
    path: Path, promises: Sequence[Promise], *, partial: bool = False
) -> tuple[dict[str, Any], dict[str, Any]] | None:
    if not path.exists():
        return None
    report = Report.load(path)
    outcomes = [result.outcome for result in report.tests.values()]
    run = asdict(report.provenance) | {
        outcome: outcomes.count(outcome) for outcome in (PASSED, FAILED, SKIPPED)
    }
    run["tried_again"] = sorted(name for name, one in report.tests.items() if one.attempts > 1)
    proofs = {promise.id: _proof(promise, report) for promise in promises}
    return run, {
        name: proof
        for name, proof in proofs.items()
        if proof[PASSED] or proof[FAILED] or (not partial and (proof[SKIPPED] or proof["missing"]))
    }


def _proof(promise: Promise, report: Report) -> dict[str, Any]:
    """Counts of a promise's tests by outcome, and their figures with all values in order."""
    counts = {PASSED: 0, FAILED: 0, SKIPPED: 0}
    figures: dict[str, list[float | str]] = {}
    found: set[str] = set()
    soak = False
    marked: set[str] = set()
    for name, result in sorted(report.tests.items()):
        nodes = {node for node in promise.tests if name == node or name.startswith(f"{node}[")}
        found |= nodes
        if promise.fault in result.faults:
            marked |= {name.partition("[")[0]}
        elif not nodes:
            continue
        counts[result.outcome] += 1
        soak = soak or result.soak
        for figure, value in result.figures.items():
            figures.setdefault(figure, []).append(value)
    absent = [node for node in promise.tests if node not in found]
    more = {"missing": absent, "marked": sorted(marked), "soak": soak, "figures": figures}
    return counts | more


def _of_benchmark(
    folder: Path, promises: Sequence[Promise]
) -> tuple[list[dict[str, Any]], dict[str, Any]] | None:
    """Each figure from the newest result file that has it, and the runs of those files.

    The interface to the benchmark is the top level of its result files: `figures`, a map of key to
    `value`, `unit`, `target` (text) and `met`; beside it `started`, `machine` (`cpu`, `cores`,
    `memory_gib`, `kernel`) and `versions`, of which `operator` is the commit. A run of some
    scenarios has the figures of those alone.
    """
    figures: dict[str, Any] = {}
    runs = []
    for path in sorted(folder.glob("*.json"), key=_date, reverse=True):
        content = json.loads(path.read_text("utf-8"))
        own = content.get("figures", {})
        if own.keys() - figures.keys():
            runs.append(_benchmark_run(content) | {"file": path.name})
            figures = own | figures
    if not runs:
        return None
    return runs, {
        promise.id: {
            key: {part: figures[key].get(part) for part in ("value", "unit", "target", "met")}
            for key in promise.benchmarks
            if key in figures
        }
        for promise in promises
        if promise.benchmarks
    }


def _benchmark_run(content: Mapping[str, Any]) -> dict[str, Any]:
    machine = content.get("machine", {})
    kernel = ".".join(str(machine.get("kernel", "unknown")).split(".")[:2])
    commit = content.get("versions", {}).get("operator", "unknown")
    return {
        "commit": commit.removesuffix("-changed"),
        "changed": commit.endswith("-changed"),
        "date": content.get("started", "unknown").replace("T", " ").replace("+00:00", " UTC"),
        "machine": f"{machine.get('cores', '?')} cores of {machine.get('cpu', 'unknown')}, "
        f"{machine.get('memory_gib', 0):.0f} GiB, Linux {kernel}",
    }


def _date(path: Path) -> tuple[str, str]:
    content = json.loads(path.read_text("utf-8"))
    return str(content.get("started", "")) if isinstance(content, dict) else "", path.name
