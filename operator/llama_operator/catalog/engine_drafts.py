"""Which draft models engines take, and how they count them, by version."""

from dataclasses import dataclass
from functools import cache, lru_cache

from llama_operator.catalog.model_tables import ENGINES
from llama_operator.catalog.tables import Row, columns_of, read_table
from llama_operator.errors import CatalogError


@dataclass(frozen=True, slots=True)
class EngineDraft:
    """What a range of engine versions makes of a draft model.

    Attributes:
        engine: name in the catalog.
        min_version: inclusive; empty for any.
        below_version: exclusive; empty for any.
        vocabulary_difference: tokens by which the two vocabularies may differ.
        counts_model_layers: whether each layer of the draft is counted with the KV cache of one of
            the model that verifies.
        slots: tokens of a step that each sequence takes for the draft.
        source: where this is from.
    """

    engine: str
    min_version: tuple[int, ...]
    below_version: tuple[int, ...]
    vocabulary_difference: int
    counts_model_layers: bool
    slots: int
    source: str


@lru_cache(maxsize=256)
def engine_draft(engine: str, version: tuple[int, ...]) -> EngineDraft:
    """The row of an engine version that drafts with a model.

    Raises:
        CatalogError: there is none: it does not.
    """
    for row in read_engine_drafts():
        if (
            row.engine == engine
            and row.min_version <= version
            and (not row.below_version or version < row.below_version)
        ):
            return row
    msg = f"engine_drafts.csv has no row for {engine} {'.'.join(map(str, version))}"
    raise CatalogError(msg)


@cache
def read_engine_drafts() -> tuple[EngineDraft, ...]:
    """Rows of engine_drafts.csv.

    Raises:
        CatalogError: a cell is wrong.
    """

    def read(row: Row) -> EngineDraft:
        return EngineDraft(
            engine=row.one_of("engine", ENGINES),
            min_version=row.version("min_version"),
            below_version=row.version("below_version"),
            vocabulary_difference=row.integer("vocabulary_difference", least=0, most=2**20),
            counts_model_layers=row.flag("counts_model_layers"),
            slots=row.integer("slots", least=0, most=64),
            source=row.text("source"),
        )

    return tuple(map(read, read_table("engine_drafts.csv", columns_of(EngineDraft))))
