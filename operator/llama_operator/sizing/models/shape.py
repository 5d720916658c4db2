"""A model's shape from its `config.json`: the one entry to this package."""

from collections.abc import Mapping
from typing import Any, Final

from llama_operator.catalog.model_families import (
    ModelFamily,
    MultimodalFamily,
    expert_families,
    model_families,
    multimodal_families,
)
from llama_operator.sizing.models.compressed import CACHE_BOUND, hyper_head
from llama_operator.sizing.models.config import HEADS_LIMIT, Config, read_config
from llama_operator.sizing.models.kinds import LayerKind, layer_kinds
from llama_operator.sizing.models.layers import layer
from llama_operator.sizing.models.model import Layer, ModelShape
from llama_operator.sizing.models.parts import norms, vector, whole
from llama_operator.sizing.models.prediction import prediction_layers
from llama_operator.sizing.models.rope import max_positions, rope_elements
from llama_operator.sizing.models.tensors import Part, Split, Tensor
from llama_operator.sizing.models.unknown import unknown_family
from llama_operator.sizing.models.vision.towers import towers

_TEXT_SECTIONS: Final = ("text_config", "llm_config", "language_config")
_KEPT: Final = ("modules_to_not_convert", "ignore", "llm_int8_skip_modules", "exclude_modules")
_ADDED_ROWS: Final = "added_embedding_rows"
"""Default of a model type, not a key of configurations: rows of the input embedding alone."""


def model_shape(
    config: Mapping[str, Any], *, name: str = "", mistral_format: bool = False
) -> ModelShape:
    """Everything that the bytes of a model follow from.

    What tells model types from another is in the tables model_families.csv, expert_families.csv and
    multimodal_families.csv. A model type without a row is sized as an upper bound when it has the
    usual keys of a decoder, and says so in `bounds`.

    Args:
        config: the whole `config.json`.
        name: of the model, for messages only.
        mistral_format: the repository is in Mistral's own format.

    Returns:
        The shape; layers of one kind are one object.

    Raises:
        ConfigError: a key is missing or wrong, or the model type is not known; names the key and
            what is allowed.
    """
    outer = read_config(config)
    multimodal = multimodal_families().get(outer.text("model_type"))
    text = outer.section(outer.first_of(_TEXT_SECTIONS)) or outer
    model_type = _text_model_type(outer, text, multimodal)
    family = model_families().get(model_type)
    experts = expert_families().get(model_type)
    bounds: tuple[str, ...] = ()
    if family is None:
        family, experts, bounds = unknown_family(text, model_type)
    text = text.with_defaults(family.defaults)
    hidden = text.integer("hidden_size")
    vocabulary = text.integer("vocab_size")
    tied = _tied(outer, text, family)
    other = towers(outer, multimodal, hidden, mistral_format=mistral_format)
    built: dict[LayerKind, Layer] = {}
    kinds = layer_kinds(text, family, experts)
    for kind in kinds:
        if kind not in built:
            built[kind] = layer(text, family, experts, kind, other.image_tokens)
    heads = text.optional_integer("num_attention_heads", most=HEADS_LIMIT)
    if family.attention == "compressed":
        bounds += (CACHE_BOUND,)
    return ModelShape(
        name=name,
        model_type=family.model_type,
        layers=tuple(built[kind] for kind in kinds),
        embedding=_embedding(text, family, hidden, vocabulary, len(kinds)),
        final=_final(text, family, hidden, vocabulary),
        lm_head=None if tied else _matrix("lm_head", Part.LM_HEAD, vocabulary, hidden),
        hidden_size=hidden,
        vocab_size=vocabulary,
        attention_heads=heads or 0,
        max_position_embeddings=max_positions(text),
        rope_elements=rope_elements(text, family),
        vision=other.tensors,
        not_loaded=prediction_layers(text, family, experts),
        kept=_kept(outer, text),
        bounds=bounds + other.bounds,
        mistral_format=mistral_format,
    )


def _text_model_type(outer: Config, text: Config, multimodal: MultimodalFamily | None) -> str:
    """Model type of the text part: its own when there is a rule, else that of the outer type."""
    own = text.text("model_type")
    if own in model_families():
        return own
    if multimodal is not None:
        return multimodal.text_model_type
    if not own and not outer.has("model_type"):
        raise outer.error("model_type", "is missing; a text such as llama")
    return own or outer.text("model_type")


def _tied(outer: Config, text: Config, family: ModelFamily) -> bool:
    """Whether input and output embeddings are one: outermost key, text key, model type."""
    key = "tie_word_embeddings"
    return (outer if outer.has(key) else text).flag(key, default=family.tied)


def _matrix(name: str, part: Part, rows: int, hidden: int) -> Tensor:
    return Tensor(name, part, (rows, hidden), Split.VOCABULARY, linear=True)


def _embedding(
    text: Config, family: ModelFamily, hidden: int, vocabulary: int, layers: int
) -> tuple[Tensor, ...]:
    """The input matrix; Gemma 4's smaller models have one more for the inputs of their layers."""
    rows = vocabulary + family.defaults.get(_ADDED_ROWS, 0)
    matrix = _matrix("embed_tokens", Part.EMBEDDING, rows, hidden)
    width = text.integer("hidden_size_per_layer_input", least=0, default=0)
    if family.attention != "gemma4-heads" or not width:
        return (matrix,)
    per_layer = layers * width
    rows = text.integer("vocab_size_per_layer_input", default=vocabulary)
    return (
        matrix,
        _matrix("embed_tokens_per_layer", Part.EMBEDDING, rows, per_layer),
        whole("per_layer_model_projection", Part.FEED_FORWARD, per_layer, hidden),
        vector("per_layer_projection_norm", Part.NORM, width),
    )


def _final(text: Config, family: ModelFamily, hidden: int, vocabulary: int) -> tuple[Tensor, ...]:
    """Final norm, and what the family has beside it."""
    tensors = norms("norm", hidden, biased=family.norm_bias)
    if family.head_bias:
        tensors += (Tensor("lm_head.bias", Part.LM_HEAD, (vocabulary,), Split.VOCABULARY),)
    if family.attention == "compressed":
        tensors += hyper_head(text)
    return tensors


def _kept(outer: Config, text: Config) -> tuple[str, ...]:
    """Layers that the checkpoint's quantization leaves in 16 bit, by any of the keys for them."""
    section = outer.section("quantization_config") or text.section("quantization_config")
    if section is None:
        return ()
    return tuple(word for key in _KEPT for word in section.words(key) or ())
