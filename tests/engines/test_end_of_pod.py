"""Answers that are under way when a pod is ended: none is lost that takes less than its preStop."""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import httpx2
import pytest
from openai import OpenAI, OpenAIError

from doubles.hub_server import HubServer
from engines import Engines
from support.engine_process import EngineProcess, reserved_port
from support.kubelet import end_pod
from support.rendered_engine import MLX_REPOSITORY, NAME, RenderedEngine

CONTEXT = 8192
TOKENS = {"LlamaCpp": 2000, "MLX": 300}
"""Some two seconds of an answer, a fifth of the preStop."""
MODELS = {"LlamaCpp": NAME, "MLX": MLX_REPOSITORY}


@contextmanager
def serving(
    name: str, engines: Engines, hub: HubServer, directory: Path
) -> Iterator[tuple[RenderedEngine, EngineProcess]]:
    with reserved_port() as port:
        made = RenderedEngine.make(name, engines, hub.url, port, directory, CONTEXT)
        with made.start() as process:
            made.wait_started(process)
            yield made, process


def answer(name: str, process: EngineProcess, at_first: Callable[[], object]) -> str | None:
    """Why an answer ended, as the engine says; None when it broke off. Calls at the first word."""
    told = False
    with OpenAI(base_url=f"{process.url}/v1", api_key="none", max_retries=0) as client:
        try:
            with client.completions.create(
                model=MODELS[name],
                prompt="the llama is",
                max_tokens=TOKENS[name],
                temperature=0,
                stream=True,
                extra_body={"ignore_eos": True},
            ) as stream:
                for chunk in stream:
                    if not told:
                        told = True
                        at_first()
                    if chunk.choices and chunk.choices[0].finish_reason:
                        return chunk.choices[0].finish_reason
        except (OpenAIError, httpx2.HTTPError):
            return None
    return None


@pytest.mark.parametrize("name", ["LlamaCpp", "MLX"])
def test_no_answer_is_lost_that_takes_less_than_pre_stop(
    engines: Engines, hub: HubServer, tmp_path: Path, name: str
) -> None:
    with serving(name, engines, hub, tmp_path) as (made, process):
        kubelet = threading.Thread(target=end_pod, args=(process, made.container))

        assert answer(name, process, kubelet.start) == "length"

        assert process.process.poll() is None, "it is still there when the answer is whole"
        kubelet.join()
        assert process.process.poll() is not None


@pytest.mark.parametrize("name", ["LlamaCpp", "MLX"])
def test_the_answer_is_lost_without_pre_stop(
    engines: Engines, hub: HubServer, tmp_path: Path, name: str
) -> None:
    with serving(name, engines, hub, tmp_path) as (made, process):
        grace = made.container.termination_grace_period_seconds - made.container.pre_stop_seconds
        at_once = replace(
            made.container, pre_stop_seconds=0, termination_grace_period_seconds=grace
        )
        kubelet = threading.Thread(target=end_pod, args=(process, at_once))

        assert answer(name, process, kubelet.start) is None

        kubelet.join()
        assert process.process.poll() is not None
