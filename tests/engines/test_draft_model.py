"""Engines with the rendered arguments of a draft model draft with it, and answer as without."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from openai import OpenAI

from doubles.hub_server import HubServer
from engines import Engines
from llama_operator.cli.main import main
from llama_operator.download import hugging_face
from support.engine_process import LOOPBACK, EngineProcess
from support.rendered_engine import (
    CONTEXT_PER_SLOT,
    DRAFT_GGUF_REPOSITORY,
    DRAFT_LAYERS,
    DRAFT_MLX_REPOSITORY,
    GGUF_REPOSITORY,
    MLX_REPOSITORY,
    NAME,
    RenderedEngine,
    add_repositories,
    deployment,
    planned,
)
from support.tiny_llama import TinyLlama, make_tiny_llama

KV_BUFFER = re.compile(r"KV buffer size = +([0-9.]+) MiB")
TOKENS = 32
"""Few enough that no near tie of a random model is decided otherwise by another sum's order."""


@pytest.fixture(scope="module")
def draft(tmp_path_factory: pytest.TempPathFactory) -> TinyLlama:
    """A smaller model with the same vocabulary."""
    return make_tiny_llama(tmp_path_factory.mktemp("draft"), layers=DRAFT_LAYERS, name="draft")


@pytest.fixture(scope="module")
def both(tiny_llama: TinyLlama, draft: TinyLlama) -> Iterator[HubServer]:
    """A hub that has both models."""
    with HubServer().serve() as serving:
        add_repositories(serving, tiny_llama)
        add_repositories(serving, draft, (DRAFT_GGUF_REPOSITORY, DRAFT_MLX_REPOSITORY))
        yield serving


PROMPTS = ("hello llama", "hello llama", "hello you", "hello llama")
"""Some of them begin like one before, or are one before."""


def answers(url: str, model: str) -> list[str | None]:
    """What an engine says to one prompt after the other."""
    return [answer(url, model, prompt).choices[0].message.content for prompt in PROMPTS]


def answer(url: str, model: str, prompt: str = "hello llama") -> Any:
    """What an engine says to a prompt, always the most likely token."""
    with OpenAI(base_url=f"{url}/v1", api_key="none", max_retries=0) as client:
        return client.chat.completions.create(
            model=model,
            messages=[{"role": "user", "content": prompt}],
            max_tokens=TOKENS,
            temperature=0,
        )


def test_llama_server_drafts_with_the_model_of_the_plan(
    engines: Engines, both: HubServer, llama_cpp: EngineProcess, port: int, tmp_path: Path
) -> None:
    made = RenderedEngine.make("LlamaCpp", engines, both.url, port, tmp_path, drafted=True)
    with made.start() as process:
        made.wait_started(process)
        drafted = answer(process.url, NAME)
        metrics = process.get("/metrics")[1]
        assert answers(process.url, NAME) == answers(llama_cpp.url, NAME)
        caches = KV_BUFFER.findall(process.text())

    # A context for each, of 2 slots of 2,048 tokens: 2 layers and 1 of 2 x 2 heads x 64 x 2 bytes
    assert caches == ["4.00", "2.00"]
    plan = planned(deployment("LlamaCpp", both.url, CONTEXT_PER_SLOT, "", drafted=True))
    assert plan.memory_per_gpu.kv_cache_bytes == 6 << 20
    assert drafted.model_extra["timings"]["draft_n"] > 0
    [counted] = [
        line.rpartition(" ")[2]
        for line in metrics.splitlines()
        if line.startswith("llamacpp:spec_decode_num_draft_tokens_total ")
    ]
    assert int(counted) == drafted.model_extra["timings"]["draft_n"]


def test_mlx_server_loads_the_draft_and_answers_as_without(
    engines: Engines, both: HubServer, mlx: EngineProcess, port: int, tmp_path: Path
) -> None:
    made = RenderedEngine.make("MLX", engines, both.url, port, tmp_path, drafted=True)
    with made.start() as process:
        made.wait_started(process)
        assert answers(process.url, MLX_REPOSITORY) == answers(mlx.url, MLX_REPOSITORY)

    asked = [one.path for one in both.asked if one.path.startswith(f"/{DRAFT_MLX_REPOSITORY}/")]
    assert any(path.endswith("/model.safetensors") for path in asked)


def test_llama_server_drafts_offline_from_a_volume(
    engines: Engines,
    both: HubServer,
    tiny_llama: TinyLlama,
    draft: TinyLlama,
    port: int,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(hugging_face, "DEFAULT_ENDPOINT", both.url)
    monkeypatch.setenv("HF_TOKEN", "")
    volume = tmp_path / "volume"
    files = ("--file", tiny_llama.gguf.name, "--draft", DRAFT_GGUF_REPOSITORY)
    files += ("--draft-file", draft.gguf.name)
    assert main(["prefetch", GGUF_REPOSITORY, "--into", str(volume), *files]) == 0

    arguments: list[str | Path] = [engines.llama_server, "--offline"]
    arguments += ["--hf-repo", GGUF_REPOSITORY, "--hf-file", tiny_llama.gguf.name]
    arguments += ["--spec-type", "draft-simple", "--spec-draft-hf", DRAFT_GGUF_REPOSITORY]
    arguments += ["--spec-draft-model", draft.gguf.name, "--host", LOOPBACK, "--port", str(port)]
    arguments += ["--ctx-size", str(CONTEXT_PER_SLOT), "--threads", "1"]
    with EngineProcess(arguments, port, tmp_path, {"LLAMA_CACHE": f"{volume}/hub"}) as process:
        process.wait_status("/health")
        assert answer(process.url, GGUF_REPOSITORY).model_extra["timings"]["draft_n"] > 0
