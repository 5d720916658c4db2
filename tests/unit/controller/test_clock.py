from datetime import UTC, datetime, timedelta

import pytest

from llama_operator.controller.clock import Clock, ClockOffset
from llama_operator.errors import InputError

NOON = datetime(2026, 1, 2, 12, tzinfo=UTC)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        pytest.param("0", ClockOffset(0, 0), id="no error"),
        pytest.param("-30", ClockOffset(-30, 0), id="half a minute behind"),
        pytest.param("+30", ClockOffset(30, 0), id="half a minute ahead"),
        pytest.param("3600@5", ClockOffset(3600, 5), id="an hour ahead after five seconds"),
        pytest.param("-3600@60", ClockOffset(-3600, 60), id="an hour behind after a minute"),
    ],
)
def test_an_offset_is_read(text: str, expected: ClockOffset) -> None:
    assert ClockOffset.parse(text) == expected


@pytest.mark.parametrize("text", ["", "1h", "5@", "@5", "1.5", "5@-1", "9" * 9, "٣"])
def test_what_is_no_offset_is_refused_with_an_example(text: str) -> None:
    with pytest.raises(InputError, match="3600@10"):
        ClockOffset.parse(text)


def test_the_clock_jumps_when_the_time_has_come_and_goes_on_from_there() -> None:
    passed = [0.0]
    clock = Clock(
        ClockOffset(-3600, 5),
        lambda: 100.0 + passed[0],
        lambda: NOON + timedelta(seconds=passed[0]),
    )
    for moment, shown in ((0.0, 0.0), (4.9, 4.9), (5.0, 5.0 - 3600), (65.0, 65.0 - 3600)):
        passed[0] = moment
        assert (clock() - NOON).total_seconds() == shown
