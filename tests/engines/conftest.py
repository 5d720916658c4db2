from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from doubles.hub_server import HubServer
from engines import Engines
from support.engine_process import EngineProcess, reserved_port
from support.rendered_engine import RenderedEngine, add_repositories
from support.tiny_llama import TinyLlama, make_tiny_llama

Make = Callable[[str], RenderedEngine]


@pytest.fixture(scope="session")
def engines() -> Engines:
    """The real engines, built where they are missing."""
    return Engines()


@pytest.fixture(scope="session")
def tiny_llama(tmp_path_factory: pytest.TempPathFactory) -> TinyLlama:
    return make_tiny_llama(tmp_path_factory.mktemp("model"))


@pytest.fixture(scope="session")
def hub(tiny_llama: TinyLlama) -> Iterator[HubServer]:
    """A hub that has the tiny model."""
    with HubServer().serve() as serving:
        add_repositories(serving, tiny_llama)
        yield serving


@pytest.fixture
def port() -> Iterator[int]:
    with reserved_port() as reserved:
        yield reserved


@pytest.fixture
def rendered(engines: Engines, hub: HubServer, port: int, tmp_path: Path) -> Make:
    """An engine as it is rendered for the tiny model, not yet started."""
    return lambda name: RenderedEngine.make(name, engines, hub.url, port, tmp_path / name)


@pytest.fixture
def llama_server(rendered: Make) -> RenderedEngine:
    """llama.cpp, not yet started."""
    return rendered("LlamaCpp")


@pytest.fixture(scope="session")
def llama_cpp(
    engines: Engines, hub: HubServer, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[EngineProcess]:
    """A llama-server that serves the tiny model."""
    yield from _serving("LlamaCpp", engines, hub, tmp_path_factory.mktemp("llama-server"))


@pytest.fixture(scope="session")
def mlx(
    engines: Engines, hub: HubServer, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[EngineProcess]:
    """An mlx_lm.server that serves the tiny model."""
    yield from _serving("MLX", engines, hub, tmp_path_factory.mktemp("mlx"))


def _serving(
    name: str, engines: Engines, hub: HubServer, directory: Path
) -> Iterator[EngineProcess]:
    with reserved_port() as port:
        made = RenderedEngine.make(name, engines, hub.url, port, directory)
        with made.start() as process:
            made.wait_started(process)
            yield process
