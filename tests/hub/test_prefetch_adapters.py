"""LoRA adapters beside a model on a volume: what is fetched of them, and the link to it."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from doubles.hub_server import COMMIT, HubServer, Repository
from hub.conftest import TINY
from llama_operator.cli.main import main
from llama_operator.download import hugging_face
from support.model_files import TEXT, gguf_start, safetensors_start

ADAPTER, FILES = "org/sql-lora", "org/sql-lora-GGUF"
Run = Callable[..., tuple[int, str, str]]


@pytest.fixture
def run(
    server: HubServer,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> Run:
    """The command for the tiny model: exit status, standard output, standard error."""
    monkeypatch.setattr(hugging_face, "DEFAULT_ENDPOINT", server.url)
    monkeypatch.setenv("HF_TOKEN", "")

    def ran(*words: str) -> tuple[int, str, str]:
        into = ("--into", str(tmp_path), "--json-termination", str(tmp_path / "termination"))
        status = main(["prefetch", TINY, *into, *words])
        printed = capsys.readouterr()
        return status, printed.out, printed.err

    return ran


@pytest.fixture
def adapter(server: HubServer, tiny: Repository) -> Repository:
    """An adapter in the form of PEFT, with what training leaves beside it."""
    del tiny
    found = server.repositories.setdefault(ADAPTER, Repository())
    found.add("adapter_config.json", {"peft_type": "LORA", "r": 16})
    found.add("adapter_model.safetensors", safetensors_start({}) + b"weights")
    found.add("README.md", b"trained on questions")
    found.add("optimizer.pt", b"as large as two adapters")
    found.add("checkpoint-500/adapter_model.safetensors", b"older")
    return found


@pytest.fixture
def files(server: HubServer) -> Repository:
    """The same as GGUF."""
    found = server.repositories.setdefault(FILES, Repository())
    keys = [("general.type", TEXT, "adapter"), ("general.architecture", TEXT, "llama")]
    start = gguf_start(keys, [("blk.0.attn_q.weight.lora_a", [256, 16], 0, 0)])
    start = start.ljust((len(start) + 31) // 32 * 32, b"\0")
    for precision in ("f16", "f32"):
        found.add(f"{precision}/sql.gguf", start + precision.encode() * 8192)
    return found


def link(tmp_path: Path, repository: str) -> Path:
    return tmp_path / "adapters" / repository.replace("/", "--")


def test_an_adapter_lies_beside_the_model(run: Run, adapter: Repository, tmp_path: Path) -> None:
    status, out, err = run("--adapter", ADAPTER)
    model = tmp_path / "hub/models--org--Tiny-Llama/snapshots" / COMMIT
    found = link(tmp_path, ADAPTER)
    assert (status, out) == (0, f"{model}\n{found}\n")
    assert str(found.readlink()) == f"../hub/models--org--sql-lora/snapshots/{COMMIT}"
    read = {path.name: path.read_bytes() for path in found.iterdir()}
    assert read == {
        name: adapter.files[name].start
        for name in ("adapter_config.json", "adapter_model.safetensors")
    }
    assert "org/sql-lora at " in err
    assert json.loads((tmp_path / "termination").read_text())["repository"] == TINY


def test_a_second_time_nothing_is_fetched(run: Run, adapter: Repository, tmp_path: Path) -> None:
    del adapter
    run("--adapter", ADAPTER)
    before = link(tmp_path, ADAPTER).lstat().st_ino
    status, _, err = run("--adapter", ADAPTER)
    assert status == 0
    assert err.count(" 0 of them fetched") == 2
    assert link(tmp_path, ADAPTER).lstat().st_ino == before
    assert run("--adapter", ADAPTER, "--offline")[0] == 0


def test_the_link_follows_the_branch(
    run: Run, adapter: Repository, tiny: Repository, tmp_path: Path
) -> None:
    del tiny
    run("--adapter", ADAPTER)
    moved = "fedcba9876543210fedcba9876543210fedcba98"
    adapter.commits["main"] = moved
    adapter.add("adapter_model.safetensors", safetensors_start({}) + b"better ones")
    assert run("--adapter", ADAPTER)[0] == 0
    found = link(tmp_path, ADAPTER)
    assert found.resolve().name == moved
    assert (found / "adapter_model.safetensors").read_bytes().endswith(b"better ones")
    assert not list(tmp_path.rglob(".new-*"))


@pytest.mark.usefixtures("tiny")
def test_a_file_of_gguf_is_fetched_alone(run: Run, files: Repository, tmp_path: Path) -> None:
    status, _, _ = run("--adapter", f"{FILES}:f16/sql.gguf")
    assert status == 0
    [path] = [path for path in link(tmp_path, FILES).rglob("*") if not path.is_dir()]
    assert path == link(tmp_path, FILES) / "f16/sql.gguf"
    assert path.read_bytes() == files.files["f16/sql.gguf"].start


@pytest.mark.parametrize(
    ("wanted", "told"),
    [
        pytest.param("org/none", "org/none", id="no such repository"),
        pytest.param(TINY, f"{TINY} is no LoRA adapter: it lacks", id="a model"),
        pytest.param(f"{FILES}:f8/sql.gguf", "f8/sql.gguf", id="no such file"),
        pytest.param("../org/a", "a repository is named like", id="no name of a repository"),
    ],
)
@pytest.mark.usefixtures("adapter", "files")
def test_what_is_no_adapter_ends_before_the_model_is_fetched(
    wanted: str, told: str, run: Run, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    status, out, err = run("--adapter", wanted)
    assert (status, out) == (2, "")
    assert told in err + capsys.readouterr().err
    assert told in json.loads((tmp_path / "termination").read_text())["message"]
    assert not list((tmp_path / "hub").glob("models--org--Tiny-Llama/snapshots/*"))


@pytest.mark.usefixtures("adapter")
def test_an_adapter_without_its_link_is_not_there_offline(run: Run, tmp_path: Path) -> None:
    run("--adapter", ADAPTER)
    link(tmp_path, ADAPTER).unlink()
    status, _, err = run("--adapter", ADAPTER, "--offline")
    assert status != 0
    assert "run prefetch once without --offline" in err
