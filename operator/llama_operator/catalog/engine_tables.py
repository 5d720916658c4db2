"""What engines load, where their images run and how they name settings, by version."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache, lru_cache
from typing import Final

from llama_operator.catalog.machine_tables import VENDORS
from llama_operator.catalog.model_tables import ENGINES, FORMATS
from llama_operator.catalog.tables import Row, columns_of, read_table
from llama_operator.errors import CatalogError

ANY_SCHEME: Final = "*"
"""Rows for every scheme of a format without a row of its own."""
FIELDS: Final = (
    "spec.auth",
    "spec.chatTemplate",
    "spec.context.concurrency>256",
    "spec.hardware[].nodes",
    "spec.hub=ModelScope",
    "spec.lora",
    "spec.lora.adapters.file",
    "spec.lora.adapters.file=none",
    "spec.lora.adapters=ModelScope",
    "spec.lora.adapters=drafted",
    "spec.lora.adapters=uncached",
    "spec.lora.adapters[1]",
    "spec.memory.cudaGraphs=Disabled",
    "spec.memory.gpuLayers",
    "spec.memory.kvCacheDType=fp8",
    "spec.memory.kvCacheDType=q8_0",
    "spec.memory.maxNumBatchedTokens",
    "spec.memory.maxNumSeqs",
    "spec.memory.maxNumSeqs>256",
    "spec.memory.prefixCaching=Disabled",
    "spec.memory.prefixCaching=Enabled",
    "spec.memory.utilizationPercent",
    "spec.servedModelNames",
    "spec.servedModelNames[1]",
    "spec.speculative.draftModel",
    "spec.speculative.ngram",
    "spec.speculative.ngram.lookupTokens",
    "spec.tls",
)
"""Fields of the spec that some engine cannot follow; `=` names a value or what is left out, `>` a
bound, `[1]` a second item. `uncached` and a hub's name tell that the engine downloads adapters,
`drafted` that another model drafts beside them."""


@dataclass(frozen=True, slots=True)
class EngineLoad:
    """Whether and how an engine loads a scheme of weights.

    Attributes:
        engine: name in the catalog.
        min_version: of the engine, inclusive; empty for any.
        below_version: exclusive; empty for any.
        scheme: name in schemes.csv, or `*` for all others of the format.
        format: of the publication; empty where the scheme occurs in one format alone.
        auto_rank: order among the engines that load it; 0 is never taken unasked.
        min_compute_capability: (major, minor) of an NVIDIA GPU; None where it is not loaded.
        arguments: what the scheme needs: `--flag=value` of the command line, or `NAME=value` of the
            environment.
        at_load_arguments: what makes the engine quantize 16-bit weights to it; empty where it does
            not.
        not_loaded: why it is not loaded; empty where it is.
        source: where this is from.
    """

    engine: str
    min_version: tuple[int, ...]
    below_version: tuple[int, ...]
    scheme: str
    format: str
    auto_rank: int
    min_compute_capability: tuple[int, int] | None
    arguments: tuple[str, ...]
    at_load_arguments: tuple[str, ...]
    not_loaded: str
    source: str


@dataclass(frozen=True, slots=True)
class EngineImage:
    """An image of an engine version; the first one whose needs a node meets is taken.

    `min_driver` is the major version of the GPU's driver, 0 where none is asked for.
    """

    engine: str
    version: str
    vendor: str
    min_driver: int
    image: str
    source: str


@dataclass(frozen=True, slots=True)
class EngineArgument:
    """How a range of engine versions names a setting that the plan decides.

    Attributes:
        engine: name in the catalog.
        min_version: inclusive; empty for any.
        below_version: exclusive; empty for any.
        setting: what it sets; empty for one that is only kept from users.
        name: `--flag`, or the name of an environment variable.
        instead: what a user writes instead; empty where nothing is.
        source: where this is from.
    """

    engine: str
    min_version: tuple[int, ...]
    below_version: tuple[int, ...]
    setting: str
    name: str
    instead: str
    source: str


@dataclass(frozen=True, slots=True)
class EngineLimit:
    """A field of the spec that a range of engine versions cannot follow, and why."""

    engine: str
    min_version: tuple[int, ...]
    below_version: tuple[int, ...]
    field: str
    why: str
    source: str


@lru_cache(maxsize=4096)
def engine_load(
    engine: str, version: tuple[int, ...], scheme: str, format_name: str = ""
) -> EngineLoad | None:
    """The row of an engine version and a scheme; None when nothing is known of them.

    Args:
        engine: name in the catalog.
        version: its leading numbers.
        scheme: name in schemes.csv.
        format_name: of the publication; empty to leave it open.
    """
    rows = [
        row
        for row in read_engine_loads()
        if row.engine == engine
        and speaks_of(row, version)
        and (not row.format or not format_name or row.format == format_name)
    ]
    own = next((row for row in rows if row.scheme == scheme), None)
    if own is not None or not format_name:
        return own
    return next((row for row in rows if row.scheme == ANY_SCHEME), None)


@lru_cache(maxsize=256)
def engine_images(engine: str, version: str) -> tuple[EngineImage, ...]:
    """Images of an engine version, preferred ones first.

    Raises:
        CatalogError: there is none.
    """
    rows = tuple(
        row for row in read_engine_images() if (row.engine, row.version) == (engine, version)
    )
    if not rows:
        msg = f"engine_images.csv has no row for {engine} {version}"
        raise CatalogError(msg)
    return rows


@lru_cache(maxsize=256)
def argument_names(engine: str, version: tuple[int, ...]) -> Mapping[str, str]:
    """Names of the settings that an engine version takes, by setting."""
    return {row.setting: row.name for row in engine_arguments(engine, version) if row.setting}


@lru_cache(maxsize=256)
def engine_arguments(engine: str, version: tuple[int, ...]) -> tuple[EngineArgument, ...]:
    """Every argument of an engine version that the plan decides or that is kept from users."""
    return tuple(
        row for row in read_engine_arguments() if row.engine == engine and speaks_of(row, version)
    )


@lru_cache(maxsize=256)
def engine_limits(engine: str, version: tuple[int, ...]) -> Mapping[str, str]:
    """Fields of the spec that an engine version cannot follow, and why."""
    return {
        row.field: row.why
        for row in read_engine_limits()
        if row.engine == engine and speaks_of(row, version)
    }


def speaks_of(row: EngineLoad | EngineArgument | EngineLimit, version: tuple[int, ...]) -> bool:
    """Whether a row is about a version of its engine."""
    return row.min_version <= version and (not row.below_version or version < row.below_version)


@cache
def read_engine_loads() -> tuple[EngineLoad, ...]:
    """Rows of engine_loads.csv.

    Raises:
        CatalogError: a cell is wrong, or a row says neither how nor why not.
    """

    def read(row: Row) -> EngineLoad:
        capability = row.compute_capability("min_compute_capability")
        not_loaded = row.optional_text("not_loaded")
        if bool(capability) == bool(not_loaded):
            raise row.error("not_loaded", "write either this or min_compute_capability")
        rank = row.integer("auto_rank", least=0, most=99)
        if not_loaded and rank:
            raise row.error("auto_rank", "must be 0 where the scheme is not loaded")
        return EngineLoad(
            engine=row.one_of("engine", ENGINES),
            min_version=row.version("min_version"),
            below_version=row.version("below_version"),
            scheme=row.text("scheme"),
            format=row.one_of("format", FORMATS) if row.optional_text("format") else "",
            auto_rank=rank,
            min_compute_capability=capability,
            arguments=_arguments(row, "arguments"),
            at_load_arguments=_arguments(row, "at_load_arguments"),
            not_loaded=not_loaded,
            source=row.text("source"),
        )

    rows = tuple(map(read, read_table("engine_loads.csv", columns_of(EngineLoad))))
    for number, row in enumerate(rows):
        for other in rows[:number]:
            same = (row.engine, row.scheme, row.format) == (
                other.engine,
                other.scheme,
                other.format,
            )
            if same and _overlap(row, other):
                msg = f"engine_loads.csv: {row.engine} {row.scheme} has two rows for one version"
                raise CatalogError(msg)
    return rows


@cache
def read_engine_images() -> tuple[EngineImage, ...]:
    """Rows of engine_images.csv, in the order of the file.

    Raises:
        CatalogError: a cell is wrong.
    """
    return tuple(
        EngineImage(
            engine=row.one_of("engine", ENGINES),
            version=row.text("version"),
            vendor=row.one_of("vendor", VENDORS),
            min_driver=(
                row.integer("min_driver", least=1, most=9999)
                if row.optional_text("min_driver")
                else 0
            ),
            image=row.text("image"),
            source=row.text("source"),
        )
        for row in read_table("engine_images.csv", columns_of(EngineImage))
    )


@cache
def read_engine_arguments() -> tuple[EngineArgument, ...]:
    """Rows of engine_arguments.csv.

    Raises:
        CatalogError: a cell is wrong.
    """
    return tuple(
        EngineArgument(
            engine=row.one_of("engine", ENGINES),
            min_version=row.version("min_version"),
            below_version=row.version("below_version"),
            setting=row.optional_text("setting"),
            name=row.text("name"),
            instead=row.optional_text("instead"),
            source=row.text("source"),
        )
        for row in read_table("engine_arguments.csv", columns_of(EngineArgument))
    )


@cache
def read_engine_limits() -> tuple[EngineLimit, ...]:
    """Rows of engine_limits.csv.

    Raises:
        CatalogError: a cell is wrong.
    """
    return tuple(
        EngineLimit(
            engine=row.one_of("engine", ENGINES),
            min_version=row.version("min_version"),
            below_version=row.version("below_version"),
            field=row.one_of("field", FIELDS),
            why=row.text("why"),
            source=row.text("source"),
        )
        for row in read_table("engine_limits.csv", columns_of(EngineLimit))
    )


def _arguments(row: Row, column: str) -> tuple[str, ...]:
    words = row.words(column)
    if not all(word.startswith("--") or "=" in word for word in words):
        raise row.error(column, "every word must be --flag, --flag=value or NAME=value")
    return words


def _overlap(row: EngineLoad, other: EngineLoad) -> bool:
    first, second = sorted((row, other), key=lambda one: one.min_version)
    return not first.below_version or second.min_version < first.below_version
