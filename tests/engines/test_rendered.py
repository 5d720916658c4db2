"""Engines with rendered arguments: what they ask the hub for, where they write, how they start."""

import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from controlplane import wait_until
from doubles.hub_server import COMMIT, Handler, HubServer
from engines import Engines
from llama_operator.engines.engine import ExecProbe
from llama_operator.engines.mlx import MLX
from support.engine_process import EngineEndedError, reserved_port
from support.rendered_engine import (
    GGUF_REPOSITORY,
    MLX_REPOSITORY,
    RenderedEngine,
    add_repositories,
    run,
)
from support.tiny_llama import TinyLlama

TOKEN = f"hf_{'a' * 34}"
"""As Hugging Face makes them: llama-server takes no other for one."""
NAMES = pytest.mark.parametrize("name", ["LlamaCpp", "MLX"])
REPOSITORIES = {"LlamaCpp": GGUF_REPOSITORY, "MLX": MLX_REPOSITORY}
Make = Callable[..., RenderedEngine]


@pytest.fixture
def own_hub(tiny_llama: TinyLlama) -> Iterator[HubServer]:
    """A hub of one test, which may be changed."""
    with HubServer().serve() as serving:
        add_repositories(serving, tiny_llama)
        yield serving


@pytest.fixture
def make(engines: Engines, own_hub: HubServer, tmp_path: Path) -> Iterator[Make]:
    with reserved_port() as port:
        yield lambda name, **more: RenderedEngine.make(
            name, engines, own_hub.url, port, tmp_path / name, **more
        )


def test_what_is_translated_and_nothing_else(make: Make) -> None:
    made = make("LlamaCpp")
    port, cache = str(made.port), str(made.directory / "cache")
    words = dict.fromkeys(made.container.args)
    changed = {word: made.translated(word) for word in words if made.translated(word) != word}
    assert changed == {"0.0.0.0": "127.0.0.1", "8000": port}
    variables = {one.name: one.value for one in made.container.env}
    assert made.environment == variables | {"HOME": cache, "LLAMA_CACHE": cache}

    made = make("MLX")
    changed = {
        word: made.translated(word) for word in made.container.args if made.translated(word) != word
    }
    assert changed == {"--host=0.0.0.0": "--host=127.0.0.1", "--port=8000": f"--port={port}"}
    assert made.translated("/home/mlx/.cache") == f"{made.directory}/home-mlx/.cache"


@NAMES
def test_it_downloads_the_planned_files_of_one_commit_into_the_cache(
    make: Make, own_hub: HubServer, name: str
) -> None:
    made = make(name)
    with made.start() as process:
        made.wait_started(process)

    resolved = [one.path for one in own_hub.asked if "/resolve/" in one.path]
    prefix = f"/{REPOSITORIES[name]}/resolve/{COMMIT}/"
    assert all(path.startswith(prefix) for path in resolved)
    files = {path.removeprefix(prefix) for path in resolved}
    assert files == (
        {"tiny-llama-F16.gguf"}
        if name == "LlamaCpp"
        else {
            "chat_template.jinja",
            "config.json",
            "generation_config.json",
            "model.safetensors",
            "tokenizer.json",
            "tokenizer_config.json",
        }
    )
    cached = [path for path in made.folder("/cache").rglob("*") if path.is_file()]
    size = sum(path.stat().st_size for path in cached if not path.is_symlink())
    whole = sum(own_hub.repositories[REPOSITORIES[name]].files[file].size for file in files)
    # Each file once, and small notes of which commit it is.
    assert whole <= size < whole + 10_000


@NAMES
def test_it_writes_into_its_folders_alone(make: Make, name: str) -> None:
    made = make(name)
    with made.start() as process:
        made.wait_started(process)

    folders = {made.folder(scratch.path).name for scratch in made.container.scratch}
    assert {path.name for path in made.directory.iterdir()} == folders | {process.log.name}


@NAMES
def test_the_token_of_the_secret_opens_a_gated_repository(
    make: Make, own_hub: HubServer, name: str
) -> None:
    repository = own_hub.repositories[REPOSITORIES[name]]
    repository.gated, repository.private, repository.token = "manual", True, TOKEN

    made = make(name, token=TOKEN)
    with made.start() as process:
        made.wait_started(process)

    without = make(name)
    stored = without.folder("/cache")
    stored.rename(stored.with_name("another"))
    with without.start() as process:
        if name == "LlamaCpp":
            with pytest.raises(EngineEndedError):
                without.wait_started(process)
        else:
            # It goes on without a model, which its startup probe tells.
            process.wait("it has tried", lambda: "Repository Not Found" in process.text())
            assert not without.succeeds(without.container.startup)
    hosts = {one.port for one in own_hub.asked if "authorization" in map(str.lower, one.headers)}
    assert hosts == {own_hub.port}, "the storage gets no token"


@NAMES
def test_probes_succeed_while_it_serves(make: Make, name: str) -> None:
    made = make(name)
    with made.start() as process:
        made.wait_started(process)
        for probe in (made.container.startup, made.container.readiness, made.container.liveness):
            assert made.succeeds(probe)
    for probe in (made.container.startup, made.container.readiness, made.container.liveness):
        assert not made.succeeds(probe)


def test_a_proxy_for_downloads_is_not_asked_for_the_engine_itself(make: Make) -> None:
    made = make("MLX")
    probe = made.container.startup
    assert isinstance(probe, ExecProbe)
    with made.start() as process:
        made.wait_started(process)
        # Nobody listens on port 9, discard.
        nobody = dict.fromkeys(("HTTP_PROXY", "http_proxy"), "http://127.0.0.1:9")
        command = [made.translated(word) for word in probe.command]
        assert run(command, made.environment | nobody, probe.timeout_seconds)
        assert process.get("/metrics")[0] == 404
        assert not MLX().metric_names()


def test_mlx_has_not_started_before_its_model_is_there(make: Make, own_hub: HubServer) -> None:
    arrived, release = threading.Event(), threading.Event()

    def hold(handler: Handler) -> None:
        arrived.set()
        release.wait()
        handler.give(own_hub.stored[handler.path.removeprefix("/stored/")])

    own_hub.plays["^/stored/"] = hold
    made = make("MLX")
    probe = made.container.startup
    assert isinstance(probe, ExecProbe)
    with made.start() as process:
        try:
            wait_until("the weights are asked for", arrived.is_set)
            process.wait_status("/health")
            assert not made.succeeds(replace(probe, timeout_seconds=2))
        finally:
            release.set()
        made.wait_started(process)
