"""Finding programs, and building those that are missing."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from controlplane import Binaries, toolchain
from controlplane.cache import cache_folder, make_once
from controlplane.errors import BuildError, ToolMissingError
from controlplane.programs import PROGRAMS

TOOLS = str(Path(__file__).resolve().parents[2] / "tools")


def program(folder: Path, name: str, output: str) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / name
    path.write_text(f"#!/bin/sh\necho '{output}'\n")
    path.chmod(0o755)
    return path


@pytest.fixture
def bare_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "bin"
    folder.mkdir()
    monkeypatch.setenv("PATH", str(folder))
    monkeypatch.delenv("KUBEBUILDER_ASSETS", raising=False)
    toolchain.find_go.cache_clear()
    return folder


@pytest.mark.parametrize(
    ("variables", "expected"),
    [
        pytest.param({"LLAMA_OPERATOR_CACHE": "/own"}, "/own/controlplane", id="our own"),
        pytest.param(
            {"XDG_CACHE_HOME": "/xdg"}, "/xdg/llama-operator/controlplane", id="the desktop's"
        ),
        pytest.param(
            {"HOME": "/home/me"}, "/home/me/.cache/llama-operator/controlplane", id="the default"
        ),
    ],
)
def test_the_cache_is_where_the_environment_says(
    monkeypatch: pytest.MonkeyPatch, variables: dict[str, str], expected: str
) -> None:
    for name in ("LLAMA_OPERATOR_CACHE", "XDG_CACHE_HOME"):
        monkeypatch.delenv(name, raising=False)
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    assert cache_folder("controlplane") == Path(expected)


def test_what_failed_half_way_is_made_anew_and_leaves_nothing(tmp_path: Path) -> None:
    target = tmp_path / "etcd-v1" / "etcd"

    def fail(output: Path) -> None:
        output.write_text("half")
        (output.parent / "rubbish").mkdir()
        raise BuildError("no more disk")

    def succeed(output: Path) -> None:
        output.write_text("whole")

    with pytest.raises(BuildError, match="no more disk"):
        make_once(target, fail)
    killed = target.parent / ".unfinished-1"
    killed.mkdir()
    (killed / "etcd").write_text("half")
    make_once(target, succeed)
    make_once(target, fail)
    assert target.read_text() == "whole"
    assert {path.name for path in target.parent.iterdir()} == {".lock", "etcd"}


def test_a_cached_program_is_taken_without_asking_it(tmp_path: Path, bare_path: Path) -> None:
    version = PROGRAMS["etcd"].family.version
    cached = program(tmp_path / "cache" / f"etcd-{version}", "etcd", "never asked")
    assert Binaries(cache=tmp_path / "cache").etcd == cached


def test_a_program_of_the_pinned_version_on_the_path_saves_the_build(
    tmp_path: Path, bare_path: Path
) -> None:
    version = PROGRAMS["kubectl"].family.version
    found = program(bare_path, "kubectl", f"Client Version: {version}")
    assert Binaries(cache=tmp_path / "cache").kubectl == found


def test_assets_come_before_the_path(
    tmp_path: Path, bare_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    version = PROGRAMS["kubectl"].family.version
    program(bare_path, "kubectl", f"Client Version: {version}")
    asset = program(tmp_path / "assets", "kubectl", f"Client Version: {version}")
    monkeypatch.setenv("KUBEBUILDER_ASSETS", str(tmp_path / "assets"))
    assert Binaries(cache=tmp_path / "cache").kubectl == asset


def test_another_version_is_not_taken_and_a_missing_go_is_explained(
    tmp_path: Path, bare_path: Path
) -> None:
    program(bare_path, "kubectl", "Client Version: v1.20.0")
    with pytest.raises(ToolMissingError, match=r"Go 1\.26 or newer is needed.*no `go`"):
        _ = Binaries(cache=tmp_path / "cache").kubectl


def test_a_go_that_is_too_old_is_named(tmp_path: Path, bare_path: Path) -> None:
    program(bare_path, "go", "go1.19.8")
    with pytest.raises(ToolMissingError, match=r"Go 1\.26 or newer is needed.*says: go1\.19\.8"):
        _ = Binaries(cache=tmp_path / "cache").kubectl


@pytest.mark.cluster
def test_two_runs_at_once_build_a_program_once(tmp_path: Path) -> None:
    code = (
        "import sys\n"
        "from pathlib import Path\n"
        "from controlplane import Binaries\n"
        "print(Binaries(cache=Path(sys.argv[1])).pki.stat().st_ino)\n"
    )
    runs = [
        subprocess.Popen(
            [sys.executable, "-c", code, str(tmp_path)],
            env=os.environ | {"PYTHONPATH": TOOLS},
            stdout=subprocess.PIPE,
            text=True,
        )
        for _ in range(2)
    ]
    inodes = {run.communicate(timeout=120)[0] for run in runs}
    assert [run.returncode for run in runs] == [0, 0]
    assert len(inodes) == 1
    assert {path.name for path in tmp_path.glob("*/*")} == {".lock", "pki"}
