"""The published page is what the newest results say."""

import json
from pathlib import Path

import pytest

from benchmark.figures import summary
from benchmark.names import SCENARIOS
from benchmark.page import number, page, spread
from benchmark.results import PAGE, PUBLISHED, newest

SAMPLE = json.loads(Path(__file__).with_name("sample.json").read_text(encoding="utf-8"))


def test_the_page_is_what_the_newest_results_render_to() -> None:
    name, result = newest()
    assert PAGE.read_text(encoding="utf-8") == page(result, name), "run make bench-page"


def test_a_published_result_is_named_for_its_day_and_commit() -> None:
    for path in PUBLISHED.glob("*.json"):
        result = json.loads(path.read_text(encoding="utf-8"))
        assert set(result["scenarios"]) == set(SCENARIOS)
        assert result["figures"] == summary(result)
        assert path.stem == f"{result['started'][:10]}-{result['versions']['operator']}"


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
    text = page({**SAMPLE, "scenarios": scenarios}, "sample.json")
    assert headings(text) == expected


def test_a_page_without_a_run_tells_so() -> None:
    text = page(None)
    assert "No run is published yet." in text
    assert headings(text) == ALWAYS


@pytest.mark.parametrize(
    "line",
    [
        "Of 19 targets 10 are met and 9 missed.",
        "| [burst](#burst) | rate divided by the bare client's, controllers stopped (medians) "
        "| ≥ 0.5 | 0.169 | **missed** |",
        "| `patch statefulsets` | 0 | 2 | 1 | 0 |",
        "| SIGKILL | 1 | 19.2 |",
    ],
)
def test_a_page_tells_what_was_measured(line: str) -> None:
    assert line in page(SAMPLE, "sample.json").splitlines()


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
