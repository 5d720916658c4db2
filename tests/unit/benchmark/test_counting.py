"""Reading the audit log and the lines of a watch."""

from datetime import UTC, datetime, timedelta

import pytest

from benchmark.audited import counted
from benchmark.watcher import Resource
from controlplane import AuditEvent

START = datetime(2026, 1, 1, tzinfo=UTC)


def event(second: int, verb: str, resource: str, name: str, subresource: str = "") -> AuditEvent:
    return AuditEvent(
        time=START + timedelta(seconds=second),
        user="operator",
        user_agent="",
        verb=verb,
        api_group="",
        resource=resource,
        subresource=subresource,
        namespace="operated",
        name=name,
        code=201,
        uri="/",
    )


def test_requests_count_as_early_until_the_status_is_written_again() -> None:
    found = counted(
        [
            event(9, "patch", "llamadeployments", "bench-00001", "status"),
            event(1, "create", "services", "bench-00001"),
            event(2, "create", "services", "bench-00001-pods"),
            event(3, "patch", "llamadeployments", "bench-00001", "status"),
            event(4, "create", "events", "bench-00001.64f"),
            event(5, "patch", "llamadeployments", "bench-00002", "status"),
            event(6, "update", "leases", "llama-operator"),
            event(7, "watch", "services", ""),
            event(8, "list", "nodes", ""),
        ]
    )
    assert found.by_kind == {
        "create events": 1,
        "create services": 2,
        "list nodes": 1,
        "patch llamadeployments/status": 3,
    }
    assert (found.until_children, found.total) == (6, 7)


def service(kind: str, uid: str = "u1", generation: str = "") -> bytes:
    return (
        f'{{"type":"{kind}","object":{{"kind":"StatefulSet","apiVersion":"apps/v1","metadata":'
        f'{{"name":"a","namespace":"b","uid":"{uid}","resourceVersion":"7"{generation}}}}}}}'
    ).encode()


@pytest.mark.parametrize(
    ("lines", "told"),
    [
        pytest.param([service("ADDED")], ["ADDED"], id="a new object is news"),
        pytest.param([service("ADDED"), service("MODIFIED")], ["ADDED"], id="its status is not"),
        pytest.param(
            [service("ADDED"), service("MODIFIED", generation=',"generation":2')],
            ["ADDED", "MODIFIED"],
            id="another generation is",
        ),
        pytest.param(
            [service("ADDED"), service("DELETED"), service("ADDED", "u2")],
            ["ADDED", "DELETED", "ADDED"],
            id="so is one of the same name",
        ),
        pytest.param([b'{"type":"BOOKMARK","object":{}}'], [], id="a bookmark is not"),
    ],
)
def test_the_watcher_tells_news_alone(lines: list[bytes], told: list[str]) -> None:
    resource = Resource("statefulsets")
    marks = [resource.mark(line) for line in lines]
    assert [mark.event for mark in marks if mark is not None] == told


def test_the_watcher_reads_reason_and_generation_of_a_deployment() -> None:
    line = (
        b'{"type":"MODIFIED","object":{"metadata":{"name":"a","namespace":"b","uid":"u"},"status":'
        b'{"observedGeneration":3,"conditions":[{"type":"Ready","reason":"Serving"}]}}}'
    )
    mark = Resource("llamadeployments.llama-operator.io").mark(line)
    assert mark is not None
    assert (mark.name, mark.generation, mark.reason) == ("a", 3, "Serving")


def test_a_watch_that_breaks_is_an_error() -> None:
    with pytest.raises(RuntimeError, match="too old"):
        Resource("services").mark(b'{"type":"ERROR","object":{"message":"too old"}}')
