from typing import Any

import pytest

from llama_operator.reconcile.packing import pack, unpack


@pytest.mark.parametrize(
    "value",
    [
        pytest.param({}, id="nothing"),
        pytest.param({"b": [1, {"a": None}], "a": True}, id="maps and lists"),
        pytest.param({"é": "🦙\u2028\x00\x7f"}, id="any text"),
        pytest.param({"n": 2**63, "f": 0.1, "g": 1e22}, id="numbers"),
    ],
)
def test_what_was_packed_comes_back_as_a_new_copy(value: dict[str, Any]) -> None:
    packed = pack(value)
    assert unpack(packed) == value
    assert list(unpack(packed)) == list(value)
    assert unpack(packed) is not unpack(packed)


def test_what_deployments_have_in_common_takes_no_room() -> None:
    value = {f"field-{number}": "the same text" for number in range(100)}
    assert len(pack(value)) < 500
