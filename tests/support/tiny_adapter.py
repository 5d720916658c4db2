"""A random LoRA adapter of the tiny model, strong enough to change its answers, in two forms."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import gguf
import numpy as np
from safetensors.numpy import save_file

from support.tiny_llama import HEAD_DIM, HEADS, HIDDEN, INTERMEDIATE, LAYERS

RANK: Final = 8
MATRICES: Final = {
    # name in mlx-lm and in GGUF, inputs; outputs are the hidden size of both
    "self_attn.o_proj": ("attn_output", HEADS * HEAD_DIM),
    "mlp.down_proj": ("ffn_down", INTERMEDIATE),
}
Array = np.ndarray[Any, np.dtype[np.float32]]


@dataclass(frozen=True)
class TinyAdapter:
    """Where the forms of the adapter are.

    Attributes:
        folder: as mlx-lm has it.
        gguf: one file, in F32.
    """

    folder: Path
    gguf: Path


def make_tiny_adapter(where: Path, *, seed: int = 1) -> TinyAdapter:
    """Write both forms of one adapter of o_proj and down_proj.

    Args:
        where: a folder for the two.
        seed: of the weights.
    """
    made = TinyAdapter(where / "tiny-adapter", where / "tiny-adapter-F32.gguf")
    made.folder.mkdir(parents=True)
    random = np.random.default_rng(seed)

    def matrix(rows: int, columns: int) -> Array:
        return (random.standard_normal((rows, columns)) / columns**0.5).astype(np.float32)

    pairs = {
        (layer, name): (matrix(RANK, inputs), matrix(HIDDEN, RANK))
        for layer in range(LAYERS)
        for name, (_, inputs) in MATRICES.items()
    }
    _write_folder(made.folder, pairs)
    _write_gguf(made.gguf, pairs)
    return made


def _write_folder(folder: Path, pairs: dict[tuple[int, str], tuple[Array, Array]]) -> None:
    config = {
        "fine_tune_type": "lora",
        "num_layers": LAYERS,
        "lora_parameters": {"rank": RANK, "scale": 1.0, "dropout": 0.0, "keys": [*MATRICES]},
    }
    (folder / "adapter_config.json").write_text(json.dumps(config), encoding="utf-8")
    weights = {}
    for (layer, name), (a, b) in pairs.items():
        start = f"model.layers.{layer}.{name}"
        weights[f"{start}.lora_a"] = np.ascontiguousarray(a.T)
        weights[f"{start}.lora_b"] = np.ascontiguousarray(b.T)
    save_file(weights, folder / "adapters.safetensors")


def _write_gguf(path: Path, pairs: dict[tuple[int, str], tuple[Array, Array]]) -> None:
    writer = gguf.GGUFWriter(path, "llama")
    writer.add_type(gguf.GGUFType.ADAPTER)
    writer.add_string(gguf.Keys.Adapter.TYPE, "lora")
    # It is divided by the rank.
    writer.add_float32(gguf.Keys.Adapter.LORA_ALPHA, float(RANK))
    for (layer, name), (a, b) in pairs.items():
        own = f"blk.{layer}.{MATRICES[name][0]}.weight"
        writer.add_tensor(f"{own}.lora_a", a)
        writer.add_tensor(f"{own}.lora_b", b)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
