"""Runs every test and compares the skipped ones with tests/skips.txt.

Quick tests run on all cores, those on the control plane one after the other. The last lines are
the list of skips and one line of totals; the exit status is 0 when nothing failed and the list
is the expected one.
"""

import subprocess
import sys
import tempfile
import time
import xml.etree.ElementTree as ElementTree
from pathlib import Path

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent
GROUPS = {
    "quick": ["-n", "auto", "tests/unit", "tests/golden", "-m", "not cluster"],
    "control plane": ["tests/controlplane"],
    "cluster": ["tests/api", "tests/chart", "tests/cluster"],
}


def main() -> int:
    """Run the groups; returns the exit status."""
    passed = failed = 0
    skips: list[str] = []
    with tempfile.TemporaryDirectory() as folder:
        for number, (name, arguments) in enumerate(GROUPS.items()):
            report = Path(folder) / f"{number}.xml"
            started = time.monotonic()
            status = subprocess.run(
                [sys.executable, "-m", "pytest", "-q", f"--junitxml={report}", *arguments],
                cwd=ROOT,
                check=False,
            ).returncode
            print(f"{name}: {time.monotonic() - started:.0f} s, exit status {status}", flush=True)
            if not report.exists():
                failed += 1
                continue
            for case in ElementTree.parse(report).iter("testcase"):
                identity = f"{case.get('classname', '').replace('.', '/')}.py::{case.get('name')}"
                if case.find("failure") is not None or case.find("error") is not None:
                    failed += 1
                elif case.find("skipped") is not None:
                    skips.append(identity)
                else:
                    passed += 1
            failed += status not in (0, 1)
    expected = [
        line.strip()
        for line in (HERE / "skips.txt").read_text(encoding="utf-8").splitlines()
        if line.strip() and not line.startswith("#")
    ]
    print("\nskipped tests:" if skips else "\nskipped tests: none")
    for identity in sorted(skips):
        print(f"  {identity}")
    if sorted(skips) != sorted(expected):
        print("this differs from tests/skips.txt, which expects:")
        for identity in sorted(expected) or ["none"]:
            print(f"  {identity}")
        failed += 1
    print(f"{passed} passed, {failed} failed, {len(skips)} skipped")
    return 1 if failed or not passed else 0


if __name__ == "__main__":
    sys.exit(main())
