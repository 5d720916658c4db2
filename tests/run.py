"""Runs every test, or with --soak the long ones for their whole duration.

Quick tests run on all cores, those on a control plane one after the other, those of faults on
three control planes side by side. The last lines are the slowest tests, the operator's rights
against what it asked for, the list of skips and one line of totals. The exit status is 0 when
nothing failed, the skips are those of tests/skips.txt, and the rights used are the rights granted.
What each test did is left in build/test-report.json, or build/soak-report.json.

Up to three failures of a group with live processes are tried once more, alone, as those race with
each other on a busy machine. They are listed by name at the end, in the report and in
docs/verification.md. Quick tests and those of --soak are tried once.
"""

import argparse
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent
sys.path.insert(0, str(ROOT / "tools"))

from controlplane.audit import KEEP_VARIABLE  # noqa: E402 - tools is no installed package
from controlplane.processes import die_with_parent  # noqa: E402
from verification import report, rights  # noqa: E402
from verification.record import SOAK_REPORT, TEST_REPORT  # noqa: E402
from verification.report import FAILED, PASSED, SKIPPED, Report, Result  # noqa: E402
from verification.rights import Right  # noqa: E402
from workstation.install import BASE, OPERATOR_USER, SERVICE_ACCOUNT  # noqa: E402

GROUPS = {
    "quick": ["-n", "auto", "tests/unit", "tests/golden", "tests/hub", "-m", "not cluster"],
    "engines": ["tests/engines"],
    "control plane": ["tests/controlplane"],
    "cluster": ["tests/api", "tests/chart", "tests/cluster"],
    # Most of their time is waiting, so three control planes share the cores.
    "faults": ["-n", "3", "--dist", "loadfile", "tests/faults"],
}
SOAK_GROUPS = {
    "cluster": ["-m", "soak", "--soak", "tests/cluster"],
    "faults": ["-n", "3", "--dist", "loadfile", "-m", "soak", "--soak", "tests/faults"],
}
TRIED_AGAIN = ("engines", "control plane", "cluster", "faults")
MOST_TRIED_AGAIN = 3
"""More failures than these have one cause, and it is not chance."""
RUNNING = ROOT / "build/running"
RIGHTS = "tests/run.py::rights_used_are_rights_granted"
SLOWEST = 10
PYTEST_ENDS = (0, 1)
"""Exit statuses that say no more than the report: all passed, some failed."""
NOTHING_CHOSEN = 5


def main() -> int:
    """Run the groups; returns the exit status."""
    arguments = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    arguments.add_argument("--soak", action="store_true", help="the long tests, whole")
    arguments.add_argument("--only", metavar="EXPRESSION", help="with --soak: as pytest's -k")
    chosen = arguments.parse_args()
    soak: bool = chosen.soak
    if chosen.only and not soak:
        arguments.error("--only goes with --soak; one test alone is run by .venv/bin/pytest")
    groups = SOAK_GROUPS if soak else GROUPS
    if chosen.only:
        groups = {name: [*words, "-k", chosen.only] for name, words in groups.items()}
    started = time.monotonic()
    tests, requests, broken = run_groups(groups, soak=soak)
    if not soak:
        tests[RIGHTS] = rights_used_are_rights_granted(requests)
    made = Report(report.provenance(ROOT, time.monotonic() - started), tests)
    path = ROOT / (SOAK_REPORT if soak else TEST_REPORT)
    made.save(path)
    print_slowest(tests)
    print_tried_again(tests)
    skips = sorted(name for name, result in tests.items() if result.outcome == SKIPPED)
    wrong_skips = not soak and not skips_are_expected(skips)
    counts = [[result.outcome for result in tests.values()].count(one) for one in (PASSED, FAILED)]
    passed, failed = counts[0], counts[1] + broken + wrong_skips
    print(f"\nreport: {path.relative_to(ROOT)}, {made.provenance.seconds / 60:.1f} minutes in all")
    print(f"{passed} passed, {failed} failed, {len(skips)} skipped")
    return 1 if failed or not passed else 0


def run_groups(
    groups: dict[str, list[str]], *, soak: bool
) -> tuple[dict[str, Result], set[Right], int]:
    """Results of the tests, what the operator asked for, and how many groups broke."""
    tests: dict[str, Result] = {}
    requests: set[Right] = set()
    broken = 0
    for name, arguments in groups.items():
        # A folder for each group: audit logs are large, and only what they tell is kept.
        with running_folder() as folder:
            status, found = run_group(name, arguments, folder)
            if status == NOTHING_CHOSEN and soak:
                continue
            failed = [test for test, result in found.items() if result.outcome == FAILED]
            if (
                status == 1
                and name in TRIED_AGAIN
                and not soak
                and 0 < len(failed) <= MOST_TRIED_AGAIN
            ):
                alone = [*arguments, "-n", "0", "--last-failed"]
                status, second = run_group(f"{name}, once more", alone, folder)
                found |= {test: replace(result, attempts=2) for test, result in second.items()}
            tests |= found
            broken += status not in PYTEST_ENDS or not found
            requests |= rights.asked_in(folder, OPERATOR_USER)
    return tests, requests, broken


def run_group(name: str, arguments: list[str], folder: Path) -> tuple[int, dict[str, Result]]:
    """Exit status of pytest and the results; none when it left no report."""
    junit = folder / "junit.xml"
    junit.unlink(missing_ok=True)
    started = time.monotonic()
    options = ["-q", f"--junitxml={junit}", "-o", f"cache_dir={folder / 'cache'}"]
    status = subprocess.run(
        [sys.executable, "-m", "pytest", *options, *arguments],
        cwd=ROOT,
        check=False,
        env={**os.environ, KEEP_VARIABLE: str(folder)},
        preexec_fn=partial(die_with_parent, os.getpid()),
    ).returncode
    print(f"{name}: {time.monotonic() - started:.0f} s, exit status {status}", flush=True)
    return status, report.read_junit(junit) if junit.exists() else {}


@contextmanager
def running_folder() -> Iterator[Path]:
    """An empty folder; one that a killed run has left is emptied by the next."""
    shutil.rmtree(RUNNING, ignore_errors=True)
    RUNNING.mkdir(parents=True)
    try:
        yield RUNNING
    finally:
        shutil.rmtree(RUNNING)


def rights_used_are_rights_granted(requests: set[Right]) -> Result:
    """Compare what the operator asked for in all groups with what its roles grant."""
    compared = rights.compare(rights.granted(BASE / "rbac.yaml", SERVICE_ACCOUNT), requests)
    print(f"\n{compared.text()}")
    figures: dict[str, report.Figure] = {
        "rights_used": float(compared.used),
        "rights_never_used": float(len(compared.unused)),
        "asked_without_right": float(len(compared.ungranted)),
    }
    return Result(PASSED if compared.equal else FAILED, 0.0, figures)


def print_slowest(tests: dict[str, Result]) -> None:
    """The tests that take longest, with their fixtures."""
    print(f"\nthe {SLOWEST} slowest tests:")
    for name in sorted(tests, key=lambda one: -tests[one].seconds)[:SLOWEST]:
        print(f"  {tests[name].seconds:6.1f} s  {name}")


def print_tried_again(tests: dict[str, Result]) -> None:
    """Those that failed and were tried once more."""
    again = sorted(name for name, result in tests.items() if result.attempts > 1)
    print("\ntried a second time:" if again else "\ntried a second time: none")
    for name in again:
        print(f"  {tests[name].outcome}  {name}")


def skips_are_expected(skips: list[str]) -> bool:
    """Print the skips; whether they are those of tests/skips.txt."""
    expected = sorted(
        line.strip()
        for line in (HERE / "skips.txt").read_text(encoding="utf-8").splitlines()
        if line.strip() and not line.startswith("#")
    )
    print("\nskipped tests:" if skips else "\nskipped tests: none")
    for identity in skips:
        print(f"  {identity}")
    if skips == expected:
        return True
    print("this differs from tests/skips.txt, which expects:")
    for identity in expected or ["none"]:
        print(f"  {identity}")
    return False


if __name__ == "__main__":
    sys.exit(main())
