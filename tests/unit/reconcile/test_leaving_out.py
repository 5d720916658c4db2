"""What an intent leaves out of an earlier one; only that must be taken away on purpose."""

from typing import Any

import pytest

from llama_operator.reconcile.drift import leaves_out


@pytest.mark.parametrize(
    ("before", "now", "expected"),
    [
        pytest.param({"a": 1}, {"a": 2}, False, id="a changed value is replaced"),
        pytest.param({"a": 1}, {"a": 1, "b": 2}, False, id="a new field is added"),
        pytest.param({"a": 1, "b": 2}, {"a": 1}, True, id="a field is gone"),
        pytest.param({"a": {"b": 1, "c": 2}}, {"a": {"b": 1}}, True, id="a nested field is gone"),
        pytest.param({"a": {"b": 1}}, {"a": None}, True, id="a map became nothing"),
        pytest.param({"args": ["-a", "-b"]}, {"args": ["-a"]}, False, id="a list of words is one"),
        pytest.param(
            {"env": [{"name": "A", "value": "1"}]},
            {"env": [{"name": "B", "value": "2"}, {"name": "A", "value": "3"}]},
            False,
            id="named items are found by their names",
        ),
        pytest.param(
            {"env": [{"name": "A"}, {"name": "B"}]}, {"env": [{"name": "A"}]}, True,
            id="a named item is gone",
        ),
        pytest.param(
            {"env": [{"name": "A", "value": "1"}]}, {"env": [{"name": "A"}]}, True,
            id="a field of a named item is gone",
        ),
        pytest.param(
            {"tolerations": [{"operator": "Exists"}]},
            {"tolerations": [{"operator": "Equal"}]},
            True,
            id="items without a name may have been anything",
        ),
    ],
)  # fmt: skip
def test_what_an_intent_leaves_out(before: Any, now: Any, expected: bool) -> None:
    assert leaves_out(before, now) is expected
