"""What a plain client sees of each fault, and what the real API server made of the request."""

import http.client
import itertools
import json
import random
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any
from urllib.parse import urlsplit

import pytest

from controlplane import ApiError, ControlPlane, wait_until
from controlplane.rest import ApiClient
from faultproxy import (
    Answer,
    Call,
    CloseAfter,
    CutAfterCommit,
    CutBeforeCommit,
    Delay,
    Drop,
    Fault,
    FaultProxy,
    Freeze,
    Hang,
    Inject,
    Notify,
    Rule,
    Stale,
)

pytestmark = pytest.mark.cluster

COLLECTION = "/api/v1/namespaces/default/configmaps"
_numbers = itertools.count(1)


@pytest.fixture
def client(installed: ControlPlane, proxy: FaultProxy) -> Iterator[ApiClient]:
    with ApiClient(proxy.url, installed.ca_file, installed.admin_token) as made:
        yield made


@pytest.fixture
def name(installed: ControlPlane) -> Iterator[str]:
    """A ConfigMap's name; the object is gone afterwards."""
    made = f"proxied-{next(_numbers)}"
    yield made
    installed.kubectl("delete", "configmap", made, "-n", "default", "--ignore-not-found")


def config_map(name: str) -> dict[str, Any]:
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name}}


def code_of(act: Callable[[], object]) -> int:
    """HTTP status of a request; 200 for any success, 0 for a connection that broke."""
    try:
        act()
    except ApiError as error:
        return error.code or 0
    return 200


def change(plane: ControlPlane, name: str, value: str) -> None:
    """Past the proxy."""
    body = {"data": {"value": value}}
    plane.api.request("PATCH", f"{COLLECTION}/{name}", body, "application/merge-patch+json")


@contextmanager
def watching(plane: ControlPlane, proxy: FaultProxy, version: str) -> Iterator[Callable[[], str]]:
    """A watch through the proxy. The function gives the next line, or what became of the stream:
    `end`, `reset`, or `silence` when nothing comes for a second."""
    address = urlsplit(proxy.url)
    assert address.hostname is not None
    context = ssl.create_default_context(cafile=str(plane.ca_file))
    connection = http.client.HTTPSConnection(
        address.hostname, address.port, timeout=1.0, context=context
    )
    headers = {"Authorization": f"Bearer {plane.admin_token}"}
    path = f"{COLLECTION}?watch=true&resourceVersion={version}&timeoutSeconds=60"
    connection.request("GET", path, headers=headers)
    response: http.client.HTTPResponse | None = None

    def line() -> str:
        nonlocal response
        try:
            if response is None:
                response = connection.getresponse()
            return response.readline().decode().strip() or "end"
        except TimeoutError:
            return "silence"
        except (ConnectionError, ssl.SSLError, http.client.HTTPException):
            return "reset"

    try:
        yield line
    finally:
        if response is not None:
            response.close()
        connection.close()


def event(line: str) -> tuple[str, str]:
    """Type of an event and the value of its object."""
    content = json.loads(line)
    return content["type"], content["object"].get("data", {}).get("value", "")


@pytest.mark.parametrize(
    ("fault", "code", "committed"),
    [
        pytest.param(Delay(0.2), 200, 201, id="a delayed write succeeds"),
        pytest.param(Answer(503, "ServiceUnavailable"), 503, 0, id="an answer in its stead"),
        pytest.param(CutBeforeCommit(), 0, 0, id="a connection that breaks before the commit"),
        pytest.param(CutAfterCommit(), 0, 201, id="a connection that breaks after the commit"),
    ],
)
def test_a_write_and_whether_the_api_server_took_it(
    installed: ControlPlane,
    proxy: FaultProxy,
    client: ApiClient,
    name: str,
    fault: Fault,
    code: int,
    committed: int,
) -> None:
    rule = Rule(fault, verbs={"create"}, resources={"configmaps"}, first=1)
    proxy.add(rule)
    started = time.monotonic()
    assert code_of(lambda: client.create(COLLECTION, config_map(name))) == code
    if isinstance(fault, Delay):
        assert time.monotonic() - started >= fault.seconds
    assert rule.struck == 1
    [call] = [call for call in proxy.calls() if call.verb == "create"]
    assert (call.fault, call.committed) == (type(fault).__name__, committed)
    exists = code_of(lambda: installed.api.get(f"{COLLECTION}/{name}")) == 200
    assert exists == (committed == 201)
    assert code_of(lambda: client.create(COLLECTION, config_map(name))) == (409 if exists else 200)


def test_an_answer_carries_its_body_and_tells_when_to_come_again(
    installed: ControlPlane, proxy: FaultProxy
) -> None:
    proxy.add(Rule(Answer(429, retry_after_seconds=5, body=b"<html>"), resources={"configmaps"}))
    address = urlsplit(proxy.url)
    context = ssl.create_default_context(cafile=str(installed.ca_file))
    connection = http.client.HTTPSConnection(str(address.hostname), address.port, context=context)
    connection.request("GET", COLLECTION)
    response = connection.getresponse()
    assert (response.status, response.headers["Retry-After"]) == (429, "5")
    assert response.read() == b"<html>"
    connection.close()


def test_a_request_that_hangs_breaks_when_its_rule_is_removed(
    proxy: FaultProxy, client: ApiClient
) -> None:
    rule = Rule(Hang(), verbs={"create"})
    proxy.add(rule)
    codes: list[int] = []
    asking = threading.Thread(
        target=lambda: codes.append(code_of(lambda: client.create(COLLECTION, config_map("never"))))
    )
    asking.start()
    wait_until("the request is there", lambda: rule.struck)
    assert not codes
    proxy.remove(rule)
    asking.join(10)
    assert codes == [0]


@pytest.mark.parametrize(
    ("before", "exists"),
    [
        pytest.param(True, False, id="before the API server has the request"),
        pytest.param(False, True, id="once it is committed"),
    ],
)
def test_a_function_is_called(
    installed: ControlPlane,
    proxy: FaultProxy,
    client: ApiClient,
    name: str,
    before: bool,
    exists: bool,
) -> None:
    seen: list[bool] = []

    def look(call: Call) -> None:
        assert call.verb == "create"
        with installed.api_client() as own:
            seen.append(code_of(lambda: own.get(f"{COLLECTION}/{name}")) == 200)

    proxy.add(Rule(Notify(look, before=before), verbs={"create"}))
    client.create(COLLECTION, config_map(name))
    assert seen == [exists]


def test_a_list_and_a_watch_show_the_past_until_the_rule_is_removed(
    installed: ControlPlane, proxy: FaultProxy, client: ApiClient, name: str
) -> None:
    def shown() -> list[str]:
        return [item["metadata"]["name"] for item in client.get(COLLECTION)["items"]]

    assert name not in shown()
    snapshot = proxy.snapshot()
    version = client.get(COLLECTION)["metadata"]["resourceVersion"]
    rule = Rule(Stale(snapshot), verbs={"list", "watch"})
    proxy.add(rule)
    installed.api.create(COLLECTION, config_map(name))
    assert name not in shown()
    with watching(installed, proxy, version) as line:
        assert line() == "silence"
    assert code_of(lambda: client.get(f"{COLLECTION}/{name}")) == 200, "a GET is not stale"
    with watching(installed, proxy, version) as line:
        wait_until("the watch is struck", lambda: rule.struck >= 3)
        proxy.remove(rule)
        assert event(line()) == ("ADDED", "")
    assert name in shown()


@pytest.mark.parametrize(
    ("fault", "expected"),
    [
        pytest.param(None, ["ADDED", "MODIFIED", "silence"], id="no fault"),
        pytest.param(CloseAfter(0.5), ["ADDED", "MODIFIED", "end"], id="closed in order"),
        pytest.param(Freeze(), ["silence"], id="silent, with the connection open"),
        pytest.param(Drop({"MODIFIED"}), ["ADDED", "silence"], id="one type of event left out"),
        pytest.param(Inject(b"{}\n"), ["{}", "ADDED", "MODIFIED"], id="bytes put in"),
        pytest.param(Inject(b"{}\n{", reset=True), ["{}", "reset"], id="cut within a line"),
        pytest.param(CutBeforeCommit(), ["reset"], id="refused"),
    ],
)
def test_a_watch(
    installed: ControlPlane,
    proxy: FaultProxy,
    name: str,
    fault: Fault | None,
    expected: list[str],
) -> None:
    version = installed.api.get(COLLECTION)["metadata"]["resourceVersion"]
    installed.api.create(COLLECTION, config_map(name))
    change(installed, name, "1")
    if fault is not None:
        proxy.add(Rule(fault, verbs={"watch"}))
    seen: list[str] = []
    with watching(installed, proxy, version) as line:
        for _ in expected:
            text = line()
            seen.append(event(text)[0] if text.startswith('{"type"') else text)
    if expected[-1] == "reset":
        # What a client still reads of a broken line is no event.
        seen = ["reset" if text == "{" else text for text in seen]
    assert seen == expected


def test_an_open_watch_can_be_frozen_thinned_fed_and_ended(
    installed: ControlPlane, proxy: FaultProxy, name: str
) -> None:
    version = installed.api.get(COLLECTION)["metadata"]["resourceVersion"]
    installed.api.create(COLLECTION, config_map(name))
    with watching(installed, proxy, version) as line:
        assert event(line())[0] == "ADDED"
        assert proxy.streams(lambda stream: stream.drop("MODIFIED"), "configmaps") == 1
        change(installed, name, "1")
        assert proxy.streams(lambda stream: stream.inject(b"hello\n"), "configmaps") == 1
        assert line() == "hello"
        assert proxy.streams(lambda stream: stream.close(), "secrets") == 0
        assert proxy.streams(lambda stream: stream.close(), "configmaps") == 1
        assert line() == "end"
    with watching(installed, proxy, version) as line:
        assert [event(line()), event(line())] == [("ADDED", ""), ("MODIFIED", "1")]
        proxy.streams(lambda stream: stream.freeze())
        change(installed, name, "2")
        assert line() == "silence"
    with watching(installed, proxy, version) as line:
        assert event(line())[0] == "ADDED"
        proxy.streams(lambda stream: stream.reset())
        assert {line(), line(), line()} & {"reset", "end"}


CALLS = [
    Call(number, 0.0, verb, resource, "ml", name, "test")
    for number, (verb, resource, name) in enumerate(
        [
            ("create", "services", ""),
            ("patch", "services", "a"),
            ("patch", "statefulsets", "a"),
            ("patch", "services", "b"),
            ("watch", "services", ""),
            ("patch", "leases", "a"),
        ],
        start=1,
    )
]


@pytest.mark.parametrize(
    ("rule", "struck"),
    [
        pytest.param({}, [1, 2, 3, 4, 5, 6], id="all"),
        pytest.param({"verbs": {"patch"}}, [2, 3, 4, 6], id="a verb"),
        pytest.param({"resources": {"services"}}, [1, 2, 4, 5], id="a resource"),
        pytest.param({"besides": {"leases", "services"}}, [3], id="all but some resources"),
        pytest.param({"name": "a"}, [2, 3, 6], id="an object"),
        pytest.param({"namespace": "web"}, [], id="another namespace"),
        pytest.param({"verbs": {"patch"}, "nth": 2}, [3], id="the second of what matches"),
        pytest.param({"verbs": {"patch"}, "nth": (1, 4)}, [2, 6], id="the first and the fourth"),
        pytest.param({"verbs": {"patch"}, "first": 3}, [2, 3, 4], id="the first three"),
    ],
)
def test_a_rule_strikes(rule: dict[str, Any], struck: list[int]) -> None:
    made = Rule(Hang(), **rule)
    assert [call.number for call in CALLS if made.strikes(call, random.Random(0))] == struck


def test_chance_is_drawn_from_the_seed() -> None:
    def drawn(seed: int) -> list[bool]:
        rule, chance = Rule(Hang(), probability=0.1), random.Random(seed)
        return [rule.strikes(CALLS[0], chance) for _ in range(1000)]

    assert drawn(1) == drawn(1)
    assert drawn(1) != drawn(2)
    assert 60 < sum(drawn(1)) < 140
