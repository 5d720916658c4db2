import asyncio
import json
import random
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from doubles.hub_server import Blob, HubServer, Repository
from llama_operator.cli.main import main
from llama_operator.download import hugging_face, model_scope
from llama_operator.download.facts import ModelFacts
from llama_operator.download.hub import model_facts
from llama_operator.download.patience import Patience
from llama_operator.download.prefetch import Boundary, Prefetched, Wanted, prefetch
from support.model_files import TEXT, UINT32, gguf_start, safetensors_start

Fetch = Callable[..., Prefetched]
Ask = Callable[..., ModelFacts]
Size = Callable[..., Any]

LLAMA = "meta-llama/Llama-3.1-8B-Instruct"
MIB = 1024 * 1024
CONFIG = {"model_type": "llama", "hidden_size": 4096, "num_hidden_layers": 32}


@pytest.fixture
def server() -> Iterator[HubServer]:
    with HubServer().serve() as serving:
        yield serving


@pytest.fixture
def llama(server: HubServer) -> Repository:
    """Llama 3.1 8B in two shards: 8,030,261,248 parameters in BF16 are 16,060,522,496 bytes."""
    made = server.repositories.setdefault(LLAMA, Repository())
    made.add("config.json", CONFIG)
    first = safetensors_start(
        {"model.embed_tokens.weight": ("BF16", [128256, 4096], 1_050_673_152)}
    )
    second = safetensors_start({"all.others": ("BF16", [7_504_924_672], 15_009_849_344)})
    made.add("model-00001-of-00002.safetensors", Blob(first, len(first) + 1_050_673_152))
    made.add("model-00002-of-00002.safetensors", Blob(second, len(second) + 15_009_849_344))
    made.add(
        "model.safetensors.index.json",
        {
            "metadata": {"total_size": 16_060_522_496},
            "weight_map": {
                "model.embed_tokens.weight": "model-00001-of-00002.safetensors",
                "all.others": "model-00002-of-00002.safetensors",
            },
        },
    )
    return made


TINY = "org/Tiny-Llama"
SHARD_BYTES = 3 * MIB
"""Of the data of each of the two shards."""
BESIDE = ["chat_template.jinja", "config.json", "generation_config.json", "tokenizer.json"]
INDEX = "model.safetensors.index.json"
SHARDS = ["model-00001-of-00002.safetensors", "model-00002-of-00002.safetensors"]
GGUF = "Tiny-Llama-F16.gguf"
PARTS = ["Q8_0/Tiny-Llama-Q8_0-00001-of-00002.gguf", "Q8_0/Tiny-Llama-Q8_0-00002-of-00002.gguf"]


@pytest.fixture
def tiny(server: HubServer) -> Repository:
    """Two shards of 3 MiB with all that belongs to them, and what no engine reads."""
    made = server.repositories.setdefault(TINY, Repository())
    made.add("config.json", CONFIG)
    for seed, path in enumerate(SHARDS):
        start = safetensors_start({f"part.{seed}": ("BF16", [SHARD_BYTES // 2], SHARD_BYTES)})
        made.add(path, start + random.Random(seed).randbytes(SHARD_BYTES))
    weight_map = {f"part.{seed}": path for seed, path in enumerate(SHARDS)}
    made.add(INDEX, {"metadata": {"total_size": 2 * SHARD_BYTES}, "weight_map": weight_map})
    for path in (
        *("generation_config.json", "tokenizer.json", "chat_template.jinja"),
        *("README.md", "LICENSE", ".gitattributes", "original/params.json", "evil.py"),
        *("original/consolidated.00.pth", "pytorch_model.bin", "pytorch_model.bin.index.json"),
        *("consolidated.safetensors", "consolidated.safetensors.index.json"),
        *("onnx/model.onnx", "tf_model.h5", "flax_model.msgpack", "notes/config.json"),
    ):
        made.add(path, f"content of {path}".encode())
    return made


@pytest.fixture
def tiny_gguf(server: HubServer) -> Repository:
    """One GGUF model in a file, and one in two parts."""
    made = server.repositories.setdefault(TINY, Repository())
    keys = [("general.architecture", TEXT, "llama"), ("llama.block_count", UINT32, 2)]
    for seed, path in enumerate((GGUF, *PARTS)):
        start = gguf_start(keys, [(f"blk.{seed}.ffn_up.weight", [256, 4096], 1, 0)])
        start = start.ljust((len(start) + 31) // 32 * 32, b"\0")
        made.add(path, start + random.Random(seed).randbytes(2 * MIB))
    made.add("README.md", b"read me")
    return made


class Pauses:
    """Waits for nothing and remembers."""

    def __init__(self) -> None:
        self.seconds: list[float] = []

    async def __call__(self, seconds: float) -> None:
        self.seconds.append(seconds)
        await asyncio.sleep(0)


@pytest.fixture
def pauses() -> Pauses:
    return Pauses()


@pytest.fixture
def fetch(server: HubServer, tmp_path: Path, pauses: Pauses) -> Fetch:
    """`prefetch` of a repository of the server to the folder `volume` of this test."""

    def fetched(repository: str = TINY, **options: Any) -> Prefetched:
        free_bytes = options.pop("free_bytes", None)
        defaults = {"volume": tmp_path / "volume", "endpoint": server.url}
        boundary = Boundary(patience=Patience(pause=pauses), free_bytes=free_bytes)
        return asyncio.run(prefetch(Wanted(repository, **(defaults | options)), boundary))

    return fetched


@pytest.fixture
def ask(server: HubServer, tmp_path: Path) -> Ask:
    """`model_facts` of a repository of the server, with a cache of this test."""

    def asked(repository: str = LLAMA, **options: Any) -> ModelFacts:
        defaults = {"endpoint": server.url, "cache_dir": tmp_path / "cache", "timeout_seconds": 20}
        return model_facts(repository, **(defaults | options))

    return asked


@pytest.fixture
def size(
    server: HubServer,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> Size:
    """`llama-operator size`: what it prints as JSON or as a table; what it refuses as a text."""
    monkeypatch.setattr(hugging_face, "DEFAULT_ENDPOINT", server.url)
    monkeypatch.setattr(model_scope, "DEFAULT_ENDPOINT", server.url)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setenv("HF_TOKEN_PATH", str(tmp_path / "none"))
    monkeypatch.delenv("HF_TOKEN", raising=False)

    def sized(words: str, *, table: bool = False, status: int = 0) -> Any:
        form = ("--no-color",) if table else ("-o", "json")
        found = main(["size", *words.split(), *form])
        printed = capsys.readouterr()
        assert found == status, printed.err
        if status in (0, 3):
            assert printed.err == ""
            return printed.out if table else json.loads(printed.out)
        assert printed.out == ""
        return printed.err

    return sized


def failure(size: Size, words: str, *, status: int = 2) -> str:
    """The one line that a command which cannot answer prints."""
    told: str = size(words, status=status)
    assert told.startswith("llama-operator: ")
    assert told.endswith("\n")
    assert told.count("\n") == 1
    return told


@pytest.fixture(autouse=True)
def no_settings_of_the_user(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in (
        "HTTP_PROXY",
        "HTTPS_PROXY",
        "ALL_PROXY",
        "MODELSCOPE_DOMAIN",
        "MODELSCOPE_API_TOKEN",
    ):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.lower(), raising=False)
