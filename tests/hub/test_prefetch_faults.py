"""What goes wrong while a model comes: kills, wrong bytes, hubs that refuse or are busy."""

import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from pathlib import Path

import pytest

from controlplane import wait_until
from doubles.hub_server import Handler, HubServer, Repository
from hub.conftest import MIB, SHARD_BYTES, SHARDS, TINY, Fetch, Pauses
from llama_operator.errors import (
    ChecksumError,
    GatedRepositoryError,
    HubAccessError,
    HubUnreachableError,
    RepositoryNotFoundError,
)

TOKEN = "hf_secretSecretSecret"
STORED = r"^/stored/"


def shard_of(handler: Handler) -> bytes:
    """The content that a request for the storage means."""
    blob = handler.double.stored[handler.path.removeprefix("/stored/")]
    return blob.part(0, blob.size)


def span_of(handler: Handler, size: int) -> tuple[int, int]:
    """First byte, and the byte behind the last one."""
    match = re.fullmatch(r"bytes=(\d+)-(\d+)", handler.headers["Range"])
    assert match is not None
    return int(match[1]), min(int(match[2]) + 1, size)


def is_header(handler: Handler) -> bool:
    """Whether only the start of a file is asked for, as facts do."""
    return handler.headers["Range"] == "bytes=0-131071"


def announce(handler: Handler, first: int, end: int, size: int) -> None:
    handler.send_response(206)
    handler.send_header("Content-Range", f"bytes {first}-{end - 1}/{size}")
    handler.send_header("Content-Length", str(end - first))
    handler.end_headers()


def stops_after(count: int, *, then: Callable[[Handler], None]) -> Callable[[Handler], None]:
    """A storage that gives so many bytes of each answer."""

    def play(handler: Handler) -> None:
        content = shard_of(handler)
        first, end = span_of(handler, len(content))
        if is_header(handler):
            announce(handler, first, end, len(content))
            handler.wfile.write(content[first:end])
            return
        announce(handler, first, end, len(content))
        part = content[first : min(end, first + count)]
        handler.wfile.write(part)
        handler.wfile.flush()
        handler.double.sent += len(part)
        if len(part) < end - first:
            then(handler)

    return play


def goes_away(handler: Handler) -> None:
    handler.close_connection = True


def falls_silent(handler: Handler) -> None:
    handler.double.over.wait(60)
    handler.close_connection = True


def environment(server: HubServer, home: Path) -> dict[str, str]:
    root = Path(__file__).resolve().parents[2]
    return {
        "PATH": os.environ["PATH"],
        "HOME": str(home),
        "HF_ENDPOINT": server.url,
        "MODELSCOPE_DOMAIN": "",
        "PYTHONPATH": str(root / "operator"),
    }


@contextmanager
def command(
    server: HubServer, home: Path, words: Sequence[str] = ()
) -> Iterator["subprocess.Popen[str]"]:
    """`llama-operator prefetch` as a process of its own."""
    arguments = [sys.executable, "-m", "llama_operator", "prefetch", TINY]
    arguments += ["--into", str(home / "volume"), *words]
    with subprocess.Popen(
        arguments,
        env=environment(server, home),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        try:
            yield process
        finally:
            process.kill()


def bytes_of_partials(volume: Path) -> int:
    return sum(path.stat().st_size for path in volume.rglob("*.incomplete"))


def test_a_kill_in_the_middle_costs_little(
    tiny: Repository, server: HubServer, fetch: Fetch, tmp_path: Path
) -> None:
    volume = tmp_path / "volume"
    server.plays[STORED] = stops_after(2 * MIB + 512, then=falls_silent)
    with command(server, tmp_path) as process:
        wait_until("two partial files", lambda: bytes_of_partials(volume) >= 2 * MIB, timeout=60)
        process.kill()
        assert process.wait() == -signal.SIGKILL
    folder = volume / "hub/models--org--Tiny-Llama"
    # Readers see nothing of it, and the lock of the dead is free.
    assert not (folder / "snapshots").exists()
    assert not (folder / "refs").exists()
    partial = bytes_of_partials(volume)
    server.plays.clear()
    done = fetch()
    assert done.fetched_bytes <= done.total_bytes - 2 * MIB
    assert done.fetched_bytes + partial >= 2 * SHARD_BYTES
    for path in SHARDS:
        assert (done.path / path).read_bytes() == tiny.files[path].start
    assert bytes_of_partials(volume) == 0


@pytest.mark.usefixtures("tiny")
def test_it_ends_when_it_is_told_to(server: HubServer, tmp_path: Path) -> None:
    server.plays[STORED] = stops_after(MIB, then=falls_silent)
    with command(server, tmp_path) as process:
        volume = tmp_path / "volume"
        wait_until("two partial files", lambda: bytes_of_partials(volume) >= 2 * MIB, timeout=60)
        process.terminate()
        _, told = process.communicate(timeout=60)
    assert process.returncode == 143
    assert "told to end; what was fetched is kept" in told


def test_connections_that_break_off(
    tiny: Repository, server: HubServer, fetch: Fetch, pauses: Pauses
) -> None:
    server.plays[STORED] = stops_after(MIB + 1, then=goes_away)
    done = fetch()
    assert (done.path / SHARDS[0]).read_bytes() == tiny.files[SHARDS[0]].start
    # 3 MiB and a header, a MiB and a byte at a time: three of four end early, of each shard.
    assert pauses.seconds == [1.0] * 6
    # What came before an end is kept.
    assert done.fetched_bytes == done.total_bytes


@pytest.mark.usefixtures("tiny")
def test_connections_that_bring_next_to_nothing(
    server: HubServer, fetch: Fetch, pauses: Pauses
) -> None:
    server.plays[STORED] = stops_after(1, then=goes_away)
    with pytest.raises(HubUnreachableError, match="breaks off its answer; try again later"):
        fetch()
    # Both shards are tried; the first one to give up ends the other.
    assert set(pauses.seconds) == {1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 60.0}


def test_a_storage_that_ignores_ranges(
    tiny: Repository, server: HubServer, fetch: Fetch, tmp_path: Path
) -> None:
    blobs = tmp_path / "volume/hub/models--org--Tiny-Llama/blobs"
    blobs.mkdir(parents=True)
    content = tiny.files[SHARDS[1]].start
    (blobs / f"{tiny.files[SHARDS[1]].digest()}.incomplete").write_bytes(content[:MIB])
    server.ignores_ranges = True
    done = fetch()
    assert (done.path / SHARDS[1]).read_bytes() == content
    assert done.total_bytes - done.fetched_bytes == MIB


@pytest.mark.parametrize("times", [1, 2])
def test_wrong_bytes(
    times: int, tiny: Repository, server: HubServer, fetch: Fetch, tmp_path: Path
) -> None:
    left = {SHARDS[1]: times}
    spoilt = tiny.files[SHARDS[1]].start

    def play(handler: Handler) -> None:
        content = shard_of(handler)
        first, end = span_of(handler, len(content))
        announce(handler, first, end, len(content))
        part = bytearray(content[first:end])
        if not is_header(handler) and content == spoilt and left[SHARDS[1]] > 0:
            left[SHARDS[1]] -= 1
            part[-1] ^= 1
        handler.wfile.write(part)

    server.plays[STORED] = play
    if times == 1:
        done = fetch()
        assert (done.path / SHARDS[1]).read_bytes() == spoilt
        assert done.fetched_bytes == done.total_bytes + len(spoilt)
        return
    with pytest.raises(ChecksumError, match=f"{SHARDS[1]} of .* is not what the hub lists"):
        fetch()
    folder = tmp_path / "volume/hub/models--org--Tiny-Llama"
    assert not (folder / "snapshots").exists()
    assert not (folder / "refs").exists()
    digest = tiny.files[SHARDS[1]].digest()
    assert not (folder / "blobs" / digest).exists()
    assert not (folder / "blobs" / f"{digest}.incomplete").exists()


@pytest.mark.parametrize(
    "content",
    [
        pytest.param(b"\0" * MIB, id="zeros after a crash of the node"),
        pytest.param(b"x" * (SHARD_BYTES * 2), id="longer than the file"),
    ],
)
def test_a_partial_file_that_is_wrong(
    content: bytes, tiny: Repository, fetch: Fetch, tmp_path: Path
) -> None:
    blobs = tmp_path / "volume/hub/models--org--Tiny-Llama/blobs"
    blobs.mkdir(parents=True)
    (blobs / f"{tiny.files[SHARDS[0]].digest()}.incomplete").write_bytes(content)
    (blobs / f"{'0' * 64}.incomplete").write_bytes(b"of a commit long gone")
    (blobs.parent / ".new-ref").write_text("of a kill while it published")
    (blobs.parent / ".new-snapshot/additional_chat_templates").mkdir(parents=True)
    done = fetch()
    assert (done.path / SHARDS[0]).read_bytes() == tiny.files[SHARDS[0]].start
    assert list(blobs.glob("*.incomplete")) == []
    assert {path.name for path in blobs.parent.iterdir()} == {"blobs", "refs", "snapshots"}


@pytest.mark.parametrize(
    ("headers", "expected"),
    [
        pytest.param({"Retry_After": "17"}, [17.0, 17.0], id="seconds"),
        pytest.param({"RateLimit": '"api";r=0;t=55'}, [55.0, 55.0], id="RateLimit"),
        pytest.param({"RateLimit": '"api";r=3;t=55'}, [1.0, 2.0], id="some are left"),
        pytest.param({"Retry_After": "soon"}, [1.0, 2.0], id="no number"),
        pytest.param({}, [1.0, 2.0], id="none"),
    ],
)
@pytest.mark.parametrize("status", [429, 503])
@pytest.mark.usefixtures("tiny")
def test_a_busy_hub_is_waited_for(
    status: int,
    headers: dict[str, str],
    expected: list[float],
    server: HubServer,
    fetch: Fetch,
    pauses: Pauses,
) -> None:
    refusals = iter([True, True])

    def play(handler: Handler) -> None:
        if next(refusals, False):
            handler.write(status, b"", **headers)
        else:
            del server.plays["tokenizer.json"]
            handler.do_GET()

    server.plays["tokenizer.json"] = play
    fetch()
    assert pauses.seconds == expected


@pytest.mark.usefixtures("tiny")
def test_a_date_to_wait_until(server: HubServer, fetch: Fetch, pauses: Pauses) -> None:
    until = format_datetime(datetime.now(UTC) + timedelta(seconds=500), usegmt=True)
    server.plays["/api/models/"] = lambda handler: handler.write(429, b"", Retry_After=until)
    with pytest.raises(HubUnreachableError, match="has no more requests for this address now"):
        fetch()
    assert len(pauses.seconds) == 8
    assert 400 < pauses.seconds[0] <= 500


@pytest.mark.usefixtures("tiny")
def test_a_hub_that_asks_for_too_much_patience(
    server: HubServer, fetch: Fetch, pauses: Pauses
) -> None:
    server.plays["/api/models/"] = lambda handler: handler.write(429, b"", Retry_After="3600")
    with pytest.raises(HubUnreachableError, match="try again in 3600 seconds"):
        fetch()
    assert pauses.seconds == []


@pytest.mark.usefixtures("tiny")
def test_a_hub_that_stays_down(server: HubServer, fetch: Fetch, pauses: Pauses) -> None:
    server.plays["/api/models/"] = lambda handler: handler.write(500, b"")
    with pytest.raises(HubUnreachableError, match="fails with status 500"):
        fetch()
    assert pauses.seconds == [1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 60.0, 60.0]


def test_a_gated_repository(tiny: Repository, fetch: Fetch) -> None:
    tiny.gated, tiny.token = "manual", TOKEN
    with pytest.raises(GatedRepositoryError, match=f"accept its conditions at .*{TINY} and give"):
        fetch()
    with pytest.raises(GatedRepositoryError, match="the token's account has no access yet"):
        fetch(token="hf_other")
    assert fetch(token=TOKEN).facts.gated


def test_what_is_there_needs_no_token(tiny: Repository, server: HubServer, fetch: Fetch) -> None:
    path = fetch().path
    tiny.gated, tiny.private, tiny.token = "manual", True, TOKEN
    assert fetch(offline=True).path == path
    with pytest.raises(RepositoryNotFoundError):
        fetch()
    # The license was taken back between the description and the files.
    tiny.private = False
    (path / SHARDS[0]).resolve().unlink()
    server.plays["/resolve/"] = lambda handler: handler.write(403, b"")
    with pytest.raises(HubAccessError, match=r"the token is refused .*\(403\)"):
        fetch(token=TOKEN)


def test_the_token_goes_to_the_hub_alone(tiny: Repository, server: HubServer, fetch: Fetch) -> None:
    tiny.gated, tiny.private, tiny.token = "manual", True, TOKEN
    fetch(token=TOKEN)
    assert server.storage_port in {asked.port for asked in server.asked}
    ports = {asked.port for asked in server.asked if "Authorization" in asked.headers}
    assert ports == {server.port}
    assert TOKEN not in json.dumps([asked.path for asked in server.asked])
