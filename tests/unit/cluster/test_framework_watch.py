"""What of a watch is let through to kopf."""

import json
from typing import Any

import pytest

from llama_operator.cluster.framework_watch import GONE, problem_of

WHOLE = {"name": "llama", "namespace": "ml", "uid": "u1", "resourceVersion": "5"}


def line(kind: Any, item: Any) -> bytes:
    return json.dumps({"type": kind, "object": item}).encode()


@pytest.mark.parametrize(
    "good",
    [
        pytest.param(line("ADDED", {"metadata": WHOLE}), id="a new object"),
        pytest.param(line("MODIFIED", {"metadata": WHOLE}), id="a changed object"),
        pytest.param(line("DELETED", {"metadata": WHOLE}), id="a deleted object"),
        pytest.param(line("BOOKMARK", {"metadata": {"resourceVersion": "7"}}), id="a bookmark"),
        pytest.param(GONE, id="410, at which kopf lists again"),
    ],
)
def test_goes_through(good: bytes) -> None:
    assert problem_of(good) == ""


@pytest.mark.parametrize(
    ("bad", "told"),
    [
        pytest.param(b"<html>", "garbage", id="a text"),
        pytest.param(b"\xff\xfe", "garbage", id="no text"),
        pytest.param(b'{"type":"ADDED","object":{', "garbage", id="half an event"),
        pytest.param(b"null", "garbage", id="null"),
        pytest.param(b'["ADDED"]', "garbage", id="a list"),
        pytest.param(b'{"type":"ADDED"}', "garbage", id="no object"),
        pytest.param(line("ADDED", "x"), "garbage", id="an object that is a text"),
        pytest.param(line("ADDED", {}), "garbage", id="no metadata"),
        pytest.param(line("ADDED", {"metadata": {}}), "garbage", id="no identity"),
        pytest.param(
            line("ADDED", {"metadata": {**WHOLE, "uid": ""}}), "identity", id="an empty uid"
        ),
        pytest.param(
            line("ADDED", {"metadata": {**WHOLE, "name": 7}}), "identity", id="a number as name"
        ),
        pytest.param(line("EXPLODED", {"metadata": WHOLE}), "unknown", id="an unknown type"),
        pytest.param(line({}, {"metadata": WHOLE}), "garbage", id="a type that is no text"),
        pytest.param(line("ERROR", {"code": 500, "message": "etcd"}), "etcd", id="another error"),
        pytest.param(line("BOOKMARK", {"metadata": {}}), "garbage", id="an empty bookmark"),
    ],
)
def test_ends_the_stream(bad: bytes, told: str) -> None:
    assert told in problem_of(bad)
