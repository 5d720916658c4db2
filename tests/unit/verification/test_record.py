"""From reports to a record, and from a record to the page."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from verification import page, record, report
from verification.promises import Promise, Section, Shown
from verification.record import MET, NOT_MET, NOT_SHOWN
from verification.report import Provenance, Report, Result

ROOT = Path(__file__).resolve().parents[3]
WHERE = Provenance("abc", False, "2026-11-21 10:00 UTC", "2 cores", 61.0)
TESTS = """
import pytest

class TestIn:
    def test_class(self): pass

@pytest.mark.parametrize("n", [1, 2])
def test_figures(n, record_property):
    record_property("figure.seconds", n)
    record_property("figure.kind", "x")
    record_property("other", 1)

@pytest.mark.fault(7)
@pytest.mark.fault(8)
def test_fails(): assert 0
@pytest.mark.soak(only=True)
def test_long(): pass

@pytest.mark.parametrize("a", [pytest.param(1, marks=pytest.mark.soak(only=True)), 2])
@pytest.mark.soak
def test_short(a): pass

def test_skipped(): pytest.skip("why")

@pytest.fixture
def broken():
    yield
    raise ValueError

def test_fails_twice(broken): assert 0
def test_ends_badly(broken): pass
"""
HOOK = "from verification.marks import pytest_collection_modifyitems as hook\n"
HOOK += "pytest_collection_modifyitems = hook"


def test_pytest_tells_results_and_figures(tmp_path: Path) -> None:
    (tmp_path / "tests").mkdir()
    (tmp_path / "tests/test_a.py").write_text(TESTS)
    (tmp_path / "tests/conftest.py").write_text(HOOK)
    (tmp_path / "pyproject.toml").write_text((ROOT / "pyproject.toml").read_text())
    command = [sys.executable, "-m", "pytest", "-q", "--junitxml=out.xml", "tests/test_a.py"]
    environment = {**os.environ, "PYTHONPATH": str(ROOT / "tools")}
    subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, check=False)
    found = report.read_junit(tmp_path / "out.xml")
    assert {name.removeprefix("tests/test_a.py::"): one.outcome for name, one in found.items()} == {
        "TestIn::test_class": "passed",
        "test_figures[1]": "passed",
        "test_figures[2]": "passed",
        "test_fails": "failed",
        "test_short[2]": "passed",
        "test_skipped": "skipped",
        "test_fails_twice": "failed",
        "test_ends_badly": "failed",
    }
    assert found["tests/test_a.py::test_fails"].faults == (7, 8)
    assert [name for name, one in found.items() if one.soak] == ["tests/test_a.py::test_short[2]"]
    assert found["tests/test_a.py::test_figures[2]"].figures == {"seconds": 2.0, "kind": "x"}


def test_a_report_is_read_as_it_was_saved(tmp_path: Path) -> None:
    made = Report(WHERE, {"tests/a.py::test_a": Result("passed", 1.5, {"n": 2.0})})
    made.save(tmp_path / "build/report.json")
    assert Report.load(tmp_path / "build/report.json") == made


def test_a_run_tells_commit_and_machine() -> None:
    found = report.provenance(ROOT, 1.26)
    assert found.seconds == 1.3
    assert f"{len(os.sched_getaffinity(0))} cores of " in found.machine
    assert len(found.commit) >= 7


def entry(passed: int = 1, failed: int = 0, skipped: int = 0, **more: Any) -> dict[str, Any]:
    counts = {"passed": passed, "failed": failed, "skipped": skipped}
    return {"test": counts | {"missing": [], "figures": {}} | more}


TESTED = Promise("a", "It holds.", tests=("t::a",))
BOUND = Promise("a", "It holds.", tests=("t::a",), figures=(Shown("s", "{} s", at_most=2),))
HIT = Promise("a", "It holds.", tests=("t::a",), fault=1, injected="it is hit")
MEASURED = Promise("a", "It is fast.", benchmarks=("k",))


@pytest.mark.parametrize(
    ("promise", "seen", "expected"),
    [
        pytest.param(TESTED, entry(), MET, id="all passed"),
        pytest.param(TESTED, entry(failed=1), NOT_MET, id="one failed"),
        pytest.param(TESTED, entry(skipped=1), NOT_SHOWN, id="one was skipped"),
        pytest.param(TESTED, entry(missing=["t::b"]), NOT_SHOWN, id="one did not run"),
        pytest.param(TESTED, {}, NOT_SHOWN, id="nothing ran"),
        pytest.param(
            TESTED, entry() | {"soak": entry(failed=1)["test"]}, NOT_MET, id="the soak failed"
        ),
        pytest.param(Promise("a", "It holds."), {}, NOT_SHOWN, id="no proof"),
        pytest.param(BOUND, entry(figures={"s": [1, 2.0]}), MET, id="figures within their bound"),
        pytest.param(BOUND, entry(figures={"s": [1, 2.1]}), NOT_MET, id="a figure beyond"),
        pytest.param(BOUND, entry(), NOT_SHOWN, id="no such figure of a test"),
        pytest.param(HIT, entry(marked=["t::b"]), MET, id="a fault with a test of its number"),
        pytest.param(HIT, entry(marked=[]), NOT_SHOWN, id="a fault without a test of its number"),
        pytest.param(MEASURED, {"benchmark": {"k": {"met": True}}}, MET, id="target reached"),
        pytest.param(MEASURED, {"benchmark": {"k": {"met": False}}}, NOT_MET, id="target missed"),
        pytest.param(MEASURED, {"benchmark": {"k": {"met": None}}}, NOT_SHOWN, id="no target"),
        pytest.param(MEASURED, {"benchmark": {}}, NOT_SHOWN, id="no such figure"),
        pytest.param(MEASURED, {}, NOT_SHOWN, id="not measured"),
    ],
)
def test_outcome(promise: Promise, seen: dict[str, Any], expected: str) -> None:
    assert record.outcome(promise, seen) == expected


SOAKED = Promise("soaked", "It lasts.", tests=("t.py::test_b",), figures=(Shown("n", "{} items"),))
FAST = Promise("fast", "It is fast.", benchmarks=("ratio",))
SECTIONS = (Section("All", "Some text.", (SOAKED, FAST)),)


def runs(root: Path) -> None:
    results = {
        "t.py::test_b[1]": Result("passed", 1, {"n": 3.0, "other_figure": 0.12345}, (), True),
        "t.py::test_b[2]": Result("passed", 1, {"n": 4.0}),
        "t.py::test_bc": Result("failed"),
    }
    Report(WHERE, results).save(root / record.TEST_REPORT)
    (root / "docs").mkdir()


def benchmark(root: Path, name: str, date: str, ratio: float, key: str = "ratio") -> None:
    folder = root / record.BENCHMARKS
    folder.mkdir(parents=True, exist_ok=True)
    figure = {"value": ratio, "unit": "", "target": "at most 1.5", "met": ratio <= 1.5}
    machine = {"cpu": "a CPU", "cores": 2, "memory_gib": 23.6, "kernel": "6.18.44"}
    content = {
        "started": f"{date}T10:00:00+00:00",
        "machine": machine,
        "versions": {"operator": "def-changed"},
        "figures": {key: figure},
    }
    (folder / name).write_text(json.dumps(content))


def test_the_page_tells_what_ran_and_what_did_not(tmp_path: Path) -> None:
    runs(tmp_path)
    made = record.make(tmp_path, [SOAKED, FAST])
    text = page.render(SECTIONS, made)
    assert "Of 2 promises: 1 met, 1 not shown." in text
    assert "| Soak | `make soak` | not recorded |" in text
    assert "| 2026-11-21 10:00 UTC | `abc` | 2 passed, 1 failed, 0 skipped in 1 min 1 s |" in text
    assert "| 2 cases<br>4 items<br>other figure 0.123<br>soak: not run | met |" in text
    assert "| It is fast. | `make bench` | `ratio` |  | **not shown** |" in text


def test_the_newest_benchmark_counts_and_soak_is_told(tmp_path: Path) -> None:
    runs(tmp_path)
    Report(WHERE, {"t.py::test_b[1]": Result("passed", 600, {"n": 9.0})}).save(
        tmp_path / record.SOAK_REPORT
    )
    benchmark(tmp_path, "b.json", "2026-11-20", 1.2)
    benchmark(tmp_path, "a.json", "2026-11-21", 1.75)
    text = page.render(SECTIONS, record.make(tmp_path, [SOAKED, FAST]))
    assert "soak: 1 case; 9 items" in text
    assert "| ratio: 1.75 (promised: at most 1.5) | **not met** |" in text
    told = "| 2026-11-21 10:00:00 UTC | `def` with changes | `a.json` | 2 cores of a CPU, 24 GiB"
    assert told in text


def test_each_figure_is_of_the_newest_run_that_has_it(tmp_path: Path) -> None:
    runs(tmp_path)
    benchmark(tmp_path, "a.json", "2026-11-19", 1.1)
    benchmark(tmp_path, "b.json", "2026-11-20", 1.2)
    benchmark(tmp_path, "c.json", "2026-11-21", 1.3, "rows")
    many = Promise("many", "It takes many.", benchmarks=("rows", "ratio"))
    made = record.make(tmp_path, [many])
    assert [run["file"] for run in made["runs"]["benchmark"]] == ["c.json", "b.json"]
    shown = made["promises"]["many"]["benchmark"]
    assert {key: figure["value"] for key, figure in shown.items()} == {"rows": 1.3, "ratio": 1.2}
    text = page.render((Section("All", "", (many,)),), made)
    assert "| Benchmark | `make bench` | 2026-11-21 10:00:00 UTC |" in text
    assert "| Benchmark | `make bench` | 2026-11-20 10:00:00 UTC |" in text


def test_what_did_not_run_again_keeps_its_record(tmp_path: Path) -> None:
    runs(tmp_path)
    Report(WHERE, {"t.py::test_b[1]": Result("passed")}).save(tmp_path / record.SOAK_REPORT)
    first = record.make(tmp_path, [SOAKED, FAST])
    record.save(tmp_path, first)
    (tmp_path / record.SOAK_REPORT).unlink()
    assert record.make(tmp_path, [SOAKED, FAST]) == first


def test_tests_that_are_marked_with_a_fault_prove_it(tmp_path: Path) -> None:
    fault = Promise("fault-3", "It holds.", fault=3, injected="it is hit", tests=("t.py::test_a",))
    runs(tmp_path)
    marked = {
        "t.py::test_a": Result("passed", faults=(3,)),
        "t.py::test_m[1]": Result("passed", 1, {"n": 1.0}, (2, 3)),
        "t.py::test_m[2]": Result("passed", faults=(4,)),
        "t.py::test_o": Result("failed", faults=(4,)),
    }
    Report(WHERE, marked).save(tmp_path / record.TEST_REPORT)
    made = record.make(tmp_path, [fault])
    assert made["promises"]["fault-3"]["test"] == {
        "passed": 2, "failed": 0, "skipped": 0,
        "missing": [], "marked": ["t.py::test_a", "t.py::test_m"], "soak": False,
        "figures": {"n": [1.0]},
    }  # fmt: skip
    text = page.render((Section("Faults", "", (fault,)),), made)
    assert "| 3 | it is hit | It holds. | `make test` | `t.py::test_a`<br>`t.py::test_m` |" in text


def test_what_passed_at_the_second_attempt_is_named(tmp_path: Path) -> None:
    tests = {"t.py::test_a": Result("passed"), "t.py::test_b": Result("passed", attempts=2)}
    Report(WHERE, tests).save(tmp_path / record.TEST_REPORT)
    text = page.render(SECTIONS, record.make(tmp_path, [SOAKED, FAST]))
    assert "2 passed, 0 failed, 0 skipped in 1 min 1 s, second attempt: `t.py::test_b` |" in text


def test_without_any_run_nothing_is_shown(tmp_path: Path) -> None:
    text = page.render(SECTIONS, record.make(tmp_path, [SOAKED, FAST]))
    assert "Of 2 promises: 2 not shown." in text
    assert "**not shown**: 1 test did not run" in text


@pytest.mark.parametrize(
    ("value", "text"),
    [(8.0, "8"), (0.012345, "0.0123"), (12345.6, "12,346"), ("Serving", "Serving"), (None, "none")],
)
def test_figures_for_people(value: float | str | None, text: str) -> None:
    assert page.number(value) == text
