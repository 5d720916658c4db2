"""Engines read a model from a volume in the layout of Hugging Face, and leave it as it is."""

import hashlib
import itertools
import json
import shutil
import urllib.request
from pathlib import Path

import pytest

from engines import Engines
from llama_operator.api.enums import CacheKind
from llama_operator.api.plan import ModelCache
from llama_operator.render.pod import pod_template
from support.deployments import deployment, plan
from support.engine_process import LOOPBACK, EngineProcess
from support.tiny_llama import TinyLlama

REPOSITORY = "org/tiny-llama"
COMMIT = "0123456789abcdef0123456789abcdef01234567"


@pytest.fixture
def volume(tiny_llama: TinyLlama, tmp_path: Path) -> Path:
    """HF_HOME with the tiny model: blobs, a snapshot of links, and the ref `main`."""
    home = tmp_path / "cache" / "huggingface"
    folder = home / "hub" / "models--org--tiny-llama"
    snapshot = folder / "snapshots" / COMMIT
    for part in (folder / "blobs", folder / "refs", snapshot):
        part.mkdir(parents=True)
    for file in (*sorted(tiny_llama.folder.iterdir()), tiny_llama.gguf):
        digest = hashlib.sha256(file.read_bytes()).hexdigest()
        shutil.copyfile(file, folder / "blobs" / digest)
        (snapshot / file.name).symlink_to(Path("../../blobs") / digest)
    (folder / "refs" / "main").write_text(COMMIT)
    return home


def pictured(volume: Path) -> dict[str, int]:
    """All that lies on the volume, with the time of its last change."""
    return {str(path): path.lstat().st_mtime_ns for path in [volume, *volume.rglob("*")]}


def rendered(
    engine: str, version: str, file: str, volume: Path
) -> tuple[list[str], dict[str, str]]:
    """Arguments and environment of a pod, its folder of the cache being the volume."""
    chosen = plan().model_copy(
        update={
            "engine": engine,
            "engine_version": version,
            "repository": REPOSITORY,
            "file": file,
            "max_num_seqs": 1,
            "cache": ModelCache(kind=CacheKind.CLAIM, model_bytes=1 << 20),
        }
    )
    body = deployment({"cache": {"claim": {}}})
    container = pod_template(chosen, body)["spec"]["containers"][0]
    wanted = ("HF_HOME", "HF_HUB_OFFLINE", "TRANSFORMERS_OFFLINE", "LLAMA_CACHE")
    values = {
        entry["name"]: str(entry["value"]).replace("/cache/huggingface", str(volume))
        for entry in container["env"]
        if entry["name"] in wanted
    }
    return container["args"], values


def completion(engine: EngineProcess, model: str) -> str:
    """One token of an answer."""
    body = json.dumps({"model": model, "prompt": "a", "max_tokens": 1}).encode()
    headers = {"Content-Type": "application/json"}
    request = urllib.request.Request(f"{engine.url}/v1/completions", body, headers)
    with urllib.request.urlopen(request, timeout=60) as answer:
        text: str = answer.read().decode()
    return text


def test_llama_server_reads_the_file_that_the_plan_names(
    engines: Engines, tiny_llama: TinyLlama, volume: Path, port: int, tmp_path: Path
) -> None:
    arguments, environment = rendered("LlamaCpp", "11434", tiny_llama.gguf.name, volume)
    assert "--offline" in arguments
    kept = {"--hf-repo", "--hf-file"}
    pairs = [
        word
        for flag, value in itertools.pairwise(arguments)
        if flag in kept
        for word in (flag, value)
    ]
    before = pictured(volume)
    words = [engines.llama_server, *pairs, "--offline", "--host", LOOPBACK, "--port", str(port)]
    with EngineProcess([*words, "--ctx-size", "512"], port, tmp_path, environment) as engine:
        engine.wait_status("/health")
        assert json.loads(engine.get("/v1/models")[1])["data"]
    assert pictured(volume) == before


def test_mlx_reads_the_repository_that_the_plan_names(
    engines: Engines, volume: Path, port: int, tmp_path: Path
) -> None:
    arguments, environment = rendered("MLX", "0.32.2", "", volume)
    assert f"--model={REPOSITORY}" in arguments
    before = pictured(volume)
    words = [engines.mlx_python, "-m", "mlx_lm", "server", f"--model={REPOSITORY}"]
    words += ["--host", LOOPBACK, "--port", str(port)]
    with EngineProcess(words, port, tmp_path, environment) as engine:
        engine.wait_status("/health")
        assert json.loads(completion(engine, REPOSITORY))["choices"]
    assert pictured(volume) == before
