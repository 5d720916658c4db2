"""Tables of model types: what tells one family from another, as rows."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from types import MappingProxyType
from typing import Final, TypeVar

from llama_operator.catalog.tables import Row, columns_of, read_table
from llama_operator.errors import CatalogError

ATTENTIONS: Final = ("heads", "gated-heads", "gemma4-heads", "latent", "compressed")
BLOCKS: Final = ("pair", "single")
MIXERS: Final = ("mamba", "selective-scan", "delta-net")
WINDOWS: Final = ("none", "all", "pattern", "upper", "chunk")
NORM_SCOPES: Final = ("none", "head", "layer", "whole")
DENSE_LAYERS: Final = ("none", "first", "step", "interleave", "period", "both")
PREDICTIONS: Final = ("none", "deepseek", "qwen")
ROPE_TABLES: Final = ("none", "one", "two")
DEFAULT_LIMIT: Final = 2**40

_Keyed = TypeVar("_Keyed", "ModelFamily", "ExpertFamily", "MultimodalFamily")


@dataclass(frozen=True, slots=True)
class ModelFamily:
    """What the tensors of a model type are, where configurations do not say it.

    A switch is `yes`, `no`, the name of a key that is no when absent, or `key=yes`.

    Attributes:
        model_type: from the configuration.
        attention: how attention is made.
        mixer: what layers without attention have instead; empty for none.
        blocks: `pair`, mixer and feed-forward in each layer, or `single`, one of them.
        window: which layers see a window when no list says it: `pattern:6` all but every sixth,
            `upper` from `max_window_layers` on, `chunk:4` chunks in all but every fourth.
        qkv_bias: switch.
        output_bias: switch.
        qk_norm: scope of the norms of queries and keys, with a switch after a colon.
        sinks: whether each head has an attention sink.
        gated: whether feed-forward parts have a gate.
        mlp_bias: switch.
        norms: per layer; one per block where blocks are single.
        norm_bias: whether norms are layer norms with a bias.
        tied: whether input and output embeddings are one when no key says it.
        head_bias: whether lm_head has a bias.
        rope: tables of rotary positions: none, one, or two (one for each kind of layer).
        rotary_fraction: part of a head that is rotated when no key says it.
        prediction: MTP layers of the checkpoint.
        defaults: numbers of keys that may be absent.
        source: of the row.
    """

    model_type: str
    attention: str
    mixer: str
    blocks: str
    window: str
    qkv_bias: str
    output_bias: str
    qk_norm: str
    sinks: bool
    gated: bool
    mlp_bias: str
    norms: int
    norm_bias: bool
    tied: bool
    head_bias: bool
    rope: str
    rotary_fraction: float
    prediction: str
    defaults: Mapping[str, int]
    source: str


@dataclass(frozen=True, slots=True)
class ExpertFamily:
    """Keys and parts of the mixtures of experts of a model type.

    Attributes:
        model_type: from the configuration.
        experts: keys of their number, the first that is there counts.
        experts_per_token: keys of how many a token passes.
        expert_width: key of the intermediate size of one expert.
        dense_layers: which layers are dense: `none`, the `first` ones, by `step`, `interleave`d, by
            `period` and offset, or `both` parts side by side in each.
        dense_width: key of the intermediate size of dense layers, empty when there are none.
        shared_count: key of the number of shared experts; empty for one.
        shared_width: key of the width of one of them; empty for no shared experts.
        shared_gate: whether the shared expert has a gate.
        correction_bias: switch, or `topk_method`, for the correction of the router's scores.
        expert_bias: whether experts have biases.
        router_bias: whether the router has one.
        router_scale: whether the router scales inputs and experts (Gemma 4).
        optional: whether a model of this type may have no experts.
        source: of the row.
    """

    model_type: str
    experts: tuple[str, ...]
    experts_per_token: tuple[str, ...]
    expert_width: str
    dense_layers: str
    dense_width: str
    shared_count: str
    shared_width: str
    shared_gate: bool
    correction_bias: str
    expert_bias: bool
    router_bias: bool
    router_scale: bool
    optional: bool
    source: str


@dataclass(frozen=True, slots=True)
class MultimodalFamily:
    """A model type with towers for other inputs than text.

    Attributes:
        model_type: of the outer configuration.
        text_model_type: of the text part when that names none.
        tower: kind of the vision tower when its own section names none that is known.
        projector: kind of the projector to the text's hidden size.
        source: of the row.
    """

    model_type: str
    text_model_type: str
    tower: str
    projector: str
    source: str


@cache
def model_families() -> Mapping[str, ModelFamily]:
    """Rows of model_families.csv by model type.

    Raises:
        CatalogError: a cell is wrong.
    """

    def read(row: Row) -> ModelFamily:
        mixer = row.optional_text("mixer")
        return ModelFamily(
            model_type=row.text("model_type"),
            attention=row.one_of("attention", ATTENTIONS),
            mixer=row.one_of("mixer", MIXERS) if mixer else "",
            blocks=row.one_of("blocks", BLOCKS),
            window=_starts_with(row, "window", WINDOWS),
            qkv_bias=row.text("qkv_bias"),
            output_bias=row.text("output_bias"),
            qk_norm=_starts_with(row, "qk_norm", NORM_SCOPES),
            sinks=row.flag("sinks"),
            gated=row.flag("gated"),
            mlp_bias=row.text("mlp_bias"),
            norms=row.integer("norms", least=0, most=9),
            norm_bias=row.flag("norm_bias"),
            tied=row.flag("tied"),
            head_bias=row.flag("head_bias"),
            rope=row.one_of("rope", ROPE_TABLES),
            rotary_fraction=row.number("rotary_fraction", least=0, most=1),
            prediction=row.one_of("prediction", PREDICTIONS),
            defaults=_defaults(row),
            source=row.text("source"),
        )

    return _by_model_type(
        tuple(map(read, read_table("model_families.csv", columns_of(ModelFamily))))
    )


@cache
def expert_families() -> Mapping[str, ExpertFamily]:
    """Rows of expert_families.csv by model type.

    Raises:
        CatalogError: a cell is wrong.
    """

    def read(row: Row) -> ExpertFamily:
        return ExpertFamily(
            model_type=row.text("model_type"),
            experts=row.words("experts"),
            experts_per_token=row.words("experts_per_token"),
            expert_width=row.text("expert_width"),
            dense_layers=row.one_of("dense_layers", DENSE_LAYERS),
            dense_width=row.optional_text("dense_width"),
            shared_count=row.optional_text("shared_count"),
            shared_width=row.optional_text("shared_width"),
            shared_gate=row.flag("shared_gate"),
            correction_bias=row.text("correction_bias"),
            expert_bias=row.flag("expert_bias"),
            router_bias=row.flag("router_bias"),
            router_scale=row.flag("router_scale"),
            optional=row.flag("optional"),
            source=row.text("source"),
        )

    return _by_model_type(
        tuple(map(read, read_table("expert_families.csv", columns_of(ExpertFamily))))
    )


@cache
def multimodal_families() -> Mapping[str, MultimodalFamily]:
    """Rows of multimodal_families.csv by outer model type.

    Raises:
        CatalogError: a cell is wrong.
    """

    def read(row: Row) -> MultimodalFamily:
        return MultimodalFamily(
            model_type=row.text("model_type"),
            text_model_type=row.text("text_model_type"),
            tower=row.optional_text("tower"),
            projector=row.optional_text("projector"),
            source=row.text("source"),
        )

    return _by_model_type(
        tuple(map(read, read_table("multimodal_families.csv", columns_of(MultimodalFamily))))
    )


def _by_model_type(rows: tuple[_Keyed, ...]) -> Mapping[str, _Keyed]:
    by_type = {row.model_type: row for row in rows}
    if len(by_type) != len(rows):
        msg = f"{type(rows[0]).__name__}: a model type has two rows"
        raise CatalogError(msg)
    return MappingProxyType(by_type)


def _starts_with(row: Row, column: str, allowed: tuple[str, ...]) -> str:
    text = row.text(column)
    if text.partition(":")[0] not in allowed:
        raise row.error(column, f"{text!r} starts with none of {', '.join(allowed)}")
    return text


def _defaults(row: Row) -> Mapping[str, int]:
    """`head_dim=256 vocab_size=262208` as a mapping."""
    defaults = {}
    for word in row.words("defaults"):
        key, _, number = word.partition("=")
        if not key or not number.isdecimal() or int(number) > DEFAULT_LIMIT:
            raise row.error("defaults", f"{word!r} is not of the form key=number")
        defaults[key] = int(number)
    return MappingProxyType(defaults)
