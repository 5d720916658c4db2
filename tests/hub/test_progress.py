"""`prefetch --progress-port`: a download tells how far it is, and whoever asks disturbs none."""

import asyncio
import json
import re
import socket
import subprocess
import threading
from collections.abc import Callable, Iterator
from http.client import HTTPConnection
from pathlib import Path

import pytest

from controlplane import wait_until
from doubles.hub_server import Handler, HubServer, Repository
from hub.conftest import MIB, SHARDS, TINY
from hub.test_prefetch_faults import STORED, announce, command, is_header, shard_of, span_of
from llama_operator.cli.main import main
from llama_operator.cluster.fetch_progress import ask_progress
from llama_operator.download.progress import Progress
from llama_operator.download.progress_server import ProgressBoard, serve_progress
from llama_operator.reconcile.fetch_progress import FetchProgress

PORT = ("--progress-port", "0")


def halts_at(count: int, go_on: threading.Event) -> Callable[[Handler], None]:
    """A storage that gives so many bytes of each file, and the rest once it may go on."""

    def play(handler: Handler) -> None:
        content = shard_of(handler)
        first, end = span_of(handler, len(content))
        announce(handler, first, end, len(content))
        middle = end if is_header(handler) else min(end, first + count)
        handler.wfile.write(content[first:middle])
        handler.wfile.flush()
        if middle < end and go_on.wait(60):
            handler.wfile.write(content[middle:end])

    return play


def port_of(process: "subprocess.Popen[str]") -> int:
    """Which one the first line names."""
    assert process.stderr is not None
    found = re.search(r"progress is told on .* port (\d+)", process.stderr.readline())
    assert found is not None
    return int(found[1])


def asked(address: str) -> FetchProgress | None:
    return asyncio.run(ask_progress(address))


def test_the_operator_reads_how_far_a_real_download_is(
    tiny: Repository, server: HubServer, tmp_path: Path
) -> None:
    go_on = threading.Event()
    server.plays[STORED] = halts_at(MIB, go_on)
    whole = sum(tiny.files[path].size for path in SHARDS)
    with command(server, tmp_path, PORT) as process:
        address = f"127.0.0.1:{port_of(process)}"

        def standing_still() -> FetchProgress | None:
            """The small files are there, and a mebibyte of each shard."""
            seen = asked(address)
            left = whole - 2 * MIB
            return seen if seen is not None and seen.total_bytes - seen.done_bytes == left else None

        found = wait_until("it stands still", standing_still, timeout=60)
        assert found is not None
        assert found.fetched_bytes == found.done_bytes
        # 2 MiB and small files of 6 MiB, headers and small files.
        assert found.percent == 33
        assert "0.00 of 0.01 GiB (33 %)" in str(found)
        go_on.set()
        _, told = process.communicate(timeout=60)
    assert process.returncode == 0
    assert "is whole" in told
    assert asked(address) is None


@pytest.fixture
def board() -> ProgressBoard:
    """3 of 4 bytes are there; the clock stands still."""
    made, progress = ProgressBoard(), Progress(4, 1, lambda: 7.0)
    progress.begin("x" * 300 + "/model.safetensors")
    progress.add(2)
    made.show(progress)
    return made


@pytest.fixture
def address(board: ProgressBoard, caplog: pytest.LogCaptureFixture) -> Iterator[tuple[str, int]]:
    caplog.set_level("INFO", "llama_operator")
    with serve_progress(board, "127.0.0.1", 0):
        found = re.search(r"port (\d+)", caplog.text)
        assert found is not None
        yield "127.0.0.1", int(found[1])


def answered(address: tuple[str, int], method: str, path: str) -> tuple[int, bytes]:
    connection = HTTPConnection(*address, timeout=30)
    try:
        connection.request(method, path)
        answer = connection.getresponse()
        return answer.status, answer.read()
    finally:
        connection.close()


def test_what_is_told(address: tuple[str, int]) -> None:
    status, body = answered(address, "GET", "/progress")
    assert status == 200
    told = json.loads(body)
    assert told.pop("file") == "x" * 182 + "/model.safetensors"
    assert told == {
        "done_bytes": 3, "total_bytes": 4, "fetched_bytes": 2, "seconds": 0, "idle_seconds": 0,
    }  # fmt: skip
    assert asked("{}:{}".format(*address)) == FetchProgress(3, 4, 2, 0, 0)


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/", 404),
        ("GET", "/progress/", 404),
        ("GET", "/../progress", 404),
        ("GET", "http://elsewhere/progress", 404),
        ("HEAD", "/progress", 501),
        ("POST", "/progress", 501),
        ("DELETE", "/progress", 501),
    ],
)
def test_nothing_else_is_answered(
    method: str, path: str, status: int, address: tuple[str, int]
) -> None:
    assert answered(address, method, path)[0] == status


@pytest.mark.parametrize(
    "sent",
    [
        pytest.param(b"\r\n\r\n", id="an empty line"),
        pytest.param(b"\x16\x03\x01\x00\xff\r\n\r\n", id="TLS"),
        pytest.param(b"GET /progress HTTP/9.9\r\n\r\n", id="a version of nobody"),
        pytest.param(b"GET /" + b"x" * 9000, id="a long path"),
        pytest.param(b"GET /progress HTTP/1.1\r\n" + b"A: b\r\n" * 2000, id="many headers"),
    ],
)
def test_after_garbage_the_next_one_is_answered(sent: bytes, address: tuple[str, int]) -> None:
    with socket.create_connection(address, timeout=30) as client:
        client.sendall(sent)
        assert b'"done_bytes"' not in read_all(client)
    assert answered(address, "GET", "/progress")[0] == 200


def read_all(client: socket.socket) -> bytes:
    """Up to the end, however that comes."""
    found = b""
    try:
        while chunk := client.recv(4096):
            found += chunk
    except ConnectionResetError:
        pass
    return found


def test_one_that_says_nothing_is_hung_up_on(address: tuple[str, int]) -> None:
    with socket.create_connection(address, timeout=30) as silent:
        assert answered(address, "GET", "/progress")[0] == 200
        assert read_all(silent) == b""


def test_before_bytes_are_counted_there_is_nothing_to_tell(
    board: ProgressBoard, address: tuple[str, int]
) -> None:
    board.__init__()  # type: ignore[misc]
    assert answered(address, "GET", "/progress")[0] == 503
    assert asked("{}:{}".format(*address)) is None


def test_a_port_that_is_taken_ends_no_download(
    tiny: Repository, server: HubServer, tmp_path: Path
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        with command(server, tmp_path, ("--progress-port", port)) as process:
            _, told = process.communicate(timeout=60)
    assert process.returncode == 0
    assert f"progress is not served on 127.0.0.1 port {port}: Address already in use" in told


@pytest.mark.parametrize("port", ["-1", "65536", "x", "٣"])
def test_what_is_no_port(port: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match="2"):
        main(["prefetch", TINY, "--into", "/none", f"--progress-port={port}"])
    assert "is no port: 0 to 65535 is allowed" in capsys.readouterr().err
