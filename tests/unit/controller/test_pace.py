import pytest

from llama_operator.controller.pace import EditPace

KEY = ("default", "llama")


def acted(pace: EditPace, times: list[float]) -> list[float]:
    """When each new generation that arrives at these times is acted on at once."""
    return [now for number, now in enumerate(times, 1) if not pace.pause_seconds(KEY, number, now)]


@pytest.mark.parametrize(
    ("times", "expected"),
    [
        pytest.param([0.0, 0.1, 0.2, 0.3, 0.4], [0.0, 0.1, 0.2, 0.3, 0.4], id="five at once"),
        pytest.param([0.0] * 6, [0.0] * 5, id="the sixth waits"),
        pytest.param(
            [0.0] * 6 + [2.9, 3.1, 3.2], [0.0] * 5 + [3.1], id="one more in three seconds"
        ),
        pytest.param(
            [10.0 * number for number in range(20)],
            [10.0 * number for number in range(20)],
            id="edits every ten seconds never wait",
        ),
        pytest.param(
            [0.02 * number for number in range(1500)],
            # five, and one whenever three seconds have taken a weight away: at 3, 6, ... 27
            [0.0, 0.02, 0.04, 0.06, 0.08, *(3.0 * number for number in range(1, 10))],
            id="of fifty a second for half a minute fourteen are acted on",
        ),
    ],
)
def test_edits_that_are_acted_on_at_once(times: list[float], expected: list[float]) -> None:
    assert acted(EditPace(), times) == pytest.approx(expected, abs=0.03)


def test_the_pause_is_as_long_as_it_must_be() -> None:
    pace = EditPace()
    acted(pace, [0.0] * 5)
    assert pace.pause_seconds(KEY, 6, 1.0) == pytest.approx(2.0)
    assert pace.pause_seconds(KEY, 6, 3.0) == pytest.approx(0.0)


def test_further_passes_over_the_same_edit_never_wait() -> None:
    pace = EditPace()
    acted(pace, [0.0] * 5)
    assert all(pace.pause_seconds(KEY, 5, 0.1) == 0.0 for _ in range(50))


def test_deployments_do_not_wait_for_each_other_and_a_new_one_starts_afresh() -> None:
    pace = EditPace()
    acted(pace, [0.0] * 6)
    assert pace.pause_seconds(("default", "other"), 7, 0.0) == 0.0
    pace.forget(KEY)
    assert pace.pause_seconds(KEY, 7, 0.0) == 0.0
