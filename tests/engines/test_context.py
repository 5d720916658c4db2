"""A request beyond the planned context: refused by an engine that has a limit, else computed."""

from pathlib import Path

import pytest
from openai import BadRequestError, OpenAI

from doubles.hub_server import HubServer
from engines import Engines
from support.rendered_engine import MLX_REPOSITORY, NAME, RenderedEngine

CONTEXT = 64
WORDS = " ".join(["llama"] * 512)
"""A word is a token at least: more than the context of all slots, however it is rounded up."""


def prompt_tokens(name: str, model: str, engines: Engines, url: str, port: int, at: Path) -> int:
    made = RenderedEngine.make(name, engines, url, port, at, CONTEXT)
    with made.start() as engine:
        made.wait_started(engine)
        with OpenAI(base_url=f"{engine.url}/v1", api_key="none", max_retries=0) as client:
            answer = client.completions.create(model=model, prompt=WORDS, max_tokens=1)
    assert answer.usage is not None
    return answer.usage.prompt_tokens


def test_llama_cpp_refuses_it(engines: Engines, hub: HubServer, port: int, tmp_path: Path) -> None:
    with pytest.raises(BadRequestError, match="exceeds the available context size"):
        prompt_tokens("LlamaCpp", NAME, engines, hub.url, port, tmp_path)


def test_mlx_computes_it(engines: Engines, hub: HubServer, port: int, tmp_path: Path) -> None:
    assert prompt_tokens("MLX", MLX_REPOSITORY, engines, hub.url, port, tmp_path) >= 512
