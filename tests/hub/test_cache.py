"""Facts are asked for once, and answered offline."""

import logging
from pathlib import Path

import pytest
from huggingface_hub import constants

from doubles.hub_server import COMMIT, HubServer, Repository
from hub.conftest import LLAMA, Ask
from llama_operator.download import cache
from llama_operator.download.cache import FactsCache, default_folder
from llama_operator.download.facts import HubName
from llama_operator.errors import NotCachedError
from support.model_files import gguf_start

MOVED = "fedcba9876543210fedcba9876543210fedcba98"


@pytest.mark.parametrize(
    ("hub", "requests"),
    [
        pytest.param("HuggingFace", 1, id="Hugging Face"),
        pytest.param("ModelScope", 2, id="ModelScope"),
    ],
)
def test_a_second_question_asks_for_the_commit_only(
    hub: HubName, requests: int, server: HubServer, llama: Repository, ask: Ask
) -> None:
    first = ask(hub=hub)
    server.asked.clear()
    second = ask(hub=hub)
    assert len(server.asked) == requests
    assert second.from_cache
    assert not first.from_cache
    assert second.safetensors == first.safetensors
    assert (second.config, second.files) == (first.config, first.files)


@pytest.mark.parametrize("hub", ["HuggingFace", "ModelScope"])
def test_offline_answers_from_the_cache(
    hub: HubName, server: HubServer, llama: Repository, ask: Ask
) -> None:
    online = ask(hub=hub)
    server.asked.clear()
    offline = ask(hub=hub, offline=True)
    assert offline.from_cache
    assert offline.safetensors == online.safetensors
    assert ask(hub=hub, offline=True, revision=COMMIT).commit == COMMIT
    assert server.asked == []


def test_a_branch_that_moved_is_seen_online_and_the_old_commit_stays(
    llama: Repository, ask: Ask
) -> None:
    ask()
    llama.add("config.json", {"model_type": "llama", "hidden_size": 8192})
    assert ask().config != {"model_type": "llama", "hidden_size": 8192}
    llama.commits["main"] = MOVED
    moved = ask()
    assert not moved.from_cache
    assert (moved.commit, moved.config) == (MOVED, {"model_type": "llama", "hidden_size": 8192})
    assert ask(offline=True).commit == MOVED
    old = ask(offline=True, revision=COMMIT)
    assert old.config is not None
    assert old.config["hidden_size"] == 4096


@pytest.mark.parametrize(
    ("asked", "missing"),
    [
        pytest.param({"repository": "org/other"}, "no facts of org/other at main", id="repository"),
        pytest.param({"revision": "v2"}, f"no facts of {LLAMA} at v2", id="revision"),
        pytest.param({"hub": "ModelScope"}, f"no facts of {LLAMA} at master", id="hub"),
        pytest.param({"endpoint": "https://mirror.example"}, "no facts of", id="endpoint"),
    ],
)
def test_offline_says_what_is_missing(
    asked: dict[str, str], missing: str, llama: Repository, ask: Ask, tmp_path: Path
) -> None:
    ask()
    with pytest.raises(NotCachedError, match=missing) as raised:
        ask(**({"repository": LLAMA} | asked), offline=True)
    assert str(tmp_path / "cache") in str(raised.value)
    assert "ask once online" in str(raised.value)


def test_huggingface_hub_s_own_offline_mode_is_kept(
    server: HubServer, ask: Ask, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    with pytest.raises(NotCachedError):
        ask()
    assert server.asked == []


def test_a_gguf_header_joins_the_facts_when_it_is_asked_for(server: HubServer, ask: Ask) -> None:
    server.repositories["org/gguf"] = made = Repository()
    for kind in ("Q4_K_M", "Q8_0"):
        made.add(f"m-{kind}.gguf", gguf_start([], []).ljust(64, b"\0"))
    ask("org/gguf")
    with pytest.raises(NotCachedError, match="no header of the GGUF model m-Q8_0 in org/gguf"):
        ask("org/gguf", gguf="Q8_0", offline=True)
    assert not ask("org/gguf", gguf="Q8_0").from_cache
    ask("org/gguf", gguf="Q4_K_M")
    server.asked.clear()
    assert ask("org/gguf", gguf="Q8_0").from_cache
    assert len(server.asked) == 1
    facts = ask("org/gguf", gguf="Q8_0", offline=True)
    assert all(model.header is not None for model in facts.gguf)


@pytest.mark.parametrize(
    "content", [b"", b"{", b"[1]", b"null", b'{"version": 1}', b"\xff", b"[" * 100_000]
)
def test_a_spoilt_file_is_read_anew(
    content: bytes, server: HubServer, llama: Repository, ask: Ask, tmp_path: Path
) -> None:
    ask()
    [path] = (tmp_path / "cache").rglob(f"{COMMIT}.json")
    path.write_bytes(content)
    with pytest.raises(NotCachedError):
        ask(offline=True)
    assert not ask().from_cache
    assert ask(offline=True).from_cache


def test_facts_of_another_commit_under_this_name_do_not_count(
    llama: Repository, ask: Ask, tmp_path: Path
) -> None:
    ask()
    [path] = (tmp_path / "cache").rglob(f"{COMMIT}.json")
    path.rename(path.with_name(f"{MOVED}.json"))
    with pytest.raises(NotCachedError):
        ask(offline=True, revision=MOVED)


@pytest.mark.parametrize("content", [b"", b"main", b"../../etc", b"\xff"])
def test_a_spoilt_revision_counts_as_absent(
    content: bytes, llama: Repository, ask: Ask, tmp_path: Path
) -> None:
    ask()
    [path] = (tmp_path / "cache").rglob("revisions/main")
    path.write_bytes(content)
    with pytest.raises(NotCachedError):
        ask(offline=True)


def test_nothing_half_written_is_left(llama: Repository, ask: Ask, tmp_path: Path) -> None:
    ask()
    names = sorted(path.name for path in (tmp_path / "cache").rglob("*") if path.is_file())
    assert names == [f"{COMMIT}.json", "main"]


def test_the_cache_belongs_to_its_user_alone(llama: Repository, ask: Ask, tmp_path: Path) -> None:
    ask()
    [path] = (tmp_path / "cache").rglob(f"{COMMIT}.json")
    assert path.stat().st_mode & 0o077 == 0
    assert path.parent.stat().st_mode & 0o077 == 0


def test_a_cache_that_cannot_be_written_is_told_and_harms_nothing(
    llama: Repository, ask: Ask, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "file").write_text("")
    with caplog.at_level(logging.WARNING):
        facts = ask(cache_dir=tmp_path / "file")
    assert facts.safetensors is not None
    assert "model facts are not cached in" in caplog.text


def test_a_branch_and_a_repository_never_lead_out_of_the_cache(tmp_path: Path) -> None:
    made = FactsCache(tmp_path, "HuggingFace", "https://h/../..", "a/b")
    assert made.folder.parent.parent.parent == tmp_path
    made.write_revision("feature/x", COMMIT)
    assert made.commit("feature/x") == COMMIT
    assert [path.name for path in made.folder.rglob("*x")] == ["feature%2Fx"]


def test_the_folder_of_the_user(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert default_folder() == tmp_path / "llama-operator" / "hub"
    monkeypatch.setenv("XDG_CACHE_HOME", "relative")
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    assert default_folder() == tmp_path / "home" / ".cache" / "llama-operator" / "hub"


def test_a_file_that_is_far_too_large_is_not_read(
    llama: Repository, ask: Ask, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ask()
    monkeypatch.setattr(cache, "FACTS_LIMIT_BYTES", 100)
    with pytest.raises(NotCachedError):
        ask(offline=True)


def test_a_write_that_fails_leaves_nothing(
    llama: Repository, ask: Ask, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "replace", refuse)
    assert ask().safetensors is not None
    assert not [path for path in (tmp_path / "cache").rglob("*") if path.is_file()]
