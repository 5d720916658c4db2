"""Real engines serve, without a network, what `llama-operator prefetch` left on a volume."""

from pathlib import Path

import pytest
from openai import OpenAI

from doubles.hub_server import COMMIT, HubServer, Repository
from engines import Engines
from llama_operator.cli.main import main
from llama_operator.download import hugging_face
from support.engine_process import LOOPBACK, EngineProcess
from support.rendered_engine import CONTEXT_PER_SLOT
from support.tiny_llama import TinyLlama

FOLDER, FILES = "org/Tiny-Llama", "org/Tiny-Llama-GGUF"
SNAPSHOTS = "hub/models--org--{}/snapshots/" + COMMIT


@pytest.fixture(scope="module")
def volume(tiny_llama: TinyLlama, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """HF_HOME with both forms of the tiny model; the hub that they came from is gone."""
    where = tmp_path_factory.mktemp("volume")
    with pytest.MonkeyPatch.context() as patch, HubServer().serve() as server:
        patch.setattr(hugging_face, "DEFAULT_ENDPOINT", server.url)
        patch.setenv("HF_TOKEN", "")
        folder = server.repositories.setdefault(FOLDER, Repository())
        for path in tiny_llama.folder.iterdir():
            folder.add(path.name, path.read_bytes())
        folder.add("original/consolidated.00.pth", b"a second copy")
        files = server.repositories.setdefault(FILES, Repository())
        files.add(tiny_llama.gguf.name, tiny_llama.gguf.read_bytes())
        files.add("Tiny-Llama-Q8_0.gguf", tiny_llama.gguf.read_bytes())
        assert main(["prefetch", FOLDER, "--into", str(where)]) == 0
        file = ["--file", tiny_llama.gguf.name]
        assert main(["prefetch", FILES, "--into", str(where), *file]) == 0
    return where


def answer(engine: EngineProcess, model: str) -> str | None:
    """What the engine says to a greeting."""
    with OpenAI(base_url=f"{engine.url}/v1", api_key="none", max_retries=0) as client:
        found = client.chat.completions.create(
            model=model,
            messages=[{"role": "user", "content": "hello llama"}],
            max_tokens=8,
            temperature=0,
        )
    return found.choices[0].message.content


def test_llama_server_by_name_offline(
    engines: Engines, tiny_llama: TinyLlama, volume: Path, port: int, tmp_path: Path
) -> None:
    arguments: list[str | Path] = [engines.llama_server, "--offline", "-hf", FILES]
    arguments += ["-hff", tiny_llama.gguf.name, "--host", LOOPBACK, "--port", str(port)]
    arguments += ["--ctx-size", str(CONTEXT_PER_SLOT), "--threads", "1"]
    with EngineProcess(arguments, port, tmp_path, {"HF_HOME": str(volume)}) as engine:
        engine.wait_status("/health")
        assert answer(engine, FILES)


def test_llama_server_by_path(
    engines: Engines, tiny_llama: TinyLlama, volume: Path, port: int, tmp_path: Path
) -> None:
    model = volume / SNAPSHOTS.format("Tiny-Llama-GGUF") / tiny_llama.gguf.name
    arguments: list[str | Path] = [engines.llama_server, "--model", model, "--host", LOOPBACK]
    arguments += ["--port", str(port), "--ctx-size", str(CONTEXT_PER_SLOT), "--threads", "1"]
    with EngineProcess(arguments, port, tmp_path) as engine:
        engine.wait_status("/health")
        assert answer(engine, FILES)


@pytest.mark.parametrize("by", ["name", "path"])
def test_mlx_server_offline(
    by: str, engines: Engines, volume: Path, port: int, tmp_path: Path
) -> None:
    model = FOLDER if by == "name" else str(volume / SNAPSHOTS.format("Tiny-Llama"))
    arguments: list[str | Path] = [engines.mlx_python, "-m", "mlx_lm", "server"]
    arguments += ["--model", model, "--host", LOOPBACK, "--port", str(port)]
    environment = {"HF_HOME": str(volume), "HF_HUB_OFFLINE": "1"}
    with EngineProcess(arguments, port, tmp_path, environment) as engine:
        engine.wait_status("/health")
        assert answer(engine, model)
