from typing import Any

import pytest

from llama_operator.reconcile.drift import holds


@pytest.mark.parametrize(
    ("desired", "observed"),
    [
        pytest.param({"a": 1}, {"a": 1, "b": 2}, id="fields of others are no drift"),
        pytest.param(
            {"containers": [{"name": "engine", "image": "i"}]},
            {"containers": [{"name": "sidecar"}, {"name": "engine", "image": "i", "stdin": False}]},
            id="a sidecar that a webhook added is no drift",
        ),
        pytest.param(
            {"resources": {"requests": {"memory": "1024Mi", "cpu": "3000m"}}},
            {"resources": {"requests": {"memory": "1Gi", "cpu": "3"}}},
            id="quantities compare by value",
        ),
        pytest.param({"args": []}, {}, id="an empty list is the same as none"),
        pytest.param(
            {"env": [{"name": "A", "value": ""}]},
            {"env": [{"name": "A"}]},
            id="an empty value is the same as none",
        ),
        pytest.param({"securityContext": {}}, {}, id="an empty map is the same as none"),
        pytest.param(
            {"apiVersion": "apps/v1", "kind": "StatefulSet"},
            {},
            id="lists of the API server leave out the kind",
        ),
    ],
)
def test_what_is_held(desired: dict[str, Any], observed: dict[str, Any]) -> None:
    assert holds(desired, observed)


@pytest.mark.parametrize(
    ("desired", "observed"),
    [
        pytest.param({"replicas": 2}, {"replicas": 3}, id="another number"),
        pytest.param({"replicas": 2}, {}, id="a missing field"),
        pytest.param({"args": ["a", "b"]}, {"args": ["b", "a"]}, id="arguments in another order"),
        pytest.param({"args": ["a"]}, {"args": ["a", "b"]}, id="one more argument"),
        pytest.param(
            {"containers": [{"name": "engine", "image": "i"}]},
            {"containers": [{"name": "engine", "image": "j"}]},
            id="another image",
        ),
        pytest.param(
            {"containers": [{"name": "engine"}]},
            {"containers": [{"name": "other"}]},
            id="a missing container",
        ),
        pytest.param({"suspend": True}, {"suspend": False}, id="another truth"),
        pytest.param(
            {"limits": {"memory": "1Gi"}}, {"limits": {"memory": "1G"}}, id="another quantity"
        ),
        pytest.param({"selector": {"a": "b"}}, {"selector": None}, id="a map became null"),
    ],
)
def test_what_is_drift(desired: dict[str, Any], observed: dict[str, Any]) -> None:
    assert not holds(desired, observed)
