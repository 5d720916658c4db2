"""HTTPS by the engine that runs here and has it, with what is rendered for `spec.tls`."""

import ssl
import subprocess
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from openai import APIConnectionError, DefaultHttpxClient, OpenAI

from controlplane.binaries import Binaries
from doubles.hub_server import HubServer
from engines import Engines
from support.engine_process import LOOPBACK, EngineProcess, get, reserved_port
from support.rendered_engine import NAME, RenderedEngine

Issue = Callable[[str], Path]


@pytest.fixture(scope="session")
def issue(tmp_path_factory: pytest.TempPathFactory) -> Issue:
    """Makes a folder with a new authority and a certificate of the loopback that it signs."""
    program = Binaries().pki

    def made(name: str) -> Path:
        folder = tmp_path_factory.mktemp(name)
        subprocess.run([program, f"-directory={folder}", f"-addresses={LOOPBACK}"], check=True)
        for ending in ("crt", "key"):
            (folder / f"apiserver.{ending}").rename(folder / f"tls.{ending}")
        return folder

    return made


@pytest.fixture(scope="module")
def secret(issue: Issue) -> Path:
    return issue("secret")


@pytest.fixture(scope="module")
def made(
    engines: Engines, hub: HubServer, secret: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[RenderedEngine]:
    directory = tmp_path_factory.mktemp("https")
    with reserved_port() as port:
        yield RenderedEngine.make("LlamaCpp", engines, hub.url, port, directory, tls=secret)


@pytest.fixture(scope="module")
def engine(made: RenderedEngine) -> Iterator[EngineProcess]:
    """A llama-server that speaks HTTPS."""
    with made.start() as process:
        made.wait_started(process)
        yield process


def client(engine: EngineProcess, authority: Path) -> OpenAI:
    """A client that trusts an authority and no other."""
    trust = ssl.create_default_context(cafile=str(authority / "ca.crt"))
    http = DefaultHttpxClient(verify=trust)
    return OpenAI(base_url=f"{engine.url}/v1", api_key="none", max_retries=0, http_client=http)


def answered_tokens(engine: EngineProcess, authority: Path) -> int:
    with client(engine, authority) as openai:
        answer = openai.completions.create(model=NAME, prompt="the llama is", max_tokens=4)
    assert answer.usage is not None
    return answer.usage.completion_tokens


def test_the_arguments_name_the_files_of_the_secret(made: RenderedEngine) -> None:
    words = list(made.container.args)
    folder = "/etc/llama-operator/tls"
    assert words[words.index("--ssl-key-file") + 1] == f"{folder}/tls.key"
    assert words[words.index("--ssl-cert-file") + 1] == f"{folder}/tls.crt"
    assert made.container.files[0].path == folder


def test_a_client_that_trusts_the_authority_is_answered(
    engine: EngineProcess, secret: Path
) -> None:
    assert answered_tokens(engine, secret) == 4


def test_a_client_that_trusts_another_is_not(engine: EngineProcess, issue: Issue) -> None:
    with client(engine, issue("another")) as openai, pytest.raises(APIConnectionError) as raised:
        openai.models.list()
    assert "CERTIFICATE_VERIFY_FAILED" in str(raised.value.__cause__)


def test_probes_are_answered_over_https(made: RenderedEngine, engine: EngineProcess) -> None:
    assert engine.url.startswith("https:")
    for probe in (made.container.startup, made.container.readiness, made.container.liveness):
        assert made.succeeds(probe)


@pytest.mark.parametrize("path", ["/health", "/v1/models", "/metrics"])
def test_plain_http_is_not_answered(engine: EngineProcess, path: str) -> None:
    assert get(engine.url.replace("https:", "http:") + path, timeout=10)[0] == 0
    assert engine.get(path)[0] == 200


def test_a_renewed_certificate_is_read_at_the_next_start(
    engines: Engines, hub: HubServer, port: int, secret: Path, issue: Issue, tmp_path: Path
) -> None:
    old = RenderedEngine.make("LlamaCpp", engines, hub.url, port, tmp_path, tls=secret)
    new = replace(old, tls=issue("renewed"))
    assert new.tls is not None
    with old.start() as process:
        old.wait_started(process)
        new.mount(new.tls)
        assert answered_tokens(process, secret) == 4
    with new.start() as process:
        new.wait_started(process)
        assert answered_tokens(process, new.tls) == 4
