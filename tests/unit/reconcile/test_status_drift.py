from typing import Any

import pytest

from llama_operator.reconcile.status_drift import says, surplus

READY = {"type": "Ready", "status": "True", "reason": "Serving"}
STALLED = {"type": "Stalled", "status": "True", "reason": "Garbled"}
FOREIGN = {"type": "example.com/Audited", "status": "True", "reason": "Fine"}
OURS = {"observedGeneration": 1, "conditions": [READY], "url": "http://llama"}


@pytest.mark.parametrize(
    ("live", "same", "patch"),
    [
        pytest.param(OURS, True, [], id="what we say"),
        pytest.param(
            {**OURS, "conditions": [FOREIGN, READY]}, True, [], id="a condition of somebody else"
        ),
        pytest.param({}, False, [], id="nothing"),
        pytest.param({**OURS, "url": "http://other"}, False, [], id="another value"),
        pytest.param({**OURS, "conditions": []}, False, [], id="a condition less"),
        pytest.param(
            {**OURS, "conditions": [{**READY, "status": "False"}]}, False, [], id="another status"
        ),
        pytest.param(
            {**OURS, "plan": {"gpus": "9x"}},
            False,
            [
                {"op": "test", "path": "/status/plan", "value": {"gpus": "9x"}},
                {"op": "remove", "path": "/status/plan"},
            ],
            id="a field that we do not set",
        ),
        pytest.param(
            {**OURS, "conditions": [STALLED, FOREIGN, READY, {**STALLED, "type": "Reconciling"}]},
            False,
            [
                {"op": "test", "path": "/status/conditions/3/type", "value": "Reconciling"},
                {"op": "remove", "path": "/status/conditions/3"},
                {"op": "test", "path": "/status/conditions/0/type", "value": "Stalled"},
                {"op": "remove", "path": "/status/conditions/0"},
            ],
            id="conditions that are not true, the last one first",
        ),
    ],
)
def test_what_is_said_and_what_is_too_much(
    live: dict[str, Any], same: bool, patch: list[dict[str, Any]]
) -> None:
    assert says(OURS, live) is same
    assert surplus(OURS, live) == patch
