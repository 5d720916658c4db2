"""Real engines apply the LoRA adapters that `llama-operator prefetch` left beside the model."""

from pathlib import Path

import pytest
from openai import OpenAI

from doubles.hub_server import HubServer, Repository
from engines import Engines
from llama_operator.api.deployment import LlamaDeployment
from llama_operator.api.enums import CacheKind
from llama_operator.api.plan import ModelCache
from llama_operator.cli.main import main
from llama_operator.download import hugging_face
from llama_operator.engines.registry import engine
from support.deployments import plan
from support.engine_process import LOOPBACK, EngineProcess
from support.tiny_adapter import make_tiny_adapter
from support.tiny_llama import TinyLlama

FOLDER, FILES = "org/Tiny-Llama", "org/Tiny-Llama-GGUF"
ADAPTER, ADAPTER_FILES = "org/tiny-lora", "org/tiny-lora-GGUF"


@pytest.fixture(scope="module")
def volume(tiny_llama: TinyLlama, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """HF_HOME with the tiny model and an adapter, both in both forms; their hub is gone."""
    where = tmp_path_factory.mktemp("volume")
    adapter = make_tiny_adapter(tmp_path_factory.mktemp("adapter"))
    with pytest.MonkeyPatch.context() as patch, HubServer().serve() as server:
        patch.setattr(hugging_face, "DEFAULT_ENDPOINT", server.url)
        patch.setenv("HF_TOKEN", "")
        paths = {
            FOLDER: [*tiny_llama.folder.iterdir()],
            FILES: [tiny_llama.gguf],
            ADAPTER: [*adapter.folder.iterdir()],
            ADAPTER_FILES: [adapter.gguf],
        }
        for repository, files in paths.items():
            made = server.repositories.setdefault(repository, Repository())
            for path in files:
                made.add(path.name, path.read_bytes())
        into = ["--into", str(where)]
        file = f"{ADAPTER_FILES}:{adapter.gguf.name}"
        assert main(["prefetch", FOLDER, *into, "--adapter", ADAPTER]) == 0
        assert main(["prefetch", FILES, *into, "--adapter", file]) == 0
    return where


def words(name: str, version: str, volume: Path, adapter: dict[str, str] | None) -> list[str]:
    """What is rendered for adapters, with the folder of the volume in its place."""
    cache = ModelCache(kind=CacheKind.CLAIM, model_bytes=1 << 20)
    values = {"engine": name, "engine_version": version, "cache": cache, "file": "a.gguf"}
    chosen = plan().model_copy(update=values)
    lora = {} if adapter is None else {"lora": {"adapters": [{"name": "sql", **adapter}]}}
    spec = {"size": "8b", "cache": {"claim": {}}, **lora}
    body = LlamaDeployment.parse({"metadata": {"name": "tiny"}, "spec": spec})
    found = engine(name).container(chosen, body).args
    start = next((i for i, word in enumerate(found) if "/adapters/" in word), len(found))
    kept = found[start - 1 : start + 1] if name == "LlamaCpp" else found[start : start + 1]
    return [word.replace("/cache/huggingface", str(volume)) for word in kept]


def answer(serving: EngineProcess, model: str) -> str:
    """What the engine says to a greeting."""
    with OpenAI(base_url=f"{serving.url}/v1", api_key="none", max_retries=0) as client:
        found = client.chat.completions.create(
            model=model,
            messages=[{"role": "user", "content": "what can a llama carry"}],
            max_tokens=8,
            temperature=0,
        )
    return found.choices[0].message.content or ""


def test_llama_server_applies_the_file_to_every_request(
    engines: Engines, tiny_llama: TinyLlama, volume: Path, port: int, tmp_path: Path
) -> None:
    adapter = {"repository": ADAPTER_FILES, "file": "tiny-adapter-F32.gguf"}
    lora = words("LlamaCpp", "11434", volume, adapter)
    assert lora == ["--lora", f"{volume}/adapters/org--tiny-lora-GGUF/tiny-adapter-F32.gguf"]
    said = []
    for more in ([], lora):
        arguments: list[str | Path] = [engines.llama_server, "--model", tiny_llama.gguf, *more]
        arguments += ["--host", LOOPBACK, "--port", str(port), "--ctx-size", "512"]
        arguments += ["--threads", "1", "--seed", "1"]
        with EngineProcess(arguments, port, tmp_path) as serving:
            serving.wait_status("/health")
            said.append([answer(serving, model) for model in ("tiny", "sql")])
    plain, adapted = said
    assert plain[0] == plain[1]
    assert adapted[0] == adapted[1] != plain[0]


def test_mlx_applies_the_folder_to_its_default_model_alone(
    engines: Engines, volume: Path, port: int, tmp_path: Path
) -> None:
    lora = words("MLX", "0.32.2", volume, {"repository": ADAPTER})
    assert lora == [f"--adapter-path={volume}/adapters/org--tiny-lora"]
    arguments: list[str | Path] = [engines.mlx_python, "-m", "mlx_lm", "server"]
    arguments += [f"--model={FOLDER}", "--host", LOOPBACK, "--port", str(port), *lora]
    environment = {"HF_HOME": str(volume), "HF_HUB_OFFLINE": "1"}
    with EngineProcess(arguments, port, tmp_path, environment) as serving:
        serving.wait_status("/health")
        adapted, plain = answer(serving, "default_model"), answer(serving, FOLDER)
        assert adapted != plain
        assert answer(serving, "default_model") == adapted
