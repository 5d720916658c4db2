"""The tiny model is what it says it is, and the same each time."""

import hashlib
import json
from pathlib import Path

import pytest
from gguf import GGUFReader
from safetensors import safe_open

from support.tiny_llama import TinyLlama, make_tiny_llama


def digests(model: TinyLlama) -> dict[str, str]:
    files = [*model.folder.iterdir(), model.gguf]
    return {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


def test_the_same_seed_gives_the_same_bytes(tmp_path: Path) -> None:
    first = digests(make_tiny_llama(tmp_path / "first"))
    assert first == digests(make_tiny_llama(tmp_path / "second"))
    other = digests(make_tiny_llama(tmp_path / "other", seed=1))
    assert {name for name in first if first[name] != other[name]} == {
        "model.safetensors",
        "tiny-llama-F16.gguf",
    }


@pytest.mark.parametrize(
    ("tied", "parameters"),
    [
        pytest.param(False, 1_377_536, id="output weights of its own"),
        pytest.param(True, 1_279_232, id="embeddings are the output weights"),
    ],
)
def test_both_forms_have_all_parameters(tmp_path: Path, tied: bool, parameters: int) -> None:
    # 1,179,648 of attention and MLP, 1,280 of norms, 98,304 of embeddings once or twice.
    model = make_tiny_llama(tmp_path, tied=tied)
    config = json.loads((model.folder / "config.json").read_text())
    assert config["tie_word_embeddings"] is tied
    with safe_open(model.folder / "model.safetensors", "numpy") as file:
        counts = {name: file.get_tensor(name).size for name in file.keys()}  # noqa: SIM118 - no mapping
    assert ("lm_head.weight" in counts) is not tied
    assert sum(counts.values()) == parameters
    tensors = GGUFReader(model.gguf).tensors
    assert sum(int(tensor.n_elements) for tensor in tensors) == parameters + 32  # rotary factors
