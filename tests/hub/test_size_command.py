"""`llama-operator size owner/name`: the configuration comes from the hub."""

import json
from pathlib import Path

import pytest

from doubles.hub_server import HubServer, Repository
from hub.conftest import LLAMA
from llama_operator.cli.main import main
from llama_operator.download import hugging_face

CONFIG = {
    "model_type": "llama", "hidden_size": 4096, "intermediate_size": 14336,
    "num_hidden_layers": 32, "num_attention_heads": 32, "num_key_value_heads": 8,
    "vocab_size": 128256, "tie_word_embeddings": False, "max_position_embeddings": 131072,
}  # fmt: skip


@pytest.fixture(autouse=True)
def hub(server: HubServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hugging_face, "DEFAULT_ENDPOINT", server.url)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setenv("HF_TOKEN_PATH", str(tmp_path / "none"))


def test_a_repository_is_sized_as_its_configuration(
    llama: Repository, capsys: pytest.CaptureFixture[str]
) -> None:
    llama.add("config.json", CONFIG)
    words = ["size", LLAMA, "--gpu", "NVIDIA-L40S", "--max-model-len", "8192", "-o", "json"]
    assert main(words) == 0
    found = json.loads(capsys.readouterr().out)
    assert (found["model"], found["repository"], found["fits"]) == (LLAMA, LLAMA, True)
    assert found["checkpoint_bytes"] == found["stored_bytes"] == 16_060_522_496
    assert "note" not in found


def test_files_that_are_larger_than_computed_are_told(
    llama: Repository, capsys: pytest.CaptureFixture[str]
) -> None:
    llama.add("config.json", {**CONFIG, "num_hidden_layers": 31})
    assert main(["size", LLAMA, "-o", "json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["stored_bytes"] == 16_060_522_496
    assert "16,060,522,496" in found["note"]
    # What is downloaded is what is there: 16,060,522,496 bytes, 5 percent and 1 GiB.
    assert found["disk_bytes"] == 16_060_522_496 + 803_026_124 + 2**30


def test_a_repository_that_is_not_there(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["size", "nobody/nothing"]) == 1
    printed = capsys.readouterr()
    assert printed.out == ""
    assert "nobody/nothing" in printed.err


def test_a_repository_of_gguf_files_alone(
    server: HubServer, capsys: pytest.CaptureFixture[str]
) -> None:
    made = server.repositories.setdefault("owner/files", Repository())
    made.add("README.md", b"nothing here")
    assert main(["size", "owner/files"]) == 2
    assert "MODEL 'owner/files' has no config.json" in capsys.readouterr().err


def test_offline_says_so(
    llama: Repository, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("llama_operator.download.hub.constants.is_offline_mode", lambda: True)
    assert main(["size", LLAMA]) == 1
    assert f"offline, and the cache has no facts of {LLAMA}" in capsys.readouterr().err
