"""What keeps engines from sending usage statistics, by version."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache, lru_cache

from llama_operator.catalog.model_tables import ENGINES
from llama_operator.catalog.tables import columns_of, read_table


@dataclass(frozen=True, slots=True)
class EngineTelemetry:
    """A variable that keeps a range of engine versions, or a library of theirs, from sending some.

    Attributes:
        engine: name in the catalog.
        min_version: inclusive; empty for any.
        below_version: exclusive; empty for any.
        name: of the environment variable.
        value: that turns telemetry off.
        source: where this is from.
    """

    engine: str
    min_version: tuple[int, ...]
    below_version: tuple[int, ...]
    name: str
    value: str
    source: str


@lru_cache(maxsize=256)
def telemetry_off(engine: str, version: tuple[int, ...]) -> Mapping[str, str]:
    """Variables that turn the telemetry of an engine version off, in the order of the table."""
    return {
        row.name: row.value
        for row in read_engine_telemetry()
        if row.engine == engine
        and row.min_version <= version
        and (not row.below_version or version < row.below_version)
    }


@cache
def read_engine_telemetry() -> tuple[EngineTelemetry, ...]:
    """Rows of engine_telemetry.csv.

    Raises:
        CatalogError: a cell is wrong.
    """
    return tuple(
        EngineTelemetry(
            engine=row.one_of("engine", ENGINES),
            min_version=row.version("min_version"),
            below_version=row.version("below_version"),
            name=row.text("name"),
            value=row.text("value"),
            source=row.text("source"),
        )
        for row in read_table("engine_telemetry.csv", columns_of(EngineTelemetry))
    )
