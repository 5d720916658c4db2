"""What a user should know of a feature on an engine, by version."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache, lru_cache
from typing import Final

from llama_operator.catalog.engine_tables import FIELDS
from llama_operator.catalog.model_tables import ENGINES
from llama_operator.catalog.tables import columns_of, read_table

TOOLS: Final = "tools"
"""Calls of tools by a model that has this ability, which no field of the spec asks for."""
CONTEXT: Final = "context"
"""The context of every plan."""
GRAPHS: Final = "graphs"
"""CUDA graphs where they are on."""


@dataclass(frozen=True, slots=True)
class EngineNote:
    """What a range of engine versions does with a field of the spec, or with what is always there.

    Attributes:
        engine: name in the catalog.
        min_version: inclusive; empty for any.
        below_version: exclusive; empty for any.
        field: in the words of engine_limits.csv, or `tools`, `context` or `graphs`.
        note: a part of a sentence.
        source: where this is from.
    """

    engine: str
    min_version: tuple[int, ...]
    below_version: tuple[int, ...]
    field: str
    note: str
    source: str


@lru_cache(maxsize=256)
def engine_notes(engine: str, version: tuple[int, ...]) -> Mapping[str, str]:
    """Notes on an engine version, by field."""
    return {
        row.field: row.note
        for row in read_engine_notes()
        if row.engine == engine
        and row.min_version <= version
        and (not row.below_version or version < row.below_version)
    }


@cache
def read_engine_notes() -> tuple[EngineNote, ...]:
    """Rows of engine_notes.csv.

    Raises:
        CatalogError: a cell is wrong.
    """
    return tuple(
        EngineNote(
            engine=row.one_of("engine", ENGINES),
            min_version=row.version("min_version"),
            below_version=row.version("below_version"),
            field=row.one_of("field", (TOOLS, CONTEXT, GRAPHS, *FIELDS)),
            note=row.text("note"),
            source=row.text("source"),
        )
        for row in read_table("engine_notes.csv", columns_of(EngineNote))
    )
