"""Watches that end, break, freeze, lie or leave something out: seen late, but seen, and told."""

import json
import re
import time
from collections import Counter
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from cluster.world import GROUP_PATH, gpu_node
from controlplane import wait_until
from faultproxy import Answer, CloseAfter, Rule
from faults.conftest import Stage

pytestmark = pytest.mark.cluster

A100 = "NVIDIA-A100-SXM4-80GB"
SMALL = {"size": "8b", "format": "awq", "replicas": 2}
WATCHED = {
    "configmaps",
    "controllerrevisions",
    "customresourcedefinitions",
    "deviceclasses",
    "jobs",
    "llamadeployments",
    "nodes",
    "persistentvolumeclaims",
    "poddisruptionbudgets",
    "pods",
    "resourceslices",
    "services",
    "statefulsets",
}
GONE = (
    b'{"type":"ERROR","object":{"kind":"Status","status":"Failure","reason":"Gone","code":410}}\n'
)
FREEZE_LIMIT_SECONDS = 75.0


@pytest.fixture(scope="module", autouse=True)
def nodes(stage: Stage) -> None:
    stage.world.add_nodes(gpu_node("watch-0", A100, 8), gpu_node("watch-1", A100, 8))


@pytest.fixture
def served(calm: Stage) -> Iterator[Stage]:
    """With a deployment `small` of two replicas that serves, and all watches open."""
    calm.proxy.clear()
    calm.world.apply("small", SMALL)
    calm.oracle.check(calm.operator, quiet_seconds=1.0)
    wait_until("all watches are open", lambda: open_watches(calm) == WATCHED)
    yield calm
    calm.proxy.clear()
    # Streams that were told to hide something end.
    calm.proxy.streams(lambda stream: stream.reset())


def open_watches(stage: Stage) -> set[str]:
    return {call.resource for call in stage.proxy.watches()}


def patch(stage: Stage, name: str = "small", **body: Any) -> None:
    path = f"{GROUP_PATH}/namespaces/{stage.world.namespace}/llamadeployments/{name}"
    stage.world.api.request("PATCH", path, body, "application/merge-patch+json")


def lists(stage: Stage, since: int) -> Counter[str]:
    """Lists of the whole cluster, by which caches are filled."""
    return Counter(
        call.resource
        for call in stage.proxy.calls(since)
        if call.verb == "list" and not call.namespace
    )


def opened(stage: Stage, since: int) -> set[str]:
    """Resources whose watch was opened again with success."""
    return {
        call.resource
        for call in stage.proxy.calls(since)
        if call.verb == "watch" and call.code == 200
    }


def disturb(stage: Stage) -> None:
    """A change of each kind that the operator must answer: an edit, drift and a deletion."""
    patch(stage, spec={"replicas": 3})
    label = {"metadata": {"labels": {"app.kubernetes.io/name": "drifted"}}}
    stage.world.api.request(
        "PATCH",
        f"/apis/policy/v1/namespaces/{stage.world.namespace}/poddisruptionbudgets/small",
        label,
        "application/merge-patch+json",
    )
    stage.world.kubectl("delete", "service", "small-pods", "--wait=false")


@pytest.mark.fault(11)
def test_watches_that_are_closed_every_second_go_on_where_they_were(
    served: Stage, soak: bool, record_property: Callable[[str, object], None]
) -> None:
    seconds = 60.0 if soak else 12.0
    position = served.proxy.position()
    served.proxy.add(Rule(CloseAfter(1.0), verbs={"watch"}))
    served.proxy.streams(lambda stream: stream.close())
    began = time.monotonic()
    rounds = 0
    while time.monotonic() - began < seconds:
        disturb(served)
        served.oracle.wait_truth("small", "Serving", 30)
        served.world.wait("the Service is back", lambda: len(served.world.owned("services")) == 2)
        patch(served, spec={"replicas": 2})
        served.oracle.wait_truth("small", "Serving", 30)
        rounds += 1
    lasted = time.monotonic() - began
    calls = [call for call in served.proxy.calls(position) if call.verb == "watch"]
    served.proxy.clear()
    assert not lists(served, position)
    assert all(call.resource_version not in ("", "0") for call in calls)
    by_resource = Counter(call.resource for call in calls)
    assert set(by_resource) == WATCHED
    assert max(by_resource.values()) <= lasted * 2 + 3, by_resource
    record_property("figure.watch-reopened-per-second", max(by_resource.values()) / lasted)
    record_property("figure.rounds-seen", rounds)
    served.oracle.check(served.operator)


def gone_in_stream(stage: Stage) -> None:
    assert stage.proxy.streams(lambda stream: stream.inject(GONE)) == len(WATCHED)


def gone_as_answer(stage: Stage) -> None:
    for resource in WATCHED:
        stage.proxy.add(
            Rule(Answer(410, "Expired"), verbs={"watch"}, resources={resource}, first=1)
        )
    stage.proxy.streams(lambda stream: stream.reset())


@pytest.mark.fault(12)
@pytest.mark.parametrize(
    "end",
    [
        pytest.param(gone_in_stream, id="an event in the stream"),
        pytest.param(gone_as_answer, id="an HTTP status"),
    ],
)
def test_after_410_everything_is_listed_and_what_vanished_is_noticed(
    served: Stage, end: Callable[[Stage], None]
) -> None:
    served.world.apply("doomed", {"size": "8b", "format": "awq"})
    served.oracle.check(served.operator, quiet_seconds=1.0)
    assert "doomed" in served.operator.get("/metrics")[1]
    served.proxy.streams(lambda stream: stream.freeze())
    served.world.kubectl("delete", "llama", "doomed", "--cascade=foreground")
    disturb(served)
    position = served.proxy.position()
    end(served)
    served.oracle.check(served.operator)
    assert set(lists(served, position)) == WATCHED
    assert max(lists(served, position).values()) <= 2
    served.world.wait(
        "the deployment is forgotten", lambda: "doomed" not in served.operator.get("/metrics")[1]
    )


@pytest.mark.fault(13)
def test_watches_that_freeze_are_noticed_in_time(
    served: Stage, record_property: Callable[[str, object], None]
) -> None:
    """The bound is real: bookmarks come once a minute, and their absence tells."""
    position = served.proxy.position()
    served.proxy.streams(lambda stream: stream.freeze())
    frozen = time.monotonic()
    disturb(served)
    wait_until(
        "every watch is opened again",
        lambda: opened(served, position) == WATCHED,
        timeout=FREEZE_LIMIT_SECONDS + 15,
    )
    latest = {
        call.resource: call.at - frozen
        for call in served.proxy.calls(position)
        if call.verb == "watch"
    }
    assert max(latest.values()) <= FREEZE_LIMIT_SECONDS, latest
    assert not lists(served, position)
    record_property("figure.frozen-watch-noticed-seconds", max(latest.values()))
    served.oracle.check(served.operator)
    assert served.operator.get("/healthz")[0] == 200


OBJECT = b'{"type":"%s","object":{"kind":"Thing","metadata":%s}}\n'


@pytest.mark.fault(14)
@pytest.mark.parametrize(
    "line",
    [
        pytest.param(b"upstream connect error\n", id="a text"),
        pytest.param(b'{"type":"MODIFIED","object":{"metadata":{"na\n', id="truncated JSON"),
        pytest.param(b"\xff\xfe\x00\x01\n", id="bytes that are no text"),
        pytest.param(b"[]\n", id="JSON of another shape"),
        pytest.param(
            b'{"type":"ADDED","object":{"kind":"Pod"}}\n', id="an object without metadata"
        ),
        pytest.param(OBJECT % (b"MODIFIED", b"{}"), id="an object without identity"),
        pytest.param(
            OBJECT % (b"EXPLODED", b'{"name":"x","uid":"x","resourceVersion":"1"}'),
            id="an unknown type of event",
        ),
        pytest.param(
            b'{"type":"ERROR","object":{"kind":"Status","code":500,"message":"etcd"}}\n',
            id="an error that is not 410",
        ),
        pytest.param(b"x" * (5 * 1024 * 1024), id="a line without an end"),
    ],
)
def test_garbage_ends_a_watch_and_nothing_else(served: Stage, line: bytes) -> None:
    position = served.proxy.position()
    logged = len(list(served.operator.lines()))
    assert served.proxy.streams(lambda stream: stream.inject(line)) == len(WATCHED)
    wait_until("every watch is opened again", lambda: opened(served, position) == WATCHED)
    assert not lists(served, position), "they went on where they were"
    warned = " ".join(
        entry["message"]
        for entry in list(served.operator.lines())[logged:]
        if entry["level"] == "warning"
    )
    named = set(re.findall(r"watch of (\w+)", warned))
    assert {"deployments" if r == "llamadeployments" else r for r in WATCHED} == named
    disturb(served)
    served.oracle.check(served.operator, quiet_seconds=1.0)


@pytest.mark.fault(14)
def test_long_lines_below_the_limit_are_read(served: Stage) -> None:
    """More than etcd holds of one object, and less than four MiB."""
    [service, _] = served.world.owned("services")
    big = json.loads(json.dumps(service))
    big["metadata"]["annotations"] = {"padding": "x" * 1_800_000}
    llama = served.world.llama("small")
    llama["metadata"]["annotations"] = {"padding": "x" * 1_800_000}
    position = served.proxy.position()
    for resource, item in (("services", big), ("llamadeployments", llama)):
        line = json.dumps({"type": "MODIFIED", "object": item}).encode() + b"\n"
        assert served.proxy.streams(lambda stream, text=line: stream.inject(text), resource) == 1
    disturb(served)
    served.oracle.check(served.operator, quiet_seconds=1.0)
    assert not opened(served, position)


@pytest.mark.fault(16)
def test_changes_that_no_event_told_of_are_seen_when_the_stream_goes_on(served: Stage) -> None:
    served.proxy.streams(lambda stream: stream.drop("MODIFIED"))
    patch(served, spec={"servedModelNames": ["unseen"]})
    disturb(served)
    patch(served, spec={"servedModelNames": ["final"]})
    served.world.wait("the deletion is answered", lambda: len(served.world.owned("services")) == 2)
    served.proxy.streams(lambda stream: stream.close())
    served.oracle.check(served.operator)


@pytest.mark.fault(16)
def test_the_next_event_makes_good_for_those_that_were_left_out(served: Stage) -> None:
    """The stream goes on without a break, as if nothing had been left out."""
    served.proxy.streams(lambda stream: stream.drop("MODIFIED"), "llamadeployments")
    patch(served, spec={"servedModelNames": ["unseen"], "replicas": 3})
    patch(served, spec={"context": {"maxModelLen": 4096}})
    served.proxy.streams(lambda stream: stream.drop(), "llamadeployments")
    patch(served, metadata={"annotations": {"example.com/touched": "yes"}})
    served.oracle.check(served.operator)


def line_of(kind: str, item: dict[str, Any]) -> bytes:
    return json.dumps({"type": kind, "object": item}).encode() + b"\n"


@pytest.mark.fault(17)
def test_the_end_of_an_object_that_comes_after_its_successor_means_nothing(served: Stage) -> None:
    """Deployment and children are made again under their names; old events come last."""
    world, proxy = served.world, served.proxy
    old, old_children = (
        world.llama("small"),
        {plural: world.owned(plural) for plural in ("statefulsets", "services", "pods")},
    )
    proxy.streams(lambda stream: stream.freeze(), "llamadeployments")
    world.kubectl("delete", "llama", "small", "--cascade=foreground")
    world.apply("small", {**SMALL, "replicas": 1, "servedModelNames": ["successor"]})
    new = world.llama("small")
    assert new["metadata"]["uid"] != old["metadata"]["uid"]
    for kind, item in (("ADDED", new), ("MODIFIED", old), ("DELETED", old), ("MODIFIED", old)):
        text = line_of(kind, item)
        proxy.streams(lambda stream, text=text: stream.inject(text), "llamadeployments")
    served.oracle.check(served.operator)
    picture = served.oracle.picture()
    for plural, items in old_children.items():
        for item in items:
            for kind in ("MODIFIED", "DELETED", "MODIFIED"):
                text = line_of(kind, item)
                proxy.streams(lambda stream, text=text: stream.inject(text), plural)
    proxy.streams(lambda stream: stream.reset(), "llamadeployments")
    patch(served, spec={"replicas": 2})
    served.oracle.check(served.operator)
    for plural in ("statefulsets", "services"):
        served.oracle.assert_kept(picture, [plural])
        for item in world.owned(plural):
            [owner] = item["metadata"]["ownerReferences"]
            assert owner["uid"] == new["metadata"]["uid"]


@pytest.mark.fault(14)
@pytest.mark.parametrize(
    "answer",
    [
        pytest.param(Answer(200, body=b"<html>"), id="a page"),
        pytest.param(Answer(200, body=b"{}"), id="an empty object"),
        pytest.param(Answer(500), id="500"),
        pytest.param(Answer(403, "Forbidden"), id="403"),
        pytest.param(Answer(415, "UnsupportedMediaType"), id="415"),
    ],
)
def test_an_operator_whose_first_look_at_the_api_is_answered_with(
    calm: Stage, answer: Answer
) -> None:
    """What kopf asks at its start: which APIs there are, and which deployments."""
    paths = ("/api", "/api/v1", "/apis", "/apis/llama-operator.io/v1alpha1", "llamadeployments")
    rules = [Rule(answer, verbs={"get", "list"}, resources={path}, first=1) for path in paths]
    calm.proxy.add(*rules)
    calm.restart()
    calm.world.apply("small", SMALL)
    calm.oracle.check(calm.operator, quiet_seconds=1.0)
    assert sum(rule.struck for rule in rules) >= 3
