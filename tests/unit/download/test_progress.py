"""Bytes, rate and remaining time, by a clock of the test."""

import pytest

from llama_operator.download.progress import Progress, Report

GIB = 1 << 30
MIB = 1 << 20


def test_rate_and_time_left_are_those_since_the_last_look() -> None:
    now = 100.0
    progress = Progress(4 * GIB, GIB, lambda: now)
    progress.add(GIB)
    now = 110.0
    # 1 GiB in 10 s; 2 GiB are left.
    assert progress.report() == Report(2 * GIB, 4 * GIB, 107_374_182.4, 20)
    progress.add(10 * MIB)
    now = 120.0
    # 1 MiB/s; 2048 - 10 MiB are left.
    assert progress.report() == Report(2 * GIB + 10 * MIB, 4 * GIB, MIB, 2038)
    assert progress.fetched_bytes == GIB + 10 * MIB


def test_nothing_comes_and_bytes_are_thrown_away() -> None:
    now = 0.0
    progress = Progress(2 * GIB, 0, lambda: now)
    assert progress.report() == Report(0, 2 * GIB, 0.0, None)
    progress.add(GIB)
    progress.add(-GIB)
    now = 10.0
    assert progress.report() == Report(0, 2 * GIB, 0.0, None)
    assert progress.fetched_bytes == GIB


@pytest.mark.parametrize(
    ("report", "line"),
    [
        (
            Report(9 * GIB, 15 * GIB, 432 * MIB, 15),
            "9.00 GiB of 15.00 GiB (60 %), 432.0 MiB/s, 15 s left",
        ),
        (Report(0, 2 * GIB, 0.0, None), "0.00 GiB of 2.00 GiB (0 %), 0.0 MiB/s, nothing comes"),
        (Report(0, 0, 0.0, None), "0.00 GiB of 0.00 GiB (100 %), 0.0 MiB/s, nothing comes"),
        (
            Report(GIB, GIB, MIB, 0),
            "1.00 GiB of 1.00 GiB (100 %), 1.0 MiB/s, 0 s left",
        ),
    ],
)
def test_a_line_for_people(report: Report, line: str) -> None:
    assert str(report) == line
