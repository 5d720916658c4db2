"""Rights granted against rights used."""

import json
from pathlib import Path
from typing import Any

import pytest

from verification import rights
from verification.rights import Right
from workstation.install import OPERATOR_USER, SERVICE_ACCOUNT

ROOT = Path(__file__).resolve().parents[3]
LEASE = Right("coordination.k8s.io", "leases", "get", "llama-operator")
LIST = Right("", "nodes", "list")
STATUS = Right("llama-operator.io", "llamadeployments/status", "patch")
GRANTED = frozenset({LEASE, LIST, STATUS})


def test_the_rules_of_both_roles_are_read() -> None:
    granted = rights.granted(ROOT / "manifests/rbac.yaml", SERVICE_ACCOUNT)
    assert granted > GRANTED
    assert Right("coordination.k8s.io", "leases", "create") in granted
    assert not any(right.verb == "deletecollection" for right in granted)  # of people's roles


@pytest.mark.parametrize(
    ("requests", "unused", "ungranted"),
    [
        pytest.param(
            {LEASE, LIST, STATUS._replace(name="small"), STATUS._replace(name="other")},
            [],
            [],
            id="each right was used",
        ),
        pytest.param(
            {LEASE, LIST},
            ["patch llamadeployments.llama-operator.io/status"],
            [],
            id="a right was never used",
        ),
        pytest.param(
            {LEASE, LIST, STATUS, Right("", "secrets", "get", "a"), Right("", "secrets", "get")},
            [],
            ["get secrets"],
            id="something else was asked for",
        ),
        pytest.param(
            {LIST, STATUS, LEASE._replace(name="other")},
            ["get leases.coordination.k8s.io llama-operator"],
            ["get leases.coordination.k8s.io other"],
            id="another object than the one that is named",
        ),
    ],
)
def test_comparison(requests: set[Right], unused: list[str], ungranted: list[str]) -> None:
    found = rights.compare(GRANTED, requests)
    assert (list(found.unused), list(found.ungranted)) == (unused, ungranted)
    assert found.equal is not (unused or ungranted)
    assert all(one in found.text() for one in unused + ungranted)


def test_what_admission_asks_for_counts_as_used() -> None:
    [asked] = rights.ASKED_BY_ADMISSION
    assert rights.compare(frozenset({asked}), set()).equal


def event(user: str = OPERATOR_USER, agent: str = "llama-operator/0.1.0", **more: Any) -> str:
    target = {"resource": "pods", "namespace": "a", "name": "p"} | more
    return json.dumps(
        {
            "requestReceivedTimestamp": "2026-11-21T10:00:00.000000Z",
            "user": {"username": user},
            "userAgent": agent,
            "verb": "get",
            "objectRef": target,
            "responseStatus": {"code": 403},
            "requestURI": "/api",
        }
    )


def test_only_the_operators_own_requests_count(tmp_path: Path) -> None:
    lines = [
        event(),
        event(subresource="log"),
        event(user="admin", resource="secrets"),
        event(agent="kubectl/v1", resource="configmaps"),
        event(resource=""),
    ]
    (tmp_path / "1.log").write_text("\n".join(lines) + "\n")
    assert rights.asked_in(tmp_path, OPERATOR_USER) == {
        Right("", "pods", "get", "p"),
        Right("", "pods/log", "get", "p"),
    }
