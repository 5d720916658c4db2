"""The projecting watch against a server that plays captured lines, whole and broken."""

import json
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cluster.watching import Heard, config_maps, plain, play, running, until
from doubles.watch_server import (
    ADDED,
    BOOKMARK,
    CHANGED,
    DELETED,
    GONE,
    LIST,
    SECOND,
    Answer,
    End,
    WatchServer,
    status,
)
from llama_operator.cluster import client as client_module
from llama_operator.cluster import watch as watch_module
from llama_operator.cluster.client import ApiClient
from llama_operator.cluster.watch import Watch

STREAM = ADDED + CHANGED + SECOND + DELETED + BOOKMARK
CHANGES = [
    ("zero", None, "1"),
    ("first", None, "1"),
    ("first", "1", "2"),
    ("second", None, "1"),
    ("first", "2", None),
]
"""What the captured list and stream tell, in order."""
BASE = 0.01
"""Seconds of the first delay in these tests."""

Check = Callable[[WatchServer, Heard, Watch[Any]], Awaitable[None]]


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(watch_module, "BACKOFF_BASE_SECONDS", BASE)


def watch(server: WatchServer, check: Check) -> Heard:
    """Watch a server until a check is done."""
    result: list[Heard] = []

    async def scenario(_: ApiClient, heard: Heard) -> None:
        async with server.serve() as url, ApiClient(plain(url), heard.on_request) as client:
            watched = config_maps(client, heard, "captured")
            async with running(watched):
                await check(server, heard, watched)
        result.append(heard)

    play(plain(""), scenario)
    return result[0]


async def everything(_: WatchServer, heard: Heard, watched: Watch[Any]) -> None:
    await until("all is told", lambda: len(heard.changes) == len(CHANGES))
    assert watched.store == {("captured", "zero"): "1", ("captured", "second"): "1"}


def test_the_captured_stream_is_told_in_order() -> None:
    server = WatchServer(Answer([STREAM], End.OPEN))
    assert watch(server, everything).changes == CHANGES
    assert server.lists == [{"limit": "100"}]
    assert server.watches == [
        {
            "watch": "true",
            "allowWatchBookmarks": "true",
            "resourceVersion": "259",
            "timeoutSeconds": "300",
        }
    ]


@settings(max_examples=25, deadline=None)
@given(st.lists(st.integers(1, len(STREAM) - 1), max_size=12, unique=True).map(sorted))
def test_lines_may_come_in_any_pieces(cuts: list[int]) -> None:
    pieces = [STREAM[a:b] for a, b in zip([0, *cuts], [*cuts, len(STREAM)], strict=True)]
    assert watch(WatchServer(Answer(pieces, End.OPEN)), everything).changes == CHANGES


def test_empty_lines_mean_nothing() -> None:
    server = WatchServer(
        Answer([b"\n", ADDED, b"\n \n", CHANGED + SECOND, b"\n", DELETED], End.OPEN)
    )
    assert watch(server, everything).changes == CHANGES


@pytest.mark.parametrize(
    "garbage",
    [
        pytest.param(b"no JSON at all\n", id="a text"),
        pytest.param(b"<html><body>502</body></html>\n", id="a page of a proxy"),
        pytest.param(CHANGED[:200] + b"\n", id="half an event"),
        pytest.param(b"null\n", id="null"),
        pytest.param(b"[]\n", id="a list"),
        pytest.param(b"7\n", id="a number"),
        pytest.param(b"{}\n", id="an empty object"),
        pytest.param(b'{"type":"ADDED"}\n', id="an event without object"),
        pytest.param(b'{"type":"ADDED","object":null}\n', id="an event whose object is null"),
        pytest.param(b'{"type":"ADDED","object":"x"}\n', id="an event whose object is a text"),
        pytest.param(b'{"type":"ADDED","object":{}}\n', id="an object without metadata"),
        pytest.param(
            b'{"type":"ADDED","object":{"metadata":7}}\n', id="metadata that are a number"
        ),
        pytest.param(b'{"type":"ERROR","object":{"code":"x"}}\n', id="an error without a code"),
        pytest.param(b'{"type":"ERROR","object":null}\n', id="an error of null"),
        pytest.param(b"\xff\xfe\x00\n", id="bytes that are no text"),
    ],
)
def test_after_garbage_the_watch_goes_on_from_the_last_good_event(garbage: bytes) -> None:
    server = WatchServer(
        Answer([ADDED, garbage, SECOND], End.OPEN),
        Answer([CHANGED, SECOND, DELETED], End.OPEN),
    )
    assert watch(server, everything).changes == CHANGES
    assert len(server.lists) == 1
    assert [asked["resourceVersion"] for asked in server.watches] == ["259", "260"]


@pytest.mark.parametrize(
    ("first", "version"),
    [
        pytest.param(Answer([ADDED, CHANGED[:100]], End.CUT), "260", id="in the middle of a line"),
        pytest.param(Answer([ADDED], End.CUT), "260", id="between two lines"),
        pytest.param(Answer([ADDED, CHANGED[:100]], End.PROPER), "260", id="by half a line's end"),
        pytest.param(Answer([ADDED], End.PROPER), "260", id="by its proper end"),
        pytest.param(Answer([], End.CUT), "259", id="before anything came"),
    ],
)
def test_a_stream_that_ends_is_opened_again_where_it_was(first: Answer, version: str) -> None:
    rest = [CHANGED, SECOND, DELETED] if version == "260" else [STREAM]
    server = WatchServer(first, Answer(rest, End.OPEN))
    heard = watch(server, everything)
    assert heard.changes == CHANGES
    assert heard.restarts == 1
    assert [asked["resourceVersion"] for asked in server.watches] == ["259", version]


def test_a_bookmark_moves_the_place_to_resume_from() -> None:
    server = WatchServer(Answer([STREAM], End.PROPER), Answer(end=End.OPEN))

    async def check(server: WatchServer, _: Heard, __: Watch[Any]) -> None:
        await until("it is opened again", lambda: len(server.watches) == 2)

    watch(server, check)
    assert server.watches[1]["resourceVersion"] == "263"


def test_a_line_that_is_too_long_ends_the_stream_before_it_fills_the_memory(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(client_module, "LINE_LIMIT_BYTES", 10_000)
    endless = [b"x" * 1000] * 1000
    server = WatchServer(
        Answer([ADDED, *endless], End.OPEN), Answer([CHANGED, SECOND, DELETED], End.OPEN)
    )
    assert watch(server, everything).changes == CHANGES
    assert [asked["resourceVersion"] for asked in server.watches] == ["259", "260"]


EMPTY_LIST = json.dumps({"metadata": {"resourceVersion": "268"}, "items": []}).encode()


@pytest.mark.parametrize(
    "gone",
    [
        pytest.param(Answer([GONE]), id="in the stream, as captured"),
        pytest.param(Answer([status(410, "too old")], status=410), id="as the answer"),
    ],
)
def test_410_lists_again_and_tells_what_vanished_meanwhile(gone: Answer) -> None:
    server = WatchServer(gone, Answer(end=End.OPEN), lists=[Answer([LIST]), Answer([EMPTY_LIST])])

    async def check(server: WatchServer, heard: Heard, watched: Watch[Any]) -> None:
        await until("it is opened again", lambda: len(server.watches) == 2)
        assert watched.store == {}

    assert watch(server, check).changes == [("zero", None, "1"), ("zero", "1", None)]
    assert [asked["resourceVersion"] for asked in server.watches] == ["259", "268"]


@pytest.mark.parametrize(
    "trouble",
    [
        pytest.param(Answer([status(500, "etcd")], status=500), id="500"),
        pytest.param(Answer([status(401, "Unauthorized")], status=401), id="401"),
        pytest.param(Answer([status(403, "forbidden")], status=403), id="403"),
        pytest.param(Answer([status(404, "not found")], status=404), id="404"),
        pytest.param(Answer([b"<html>"], status=503), id="a page of a proxy"),
        pytest.param(Answer(status=301, headers={"Location": "/x"}), id="a redirection"),
        pytest.param(
            Answer([b'{"type":"ERROR","object":' + status(500, "etcd") + b"}\n"]),
            id="an error in the stream",
        ),
    ],
)
def test_other_errors_do_not_list_again(trouble: Answer) -> None:
    server = WatchServer(trouble, Answer([STREAM], End.OPEN))
    assert watch(server, everything).changes == CHANGES
    assert len(server.lists) == 1
    assert [asked["resourceVersion"] for asked in server.watches] == ["259", "259"]


def test_retry_after_is_the_least_delay() -> None:
    busy = Answer([status(429, "busy")], status=429, headers={"Retry-After": "1"})
    server = WatchServer(busy, Answer([STREAM], End.OPEN))
    watch(server, everything)
    _, first, second = server.times
    assert second - first >= 1.0


@pytest.mark.parametrize(
    "listing",
    [
        pytest.param(Answer([b"<html>"]), id="a page instead of JSON"),
        pytest.param(Answer([b"[]"]), id="a list instead of an object"),
        pytest.param(Answer([LIST[:300]], End.CUT), id="half an answer"),
        pytest.param(Answer([status(410, "the page is too old")], status=410), id="410"),
        pytest.param(Answer([status(500, "etcd")], status=500), id="500"),
    ],
)
def test_a_list_that_fails_is_asked_for_again_and_nothing_counts_as_gone(listing: Answer) -> None:
    server = WatchServer(Answer([STREAM], End.OPEN), lists=[listing, Answer([LIST])])
    assert watch(server, everything).changes == CHANGES
    assert len(server.lists) == 2


def test_a_list_without_items_is_empty() -> None:
    nothing = json.dumps({"metadata": {"resourceVersion": "259"}, "items": None}).encode()
    server = WatchServer(Answer(end=End.OPEN), lists=[Answer([nothing])])

    async def check(_: WatchServer, heard: Heard, watched: Watch[Any]) -> None:
        await watched.synced.wait()
        assert (watched.store, heard.changes) == ({}, [])

    watch(server, check)


async def seven(server: WatchServer, _: Heard, __: Watch[Any]) -> None:
    await until("seven watches were opened", lambda: len(server.watches) >= 7)


@pytest.mark.parametrize(
    "answer",
    [
        pytest.param(Answer(), id="an end at once"),
        pytest.param(Answer([GONE]), id="410 again and again"),
        pytest.param(Answer([b"x\n"]), id="garbage"),
        pytest.param(Answer([status(500, "etcd")], status=500), id="500"),
    ],
)
def test_a_server_that_is_of_no_use_is_not_stormed_with_requests(answer: Answer) -> None:
    server = WatchServer(answer)
    watch(server, seven)
    # Delays are 1, 2, 4 … times the base with up to half off; the first of all may be none.
    least = BASE * 0.5 * sum(2**number for number in range(1, 6))
    assert server.times[-1] - server.times[0] >= least


def test_breaks_far_apart_do_not_add_up() -> None:
    """Each stream brings an event before it breaks: none of the delays grows."""
    server = WatchServer(*[Answer([ADDED], End.CUT)] * 12)

    async def check(server: WatchServer, _: Heard, __: Watch[Any]) -> None:
        await until("twelve watches were opened", lambda: len(server.watches) >= 12)

    watch(server, check)
    # Added up, the last delay would be at least 0.5 * 2**8 * BASE = 1.28 s.
    assert server.times[-1] - server.times[-2] < 1.0
