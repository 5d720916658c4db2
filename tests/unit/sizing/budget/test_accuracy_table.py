"""The acceptance table of the memory model, line by line, over all measured rows."""

from collections.abc import Callable

import pytest

from accuracy.lines import LINES, coverage, median, percentile_95, wrong_verdicts
from accuracy.page import accuracy_page
from accuracy.rows import ROOT, measured_rows

ROWS = measured_rows()
LINE = {line.name: line for line in LINES}


@pytest.mark.parametrize(
    ("name", "most_median", "most_high", "tool_median", "tool_high", "rows"),
    [
        # KAITO 1.8 / 4.8 %, file size over GPUs 0.22 / 6.6 %: better than either of both
        pytest.param("A weights per GPU", 0.05, 1.5, 0.22, 4.8, 50, id="A"),
        pytest.param("B activation peak", 0.05, 0.30, None, None, 30, id="B"),
        pytest.param("C KV tokens from given KV bytes", 0.02, 0.2, None, None, 30, id="C"),
        # KAITO 2.2 / 75 %, AIConfigurator 2.2 / 74 %
        pytest.param("D KV tokens end to end", 0.25, 5.0, 2.2, 74, 28, id="D"),
        pytest.param("D KV bytes per GPU end to end", 0.10, 0.40, None, None, 28, id="D bytes"),
        # KAITO 1.56 / 2.85 GiB
        pytest.param("E non-KV footprint", 0.10, 0.60, 1.56, 2.85, 30, id="E"),
        # bits by name: 13 / 17 %
        pytest.param("F GGUF bytes", 0.05, 0.10, 13, 17, 10, id="F"),
        pytest.param("H CUDA graphs (0.19)", 0.15, 0.50, None, None, 28, id="H"),
    ],
)
def test_errors_stay_within_the_acceptance_table(
    name: str,
    most_median: float,
    most_high: float,
    tool_median: float | None,
    tool_high: float | None,
    rows: int,
    record_property: Callable[[str, object], None],
) -> None:
    line = LINE[name]
    errors = [error for error, _ in line.errors(ROWS)]
    middle, high = median(errors), percentile_95(errors)
    record_property(f"figure.median {name} [{line.unit}]", middle)
    record_property(f"figure.p95 {name} [{line.unit}]", high)
    record_property(f"figure.rows {name}", len(errors))
    assert len(errors) >= rows
    assert middle <= most_median
    assert high <= most_high
    assert tool_median is None or middle < tool_median
    assert tool_high is None or high < tool_high


def test_g_every_refusal_is_found_and_none_is_false(
    record_property: Callable[[str, object], None],
) -> None:
    missed, false, refused, started = wrong_verdicts(ROWS)
    record_property("figure.refused starts", refused)
    record_property("figure.starts", started)
    assert (missed, false) == ([], [])
    assert refused >= 4
    assert started >= 40


def test_every_row_with_a_configuration_has_a_prediction(
    record_property: Callable[[str, object], None],
) -> None:
    lacking, rows = coverage(ROWS)
    record_property("figure.rows with a prediction", rows - len(lacking))
    record_property("figure.rows with a configuration", rows)
    assert rows >= 60
    assert len(lacking) <= 0.05 * rows


def test_the_page_is_up_to_date() -> None:
    page = (ROOT / "docs/accuracy.md").read_text(encoding="utf-8")
    assert page == accuracy_page(ROWS), "run `make accuracy`"
