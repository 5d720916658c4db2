"""Reading audit logs."""

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from controlplane import AuditEvent, audit


def line(**changes: Any) -> str:
    event: dict[str, Any] = {
        "requestURI": "/api/v1/namespaces/a/configmaps?fieldManager=x",
        "verb": "create",
        "user": {"username": "me"},
        "userAgent": "kubectl",
        "objectRef": {"resource": "configmaps", "namespace": "a", "name": "c", "apiVersion": "v1"},
        "responseStatus": {"code": 201},
        "requestReceivedTimestamp": "2026-01-02T03:04:05.000006Z",
    }
    return json.dumps(event | changes) + "\n"


def test_an_event_has_what_tests_ask_for(tmp_path: Path) -> None:
    log = tmp_path / "audit.log"
    log.write_text(line())
    assert list(audit.read(log)) == [
        AuditEvent(
            time=datetime(2026, 1, 2, 3, 4, 5, 6, tzinfo=UTC),
            user="me",
            user_agent="kubectl",
            verb="create",
            api_group="",
            resource="configmaps",
            subresource="",
            namespace="a",
            name="c",
            code=201,
            uri="/api/v1/namespaces/a/configmaps?fieldManager=x",
        )
    ]


def test_a_url_that_is_no_resource_has_no_target(tmp_path: Path) -> None:
    log = tmp_path / "audit.log"
    log.write_text(line(objectRef={}, verb="get", requestURI="/version"))
    (event,) = audit.read(log)
    assert (event.resource, event.uri) == ("", "/version")


def test_events_are_chosen_by_user_and_position(tmp_path: Path) -> None:
    log = tmp_path / "audit.log"
    log.write_text(line(verb="get"))
    since = audit.position(log)
    with log.open("a") as more:
        more.write(line(verb="list") + line(verb="watch", user={"username": "other"}))
    assert [event.verb for event in audit.read(log, since=since)] == ["list", "watch"]
    assert [event.verb for event in audit.read(log, user="me")] == ["get", "list"]


def test_a_line_that_is_being_written_is_left_for_later(tmp_path: Path) -> None:
    log = tmp_path / "audit.log"
    log.write_text(line() + line()[:40])
    assert len(list(audit.read(log))) == 1


def test_before_the_first_request_there_is_nothing(tmp_path: Path) -> None:
    assert audit.position(tmp_path / "none") == 0
    assert list(audit.read(tmp_path / "none")) == []


@pytest.mark.parametrize(
    ("verb", "uri", "is_write"),
    [
        pytest.param("create", "/a", True, id="create"),
        pytest.param("patch", "/a?fieldManager=b", True, id="patch"),
        pytest.param("deletecollection", "/a", True, id="delete many"),
        pytest.param("patch", "/a?dryRun=All", False, id="a dry run stores nothing"),
        pytest.param("get", "/a", False, id="get"),
        pytest.param("watch", "/a", False, id="watch"),
    ],
)
def test_writes_are_told_from_reads(tmp_path: Path, verb: str, uri: str, is_write: bool) -> None:
    log = tmp_path / "audit.log"
    log.write_text(line(verb=verb, requestURI=uri))
    (event,) = audit.read(log)
    assert event.is_write is is_write
