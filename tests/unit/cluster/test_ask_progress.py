"""The pod of a download may be anybody's: whatever it answers, asking it ends soon."""

import asyncio
import gzip
import json
import logging

import pytest

from llama_operator.cluster import fetch_progress
from llama_operator.cluster.fetch_progress import ask_progress
from llama_operator.reconcile.fetch_progress import FetchProgress

GOOD = json.dumps(
    {"done_bytes": 1, "total_bytes": 4, "fetched_bytes": 1, "seconds": 2, "idle_seconds": 0}
).encode()
OK = b"HTTP/1.1 200 OK\r\n"
ENDLESS = 1 << 20


def with_body(body: bytes, *headers: bytes) -> bytes:
    length = b"Content-Length: %d" % len(body)
    return OK + b"\r\n".join((length, *headers)) + b"\r\n\r\n" + body


class Pod:
    """Answers each connection with the same bytes; `endless` is repeated until nobody reads."""

    def __init__(self, answer: bytes, endless: bytes = b"", *, hangs: bool = False) -> None:
        self._answer = answer
        self._endless = endless
        self._hangs = hangs
        self.requests: list[bytes] = []
        self.sent = 0

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            self.requests.append(await reader.readuntil(b"\r\n\r\n"))
            writer.write(self._answer)
            while self._endless:
                writer.write(self._endless)
                self.sent += len(self._endless)
                await writer.drain()
            await writer.drain()
            if self._hangs:
                await reader.read()
        except OSError:
            pass
        finally:
            writer.close()

    def asked(self) -> FetchProgress | None:
        async def ask() -> FetchProgress | None:
            server = await asyncio.start_server(self.serve, "127.0.0.1", 0)
            async with server:
                port = server.sockets[0].getsockname()[1]
                return await ask_progress(f"127.0.0.1:{port}")

        return asyncio.run(ask())


@pytest.fixture(autouse=True)
def patience(monkeypatch: pytest.MonkeyPatch) -> None:
    """Enough for a machine that is busy; what ends only by the time-out sets another."""
    monkeypatch.setattr(fetch_progress, "TIMEOUT_SECONDS", 60.0)


@pytest.fixture
def impatience(patience: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fetch_progress, "TIMEOUT_SECONDS", 0.5)


def test_an_answer_is_read_and_nothing_is_told_of_us(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG, "llama_operator")
    pod = Pod(with_body(GOOD))
    assert pod.asked() == FetchProgress(1, 4, 1, 2, 0)
    [request] = pod.requests
    assert request.startswith(b"GET /progress HTTP/1.1\r\n")
    assert b"Authorization" not in request
    assert b"Cookie" not in request
    assert caplog.text == ""


@pytest.mark.parametrize(
    "answer",
    [
        pytest.param(b"", id="nothing"),
        pytest.param(b"\x00\xff" * 100, id="no HTTP"),
        pytest.param(OK, id="half an answer"),
        pytest.param(with_body(b"{}"), id="another object"),
        pytest.param(with_body(GOOD)[:-1], id="a body that ends early"),
        pytest.param(with_body(GOOD).replace(b"200", b"500"), id="an error with figures"),
        pytest.param(with_body(GOOD).replace(b"200", b"204"), id="no content"),
        pytest.param(with_body(GOOD + b" " * 4096), id="a long body"),
        pytest.param(with_body(gzip.compress(GOOD), b"Content-Encoding: gzip"), id="packed"),
        pytest.param(with_body(GOOD, b"X: " + b"y" * 9000), id="a long header"),
        pytest.param(with_body(GOOD, *[b"X: y"] * 500), id="many headers"),
        pytest.param(
            b"HTTP/1.1 302 Found\r\nLocation: http://127.0.0.1:1/\r\n\r\n", id="leads elsewhere"
        ),
    ],
)
def test_anything_else_is_ignored_and_told_for_debugging_only(
    answer: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG, "llama_operator")
    assert Pod(answer).asked() is None
    assert [record.levelname for record in caplog.records] == ["DEBUG"]
    assert len(caplog.text) < 2000


@pytest.mark.parametrize(
    ("answer", "endless"),
    [
        pytest.param(OK + b"\r\n", b"7" * 65536, id="a body"),
        pytest.param(OK, b"X: y\r\n" * 8192, id="headers"),
        pytest.param(OK + b"X: ", b"y" * 65536, id="a header"),
        pytest.param(b"", b"H" * 65536, id="a first line"),
        pytest.param(OK + b"Transfer-Encoding: chunked\r\n\r\n", b"1\r\n7\r\n" * 8192, id="chunks"),
        pytest.param(b"", b"HTTP/1.1 100 Continue\r\n\r\n" * 2048, id="go on"),
    ],
)
@pytest.mark.usefixtures("impatience")
def test_what_never_ends_is_left_soon(answer: bytes, endless: bytes) -> None:
    pod = Pod(answer, endless)
    assert pod.asked() is None
    # What the sockets of both sides hold, and no more.
    assert pod.sent < 64 * ENDLESS


@pytest.mark.usefixtures("impatience")
@pytest.mark.parametrize("answer", [b"", OK, with_body(GOOD)[:-1]])
def test_what_falls_silent_is_given_up(answer: bytes) -> None:
    assert Pod(answer, hangs=True).asked() is None


def test_nobody_is_there() -> None:
    assert asyncio.run(ask_progress("127.0.0.1:1")) is None


@pytest.mark.parametrize("address", ["nonsense", "[::1", "256.0.0.1:8090", "a b:8090"])
def test_an_address_that_is_none(address: str) -> None:
    assert asyncio.run(ask_progress(address)) is None
