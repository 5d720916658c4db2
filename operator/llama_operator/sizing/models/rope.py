"""Tables of rotary positions: cosines and sines for every position, whole on every rank."""

from typing import Final

from llama_operator.catalog.model_families import ModelFamily
from llama_operator.sizing.models.config import POSITIONS_LIMIT, Config
from llama_operator.sizing.models.heads import head_dim_of

_SCALED: Final = ("linear", "dynamic")
_FROM_ORIGINAL: Final = ("yarn", "deepseek_yarn")
_TWO_PARTS: Final = ("longrope", "su")
_POSITIONS: Final = ("max_position_embeddings", "n_positions", "max_sequence_length")
_FULL: Final = "full_attention"
_SLIDING: Final = "sliding_attention"
_MROPE_FACTOR: Final = 4
"""Positions of a table with sections for time, height and width: vLLM, mrope.py, makes 4 times as
many, for long videos."""


def max_positions(config: Config) -> int:
    """The longest context that the model was made for.

    Raises:
        ConfigError: the key is missing or wrong.
    """
    return config.integer(config.first_of(_POSITIONS), most=POSITIONS_LIMIT)


def rope_elements(config: Config, family: ModelFamily) -> int:
    """Elements of all tables: positions * rotated elements of a head. Memory model, section 4.

    Models with two kinds of attention (Gemma 3 and 4) have a table for each; scaling applies to
    that of full attention.

    Args:
        config: of the text part, with the defaults of its family.
        family: of the model type.

    Raises:
        ConfigError: a key of the scaling is missing or wrong.
    """
    if family.rope == "none" or config.is_text("position_embedding_type", "nope"):
        return 0
    positions = max_positions(config)
    scaling = config.section("rope_parameters") or config.section("rope_scaling")
    full = (scaling and scaling.section(_FULL)) or scaling
    sliding = scaling and scaling.section(_SLIDING)
    elements = table_positions(config, full, positions) * _rotated(config, family, full)
    if family.rope == "two":
        elements += table_positions(config, sliding, positions) * head_dim_of(config)
    return elements


def table_positions(config: Config, scaling: Config | None, positions: int) -> int:
    """Positions of one table.

    Linear and dynamic scaling multiply the longest context, YaRN the original one, long RoPE has a
    table for each of the two; all other kinds keep the longest context.

    Args:
        config: of the text part.
        scaling: `rope_scaling` or `rope_parameters`; None for none.
        positions: `max_position_embeddings`.

    Raises:
        ConfigError: a factor or an original context is missing or wrong.
    """
    if scaling is None:
        return positions
    if scaling.has("mrope_section"):
        return positions * _MROPE_FACTOR
    kind = scaling.text(scaling.first_of(("rope_type", "type")))
    if kind in _SCALED:
        return int(positions * scaling.number("factor", default=1))
    original = "original_max_position_embeddings"
    if kind in _FROM_ORIGINAL:
        start = scaling.integer(original, most=POSITIONS_LIMIT, default=positions)
        return int(start * scaling.number("factor", default=1))
    if kind in _TWO_PARTS:
        section = scaling if scaling.has(original) else config
        return positions + section.integer(original, most=POSITIONS_LIMIT, default=positions)
    return positions


def _rotated(config: Config, family: ModelFamily, scaling: Config | None) -> int:
    """Elements of a head that are rotated."""
    if family.attention in ("latent", "compressed"):
        return config.integer("qk_rope_head_dim")
    if family.attention == "gemma4-heads":
        return config.integer("global_head_dim", default=head_dim_of(config))
    given = config.optional_integer(config.first_of(("rotary_dim", "attn_rotary_emb")))
    if given is not None:
        return given
    head_dim = head_dim_of(config)
    key = "partial_rotary_factor"
    section = scaling if scaling is not None and scaling.has(key) else config
    return int(head_dim * section.number(key, default=family.rotary_fraction))
