"""What the operator relies on in llama-server, seen in the real one."""

import json
import os
import re
import signal
from pathlib import Path

import pytest

from engines import Engines
from support.engine_arguments import ALIAS, CONTEXT_PER_SLOT, SLOTS, llama_server
from support.engine_process import EngineEndedError, EngineProcess
from support.tiny_llama import TinyLlama


@pytest.fixture
def endless(tmp_path: Path) -> Path:
    """A model file that nobody ever writes to: who opens it waits."""
    path = tmp_path / "endless.gguf"
    os.mkfifo(path)
    return path


def test_it_is_healthy_when_it_has_loaded(llama_cpp: EngineProcess) -> None:
    status, text = llama_cpp.get("/health")
    assert (status, json.loads(text)) == (200, {"status": "ok"})


def test_it_is_not_healthy_while_it_loads(
    engines: Engines, endless: Path, port: int, tmp_path: Path
) -> None:
    arguments = [engines.llama_server, *llama_server(endless, port)]
    with EngineProcess(arguments, port, tmp_path) as engine:
        engine.wait_status("/health", 503)
        assert json.loads(engine.get("/health")[1]) == {
            "error": {"message": "Loading model", "type": "unavailable_error", "code": 503}
        }
        # The default action of the signal: it has no handler before the model is loaded, and the
        # first process of a container would go on.
        assert engine.stop() == -signal.SIGTERM


def test_it_ends_by_itself_when_told_to(
    engines: Engines, tiny_llama: TinyLlama, port: int, tmp_path: Path
) -> None:
    arguments = [engines.llama_server, *llama_server(tiny_llama.gguf, port)]
    with EngineProcess(arguments, port, tmp_path) as engine:
        engine.wait_status("/health")
        assert engine.stop() == 0


def test_it_says_why_it_cannot_start(engines: Engines, port: int, tmp_path: Path) -> None:
    arguments = [engines.llama_server, *llama_server(tmp_path / "none.gguf", port)]
    with (
        EngineProcess(arguments, port, tmp_path) as engine,
        pytest.raises(EngineEndedError, match=r"(?s)it ended: 1\n.*none\.gguf"),
    ):
        engine.wait_status("/health")


def test_it_knows_its_model_by_the_alias(llama_cpp: EngineProcess) -> None:
    [model] = json.loads(llama_cpp.get("/v1/models")[1])["data"]
    assert model["id"] == ALIAS


def test_each_slot_has_its_part_of_the_context(llama_cpp: EngineProcess) -> None:
    slots = json.loads(llama_cpp.get("/slots")[1])
    assert [slot["n_ctx"] for slot in slots] == [CONTEXT_PER_SLOT] * SLOTS


def test_there_are_metrics_where_they_are_asked_for(llama_cpp: EngineProcess) -> None:
    status, text = llama_cpp.get("/metrics")
    assert status == 200
    names = set(re.findall(r"^(llamacpp:\w+)", text, re.MULTILINE))
    assert {
        "llamacpp:requests_processing",
        "llamacpp:requests_deferred",
        "llamacpp:prompt_tokens_total",
        "llamacpp:tokens_predicted_total",
        "llamacpp:n_busy_slots_per_decode",
    } <= names


def test_there_are_no_metrics_where_they_are_not(
    engines: Engines, tiny_llama: TinyLlama, port: int, tmp_path: Path
) -> None:
    arguments = [engines.llama_server, *llama_server(tiny_llama.gguf, port, metrics=False)]
    with EngineProcess(arguments, port, tmp_path) as engine:
        engine.wait_status("/health")
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
