"""What kind each layer is: which mixer, which feed-forward, which window."""

from dataclasses import dataclass
from typing import Final

from llama_operator.catalog.model_families import ExpertFamily, ModelFamily
from llama_operator.sizing.models.config import (
    DIMENSION_LIMIT,
    EXPERTS_LIMIT,
    LAYERS_LIMIT,
    POSITIONS_LIMIT,
    Config,
)

ATTENTION: Final = "attention"
CROSS: Final = "cross"
MIXER: Final = "mixer"
DENSE: Final = "dense"
EXPERTS: Final = "experts"
BOTH: Final = "both"

_SLIDING: Final = "sliding_attention"
_CHUNKED: Final = "chunked_attention"
_BLOCKS: Final = {
    "full_attention": (ATTENTION, ""),
    "attention": (ATTENTION, ""),
    _SLIDING: (ATTENTION, ""),
    _CHUNKED: (ATTENTION, ""),
    "linear_attention": (MIXER, ""),
    "mamba": (MIXER, ""),
    "mlp": ("", DENSE),
    "moe": ("", EXPERTS),
}
"""Mixer and feed-forward by the words of `layer_types` and `layers_block_type`."""
_LETTERS: Final = {"M": "mamba", "*": "attention", "-": "mlp", "E": "moe"}
"""Words by the letters of `hybrid_override_pattern` (Nemotron-H)."""


@dataclass(frozen=True, slots=True)
class LayerKind:
    """All that layers of one model may differ in.

    Attributes:
        mixer: attention, cross-attention, the family's other mixer; empty for none.
        feed_forward: dense, experts, both side by side; empty for none.
        window: of sliding-window attention, 0 for all tokens.
        chunk: of chunked attention, 0 for none.
        compression: tokens of one compressed entry (DeepSeek V4), 0 for none.
        hashed: experts are picked by a table of token ids (DeepSeek V4).
        shares_cache: keys and values are those of an earlier layer (Gemma 4).
    """

    mixer: str
    feed_forward: str
    window: int = 0
    chunk: int = 0
    compression: int = 0
    hashed: bool = False
    shares_cache: bool = False


def layer_kinds(
    config: Config, family: ModelFamily, experts: ExpertFamily | None
) -> tuple[LayerKind, ...]:
    """The kind of every layer, in order.

    Args:
        config: of the text part, with the defaults of its family.
        family: of the model type.
        experts: of the model type; None for dense models.

    Raises:
        ConfigError: a list of layers is of the wrong length or names something unknown.
    """
    words = _words(config)
    layers = config.integer(
        "num_hidden_layers", most=LAYERS_LIMIT, default=len(words) if words else None
    )
    if words is None:
        words = _default_words(config, family, layers)
    elif len(words) != layers:
        raise config.error(
            "num_hidden_layers", f"is {layers}, but {len(words)} layers are listed by kind"
        )
    if family.blocks == "single":
        parts = tuple(_BLOCKS[word][1] for word in words)
    else:
        parts = _feed_forwards(config, experts, layers)
    crossed = set(config.integers("cross_attention_layers", most=LAYERS_LIMIT) or ())
    compressed = _compressions(config, family, layers)
    hashed = config.integer("num_hash_layers", least=0, most=LAYERS_LIMIT, default=0)
    shared = config.integer("num_kv_shared_layers", least=0, most=LAYERS_LIMIT, default=0)
    first_shared = layers - shared if 0 < shared < layers else layers
    built: dict[tuple[str, str, bool, int, bool, bool], LayerKind] = {}
    kinds = []
    for index, facts in enumerate(zip(words, parts, strict=True)):
        key = (
            *facts,
            index in crossed,
            compressed[index],
            index < hashed,
            index >= first_shared,
        )
        if key not in built:
            built[key] = _kind(config, family, *key)
        kinds.append(built[key])
    return tuple(kinds)


def _kind(
    config: Config,
    family: ModelFamily,
    word: str,
    feed_forward: str,
    crossed: bool,
    compression: int,
    hashed: bool,
    shares_cache: bool,
) -> LayerKind:
    """One kind, with what its word needs of the configuration."""
    mixer = CROSS if crossed else _BLOCKS[word][0]
    if mixer == MIXER and not family.mixer:
        raise config.error("layer_types", f"{word!r} is not known for this model type")
    window = chunk = 0
    if word == _SLIDING:
        window = config.integer("sliding_window", least=0, most=POSITIONS_LIMIT)
    if word == _CHUNKED:
        chunk = config.integer("attention_chunk_size", least=0, most=POSITIONS_LIMIT)
    return LayerKind(mixer, feed_forward, window, chunk, compression, hashed, shares_cache)


def _words(config: Config) -> tuple[str, ...] | None:
    """Words for the layers, where the configuration lists them."""
    pattern = config.text("hybrid_override_pattern")
    if pattern:
        unknown = set(pattern) - set(_LETTERS)
        if unknown or len(pattern) > LAYERS_LIMIT:
            raise config.error(
                "hybrid_override_pattern",
                f"is no text of at most {LAYERS_LIMIT:,} letters of {' '.join(_LETTERS)}",
            )
        return tuple(_LETTERS[letter] for letter in pattern)
    key = config.first_of(("layers_block_type", "layer_types"))
    words = config.words(key)
    for word in set(words or ()):
        if word not in _BLOCKS:
            raise config.error(key, f"{word[:40]!r} is none of {', '.join(_BLOCKS)}")
    return words


def _default_words(config: Config, family: ModelFamily, layers: int) -> tuple[str, ...]:
    """Words where none are listed, by the rule of the family."""
    if family.mixer:
        return _hybrid_words(config, family, layers)
    rule, _, default = family.window.partition(":")
    windowed = config.has("sliding_window") or family.defaults.get("sliding_window")
    if rule == "all" and windowed:
        return (_SLIDING,) * layers
    if rule == "pattern" and windowed:
        key = config.first_of(("sliding_window_pattern", "_sliding_window_pattern"))
        period = config.integer(key, most=LAYERS_LIMIT, default=int(default))
        return tuple(
            _SLIDING if (index + 1) % period else "full_attention" for index in range(layers)
        )
    if rule == "upper" and windowed and config.flag("use_sliding_window"):
        first = config.integer("max_window_layers", least=0, most=LAYERS_LIMIT, default=0)
        return tuple(_SLIDING if index >= first else "full_attention" for index in range(layers))
    if rule == "chunk" and config.has("attention_chunk_size"):
        return _chunked_words(config, layers, int(default))
    return ("full_attention",) * layers


def _hybrid_words(config: Config, family: ModelFamily, layers: int) -> tuple[str, ...]:
    """Words of a hybrid: attention at some indices, or at every so many layers."""
    indices = config.integers("attn_layer_indices", most=LAYERS_LIMIT)
    if indices is not None:
        attention = set(indices)
        return tuple("attention" if index in attention else "mamba" for index in range(layers))
    if family.mixer == "selective-scan":
        chosen = _periodic(config, "attn_layer", layers)
        return tuple("attention" if index in chosen else "mamba" for index in range(layers))
    if family.mixer == "mamba":
        raise config.error("layers_block_type", "is missing; it tells which layers are attention")
    period = config.integer("full_attention_interval", most=LAYERS_LIMIT, default=4)
    return tuple(
        "linear_attention" if (index + 1) % period else "full_attention" for index in range(layers)
    )


def _chunked_words(config: Config, layers: int, period: int) -> tuple[str, ...]:
    """Words of Llama 4: layers with rotary positions are chunked, the others see everything."""
    rotary = config.integers("no_rope_layers", most=1)
    if rotary:
        if len(rotary) != layers:
            raise config.error("no_rope_layers", f"has {len(rotary)} entries for {layers} layers")
        return tuple(_CHUNKED if entry else "full_attention" for entry in rotary)
    period = config.integer("no_rope_layer_interval", most=LAYERS_LIMIT, default=period)
    return tuple(_CHUNKED if (index + 1) % period else "full_attention" for index in range(layers))


def _feed_forwards(config: Config, experts: ExpertFamily | None, layers: int) -> tuple[str, ...]:
    """Dense, experts or both, for each layer that has a feed-forward part."""
    if experts is None:
        return (DENSE,) * layers
    key = config.first_of(experts.experts)
    least = 0 if experts.optional else 1
    default = 0 if experts.optional else None
    number = config.integer(key, least=least, most=EXPERTS_LIMIT, default=default)
    if not number:
        return (DENSE,) * layers
    if experts.dense_layers == "both":
        return (BOTH,) * layers
    if experts.dense_layers == "first":
        first = config.integer("first_k_dense_replace", least=0, most=LAYERS_LIMIT, default=0)
        step = config.integer("moe_layer_freq", most=LAYERS_LIMIT, default=1)
        return tuple(
            EXPERTS if index >= first and index % step == 0 else DENSE for index in range(layers)
        )
    if experts.dense_layers == "step":
        dense = set(config.integers("mlp_only_layers", most=LAYERS_LIMIT) or ())
        step = config.integer("decoder_sparse_step", most=LAYERS_LIMIT, default=1)
        return tuple(
            EXPERTS if index not in dense and (index + 1) % step == 0 else DENSE
            for index in range(layers)
        )
    if experts.dense_layers == "interleave":
        listed = config.integers("moe_layers", most=LAYERS_LIMIT)
        step = config.integer("interleave_moe_layer_step", most=LAYERS_LIMIT, default=1)
        chosen = set(range(step - 1, layers, step) if listed is None else listed)
        return tuple(EXPERTS if index in chosen else DENSE for index in range(layers))
    if experts.dense_layers == "period":
        periodic = _periodic(config, "expert_layer", layers) if number > 1 else range(0)
        return tuple(EXPERTS if index in periodic else DENSE for index in range(layers))
    return (EXPERTS,) * layers


def _periodic(config: Config, prefix: str, layers: int) -> range:
    """Layers at `<prefix>_offset` and every `<prefix>_period` after it (Jamba)."""
    period = config.integer(f"{prefix}_period", most=LAYERS_LIMIT)
    return range(config.integer(f"{prefix}_offset", least=0, most=LAYERS_LIMIT), layers, period)


def _compressions(config: Config, family: ModelFamily, layers: int) -> tuple[int, ...]:
    """Tokens of a compressed entry by layer; entries beyond the last layer are its MTP layers'."""
    if family.attention != "compressed":
        return (0,) * layers
    ratios = config.integers("compress_ratios", most=DIMENSION_LIMIT)
    if ratios is None or len(ratios) < layers:
        raise config.error("compress_ratios", f"is no list of a number for each of {layers} layers")
    return ratios[:layers]
