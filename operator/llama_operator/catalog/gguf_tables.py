"""The tables of GGUF: types of blocks, and which type each tensor of a file type has."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from types import MappingProxyType
from typing import Final

from llama_operator.catalog.checks import check_unique
from llama_operator.catalog.tables import Row, columns_of, read_table
from llama_operator.errors import CatalogError

TENSORS: Final = (
    "*",
    "like",
    "token_embd",
    "output",
    "attn_q",
    "attn_k",
    "attn_v",
    "attn_qkv",
    "attn_output",
    "ffn_gate",
    "ffn_up",
    "ffn_down",
    "experts",
)
"""Tensors that rules of mixes name; `*` is any, `like` takes the rules of another file type."""
LAYERS: Final = ("all", "more", "2", "4", "L/8", "L/16", "middle")
"""Layers that rules of mixes name, see `GgufRule`."""
CONDITIONS: Final = ("", "gqa>=4", "experts>=4", "experts=8")
"""What else rules of mixes ask for, see `GgufRule`."""


@dataclass(frozen=True, slots=True)
class GgufType:
    """How one tensor of a GGUF file is stored.

    `block_weights` weights of one row take `block_bytes` bytes. A row that is no multiple of them
    is stored as `narrow_type`, which is empty where any row is.
    """

    name: str
    block_weights: int
    block_bytes: int
    narrow_type: str
    source: str


@dataclass(frozen=True, slots=True)
class GgufRule:
    """One rule of a file type's mix; the first one that matches a tensor counts.

    `tensor` is llama.cpp's name of it without the layer, `experts` any expert's matrix. `layers`
    are all, the first 2 or 4 of L, the first `L/8` or `L/16`, the `middle` from L/8 to 7*L/8, or
    those that get `more` bits: the first and last eighth and every third between. `condition`:
    query heads for each KV head or number of experts; empty for none. `type` is a row of
    gguf_types.csv, or for `like` another file type. Rules are those of files that were made with an
    importance matrix, as most are.
    """

    file_type: str
    tensor: str
    layers: str
    condition: str
    type: str
    source: str


@cache
def gguf_types() -> Mapping[str, GgufType]:
    """Rows of gguf_types.csv by name.

    Raises:
        CatalogError: a cell is wrong.
    """

    def read(row: Row) -> GgufType:
        return GgufType(
            name=row.text("name"),
            block_weights=row.integer("block_weights", least=1, most=256),
            block_bytes=row.integer("block_bytes", least=1, most=1024),
            narrow_type=row.optional_text("narrow_type"),
            source=row.text("source"),
        )

    rows = tuple(map(read, read_table("gguf_types.csv", columns_of(GgufType))))
    check_unique("gguf_types.csv", "name", (row.name for row in rows))
    types = {row.name: row for row in rows}
    for row in rows:
        narrow = types.get(row.narrow_type)
        narrower = narrow is not None and narrow.block_weights < row.block_weights
        if not (narrower if row.block_weights > 1 else narrow is None):
            msg = (
                f"gguf_types.csv, {row.name}, column narrow_type: a type with smaller blocks is "
                "needed, and none for blocks of one weight"
            )
            raise CatalogError(msg)
    return MappingProxyType(types)


@cache
def gguf_mixes() -> Mapping[str, tuple[GgufRule, ...]]:
    """Rows of gguf_mixes.csv by file type, in their order.

    Raises:
        CatalogError: a cell is wrong, or a file type leaves some tensor without a type.
    """
    types = gguf_types()
    mixes: dict[str, tuple[GgufRule, ...]] = {}
    for row in read_table("gguf_mixes.csv", columns_of(GgufRule)):
        rule = GgufRule(
            file_type=row.text("file_type"),
            tensor=row.one_of("tensor", TENSORS),
            layers=row.one_of("layers", LAYERS),
            condition=row.optional_text("condition"),
            type=row.text("type"),
            source=row.text("source"),
        )
        if rule.condition not in CONDITIONS:
            raise row.error("condition", f"{rule.condition!r} is none of {', '.join(CONDITIONS)}")
        if rule.type not in (mixes if rule.tensor == "like" else types):
            raise row.error("type", f"{rule.type!r} stands in no row above or of gguf_types.csv")
        earlier = mixes.get(rule.file_type, ())
        if earlier and earlier[-1].tensor in ("*", "like"):
            raise row.error("file_type", "no rule may follow that for all other tensors")
        mixes[rule.file_type] = (*earlier, rule)
    for name, rules in mixes.items():
        if rules[-1].tensor not in ("*", "like"):
            msg = f"gguf_mixes.csv, {name}, column tensor: the last rule must be '*' or 'like'"
            raise CatalogError(msg)
    return MappingProxyType({name: _resolved(rules, mixes) for name, rules in mixes.items()})


def _resolved(
    rules: tuple[GgufRule, ...], mixes: Mapping[str, tuple[GgufRule, ...]]
) -> tuple[GgufRule, ...]:
    """Rules with those of the file type that the last one names in its place."""
    if rules[-1].tensor != "like":
        return rules
    return (*rules[:-1], *_resolved(mixes[rules[-1].type], mixes))
