"""Servers that mean harm take neither memory nor time."""

import json
import time
import tracemalloc
from collections.abc import Callable

import pytest

from doubles.hub_server import Blob, Handler, HubServer, Repository
from hub.conftest import LLAMA, Ask
from llama_operator.download import http
from llama_operator.errors import (
    HubContentError,
    HubError,
    HubTimeoutError,
    HubTooLargeError,
)
from support.model_files import gguf_start, safetensors_start

MIB = 1024 * 1024


def endless(handler: Handler) -> None:
    """A body without length that goes on until the client is gone."""
    handler.send_response(200)
    handler.send_header("Connection", "close")
    handler.end_headers()
    handler.close_connection = True
    while not handler.double.over.is_set():
        handler.wfile.write(b"[" * 65536)
        handler.double.sent += 65536


def dripping_body(handler: Handler) -> None:
    """A body that comes byte by byte, each well before any silence is too long."""
    handler.send_response(200)
    handler.send_header("Content-Length", "1000000")
    handler.end_headers()
    while not handler.double.over.wait(0.01):
        handler.wfile.write(b" ")


def dripping_headers(handler: Handler) -> None:
    """Headers that come byte by byte."""
    handler.wfile.write(b"HTTP/1.1 200 OK\r\nX-Slow: ")
    while not handler.double.over.wait(0.01):
        handler.wfile.write(b"a")


def silent(handler: Handler) -> None:
    """No answer at all."""
    handler.double.over.wait(30)


def large(handler: Handler) -> None:
    """200 MB that are announced."""
    handler.send_response(200)
    handler.send_header("Content-Length", str(200 * 10**6))
    handler.end_headers()
    endless_rest = b" " * 65536
    while not handler.double.over.is_set():
        handler.wfile.write(endless_rest)
        handler.double.sent += 65536


@pytest.mark.parametrize(
    "play", [pytest.param(endless, id="endless"), pytest.param(large, id="200 MB, announced")]
)
def test_a_configuration_is_read_up_to_8_mib(
    play: Callable[[Handler], None], server: HubServer, llama: Repository, ask: Ask
) -> None:
    server.plays["/config.json"] = play
    tracemalloc.start()
    try:
        with pytest.raises(
            HubTooLargeError, match=r"config\.json has more than the 8,388,608 bytes"
        ):
            ask()
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 40 * MIB
    # What the sockets hold comes on top.
    assert server.sent < 32 * MIB


def test_a_configuration_that_is_listed_with_200_mb_is_not_asked_for(
    server: HubServer, llama: Repository, ask: Ask
) -> None:
    llama.add("config.json", Blob(b"{}", 200 * 10**6))
    with pytest.raises(HubTooLargeError, match=r"config\.json has 200,000,000 bytes; more than"):
        ask()
    assert not any("config.json" in asked.path for asked in server.asked)


@pytest.mark.parametrize("play", [dripping_body, dripping_headers, silent])
@pytest.mark.parametrize("path", ["/api/models/", "/config.json", "/stored/"])
def test_a_slow_server_is_left_in_time(
    play: Callable[[Handler], None], path: str, server: HubServer, llama: Repository, ask: Ask
) -> None:
    server.plays[path] = play
    started = time.monotonic()
    with pytest.raises(HubTimeoutError, match=rf"facts of {LLAMA} within 0\.4 seconds"):
        ask(timeout_seconds=0.4)
    assert time.monotonic() - started < 3


def test_all_answers_together_are_bounded(
    server: HubServer, llama: Repository, ask: Ask, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(http, "TRAFFIC_LIMIT_BYTES", 150_000)
    with pytest.raises(HubTooLargeError, match="sent more than 150,000 bytes in all"):
        ask()


@pytest.mark.parametrize(
    ("config", "error", "part"),
    [
        pytest.param(b"[" * 8_000_000, HubTooLargeError, "objects and lists", id="brackets"),
        pytest.param(b'{"a":' * 300_000, HubTooLargeError, "nests more than", id="deep objects"),
        pytest.param(
            b"{" + b'"a":[],' * 500_000 + b'"a":1}',
            HubTooLargeError,
            "objects and lists",
            id="many lists",
        ),
        pytest.param(
            b"\x1f\x8b\x08\0\0\0\0\0", HubContentError, "is not JSON", id="gzip unannounced"
        ),
        pytest.param(b"[]", HubContentError, "must be a JSON object", id="a list"),
    ],
)
def test_a_configuration_that_is_a_bomb(
    config: bytes, error: type[HubError], part: str, llama: Repository, ask: Ask
) -> None:
    llama.add("config.json", config)
    with pytest.raises(error, match=part):
        ask()


def test_a_compressed_answer_is_not_unpacked(
    server: HubServer, llama: Repository, ask: Ask
) -> None:
    server.plays["/config.json"] = lambda handler: handler.write(
        200, b"\x1f\x8b", Content_Encoding="gzip"
    )
    with pytest.raises(HubContentError, match="came compressed"):
        ask()


@pytest.mark.parametrize(
    ("start", "size", "error", "part"),
    [
        pytest.param(
            (2**60).to_bytes(8, "little"),
            10**10,
            HubTooLargeError,
            "1,152,921,504,606,846,976 bytes",
            id="2 to the 60",
        ),
        pytest.param(
            (10**7).to_bytes(8, "little"),
            10**6,
            HubContentError,
            "the file has 1000000",
            id="longer than the file",
        ),
        pytest.param(b"\0\0", 2, HubContentError, "it has 2 bytes", id="two bytes"),
        pytest.param(
            b"<html>" + b" " * 100, 106, HubTooLargeError, "says that its header", id="a page"
        ),
        pytest.param(
            safetensors_start({"a": ("F16", [1], 10**12)}),
            10**6,
            HubContentError,
            "start and end within",
            id="a tensor beyond the file",
        ),
    ],
)
def test_a_header_that_lies(
    start: bytes, size: int, error: type[HubError], part: str, llama: Repository, ask: Ask
) -> None:
    llama.add("model-00002-of-00002.safetensors", Blob(start, size))
    with pytest.raises(error, match=part):
        ask()


@pytest.mark.parametrize(
    ("location", "part"),
    [
        pytest.param("{here}", "more than 5 redirects", id="to itself"),
        pytest.param("file:///etc/passwd", "no plain web address", id="to a file"),
        pytest.param("http://me:word@127.0.0.1/", "no plain web address", id="with a login"),
        pytest.param("http://h:p/", "redirects to what is no web address", id="to no address"),
    ],
)
def test_a_redirect_elsewhere(
    location: str, part: str, server: HubServer, llama: Repository, ask: Ask
) -> None:
    server.plays["/config.json"] = lambda handler: handler.write(
        302, b"", Location=location.format(here=server.url + "/config.json")
    )
    with pytest.raises(HubContentError, match=part):
        ask()
    assert len(server.asked) < 10


@pytest.mark.parametrize("told", ["", "bytes 5-9/100", "bytes */100", "lines 0-9/100"])
def test_another_part_than_the_one_asked_for(
    told: str, server: HubServer, llama: Repository, ask: Ask
) -> None:
    server.plays["/stored/"] = lambda handler: handler.write(206, b"12345", Content_Range=told)
    with pytest.raises(HubContentError, match="sent another part"):
        ask()


@pytest.mark.parametrize(
    "description",
    [
        pytest.param([], id="a list"),
        pytest.param({}, id="nothing"),
        pytest.param({"sha": "main", "siblings": []}, id="no commit"),
        pytest.param({"sha": "0" * 40, "siblings": "config.json"}, id="files in words"),
        pytest.param({"sha": "0" * 40, "siblings": [1]}, id="a file that is a number"),
        pytest.param(
            {"sha": "0" * 40, "siblings": [{"rfilename": ""}]}, id="a file without a name"
        ),
        pytest.param(
            {"sha": "0" * 40, "siblings": [{"rfilename": "a\x1b[2J\n.gguf"}]},
            id="a file that would clear the screen",
        ),
        pytest.param({"sha": "../../" + "0" * 34, "siblings": []}, id="a commit that is a path"),
    ],
)
def test_a_description_that_is_none(description: object, server: HubServer, ask: Ask) -> None:
    server.plays["/api/models/"] = lambda handler: handler.write_json(200, description)
    with pytest.raises(HubContentError, match=f"the description of {LLAMA}"):
        ask()


@pytest.mark.parametrize(
    "data",
    [
        pytest.param({"Files": "none"}, id="files in words"),
        pytest.param({"Files": [1]}, id="a file that is a number"),
        pytest.param({"Files": [{"Type": "blob"}]}, id="a file without a name"),
    ],
)
def test_a_list_of_model_scope_that_is_none(data: object, server: HubServer, ask: Ask) -> None:
    server.plays["/api/v1/"] = lambda handler: handler.write_json(200, {"Code": 200, "Data": data})
    with pytest.raises(HubContentError, match="the file list of"):
        ask(hub="ModelScope", revision="0" * 40)


def test_a_list_of_model_scope_that_is_cut(server: HubServer, ask: Ask) -> None:
    server.repositories["org/many"] = many = Repository()
    for number in range(3000):
        many.add(f"data/{number}.json", b"")
    with pytest.raises(HubTooLargeError, match="more than the 3,000 files"):
        ask("org/many", hub="ModelScope")
    paths = [asked.path for asked in server.asked if "repo/files" in asked.path]
    assert ["Recursive=true" in path for path in paths] == [True, False]


def test_odd_sizes_count_as_unknown(server: HubServer, ask: Ask) -> None:
    files = [
        {"rfilename": str(number), "size": size} for number, size in enumerate([-1, "9", 2.5, True])
    ]
    body = json.dumps({"sha": "A" * 40, "gated": None, "siblings": files}).encode()
    server.plays["/api/models/"] = lambda handler: handler.write(200, body)
    facts = ask()
    assert [file.size_bytes for file in facts.files] == [None] * 4
    assert (facts.commit, facts.gated, facts.private) == ("a" * 40, None, None)


def test_a_silence_is_too_long(
    server: HubServer, ask: Ask, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(http, "READ_SECONDS", 0.2)
    server.plays["/api/models/"] = silent
    with pytest.raises(HubTimeoutError, match="is silent for"):
        ask()


def test_an_answer_without_content(server: HubServer, ask: Ask) -> None:
    server.plays["/api/models/"] = lambda handler: handler.write(204, b"")
    with pytest.raises(HubContentError, match="the answer has status 204"):
        ask()


@pytest.mark.parametrize(
    ("name", "content", "part"),
    [
        pytest.param(
            "model.safetensors", (200_000).to_bytes(8, "little") + b"{" * 1000,
            r"model\.safetensors ends within its header", id="safetensors",
        ),
        pytest.param("m.gguf", gguf_start([], [("a", [1], 0, 0)])[:-1],
            r"m\.gguf ends within its header", id="GGUF",
        ),
        pytest.param("m.gguf", b"", r"m\.gguf ends within its header", id="empty"),
    ],
)  # fmt: skip
def test_a_file_that_ends_within_its_header(
    name: str, content: bytes, part: str, server: HubServer, ask: Ask
) -> None:
    server.repositories["org/cut"] = cut = Repository(told_sizes=False)
    cut.add(name, content)

    def give_without_the_size(handler: Handler) -> None:
        first = int(handler.headers["Range"].removeprefix("bytes=").partition("-")[0])
        handler.write(206, content[first:], Content_Range=f"bytes {first}-{first}/*")

    server.plays["/stored/"] = give_without_the_size
    with pytest.raises(HubContentError, match=part):
        ask("org/cut")


def test_a_gguf_file_whose_size_nobody_tells(server: HubServer, ask: Ask) -> None:
    content = gguf_start([], [])
    server.repositories["org/m"] = made = Repository(told_sizes=False)
    made.add("m.gguf", content)
    server.plays["/stored/"] = lambda handler: handler.write(
        206, content, Content_Range=f"bytes 0-{len(content) - 1}/*"
    )
    with pytest.raises(HubContentError, match=r"does not tell the size of m\.gguf"):
        ask("org/m")
