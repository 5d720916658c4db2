from collections.abc import Iterator

import pytest

from engines import Engines
from support.engine_arguments import llama_server, mlx_server
from support.engine_process import EngineProcess, reserved_port
from support.tiny_llama import TinyLlama, make_tiny_llama


@pytest.fixture(scope="session")
def engines() -> Engines:
    """The real engines, built where they are missing."""
    return Engines()


@pytest.fixture(scope="session")
def tiny_llama(tmp_path_factory: pytest.TempPathFactory) -> TinyLlama:
    return make_tiny_llama(tmp_path_factory.mktemp("model"))


@pytest.fixture
def port() -> Iterator[int]:
    with reserved_port() as reserved:
        yield reserved


@pytest.fixture(scope="session")
def llama_cpp(
    engines: Engines, tiny_llama: TinyLlama, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[EngineProcess]:
    """A llama-server that serves the tiny model."""
    folder = tmp_path_factory.mktemp("llama-server")
    with reserved_port() as port:
        arguments = [engines.llama_server, *llama_server(tiny_llama.gguf, port)]
        with EngineProcess(arguments, port, folder) as engine:
            engine.wait_status("/health")
            yield engine


@pytest.fixture(scope="session")
def mlx(
    engines: Engines, tiny_llama: TinyLlama, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[EngineProcess]:
    """An mlx_lm.server that serves the tiny model."""
    folder = tmp_path_factory.mktemp("mlx")
    with reserved_port() as port:
        arguments = [engines.mlx_python, "-m", "mlx_lm", "server"]
        arguments += mlx_server(tiny_llama.folder, port)
        with EngineProcess(arguments, port, folder, {"HF_HUB_OFFLINE": "1"}) as engine:
            engine.wait_status("/health")
            yield engine
