"""Bytes of GGUF files: of the input matrix, of each layer and of the output."""

from collections.abc import Callable, Mapping
from functools import lru_cache
from math import prod
from typing import Final, NamedTuple

from llama_operator.catalog.gguf_tables import GgufRule, gguf_mixes, gguf_types
from llama_operator.errors import UnsupportedSchemeError
from llama_operator.sizing.models.model import HeadsCache, LatentCache, ModelShape
from llama_operator.sizing.models.tensors import Part, Split, Tensor
from llama_operator.units import FLOAT32_BYTES, ceil_div

_LARGE_SHARED_VALUES: Final = 80
"""Layers of a 70B, whose `attn_v` llama.cpp stores with more bits."""
_MIXTRAL_EXPERTS: Final = 8
_UNQUANTIZED: Final = frozenset({"F32", "F16", "BF16"})
_NAMES: Final[Mapping[str, str]] = {
    "q_proj": "attn_q",
    "k_proj": "attn_k",
    "v_proj": "attn_v",
    "qkv_proj": "attn_qkv",
    "o_proj": "attn_output",
    "dense": "attn_output",
    "gate_proj": "ffn_gate",
    "w1": "ffn_gate",
    "up_proj": "ffn_up",
    "gate_up_proj": "ffn_up",
    "fc1": "ffn_up",
    "w3": "ffn_up",
    "down_proj": "ffn_down",
    "fc2": "ffn_down",
    "w2": "ffn_down",
}
"""llama.cpp's names of tensors by those of Hugging Face."""
_ATTENTION_NAMES: Final = frozenset({"attn_q", "attn_k", "attn_v", "attn_qkv", "attn_output"})
_FUSED_TYPES: Final = frozenset({"phi", "phi3"})
"""Model types whose files hold queries, keys and values as one tensor (convert_hf_to_gguf.py)."""


class GgufParts(NamedTuple):
    """Bytes of a GGUF file by where llama.cpp puts them.

    Attributes:
        token_embd_bytes: the input matrix, always in host memory.
        layer_bytes: of each decoder layer.
        output_bytes: the output matrix with the final norm; the input matrix again where it is
            tied.
        tied: the output matrix is no further part of the file.
    """

    token_embd_bytes: int
    layer_bytes: tuple[int, ...]
    output_bytes: int
    tied: bool

    def scaled(self, stored_bytes: int, computed_bytes: int) -> "GgufParts":
        """The same division of a file that holds other bytes, each part in proportion, rounded up.

        Args:
            stored_bytes: of all tensors of the file, by its header.
            computed_bytes: of all tensors, by the mix of its name.
        """

        def scale(size: int) -> int:
            return ceil_div(size * stored_bytes, computed_bytes)

        layers = tuple(map(scale, self.layer_bytes))
        return GgufParts(scale(self.token_embd_bytes), layers, scale(self.output_bytes), self.tied)


class _Facts(NamedTuple):
    """What rules of mixes ask of a model."""

    layers: int
    query_heads_per_kv_head: int
    experts: int
    fused_qkv: bool


class _Choice(NamedTuple):
    """Types of a tensor with the layers where they count; the first that fits, the last always."""

    types: tuple[tuple[str, str], ...]

    def at(self, index: int, layers: int) -> str:
        return next(name for where, name in self.types if _LAYERS[where](index, layers))


def gguf_bytes(model: ModelShape, file_type: str) -> int:
    """Bytes of all tensors of a GGUF file, without its metadata (about 8 MB of vocabulary).

    Memory model, section 3; exact for Llama. Files are taken to be made with an importance matrix,
    as most are. Vision towers are published as a file of their own and MTP layers are left out.

    Args:
        model: the model.
        file_type: name of a mix, such as Q4_K_M; case does not matter.

    Raises:
        UnsupportedSchemeError: the file type is not known.
    """
    parts = gguf_parts(model, file_type)
    untied = 0 if parts.tied else parts.token_embd_bytes
    return sum(parts.layer_bytes) + parts.output_bytes + untied


@lru_cache(maxsize=1024)
def gguf_parts(model: ModelShape, file_type: str) -> GgufParts:
    """Bytes of the input matrix, of each layer and of the output.

    Args:
        model: the model.
        file_type: name of a mix; case does not matter.

    Raises:
        UnsupportedSchemeError: the file type is not known.
    """
    rules = _rules(file_type)
    facts = _facts(model)
    layers = tuple(map(sum, _tensors_of_layers(model, file_type)))

    def outer_bytes(name: str, tensor: Tensor) -> int:
        return _stored_bytes(tensor, _choice(name, tensor, rules, facts).at(0, facts.layers))

    embedding_name = "output" if model.tied else "token_embd"
    embedding = sum(outer_bytes(embedding_name, tensor) for tensor in model.embedding)
    matrix = embedding if model.lm_head is None else outer_bytes("output", model.lm_head)
    return GgufParts(embedding, layers, _final_bytes(model) + matrix, model.tied)


def gguf_largest_tensors(model: ModelShape, file_type: str) -> tuple[int, ...]:
    """Bytes of the largest tensor of each decoder layer; all experts of a layer are one tensor.

    Args:
        model: the model.
        file_type: name of a mix.

    Raises:
        UnsupportedSchemeError: the file type is not known.
    """
    layers = _tensors_of_layers(model, file_type)
    return tuple(max(tensors, default=0) for tensors in layers)


@lru_cache(maxsize=1024)
def _tensors_of_layers(model: ModelShape, file_type: str) -> tuple[tuple[int, ...], ...]:
    """Bytes of each tensor of each decoder layer."""
    rules = _rules(file_type)
    facts = _facts(model)
    sizes: dict[tuple[int, tuple[str, ...]], tuple[int, ...]] = {}
    choices: dict[int, tuple[_Choice, ...]] = {}
    layers = []
    for index, layer in enumerate(model.layers):
        if id(layer) not in choices:
            choices[id(layer)] = tuple(
                _choice(_name(tensor, facts), tensor, rules, facts) for tensor in layer.tensors
            )
        types = tuple(choice.at(index, facts.layers) for choice in choices[id(layer)])
        key = (id(layer), types)
        if key not in sizes:
            sizes[key] = tuple(map(_stored_bytes, layer.tensors, types))
        layers.append(sizes[key])
    return tuple(layers)


def _rules(file_type: str) -> tuple[GgufRule, ...]:
    mixes = gguf_mixes()
    rules = mixes.get(file_type.upper())
    if rules is None:
        msg = f"GGUF file type {file_type[:80]!r} is not known; known are {', '.join(mixes)}"
        raise UnsupportedSchemeError(msg)
    return rules


def _final_bytes(model: ModelShape) -> int:
    return sum(FLOAT32_BYTES * tensor.elements for tensor in model.final)


def _facts(model: ModelShape) -> _Facts:
    experts = max(
        (layer.feed_forward.experts for layer in model.layers if layer.feed_forward), default=0
    )
    return _Facts(
        model.num_hidden_layers,
        _query_heads_per_kv_head(model),
        experts,
        model.model_type in _FUSED_TYPES,
    )


def _query_heads_per_kv_head(model: ModelShape) -> int:
    """Of the first attention layer; latent attention has one KV head."""
    for layer in model.layers:
        if isinstance(layer.cache, LatentCache):
            return model.attention_heads
        if isinstance(layer.cache, HeadsCache):
            return model.attention_heads // layer.cache.kv_heads
    return 0


def _name(tensor: Tensor, facts: _Facts) -> str:
    """llama.cpp's name of a tensor of a layer; that of Hugging Face where no rule cares."""
    if facts.fused_qkv and tensor.merged == "qkv":
        return "attn_qkv"
    name = _NAMES.get(tensor.name.rpartition(".")[2], tensor.name)
    if (name in _ATTENTION_NAMES) != (tensor.part is Part.ATTENTION):
        return tensor.name
    return name


def _choice(name: str, tensor: Tensor, rules: tuple[GgufRule, ...], facts: _Facts) -> _Choice:
    """Types that a tensor is stored in: F32 where it is none that is quantized."""
    matrix = tensor.linear and tensor.part not in (Part.ROUTER, Part.NORM)
    vocabulary = tensor.split is Split.VOCABULARY and len(tensor.shape) == 2
    if len(tensor.shape) != 2 or not (matrix or vocabulary):
        return _Choice((("all", "F32"),))
    found = []
    for rule in rules:
        if _matches(rule, name, tensor, facts):
            chosen = _whole_rows(_with_more_bits(rule, name, facts), tensor)
            found.append((rule.layers, chosen))
            if rule.layers == "all":
                break
    return _Choice(tuple(found))


def _whole_rows(type_name: str, tensor: Tensor) -> str:
    """The type, or a narrower one whose blocks divide the rows of the tensor."""
    types = gguf_types()
    while tensor.in_features % types[type_name].block_weights:
        type_name = types[type_name].narrow_type
    return type_name


def _with_more_bits(rule: GgufRule, name: str, facts: _Facts) -> str:
    """The type of a rule, or a larger one where KV heads are few and cost little.

    Source: llama.cpp, src/llama-quant.cpp: `attn_v` of a 70B (80 layers) is never below Q5_K, keys
    and values of models with 8 experts are Q8_0; types below three bits have their own rules.
    """
    of_rule = rule.type
    own_rules = rule.file_type.startswith(("IQ1", "IQ2")) or rule.file_type in _UNQUANTIZED
    if own_rules or name not in ("attn_k", "attn_v"):
        return of_rule
    if facts.experts == _MIXTRAL_EXPERTS:
        return "Q8_0"
    if name == "attn_v" and facts.layers == _LARGE_SHARED_VALUES and of_rule in ("Q3_K", "Q4_K"):
        return "Q5_K"
    return of_rule


def _matches(rule: GgufRule, name: str, tensor: Tensor, facts: _Facts) -> bool:
    """Whether a rule speaks of the tensor, in some layer."""
    named = rule.tensor in ("*", name)
    expert = rule.tensor == "experts" and tensor.part is Part.EXPERTS
    return (named or expert) and _CONDITIONS[rule.condition](facts)


def _more_bits(index: int, layers: int) -> bool:
    return index < layers // 8 or index >= 7 * layers // 8 or (index - layers // 8) % 3 == 2


_LAYERS: Final[Mapping[str, Callable[[int, int], bool]]] = {
    "all": lambda _index, _layers: True,
    "more": _more_bits,
    "2": lambda index, _: index < 2,
    "4": lambda index, _: index < 4,
    "L/8": lambda index, layers: index < layers // 8,
    "L/16": lambda index, layers: index < layers // 16,
    "middle": lambda index, layers: layers // 8 <= index < 7 * layers // 8,
}
_CONDITIONS: Final[Mapping[str, Callable[[_Facts], bool]]] = {
    "": lambda _: True,
    "gqa>=4": lambda facts: facts.query_heads_per_kv_head >= 4,
    "experts>=4": lambda facts: facts.experts >= 4,
    "experts=8": lambda facts: facts.experts == _MIXTRAL_EXPERTS,
}


def _stored_bytes(tensor: Tensor, type_name: str) -> int:
    """Bytes of all `count` tensors: rows are whole blocks."""
    stored = gguf_types()[type_name]
    return tensor.count * prod(tensor.shape) // stored.block_weights * stored.block_bytes
