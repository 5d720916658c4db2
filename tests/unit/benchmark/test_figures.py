from pathlib import Path

import pytest
import yaml

from benchmark.figures import Json, Target, event_ms, percentile, summary, targets
from benchmark.names import SCENARIOS

PROMISES = Path(__file__).resolve().parents[2] / "promises.yaml"


@pytest.mark.parametrize(
    ("values", "percent", "expected"),
    [
        pytest.param([3, 1, 2], 50, 2, id="the middle of three"),
        pytest.param([4, 1, 2, 3], 50, 2, id="of four the second"),
        pytest.param(list(range(1, 101)), 99, 99, id="one of a hundred is above"),
        pytest.param([7], 99, 7, id="one value is every percentile"),
        pytest.param([1, 9], 100, 9, id="the longest"),
    ],
)
def test_a_percentile_is_a_value_that_was_measured(
    values: list[float], percent: float, expected: float
) -> None:
    assert percentile(values, percent) == expected


@pytest.mark.parametrize(
    ("bound", "figure", "at_least", "met"),
    [
        pytest.param(1.5, 1.5, False, True, id="at the bound"),
        pytest.param(1.5, 1.51, False, False, id="above the most"),
        pytest.param(0.75, 0.8, True, True, id="above the least"),
        pytest.param(0.75, 0.74, True, False, id="below the least"),
    ],
)
def test_a_target_is_met_at_its_bound(
    bound: float, figure: float, at_least: bool, met: bool
) -> None:
    assert Target("a-figure", "single", "a figure", bound, figure, at_least=at_least).met is met


def test_an_event_is_not_charged_for_what_is_used_at_rest() -> None:
    entry = {"events": 1000, "seconds": 20.0, "cpu": 0.5, "rest_cpu_per_second": 0.01}
    assert event_ms(entry) == pytest.approx(0.3)


def burst(side: str, mode: str, rate: float) -> Json:
    return {"side": side, "mode": mode, "rate": rate}


def requests(objects: int, until_children: int, total: int) -> Json:
    return {
        "objects": objects,
        "requests": {"by_kind": {}, "until_children": until_children, "total": total},
    }


RESULT: Json = {
    "scenarios": {
        "single": {
            "operated": {"samples": [{"children_ms": 30}, {"children_ms": 20}]},
            "bare": {"samples": [{"applied_ms": 10}, {"applied_ms": 10}]},
        },
        "burst": [
            burst("operated", "controllers", 10),
            burst("operated", "controllers", 30),
            burst("operated", "controllers", 18),
            burst("bare", "controllers", 20),
            burst("operated", "quiet", 60),
            burst("bare", "quiet", 100),
        ],
        "cost": [
            {
                **requests(100, 600, 700),
                "cpu_until_ready": 1.4,
                "edits": [requests(10, 40, 60), requests(10, 30, 50)],
                "deletions": requests(10, 1, 1),
                "rest": {"requests": {"total": 0}},
            }
        ],
        "memory": {
            "crowds": [
                {"objects": 1000, "nodes": 1000, "settled": {"rss": 120.0, "high": 150.0}},
                {"objects": 1000, "nodes": 1000, "settled": {"rss": 130.0, "high": 140.0}},
            ],
            "many_nodes": {
                "nodes": 10_000,
                "node_bytes": 10_000,
                "base": {"rss": 80.0},
                "settled": {"rss": 110.0},
                "first_list": {"seconds": 4.0},
                "events": [
                    {"events": 100, "seconds": 1, "cpu": 0.01, "rest_cpu_per_second": 0},
                    {"events": 100, "seconds": 1, "cpu": 0.03, "rest_cpu_per_second": 0},
                ],
            },
        },
        "restart": [
            {"identity": "same", "reacted": 4.0},
            {"identity": "same", "reacted": 5.0},
            {"identity": "new", "reacted": 19.0},
        ],
        "drift": {"Service": [20.0, 40.0], "StatefulSet": [30.0, 2500.0]},
        "takeover": {"SIGKILL": [15.0, 19.0], "SIGTERM": [2.0, 3.5]},
        "sizing": {
            "one": {"what": "one of 2 models", "known_ms": [0.1, 0.3, 0.2], "new_ms": [0.4, 0.8]},
            "first_fit": [
                {"what": "8b", "known_ms": [1.0, 3.0], "new_ms": [4.0, 4.0]},
                {"what": "70b", "known_ms": [2.0, 4.0], "new_ms": [5.0, 7.0]},
            ],
            "alternatives": [
                {"what": "sizing", "known_ms": [10.0, 20.0, 60.0], "new_ms": [50.0]},
                {"what": "planning 8b", "known_ms": [30.0], "new_ms": [40.0]},
            ],
            "jsonl": [
                {"rows": 1000, "seconds": 0.5, "seconds_after_first": 0.25},
                {"rows": 1000, "seconds": 0.4, "seconds_after_first": 0.2},
                {"rows": 1000, "seconds": 1.0, "seconds_after_first": 0.8},
            ],
            "start": {"fits": [0.2, 0.4], "does not fit": [0.3, 0.6]},
        },
    }
}


def test_the_targets_of_a_result_are_as_worked_out_by_hand() -> None:
    found = [(one.scenario, round(one.figure, 6), one.met) for one in targets(RESULT)]
    assert found == [
        ("single", 2.5, False),
        ("burst", 0.9, True),
        ("burst", 0.6, True),
        ("cost", 14.0, False),
        ("cost", 6.0, True),
        ("cost", 7.0, True),
        ("cost", 4.0, True),
        ("cost", 6.0, False),
        ("cost", 0.1, False),
        ("cost", 0.0, True),
        ("memory", 130.0, True),
        ("memory", 150.0, False),
        ("memory", 4.0, True),
        ("memory", 0.3, False),
        ("memory", 30.0, True),
        ("restart", 5.0, True),
        ("drift", 2.5, False),
        ("takeover", 19.0, True),
        ("takeover", 3.5, False),
        ("sizing", 0.2, True),
        ("sizing", 0.6, False),
        ("sizing", 3.0, True),
        ("sizing", 6.0, False),
        ("sizing", 30.0, True),
        ("sizing", 50.0, True),
        ("sizing", 2000.0, True),
        ("sizing", 0.45, False),
    ]


def test_a_summary_tells_each_figure_in_the_words_of_its_target() -> None:
    found = summary(RESULT)
    assert len(found) == len(targets(RESULT))
    assert found["burst-quiet-ratio"] == {
        "value": 0.6,
        "unit": "",
        "target": "at least 0.5",
        "met": True,
    }
    assert found["size-jsonl"] == {
        "value": 2000.0,
        "unit": "",
        "target": "at least 2000",
        "met": True,
    }
    assert found["takeover-sigterm"] == {
        "value": 3.5,
        "unit": "s",
        "target": "at most 3 s",
        "met": False,
    }


def test_every_figure_that_proves_a_promise_is_measured() -> None:
    promised = {
        key
        for section in yaml.safe_load(PROMISES.read_text(encoding="utf-8"))["sections"]
        for promise in section["promises"]
        for key in promise.get("benchmarks", ())
    }
    assert promised
    assert promised <= set(summary(RESULT))


@pytest.mark.parametrize("left_out", SCENARIOS)
def test_a_scenario_that_was_not_run_has_no_targets(left_out: str) -> None:
    scenarios = {name: one for name, one in RESULT["scenarios"].items() if name != left_out}
    kept = {target.scenario for target in targets({"scenarios": scenarios})}
    assert kept == set(SCENARIOS) - {left_out}
