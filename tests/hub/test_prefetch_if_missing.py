"""`prefetch --if-missing`: a node that has the model starts it without a hub."""

from pathlib import Path

import pytest

from doubles.hub_server import COMMIT, HubServer, Repository
from hub.conftest import GGUF, PARTS, SHARDS, TINY, Fetch
from hub.test_prefetch_command import Run, run, termination
from llama_operator.download.facts import HubName
from llama_operator.errors import HubUnreachableError, InputError, VolumeTooSmallError

__all__ = ["run"]

MOVED = "89abcdef0123456789abcdef0123456789abcdef"


def away(server: HubServer) -> None:
    """The hub answers nobody from now on."""
    server.asked.clear()
    server.plays[""] = lambda handler: handler.write(503, b"")


@pytest.mark.usefixtures("tiny")
@pytest.mark.parametrize("hub", ["HuggingFace", "ModelScope"])
def test_what_is_whole_needs_no_hub(hub: HubName, server: HubServer, fetch: Fetch) -> None:
    first = fetch(hub=hub, if_missing=True)
    assert first.fetched_bytes == first.total_bytes
    away(server)
    again = fetch(hub=hub, if_missing=True)
    assert (again.path, again.files, again.fetched_bytes) == (first.path, first.files, 0)
    assert server.asked == []


@pytest.mark.usefixtures("tiny")
@pytest.mark.parametrize("revision", [COMMIT, "v2"])
def test_the_revision_that_is_asked_for_must_be_there(
    revision: str, tiny: Repository, server: HubServer, fetch: Fetch
) -> None:
    tiny.commits["v2"] = COMMIT
    fetch(revision=revision)
    away(server)
    assert fetch(revision=revision, if_missing=True).fetched_bytes == 0
    with pytest.raises(HubUnreachableError):
        fetch(revision="v3", if_missing=True)


def test_a_branch_that_moved_is_not_looked_for(
    tiny: Repository, server: HubServer, fetch: Fetch
) -> None:
    first = fetch()
    tiny.commits["main"] = MOVED
    server.asked.clear()
    assert fetch(if_missing=True).path == first.path
    assert server.asked == []
    assert fetch().path.name == MOVED


def test_a_file_that_is_missing_is_fetched(
    tiny: Repository, server: HubServer, fetch: Fetch
) -> None:
    (fetch().path / SHARDS[1]).resolve().unlink()
    assert fetch(if_missing=True).fetched_bytes == tiny.files[SHARDS[1]].size
    assert fetch(offline=True).fetched_bytes == 0


@pytest.mark.usefixtures("tiny")
def test_a_file_that_is_missing_needs_the_hub(server: HubServer, fetch: Fetch) -> None:
    (fetch().path / SHARDS[1]).resolve().unlink()
    away(server)
    with pytest.raises(HubUnreachableError):
        fetch(if_missing=True)


def test_damage_is_mended_where_it_is_looked_for(
    tiny: Repository, server: HubServer, fetch: Fetch
) -> None:
    blob = (fetch().path / SHARDS[0]).resolve()
    blob.write_bytes(b"\0" * blob.stat().st_size)
    assert fetch(if_missing=True).fetched_bytes == 0
    assert fetch(if_missing=True, verify=True).fetched_bytes == tiny.files[SHARDS[0]].size
    away(server)
    assert fetch(if_missing=True, verify=True).fetched_bytes == 0


@pytest.mark.usefixtures("tiny_gguf")
def test_another_file_of_the_repository_is_fetched(server: HubServer, fetch: Fetch) -> None:
    fetch(gguf_paths=(GGUF,))
    assert fetch(gguf_paths=(PARTS[0],), if_missing=True).fetched_bytes > 0
    away(server)
    assert fetch(gguf_paths=(GGUF,), if_missing=True).fetched_bytes == 0
    assert fetch(gguf_paths=tuple(PARTS), if_missing=True).fetched_bytes == 0


def test_a_file_that_a_later_commit_brings_is_fetched(tiny_gguf: Repository, fetch: Fetch) -> None:
    fetch(gguf_paths=(GGUF,))
    with pytest.raises(InputError, match=r"new\.gguf"):
        fetch(gguf_paths=("new.gguf",), if_missing=True)
    tiny_gguf.commits["main"] = MOVED
    tiny_gguf.add("new.gguf", tiny_gguf.files[GGUF])
    assert fetch(gguf_paths=("new.gguf",), if_missing=True).path.name == MOVED


@pytest.mark.usefixtures("tiny")
def test_a_bound_holds_for_what_is_there_too(server: HubServer, fetch: Fetch) -> None:
    fetch()
    away(server)
    with pytest.raises(VolumeTooSmallError):
        fetch(max_bytes=1, if_missing=True)


@pytest.mark.usefixtures("tiny")
def test_the_command(run: Run, server: HubServer, tmp_path: Path) -> None:
    status, path, told = run("--if-missing")
    assert status == 0
    assert f"{TINY} is not whole in {tmp_path}: the hub is asked" in told
    away(server)
    status, again, told = run("--if-missing")
    assert (status, again) == (0, path)
    assert "asked" not in told
    assert termination(tmp_path)["commit"] == COMMIT
    assert server.asked == []
