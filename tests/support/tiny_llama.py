"""A random model in the shape of Llama 3.1, small enough to be made and loaded in a moment.

It has everything that the real ones have: grouped query attention, scaled rotary embeddings, a
byte-level BPE vocabulary with special tokens, and a chat template. The Hugging Face folder and the
GGUF file hold the same weights, and the same seed gives the same bytes.
"""

import json
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import gguf
import numpy as np
from safetensors.numpy import save_file

HIDDEN, INTERMEDIATE, LAYERS = 256, 512, 2
HEADS, KV_HEADS, HEAD_DIM = 4, 2, 64
VOCABULARY = 384
CONTEXT = 131072
ROPE_THETA = 500000.0
ROPE_FACTOR, ROPE_LOW, ROPE_HIGH, ROPE_CONTEXT = 8.0, 1.0, 4.0, 8192
EPSILON = 1e-5
SPECIAL = (
    "<|begin_of_text|>",
    "<|end_of_text|>",
    "<|finetune_right_pad_id|>",
    "<|start_header_id|>",
    "<|end_header_id|>",
    "<|eom_id|>",
    "<|eot_id|>",
    "<|python_tag|>",
)
BOS, END_OF_TURN = SPECIAL[0], SPECIAL[6]
CHAT_TEMPLATE = (
    "{{- bos_token }}"
    "{%- for message in messages %}"
    "{{- '<|start_header_id|>' + message['role'] + '<|end_header_id|>\n\n' }}"
    "{{- message['content'] | trim + '<|eot_id|>' }}"
    "{%- endfor %}"
    "{%- if add_generation_prompt %}"
    "{{- '<|start_header_id|>assistant<|end_header_id|>\n\n' }}"
    "{%- endif %}"
)
PRE_TOKENIZER = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}"
    r"| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)
_TEXT = (
    "the llama is a domesticated south american camelid used as a meat and pack animal by andean "
    "cultures since the pre columbian era they are social animals and live with others as a herd "
    "their wool is soft and contains only a small amount of lanolin llamas can learn simple tasks "
    "after a few repetitions when using a pack they can carry about a quarter of their body weight "
    "what which where there then than this that with from have hello answer question system user "
    "assistant model number one two three four five six seven eight nine ten"
)
"""The vocabulary is learnt from this."""

Weights = dict[str, np.ndarray[Any, np.dtype[np.float16]]]


@dataclass(frozen=True)
class TinyLlama:
    """Where the forms of the model are.

    Attributes:
        folder: as a Hugging Face repository has it, in float16.
        gguf: one file, in F16.
    """

    folder: Path
    gguf: Path


def make_tiny_llama(
    where: Path, *, tied: bool = False, seed: int = 0, layers: int = LAYERS, name: str = "llama"
) -> TinyLlama:
    """Write both forms of one model.

    Args:
        where: a folder for the two.
        tied: whether the embeddings are the output weights too.
        seed: of the weights.
        layers: fewer make a model that drafts for the usual one.
        name: ends the names of folder and file.
    """
    made = TinyLlama(where / f"tiny-{name}", where / f"tiny-{name}-F16.gguf")
    made.folder.mkdir(parents=True)
    weights = _weights(tied, seed, layers)
    merges = _merges()
    _write_folder(made.folder, weights, merges, tied, layers)
    _write_gguf(made.gguf, weights, layers)
    return made


def _weights(tied: bool, seed: int, layers: int) -> Weights:
    random = np.random.default_rng(seed)

    def matrix(rows: int, columns: int) -> np.ndarray[Any, np.dtype[np.float16]]:
        return (random.standard_normal((rows, columns)) / columns**0.5).astype(np.float16)

    ones = np.ones(HIDDEN, np.float16)
    weights: Weights = {"model.embed_tokens.weight": matrix(VOCABULARY, HIDDEN)}
    for layer in range(layers):
        start = f"model.layers.{layer}"
        weights |= {
            f"{start}.input_layernorm.weight": ones,
            f"{start}.self_attn.q_proj.weight": matrix(HEADS * HEAD_DIM, HIDDEN),
            f"{start}.self_attn.k_proj.weight": matrix(KV_HEADS * HEAD_DIM, HIDDEN),
            f"{start}.self_attn.v_proj.weight": matrix(KV_HEADS * HEAD_DIM, HIDDEN),
            f"{start}.self_attn.o_proj.weight": matrix(HIDDEN, HEADS * HEAD_DIM),
            f"{start}.post_attention_layernorm.weight": ones,
            f"{start}.mlp.gate_proj.weight": matrix(INTERMEDIATE, HIDDEN),
            f"{start}.mlp.up_proj.weight": matrix(INTERMEDIATE, HIDDEN),
            f"{start}.mlp.down_proj.weight": matrix(HIDDEN, INTERMEDIATE),
        }
    weights["model.norm.weight"] = ones
    if not tied:
        weights["lm_head.weight"] = matrix(VOCABULARY, HIDDEN)
    return weights


def _letters() -> list[str]:
    """The character that stands for each byte, as GPT-2 has them."""
    shown = {*range(ord("!"), ord("~") + 1), *range(0xA1, 0xAD), *range(0xAE, 0x100)}
    others = iter(range(0x100, 0x200))
    return [chr(byte if byte in shown else next(others)) for byte in range(256)]


def _merges() -> list[tuple[str, str]]:
    """Pairs in the order in which they are merged, most frequent first."""
    space = _letters()[ord(" ")]
    words = Counter(tuple(space + word) for word in _TEXT.split())
    found = []
    for _ in range(VOCABULARY - 256 - len(SPECIAL)):
        pairs: Counter[tuple[str, str]] = Counter()
        for word, count in words.items():
            for pair in pairwise(word):
                pairs[pair] += count
        best = min(pairs, key=lambda pair: (-pairs[pair], pair))
        found.append(best)
        merged: Counter[tuple[str, ...]] = Counter()
        for word, count in words.items():
            merged[tuple(_merged(word, best))] += count
        words = merged
    return found


def _merged(word: tuple[str, ...], pair: tuple[str, str]) -> Iterator[str]:
    place = 0
    while place < len(word):
        if word[place : place + 2] == pair:
            yield pair[0] + pair[1]
            place += 2
        else:
            yield word[place]
            place += 1


def _tokens(merges: list[tuple[str, str]]) -> list[str]:
    return [*_letters(), *(first + second for first, second in merges), *SPECIAL]


def _write_folder(
    folder: Path, weights: Weights, merges: list[tuple[str, str]], tied: bool, layers: int
) -> None:
    tokens = _tokens(merges)
    config = {
        "architectures": ["LlamaForCausalLM"],
        "attention_bias": False,
        "bos_token_id": tokens.index(BOS),
        "eos_token_id": [tokens.index(SPECIAL[place]) for place in (1, 5, 6)],
        "head_dim": HEAD_DIM,
        "hidden_act": "silu",
        "hidden_size": HIDDEN,
        "intermediate_size": INTERMEDIATE,
        "max_position_embeddings": CONTEXT,
        "mlp_bias": False,
        "model_type": "llama",
        "num_attention_heads": HEADS,
        "num_hidden_layers": layers,
        "num_key_value_heads": KV_HEADS,
        "rms_norm_eps": EPSILON,
        "rope_scaling": {
            "rope_type": "llama3",
            "factor": ROPE_FACTOR,
            "low_freq_factor": ROPE_LOW,
            "high_freq_factor": ROPE_HIGH,
            "original_max_position_embeddings": ROPE_CONTEXT,
        },
        "rope_theta": ROPE_THETA,
        "tie_word_embeddings": tied,
        "torch_dtype": "float16",
        "vocab_size": VOCABULARY,
    }
    tokenizer_config = {
        "bos_token": BOS,
        "eos_token": END_OF_TURN,
        "model_input_names": ["input_ids", "attention_mask"],
        "model_max_length": CONTEXT,
        "tokenizer_class": "PreTrainedTokenizerFast",
    }
    for name, content in {
        "config.json": config,
        "generation_config.json": {key: config[key] for key in ("bos_token_id", "eos_token_id")},
        "tokenizer.json": _tokenizer(tokens, merges),
        "tokenizer_config.json": tokenizer_config,
    }.items():
        (folder / name).write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")
    (folder / "chat_template.jinja").write_text(CHAT_TEMPLATE, encoding="utf-8")
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})


def _tokenizer(tokens: list[str], merges: list[tuple[str, str]]) -> dict[str, Any]:
    byte_level = {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True}
    bos = {"SpecialToken": {"id": BOS, "type_id": 0}}
    first, second = ({"Sequence": {"id": name, "type_id": 0}} for name in ("A", "B"))
    plain = tokens[: -len(SPECIAL)]
    return {
        "version": "1.0",
        "truncation": None,
        "padding": None,
        "added_tokens": [
            {
                "id": tokens.index(token),
                "content": token,
                "single_word": False,
                "lstrip": False,
                "rstrip": False,
                "normalized": False,
                "special": True,
            }
            for token in SPECIAL
        ],
        "normalizer": None,
        "pre_tokenizer": {
            "type": "Sequence",
            "pretokenizers": [
                {
                    "type": "Split",
                    "pattern": {"Regex": PRE_TOKENIZER},
                    "behavior": "Isolated",
                    "invert": False,
                },
                {**byte_level, "use_regex": False},
            ],
        },
        "post_processor": {
            "type": "TemplateProcessing",
            "single": [bos, first],
            "pair": [bos, first, bos, second],
            "special_tokens": {
                BOS: {"id": BOS, "ids": [tokens.index(BOS)], "tokens": [BOS]},
            },
        },
        "decoder": {**byte_level, "use_regex": True},
        "model": {
            "type": "BPE",
            "dropout": None,
            "unk_token": None,
            "continuing_subword_prefix": None,
            "end_of_word_suffix": None,
            "fuse_unk": False,
            "byte_fallback": False,
            "ignore_merges": True,
            "vocab": {token: number for number, token in enumerate(plain)},
            "merges": [f"{first} {second}" for first, second in merges],
        },
    }


def add_tokenizer(writer: gguf.GGUFWriter) -> None:
    """Add the vocabulary of every model here to a GGUF file."""
    merges = _merges()
    tokens = _tokens(merges)
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre("llama-bpe")
    writer.add_token_list(tokens)
    types = [gguf.TokenType.NORMAL] * (VOCABULARY - len(SPECIAL))
    writer.add_token_types([*types, *[gguf.TokenType.CONTROL] * len(SPECIAL)])
    writer.add_token_merges([f"{first} {second}" for first, second in merges])
    writer.add_bos_token_id(tokens.index(BOS))
    writer.add_eos_token_id(tokens.index(END_OF_TURN))
    writer.add_add_bos_token(True)


def _write_gguf(path: Path, weights: Weights, layers: int) -> None:
    writer = gguf.GGUFWriter(path, "llama")
    writer.add_name("Tiny Llama")
    writer.add_file_type(gguf.LlamaFileType.MOSTLY_F16)
    writer.add_vocab_size(VOCABULARY)
    writer.add_context_length(CONTEXT)
    writer.add_embedding_length(HIDDEN)
    writer.add_feed_forward_length(INTERMEDIATE)
    writer.add_block_count(layers)
    writer.add_head_count(HEADS)
    writer.add_head_count_kv(KV_HEADS)
    writer.add_rope_dimension_count(HEAD_DIM)
    writer.add_rope_freq_base(ROPE_THETA)
    writer.add_layer_norm_rms_eps(EPSILON)
    add_tokenizer(writer)
    writer.add_chat_template(CHAT_TEMPLATE)
    names = gguf.get_tensor_name_map(gguf.MODEL_ARCH.LLAMA, layers)
    for name, values in weights.items():
        own = names.get_name(name, try_suffixes=(".weight",))
        assert own is not None, name
        if name.endswith(("q_proj.weight", "k_proj.weight")):
            writer.add_tensor(own, _pairs_together(values))
        elif values.ndim == 1:
            writer.add_tensor(own, values.astype(np.float32))
        else:
            writer.add_tensor(own, values)
    writer.add_tensor("rope_freqs.weight", _rope_factors())
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def _pairs_together(
    values: np.ndarray[Any, np.dtype[np.float16]],
) -> np.ndarray[Any, np.dtype[np.float16]]:
    """Order the rows of each head as llama.cpp rotates them: neighbours, not halves."""
    rows, columns = values.shape
    halves = values.reshape(rows // HEAD_DIM, 2, HEAD_DIM // 2, columns)
    return halves.swapaxes(1, 2).reshape(rows, columns)


def _rope_factors() -> np.ndarray[Any, np.dtype[np.float32]]:
    """What the frequencies of Llama 3.1 are divided by: 1 for short waves, 8 for long ones."""
    frequencies = ROPE_THETA ** -(np.arange(0, HEAD_DIM, 2) / HEAD_DIM)
    waves_in_context = ROPE_CONTEXT * frequencies / (2 * np.pi)
    smooth = np.clip((waves_in_context - ROPE_LOW) / (ROPE_HIGH - ROPE_LOW), 0, 1)
    return (1 / ((1 - smooth) / ROPE_FACTOR + smooth)).astype(np.float32)
