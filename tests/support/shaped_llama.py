"""GGUF files of Llamas in any small shape and file type, whose weights are zeros.

The types of their tensors are those that llama.cpp's own quantization chooses (src/llama-quant.cpp:
`llama_tensor_get_type`, `use_more_bits`), written down here a second time so that they check the
sizing's.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import gguf
import numpy as np
from gguf import GGMLQuantizationType as Type
from gguf import LlamaFileType

from support import tiny_llama
from support.tiny_llama import CHAT_TEMPLATE, CONTEXT, EPSILON, ROPE_THETA, VOCABULARY

FILE_TYPES: Final = {
    "F16": LlamaFileType.MOSTLY_F16,
    "Q8_0": LlamaFileType.MOSTLY_Q8_0,
    "Q6_K": LlamaFileType.MOSTLY_Q6_K,
    "Q4_K_M": LlamaFileType.MOSTLY_Q4_K_M,
}


@dataclass(frozen=True)
class Shape:
    """Of a Llama. Widths are multiples of 256, the block of most types."""

    layers: int
    heads: int
    kv_heads: int
    hidden: int
    intermediate: int
    tied: bool = False
    head_dim: int = 64

    @property
    def config(self) -> dict[str, Any]:
        """As `config.json` has it."""
        return {
            "model_type": "llama",
            "hidden_size": self.hidden,
            "intermediate_size": self.intermediate,
            "num_hidden_layers": self.layers,
            "num_attention_heads": self.heads,
            "num_key_value_heads": self.kv_heads,
            "head_dim": self.head_dim,
            "vocab_size": VOCABULARY,
            "max_position_embeddings": CONTEXT,
            "tie_word_embeddings": self.tied,
        }


def write_gguf(path: Path, shape: Shape, file_type: str) -> None:
    """Write the file of a shape in a file type of `FILE_TYPES`."""
    writer = gguf.GGUFWriter(path, "llama")
    _add_header(writer, shape, file_type)

    def add(name: str, rows: int, columns: int, kind: Type) -> None:
        block, size = gguf.GGML_QUANT_SIZES[kind]
        zeros = np.zeros((rows, columns // block * size), np.uint8)
        writer.add_tensor(f"{name}.weight", zeros, raw_dtype=kind)

    def add_ones(name: str, count: int) -> None:
        writer.add_tensor(f"{name}.weight", np.ones(count, np.float32))

    queries, keys = shape.heads * shape.head_dim, shape.kv_heads * shape.head_dim
    output = {"Q4_K_M": Type.Q6_K}.get(file_type, _base(file_type))
    add("token_embd", VOCABULARY, shape.hidden, output if shape.tied else _base(file_type))
    if not shape.tied:
        add("output", VOCABULARY, shape.hidden, output)
    add_ones("output_norm", shape.hidden)
    add_ones("rope_freqs", shape.head_dim // 2)
    for layer in range(shape.layers):
        start, base = f"blk.{layer}", _base(file_type)
        more = Type.Q6_K if file_type == "Q4_K_M" and _more_bits(layer, shape.layers) else base
        add_ones(f"{start}.attn_norm", shape.hidden)
        add_ones(f"{start}.ffn_norm", shape.hidden)
        add(f"{start}.attn_q", queries, shape.hidden, base)
        add(f"{start}.attn_k", keys, shape.hidden, base)
        add(f"{start}.attn_v", keys, shape.hidden, more)
        add(f"{start}.attn_output", shape.hidden, queries, base)
        add(f"{start}.ffn_gate", shape.intermediate, shape.hidden, base)
        add(f"{start}.ffn_up", shape.intermediate, shape.hidden, base)
        add(f"{start}.ffn_down", shape.hidden, shape.intermediate, more)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def _add_header(writer: gguf.GGUFWriter, shape: Shape, file_type: str) -> None:
    writer.add_file_type(FILE_TYPES[file_type])
    writer.add_vocab_size(VOCABULARY)
    writer.add_context_length(CONTEXT)
    writer.add_embedding_length(shape.hidden)
    writer.add_feed_forward_length(shape.intermediate)
    writer.add_block_count(shape.layers)
    writer.add_head_count(shape.heads)
    writer.add_head_count_kv(shape.kv_heads)
    writer.add_key_length(shape.head_dim)
    writer.add_value_length(shape.head_dim)
    writer.add_rope_dimension_count(shape.head_dim)
    writer.add_rope_freq_base(ROPE_THETA)
    writer.add_layer_norm_rms_eps(EPSILON)
    tiny_llama.add_tokenizer(writer)
    writer.add_chat_template(CHAT_TEMPLATE)


def _base(file_type: str) -> Type:
    return {"Q4_K_M": Type.Q4_K}.get(file_type) or Type[file_type]


def _more_bits(layer: int, layers: int) -> bool:
    return layer < layers // 8 or layer >= 7 * layers // 8 or (layer - layers // 8) % 3 == 2
