"""What the operator relies on in llama-server, seen in the real one."""

import json
import os
import re
import signal
from dataclasses import replace

import pytest

from doubles.hub_server import COMMIT
from llama_operator.engines.arguments import SLOTS_LIMIT
from llama_operator.engines.llamacpp import LlamaCpp
from support.engine_process import EngineEndedError, EngineProcess
from support.rendered_engine import (
    CONTEXT_PER_SLOT,
    GGUF_REPOSITORY,
    NAME,
    SLOTS,
    RenderedEngine,
)


@pytest.fixture
def endless(llama_server: RenderedEngine) -> RenderedEngine:
    """It has downloaded a model file that nobody ever writes to: who opens it waits."""
    cached = f"models--{GGUF_REPOSITORY.replace('/', '--')}/snapshots/{COMMIT}"
    path = llama_server.folder("/cache") / cached / "tiny-llama-F16.gguf"
    path.parent.mkdir(parents=True)
    os.mkfifo(path)
    return llama_server


def test_it_is_healthy_when_it_has_loaded(llama_cpp: EngineProcess) -> None:
    status, text = llama_cpp.get("/health")
    assert (status, json.loads(text)) == (200, {"status": "ok"})


def test_it_is_not_healthy_while_it_loads(endless: RenderedEngine) -> None:
    with endless.start() as engine:
        engine.wait_status("/health", 503)
        assert not endless.succeeds(endless.container.startup)
        assert json.loads(engine.get("/health")[1]) == {
            "error": {"message": "Loading model", "type": "unavailable_error", "code": 503}
        }
        # The default action of the signal: it has no handler before the model is loaded, and the
        # first process of a container would go on.
        assert engine.stop() == -signal.SIGTERM


def test_it_ends_by_itself_when_told_to(llama_server: RenderedEngine) -> None:
    with llama_server.start() as engine:
        llama_server.wait_started(engine)
        assert engine.stop() == 0


@pytest.mark.parametrize("slots", [SLOTS_LIMIT, SLOTS_LIMIT + 1])
def test_it_starts_with_256_slots_and_no_more(llama_server: RenderedEngine, slots: int) -> None:
    words = list(llama_server.container.args)
    words[words.index("--parallel") + 1] = str(slots)
    changed = replace(llama_server, container=replace(llama_server.container, args=tuple(words)))
    with changed.start() as engine:
        if slots <= SLOTS_LIMIT:
            changed.wait_started(engine)
            return
        with pytest.raises(EngineEndedError, match="n_seq_max must be <= 256"):
            changed.wait_started(engine)


def test_it_says_why_it_cannot_start(llama_server: RenderedEngine) -> None:
    arguments = [word.replace("F16", "Q8_0") for word in llama_server.arguments]
    with (
        EngineProcess(
            arguments, llama_server.port, llama_server.directory, llama_server.environment
        ) as engine,
        pytest.raises(EngineEndedError, match=r"(?s)it ended: 1\n.*tiny-llama-Q8_0\.gguf"),
    ):
        engine.wait_status("/health")


def test_it_knows_its_model_by_the_alias(llama_cpp: EngineProcess) -> None:
    [model] = json.loads(llama_cpp.get("/v1/models")[1])["data"]
    assert model["id"] == NAME


def test_each_slot_has_its_part_of_the_context(llama_cpp: EngineProcess) -> None:
    slots = json.loads(llama_cpp.get("/slots")[1])
    assert [slot["n_ctx"] for slot in slots] == [CONTEXT_PER_SLOT] * SLOTS


def test_there_are_metrics_where_they_are_asked_for(llama_cpp: EngineProcess) -> None:
    status, text = llama_cpp.get("/metrics")
    assert status == 200
    names = set(re.findall(r"^(llamacpp:\w+)", text, re.MULTILINE))
    assert set(LlamaCpp().metric_names()) <= names


def test_there_are_no_metrics_where_they_are_not(llama_server: RenderedEngine) -> None:
    without = llama_server.without("--metrics")
    with without.start() as engine:
        without.wait_started(engine)
        assert engine.get("/metrics")[0] == 501


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        # 2 layers x 2 KV heads x 64 x 2 (K and V) x 2 bytes = 1 KiB a token; 4096 tokens.
        pytest.param(
            r"llama_kv_cache:\s+CPU KV buffer size =\s+([\d.]+) MiB", "4.00", id="KV cache"
        ),
        # 2 bytes x 2 x 384 x 256 (embeddings, output) and 2 layers x 2 bytes x (2 x 256 x 256 +
        # 2 x 128 x 256 + 3 x 512 x 256), and in 4 bytes 5 norms x 256 and 32 rotary factors:
        # 393,216 + 2,359,296 + 5,120 + 128 = 2,757,760.
        pytest.param(
            r"load_tensors:\s+CPU_Mapped model buffer size =\s+([\d.]+) MiB", "2.63", id="weights"
        ),
    ],
)
def test_it_tells_what_memory_it_took(llama_cpp: EngineProcess, line: str, expected: str) -> None:
    assert re.findall(line, llama_cpp.text()) == [expected]
