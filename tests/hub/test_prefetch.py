"""A model on a volume: what engines read of it, in the layout they read, whole or not at all."""

import asyncio
import hashlib
import json
from pathlib import Path

import pytest
from huggingface_hub import hf_hub_download, snapshot_download

from doubles.hub_server import COMMIT, HubServer, Repository
from hub.conftest import (
    BESIDE,
    GGUF,
    INDEX,
    MIB,
    PARTS,
    SHARDS,
    TINY,
    Fetch,
)
from llama_operator.download.facts import HubName
from llama_operator.download.hub import default_revision
from llama_operator.download.prefetch import Wanted, prefetch
from llama_operator.errors import (
    HubContentError,
    InputError,
    NotCachedError,
    VolumeError,
    VolumeTooSmallError,
)
from support.model_files import safetensors_start

MOVED = "fedcba9876543210fedcba9876543210fedcba98"
WHOLE = sorted([*BESIDE, INDEX, *SHARDS])


def names(folder: Path) -> list[str]:
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if not path.is_dir())


@pytest.mark.parametrize("hub", ["HuggingFace", "ModelScope"])
def test_what_engines_read_and_nothing_else(
    hub: HubName, tiny: Repository, fetch: Fetch, tmp_path: Path
) -> None:
    done = fetch(hub=hub)
    folder = tmp_path / "volume/hub/models--org--Tiny-Llama"
    assert done.path == folder / "snapshots" / COMMIT
    assert names(done.path) == WHOLE
    assert [file.path for file in done.files][-2:] == [INDEX, "config.json"]
    for name in WHOLE:
        assert (done.path / name).read_bytes() == tiny.files[name].start
        assert not (done.path / name).readlink().is_absolute()
    refs = {"main"} if hub == "HuggingFace" else {"main", "master"}
    assert set(names(folder / "refs")) == refs
    assert {(folder / "refs" / ref).read_text() for ref in refs} == {COMMIT}
    assert done.fetched_bytes == done.total_bytes == sum(tiny.files[name].size for name in WHOLE)


def test_blobs_are_named_by_their_content(tiny: Repository, fetch: Fetch) -> None:
    blobs = fetch().path.parents[1] / "blobs"
    shard, config = (tiny.files[path].start for path in (SHARDS[0], "config.json"))
    git = hashlib.sha1(b"blob %d\0" % len(config) + config).hexdigest()
    assert (blobs / hashlib.sha256(shard).hexdigest()).read_bytes() == shard
    assert (blobs / git).read_bytes() == config
    assert len(names(blobs)) == len(WHOLE)


@pytest.mark.usefixtures("tiny")
def test_the_hubs_own_client_reads_it_offline(fetch: Fetch, tmp_path: Path) -> None:
    path, cache = fetch().path, tmp_path / "volume/hub"
    for revision in (None, "main", COMMIT):
        found = snapshot_download(TINY, revision=revision, cache_dir=cache, local_files_only=True)
        assert found == str(path)
    config = hf_hub_download(TINY, "config.json", cache_dir=cache, local_files_only=True)
    assert json.loads(Path(config).read_text())["model_type"] == "llama"


@pytest.mark.usefixtures("tiny")
def test_what_is_whole_is_not_fetched_again(server: HubServer, fetch: Fetch) -> None:
    first = fetch()
    for revision, requests in ((None, 1), (COMMIT, 0)):
        server.asked.clear()
        again = fetch(revision=revision)
        assert (again.path, again.fetched_bytes) == (first.path, 0)
        assert len(server.asked) == requests


@pytest.mark.usefixtures("tiny")
def test_a_look_without_a_network(server: HubServer, fetch: Fetch, tmp_path: Path) -> None:
    volume = tmp_path / "volume"
    with pytest.raises(NotCachedError, match=f"{TINY} at main was not prefetched to {volume}"):
        fetch(offline=True)
    path = fetch().path
    server.asked.clear()
    assert fetch(offline=True).path == path
    (path / SHARDS[1]).resolve().unlink()
    with pytest.raises(
        NotCachedError, match=r"lacks model-00002-of-00002.safetensors \(3,145,8\d\d bytes\): run"
    ):
        fetch(offline=True)
    with pytest.raises(NotCachedError, match="dev was not prefetched"):
        fetch(offline=True, revision="dev")
    assert server.asked == []
    assert fetch().fetched_bytes == (path / SHARDS[1]).stat().st_size


@pytest.mark.usefixtures("tiny")
def test_hf_hub_offline_is_offline(
    server: HubServer, fetch: Fetch, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    with pytest.raises(NotCachedError, match="was not prefetched"):
        fetch()
    assert server.asked == []


def test_damage_on_the_volume_is_found_when_asked_for(tiny: Repository, fetch: Fetch) -> None:
    path = fetch().path
    blob = (path / SHARDS[0]).resolve()
    content = bytearray(blob.read_bytes())
    content[-1] ^= 1
    blob.write_bytes(content)
    assert fetch().fetched_bytes == 0
    with pytest.raises(NotCachedError, match=r"lacks model-00001-of-00002.safetensors"):
        fetch(offline=True, verify=True)
    assert fetch(verify=True).fetched_bytes == len(content)
    assert (path / SHARDS[0]).read_bytes() == tiny.files[SHARDS[0]].start
    assert fetch(offline=True, verify=True).path == path


@pytest.mark.parametrize(
    ("paths", "expected"),
    [
        pytest.param([GGUF], [GGUF], id="one file"),
        pytest.param([PARTS[0]], PARTS, id="all parts of the first"),
        pytest.param([PARTS[1], GGUF], [PARTS[0], PARTS[1], GGUF], id="two models"),
    ],
)
def test_gguf_files(
    paths: list[str], expected: list[str], tiny_gguf: Repository, fetch: Fetch
) -> None:
    done = fetch(gguf_paths=tuple(paths))
    assert names(done.path) == sorted(expected)
    for path in expected:
        assert (done.path / path).read_bytes() == tiny_gguf.files[path].start


@pytest.mark.usefixtures("tiny_gguf")
def test_one_gguf_file_after_another(fetch: Fetch) -> None:
    fetch(gguf_paths=(GGUF,))
    with pytest.raises(NotCachedError, match=r"lacks .*00002-of-00002.gguf, .*00001-of-00002.gguf"):
        fetch(gguf_paths=(PARTS[0],), offline=True)
    done = fetch(gguf_paths=(PARTS[0],))
    assert names(done.path) == sorted([GGUF, *PARTS])
    # The part that the others follow comes last.
    assert [file.path for file in done.files] == [PARTS[1], PARTS[0]]


@pytest.mark.usefixtures("tiny_gguf")
def test_a_gguf_file_must_be_named(fetch: Fetch) -> None:
    with pytest.raises(InputError, match=f"several GGUF models, so --file must name .*{GGUF}"):
        fetch()
    with pytest.raises(InputError, match=r"GGUF file none\.gguf is none of the"):
        fetch(gguf_paths=("none.gguf",))
    with pytest.raises(InputError, match="--file 'Q8_0' is no GGUF file of org/Tiny-Llama; it has"):
        fetch(gguf_paths=("Q8_0",))


def test_parts_that_the_repository_lacks(tiny_gguf: Repository, fetch: Fetch) -> None:
    del tiny_gguf.files[PARTS[1]]
    with pytest.raises(HubContentError, match="has 1 of its 2 files"):
        fetch(gguf_paths=(PARTS[0],))


def test_pickled_weights_where_there_are_no_others(tiny: Repository, fetch: Fetch) -> None:
    for path in (*SHARDS, INDEX, "consolidated.safetensors"):
        del tiny.files[path]
    done = fetch()
    assert names(done.path) == sorted(
        [*BESIDE, "pytorch_model.bin", "pytorch_model.bin.index.json"]
    )


def test_no_weights_at_all(server: HubServer, fetch: Fetch) -> None:
    server.repositories[TINY] = Repository()
    server.repositories[TINY].add("config.json", {})
    with pytest.raises(HubContentError, match="has no weights that an engine reads"):
        fetch()


def test_a_file_without_a_checksum_is_refused(
    tiny: Repository, fetch: Fetch, server: HubServer
) -> None:
    tiny.told_sizes = False
    with pytest.raises(HubContentError, match="without size or checksum"):
        fetch()
    assert not any("tokenizer" in asked.path for asked in server.asked)


@pytest.mark.parametrize("path", ["../evil.gguf", "a//b.gguf", "/evil.gguf", "a/../../b.gguf"])
def test_a_path_that_leads_away(
    path: str, tiny_gguf: Repository, fetch: Fetch, tmp_path: Path
) -> None:
    tiny_gguf.add(path, tiny_gguf.files[GGUF])
    with pytest.raises(HubContentError, match="lists a path that is not taken"):
        fetch(gguf_paths=(path,), hub="ModelScope")
    assert list(tmp_path.rglob("*.gguf")) == []


def test_the_same_content_twice_comes_once(tiny: Repository, fetch: Fetch) -> None:
    tiny.add("tokenizer_config.json", tiny.files["tokenizer.json"])
    done = fetch()
    assert len(done.files) == len(WHOLE) + 1
    assert done.total_bytes - done.fetched_bytes == tiny.files["tokenizer.json"].size


def test_an_empty_file(tiny: Repository, fetch: Fetch) -> None:
    tiny.add("merges.txt", b"")
    assert (fetch().path / "merges.txt").read_bytes() == b""


def test_a_branch_that_moved(tiny: Repository, fetch: Fetch, tmp_path: Path) -> None:
    before = fetch().path
    tiny.commits["main"] = MOVED
    start = safetensors_start({"part.0": ("BF16", [MIB], 2 * MIB)})
    tiny.add(SHARDS[0], start + b"\1" * 2 * MIB)
    done = fetch()
    assert done.path == before.parent / MOVED
    assert done.fetched_bytes == len(start) + 2 * MIB
    assert names(before) == names(done.path) == WHOLE
    assert (tmp_path / "volume/hub/models--org--Tiny-Llama/refs/main").read_text() == MOVED


def test_a_pinned_revision_leaves_main_alone(tiny: Repository, fetch: Fetch) -> None:
    refs = fetch(revision=COMMIT).path.parents[1] / "refs"
    # llama-server finds a model by its ref alone, and there is no other.
    assert (refs / "main").read_text() == COMMIT
    tiny.commits["v2"] = MOVED
    fetch(revision="v2")
    assert {name: (refs / name).read_text() for name in names(refs)} == {
        "main": COMMIT,
        "v2": MOVED,
    }


@pytest.mark.usefixtures("tiny")
def test_a_volume_without_room(server: HubServer, fetch: Fetch, tmp_path: Path) -> None:
    with pytest.raises(
        VolumeTooSmallError,
        match=r"6,29\d,\d{3} bytes are still to be fetched and .* has 6,000,000 free, 29\d,\d{3}",
    ):
        fetch(free_bytes=lambda _: 6_000_000)
    assert names(tmp_path / "volume/hub") == [".locks/models--org--Tiny-Llama/prefetch.lock"]
    assert not any("tokenizer" in asked.path for asked in server.asked)


def test_what_is_there_needs_no_room(tiny: Repository, fetch: Fetch) -> None:
    (fetch().path / SHARDS[1]).resolve().unlink()
    fetch(free_bytes=lambda _: tiny.files[SHARDS[1]].size)


@pytest.mark.usefixtures("tiny")
def test_more_bytes_than_are_allowed(fetch: Fetch) -> None:
    with pytest.raises(VolumeTooSmallError, match=r"more than the 6,000,000 that --max-bytes"):
        fetch(max_bytes=6_000_000)


@pytest.mark.usefixtures("tiny")
def test_a_volume_that_cannot_be_written(fetch: Fetch, tmp_path: Path) -> None:
    (tmp_path / "volume").write_text("a file")
    with pytest.raises(VolumeError, match="volume: File exists"):
        fetch()


@pytest.mark.parametrize("hub", ["HuggingFace", "ModelScope"])
def test_two_at_once_fetch_it_once(
    hub: HubName, tiny: Repository, server: HubServer, tmp_path: Path
) -> None:
    wanted = Wanted(TINY, tmp_path, hub=hub, endpoint=server.url)

    async def both() -> list[int]:
        done = await asyncio.gather(prefetch(wanted), prefetch(wanted))
        assert done[0].path == done[1].path
        return [one.fetched_bytes for one in done]

    whole = sum(tiny.files[name].size for name in WHOLE)
    assert sorted(asyncio.run(both())) == [0, whole]
    assert (tmp_path / f"hub/models--org--Tiny-Llama/refs/{default_revision(hub)}").exists()
