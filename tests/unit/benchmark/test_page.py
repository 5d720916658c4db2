"""The published page is what the newest results say."""

import json
from pathlib import Path

import pytest

from benchmark.figures import summary
from benchmark.names import SCENARIOS
from benchmark.page import number, page, spread
from benchmark.results import PAGE, PUBLISHED, newest_of_each, runs, save

SAMPLE = json.loads(Path(__file__).with_name("sample.json").read_text(encoding="utf-8"))


def test_the_page_is_what_the_newest_results_render_to() -> None:
    shown = newest_of_each(runs(PUBLISHED))
    assert PAGE.read_text(encoding="utf-8") == page(shown), "run make bench-page"


def test_a_published_result_is_named_for_its_day_and_commit() -> None:
    for name, result in runs(PUBLISHED):
        assert set(result["scenarios"]) <= set(SCENARIOS)
        assert result["figures"] == summary(result)
        assert name.startswith(f"{result['started'][:10]}-{result['versions']['operator']}")


@pytest.mark.parametrize(
    ("asked", "name"),
    [
        pytest.param(SCENARIOS, "2026-11-21-abc.json", id="all"),
        pytest.param(["sizing", "cost"], "2026-11-21-abc-cost-sizing.json", id="some"),
    ],
)
def test_a_run_of_some_scenarios_is_named_for_them(
    asked: list[str], name: str, tmp_path: Path
) -> None:
    result = {"started": "2026-11-21T10:00:00+00:00", "versions": {"operator": "abc"}}
    assert save(result, tmp_path, asked) == tmp_path / name
    assert runs(tmp_path) == [(name, result)]


def test_of_each_scenario_the_newest_run_counts() -> None:
    first = ("1.json", {"started": "2026-01-01", "scenarios": {"drift": 1, "cost": 1}})
    second = ("2.json", {"started": "2026-01-02", "scenarios": {"drift": 2}})
    third = ("3.json", {"started": "2026-01-03", "scenarios": {"drift": 3, "sizing": 3}})
    assert newest_of_each([third, second, first]) == [
        ("3.json", {"started": "2026-01-03", "scenarios": {"drift": 3, "sizing": 3}}),
        ("1.json", {"started": "2026-01-01", "scenarios": {"cost": 1}}),
    ]


ALWAYS = ["How it is measured", "Measured before"]


@pytest.mark.parametrize(
    ("kept", "expected"),
    [
        pytest.param(SCENARIOS, ["Targets", ALWAYS[0], *SCENARIOS, ALWAYS[1]], id="all"),
        pytest.param(["drift"], ["Targets", ALWAYS[0], "drift", ALWAYS[1]], id="one"),
    ],
)
def test_a_page_has_the_scenarios_that_were_run(kept: list[str], expected: list[str]) -> None:
    scenarios = {name: found for name, found in SAMPLE["scenarios"].items() if name in kept}
    text = page([("sample.json", {**SAMPLE, "scenarios": scenarios})])
    assert headings(text) == expected


def test_a_page_without_a_run_tells_so() -> None:
    text = page([])
    assert "No run is published yet." in text
    assert headings(text) == ALWAYS


@pytest.mark.parametrize(
    "line",
    [
        "Of 27 targets 15 are met and 12 missed.",
        "| [burst](#burst) | rate divided by the bare client's, controllers stopped (medians) "
        "| ≥ 0.5 | 0.169 | **missed** |",
        "| `patch statefulsets` | 0 | 2 | 1 | 0 |",
        "| SIGKILL | 1 | 19.2 |",
        "| one sizing | one of 2 models | 0.2 / 0.3 | 0.4 / 0.8 | 3 / 2 |",
        "| `size`, does not fit | 0.45 (0.3 to 0.6) | 2 |",
    ],
)
def test_a_page_tells_what_was_measured(line: str) -> None:
    assert line in page([("sample.json", SAMPLE)]).splitlines()


def test_a_page_of_two_runs_tells_both() -> None:
    """A run of one scenario needs no control plane and has nothing to tell of it."""
    machine = {key: one for key, one in SAMPLE["machine"].items() if key != "etcd_file_system"}
    later = {
        **SAMPLE,
        "machine": machine,
        "versions": SAMPLE["versions"] | {"operator": "abc"},
        "scenarios": {"sizing": SAMPLE["scenarios"]["sizing"]},
    }
    earlier = {**SAMPLE, "scenarios": {"drift": SAMPLE["scenarios"]["drift"]}}
    lines = page([("later.json", later), ("earlier.json", earlier)]).splitlines()
    kubernetes, operator = (SAMPLE["versions"][key] for key in ("kubernetes", "operator"))
    assert headings("\n".join(lines)) == ["Targets", ALWAYS[0], "drift", "sizing", ALWAYS[1]]
    assert "| scenarios | sizing | drift |" in lines
    assert f"| Kubernetes | none | {kubernetes} |" in lines
    assert f"| operator | commit abc | commit {operator} |" in lines


def headings(text: str) -> list[str]:
    return [line.removeprefix("## ") for line in text.splitlines() if line.startswith("## ")]


@pytest.mark.parametrize(
    ("value", "text"),
    [
        pytest.param(0.0, "0", id="nothing"),
        pytest.param(6.0, "6", id="a whole number"),
        pytest.param(0.0516, "0.0516", id="three digits of a small one"),
        pytest.param(13.37, "13.4", id="three digits"),
        pytest.param(145.6, "146", id="a hundred has none behind the point"),
        pytest.param(10_000, "10,000", id="thousands apart"),
        pytest.param(99.97, "100", id="rounded up to a hundred"),
    ],
)
def test_a_figure_has_three_digits_that_count(value: float, text: str) -> None:
    assert number(value) == text


@pytest.mark.parametrize(
    ("values", "text"),
    [
        pytest.param([2.0, 2.0], "2", id="all the same"),
        pytest.param([3.0, 1.0, 2.5], "2.5 (1 to 3)", id="median and range"),
    ],
)
def test_runs_are_shown_with_their_range(values: list[float], text: str) -> None:
    assert spread(values) == text
