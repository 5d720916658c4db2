"""Reports of test runs: what each test did, how long it took and which figures it gave."""

import json
import os
import platform
import subprocess
import xml.etree.ElementTree as ElementTree
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final, Self

Figure = float | str

FIGURE_PREFIX: Final = "figure."
"""A test gives a figure by `record_property("figure.takeover_seconds", 8.4)`."""
FAULT_PROPERTY: Final = "fault"
"""The number of a fault that a test is marked to prove."""
SOAK_PROPERTY: Final = "soak"
"""Present where a test runs short in `make test` and whole in `make soak`."""
PASSED: Final = "passed"
FAILED: Final = "failed"
SKIPPED: Final = "skipped"


@dataclass(frozen=True)
class Result:
    """What one test did.

    Attributes:
        outcome: passed, failed or skipped; an error in a fixture is a failure.
        seconds: how long it took with its fixtures.
        figures: what it measured, by name.
        faults: numbers of the faults that it is marked to prove.
        soak: whether it takes longer in `make soak`.
        attempts: 2 where it failed and was tried once more.
    """

    outcome: str
    seconds: float = 0.0
    figures: Mapping[str, Figure] = field(default_factory=dict)
    faults: tuple[int, ...] = ()
    soak: bool = False
    attempts: int = 1


@dataclass(frozen=True)
class Provenance:
    """Where and when something was measured.

    Attributes:
        commit: the commit of the checkout, or `unknown` outside one.
        changed: whether the checkout differed from the commit.
        date: when, in UTC.
        machine: number of cores, processor, memory and kernel.
        seconds: how long the whole took.
    """

    commit: str
    changed: bool
    date: str
    machine: str
    seconds: float = 0.0


@dataclass(frozen=True)
class Report:
    """One run of tests."""

    provenance: Provenance
    tests: Mapping[str, Result]

    def save(self, path: Path) -> None:
        """Write the report as JSON."""
        path.parent.mkdir(parents=True, exist_ok=True)
        content = asdict(self.provenance) | {
            "tests": {name: asdict(result) for name, result in sorted(self.tests.items())}
        }
        path.write_text(json.dumps(content, indent=1, ensure_ascii=False) + "\n", "utf-8")

    @classmethod
    def load(cls, path: Path) -> Self:
        """Read a report that `save` wrote."""
        content: dict[str, Any] = json.loads(path.read_text("utf-8"))
        tests = {
            name: Result(**result | {"faults": tuple(result["faults"])})
            for name, result in content.pop("tests").items()
        }
        return cls(Provenance(**content), tests)


def read_junit(path: Path) -> dict[str, Result]:
    """Results by node id, from the XML that pytest writes."""
    results: dict[str, Result] = {}
    for case in ElementTree.parse(path).iter("testcase"):  # noqa: S314 - our own pytest wrote it
        node = _node(case)
        properties = [(one.get("name", ""), one.get("value", "")) for one in case.iter("property")]
        result = Result(
            _outcome(case),
            float(case.get("time", 0)),
            _figures(properties),
            tuple(int(value) for name, value in properties if name == FAULT_PROPERTY),
            any(name == SOAK_PROPERTY for name, _ in properties),
        )
        earlier = results.get(node)
        # a test that fails and whose fixtures then fail too is listed twice
        if earlier is None or earlier.outcome != FAILED:
            results[node] = result
    return results


def _node(case: ElementTree.Element) -> str:
    """The node id; a test in a class has the class between file and name."""
    file = case.get("file", "")
    module = file.removesuffix(".py").replace("/", ".")
    classes = case.get("classname", "").removeprefix(module).strip(".").split(".")
    return "::".join(part for part in (file, *classes, case.get("name", "")) if part)


def _outcome(case: ElementTree.Element) -> str:
    if case.find("failure") is not None or case.find("error") is not None:
        return FAILED
    return PASSED if case.find("skipped") is None else SKIPPED


def _figures(properties: Iterable[tuple[str, str]]) -> dict[str, Figure]:
    found: dict[str, Figure] = {}
    for name, value in properties:
        if name.startswith(FIGURE_PREFIX):
            try:
                found[name.removeprefix(FIGURE_PREFIX)] = float(value)
            except ValueError:
                found[name.removeprefix(FIGURE_PREFIX)] = value
    return found


def provenance(root: Path, seconds: float = 0.0) -> Provenance:
    """Commit, time and machine of now; the pages that are made from reports do not count."""
    commit = _git(root, "rev-parse", "--short=12", "HEAD") or "unknown"
    changes = _git(root, "status", "--porcelain", "--", ".", ":!docs/verification.*")
    return Provenance(
        commit,
        bool(changes),
        datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC"),
        _machine(),
        round(seconds, 1),
    )


def _git(root: Path, *arguments: str) -> str:
    try:
        done = subprocess.run(
            ["git", *arguments], cwd=root, capture_output=True, text=True, check=False
        )
    except FileNotFoundError:
        return ""
    return done.stdout.strip() if done.returncode == 0 else ""


def _machine() -> str:
    processor = platform.machine()
    for line in Path("/proc/cpuinfo").read_text("utf-8").splitlines():
        if line.startswith("model name"):
            processor = line.partition(":")[2].strip()
            break
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    cores = len(os.sched_getaffinity(0))
    kernel = ".".join(platform.release().split(".")[:2])
    return f"{cores} cores of {processor}, {memory:.0f} GiB, Linux {kernel}"
