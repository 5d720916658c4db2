"""`llama-operator prefetch`: exit status, what it prints, and what it leaves for Kubernetes."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from doubles.hub_server import COMMIT, HubServer, Repository
from hub.conftest import GGUF, MIB, SHARDS, TINY
from llama_operator.cli.main import main
from llama_operator.download import hugging_face, model_scope

Run = Callable[..., tuple[int, str, str]]
DRAFT = "org/Tiny-Draft"
SECRET = "hf_secretSecretSecret"


@pytest.fixture
def run(
    server: HubServer,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> Run:
    """The command: exit status, standard output, standard error."""
    monkeypatch.setattr(hugging_face, "DEFAULT_ENDPOINT", server.url)
    monkeypatch.setattr(model_scope, "DEFAULT_ENDPOINT", server.url)
    monkeypatch.setenv("HF_TOKEN_PATH", str(tmp_path / "none"))
    monkeypatch.delenv("HF_TOKEN", raising=False)

    def ran(*words: str, repository: str = TINY) -> tuple[int, str, str]:
        into = ("--into", str(tmp_path), "--json-termination", str(tmp_path / "termination"))
        status = main(["prefetch", repository, *into, *words])
        printed = capsys.readouterr()
        return status, printed.out, printed.err

    return ran


def termination(tmp_path: Path) -> Any:
    return json.loads((tmp_path / "termination").read_text())


@pytest.mark.parametrize("hub", ["HuggingFace", "ModelScope"])
def test_a_model_is_fetched(hub: str, tiny: Repository, run: Run, tmp_path: Path) -> None:
    status, out, err = run("--hub", hub)
    path = tmp_path / "hub/models--org--Tiny-Llama/snapshots" / COMMIT
    assert (status, out) == (0, f"{path}\n")
    whole = sum(blob.stat().st_size for blob in path.iterdir())
    assert err.splitlines()[-1] == (
        f"llama-operator: {TINY} at {COMMIT} is whole: 7 files, {whole:,} bytes, "
        f"{whole:,} of them fetched"
    )
    record = termination(tmp_path)
    assert record.pop("seconds") >= 0
    assert record == {
        "repository": TINY,
        "hub": hub,
        "revision": "main" if hub == "HuggingFace" else "master",
        "commit": COMMIT,
        "gated": False if hub == "HuggingFace" else None,
        "path": str(path),
        "bytes": whole,
        "files": 7,
        "fetched_bytes": whole,
        # Two tensors of 3 MiB in 16 bit.
        "dtypes": {"BF16": {"tensors": 2, "elements": 3 * MIB, "bytes": 6 * MIB}},
        "config": {"model_type": "llama", "hidden_size": 4096, "num_hidden_layers": 32},
    }


@pytest.mark.usefixtures("tiny_gguf")
def test_a_gguf_file_is_fetched(run: Run, tmp_path: Path) -> None:
    status, out, _ = run("--file", GGUF, "--max-bytes", "3Mi")
    assert status == 0
    assert [path.name for path in Path(out.strip()).iterdir()] == [GGUF]
    record = termination(tmp_path)
    # 256 x 4096 weights in F16.
    assert record["dtypes"] == {"F16": {"tensors": 1, "bytes": 2 * MIB}}
    assert record["config"] == {"general.architecture": "llama", "llama.block_count": 2}


@pytest.mark.usefixtures("tiny")
def test_a_draft_is_fetched_before_the_model(run: Run, server: HubServer, tmp_path: Path) -> None:
    server.repositories[DRAFT] = server.repositories[TINY]
    status, out, err = run("--draft", DRAFT)
    path = tmp_path / "hub/models--org--Tiny-Llama/snapshots" / COMMIT
    assert (status, out) == (0, f"{path}\n")
    assert termination(tmp_path)["repository"] == TINY
    whole = [line.split()[1] for line in err.splitlines() if " is whole: " in line]
    assert whole == [DRAFT, TINY]
    asked = [one.path for one in server.asked if "/resolve/" in one.path]
    assert asked[0].startswith(f"/{DRAFT}/")


@pytest.mark.usefixtures("tiny")
def test_a_draft_that_is_not_there_ends_it_before_the_model(run: Run, server: HubServer) -> None:
    status, _, err = run("--draft", "org/none")
    assert status == 2
    assert "org/none" in err
    assert not [one for one in server.asked if "/resolve/" in one.path]


def test_a_file_of_a_draft_needs_its_repository(run: Run) -> None:
    status, _, err = run("--draft-file", GGUF)
    assert (status, "--draft-file needs --draft beside it" in err) == (2, True)


@pytest.mark.usefixtures("tiny")
def test_progress_as_json(run: Run) -> None:
    _, _, err = run("--log-format", "json")
    report, end = map(json.loads, err.splitlines())
    assert report["level"] == end["level"] == "info"
    assert report["done_bytes"] == report["total_bytes"] > 6 * MIB
    assert report["seconds_left"] == 0
    assert report["bytes_per_second"] > 0
    assert "(100 %)" in report["message"]
    assert "is whole: 7 files" in end["message"]


@pytest.mark.parametrize(
    ("change", "words", "status", "reason", "part"),
    [
        pytest.param(
            {"gated": "manual", "token": SECRET},
            (),
            2,
            "RepositoryAccessDenied",
            f"{TINY} is gated: accept its conditions at http://127.0.0.1",
            id="gated",
        ),
        pytest.param(
            {"private": True, "token": SECRET}, (), 2, "RepositoryNotFound", "private", id="private"
        ),
        pytest.param(
            {}, ("--revision", "v9"), 2, "RepositoryNotFound", "no revision v9", id="revision"
        ),
        pytest.param(
            {}, ("--revision", "../x"), 2, "InvalidSpec", "a branch, tag or commit", id="no name"
        ),
        pytest.param(
            {}, ("--file", "a.gguf"), 2, "InvalidSpec", "it has no GGUF model", id="no such file"
        ),
        pytest.param(
            {"told_sizes": False}, (), 2, "RepositoryUnusable", "size or checksum", id="no sizes"
        ),
        pytest.param({}, ("--max-bytes", "1Mi"), 3, "VolumeTooSmall", "1,048,576", id="too large"),
        pytest.param(
            {}, ("--offline",), 1, "ModelNotFetched", "was not prefetched to", id="offline"
        ),
    ],
)
def test_what_ends_otherwise(
    change: dict[str, Any],
    words: tuple[str, ...],
    status: int,
    reason: str,
    part: str,
    tiny: Repository,
    run: Run,
    tmp_path: Path,
) -> None:
    for name, value in change.items():
        setattr(tiny, name, value)
    found, out, err = run(*words)
    assert (found, out) == (status, "")
    told = termination(tmp_path)
    assert told["reason"] == reason
    assert part in told["message"]
    assert err == f"llama-operator: {told['message']}\n"


def test_a_missing_repository_and_a_bad_name(run: Run, tmp_path: Path) -> None:
    assert run(repository="org/none")[0] == 2
    assert termination(tmp_path)["reason"] == "RepositoryNotFound"
    assert run(repository="../none")[0] == 2
    assert termination(tmp_path)["reason"] == "InvalidSpec"


@pytest.mark.usefixtures("tiny")
def test_a_hub_that_is_not_there(
    run: Run, server: HubServer, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    server.plays["/api/models/"] = lambda handler: handler.write(429, b"", Retry_After="3600")
    assert run()[0] == 1
    assert termination(tmp_path)["reason"] == "HubUnreachable"


@pytest.mark.usefixtures("tiny")
def test_a_termination_file_that_cannot_be_written(run: Run, tmp_path: Path) -> None:
    status, out, err = run("--json-termination", str(tmp_path))
    assert status == 0
    assert out != ""
    assert f"--json-termination {tmp_path}: Is a directory" in err


@pytest.mark.parametrize("size", ["0", "-1", "much"])
def test_a_bound_that_is_none(size: str, run: Run, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match="2"):
        run(f"--max-bytes={size}")
    assert "is no size above 0 such as 200Gi" in capsys.readouterr().err


@pytest.mark.usefixtures("tiny")
def test_the_token_is_told_nowhere(
    run: Run, monkeypatch: pytest.MonkeyPatch, tiny: Repository, tmp_path: Path
) -> None:
    tiny.gated, tiny.token = "manual", SECRET
    monkeypatch.setenv("HF_TOKEN", SECRET)
    status, out, err = run("--log-format", "json")
    assert status == 0
    written = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert len(written) > len(SHARDS)
    assert SECRET not in out + err
    assert not any(SECRET.encode() in path.read_bytes() for path in written)
