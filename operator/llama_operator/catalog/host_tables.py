"""What loading a model takes of a node: memory while it loads, prompt caches, margins of disks."""

from dataclasses import dataclass
from functools import cache
from typing import Final

from llama_operator.catalog.checks import check_unique
from llama_operator.catalog.model_tables import ENGINES
from llama_operator.catalog.tables import read_table
from llama_operator.errors import CatalogError
from llama_operator.units import MIB, Bytes

UNITS: Final = ("file", "tensor")
CONTENTS: Final = ("repository", "gguf", "cached", "adapter")
_LOADING_COLUMNS: Final = frozenset(
    [
        "engine",
        "maps_files",
        "per_rank",
        "unit",
        "units_in_flight",
        "staging_mib",
        "prompt_cache_mib",
        "cpu_millicores_layers",
        "source",
    ]
)
_START_COLUMNS: Final = frozenset(
    ["engine", "load_mb_per_second", "start_seconds", "graphs_seconds", "source"]
)
_MARGIN_COLUMNS: Final = frozenset(["contents", "percent", "gib", "source"])


@dataclass(frozen=True, slots=True)
class EngineLoading:
    """What an engine holds in host memory because of the model.

    Attributes:
        engine: name in the catalog.
        maps_files: whether it maps files unless told otherwise. Mapped pages are the kernel's page
            cache, which gives way, and are not counted.
        per_rank: whether each rank loads by itself, instead of one process for all GPUs.
        unit: what it reads at once where it does not map: a whole `file`, or a `tensor`.
        units_in_flight: how many of them it holds at once.
        staging_bytes: of pinned buffers that files pass through, if that is more.
        prompt_cache_bytes: default size of a cache of prompts in host memory; 0 for none.
        cpu_millicores_layers: CPU beyond that of engine_hosts.csv where the CPU computes layers.
        source: where it is from.
    """

    engine: str
    maps_files: bool
    per_rank: bool
    unit: str
    units_in_flight: int
    staging_bytes: Bytes
    prompt_cache_bytes: Bytes
    cpu_millicores_layers: int
    source: str


@dataclass(frozen=True, slots=True)
class DiskMargin:
    """What a download takes beside its weights: a share of them, and some bytes.

    `contents` is `repository`, `gguf` for files of which a repository holds many, `adapter` for one
    of LoRA, or `cached` for the disk of a pod whose model lies elsewhere.
    """

    contents: str
    percent: int
    fixed_bytes: Bytes
    source: str


@dataclass(frozen=True, slots=True)
class EngineStart:
    """How long an engine may take to start, at the slow end of what was seen.

    `graphs_seconds` come on top of `start_seconds` where CUDA graphs are captured.
    """

    engine: str
    load_bytes_per_second: int
    start_seconds: int
    graphs_seconds: int
    source: str


@cache
def read_engine_starts() -> tuple[EngineStart, ...]:
    """Rows of engine_starts.csv.

    Raises:
        CatalogError: a cell is wrong, or an engine occurs twice.
    """
    rows = tuple(
        EngineStart(
            engine=row.one_of("engine", ENGINES),
            load_bytes_per_second=10**6 * row.integer("load_mb_per_second", least=1, most=10**6),
            start_seconds=row.integer("start_seconds", least=1, most=10**5),
            graphs_seconds=row.integer("graphs_seconds", least=0, most=10**5),
            source=row.text("source"),
        )
        for row in read_table("engine_starts.csv", _START_COLUMNS)
    )
    check_unique("engine_starts.csv", "engine", (row.engine for row in rows))
    return rows


def engine_start(engine: str) -> EngineStart:
    """How long an engine may take to start.

    Raises:
        CatalogError: engine_starts.csv has no row for it.
    """
    for row in read_engine_starts():
        if row.engine == engine:
            return row
    msg = f"engine_starts.csv has no row for {engine}"
    raise CatalogError(msg)


def engine_loading(engine: str) -> EngineLoading:
    """How an engine loads models; case does not matter.

    Raises:
        CatalogError: engine_loading.csv has no row for it.
    """
    found = _loading_by_engine().get(engine.casefold())
    if found is None:
        msg = f"engine_loading.csv has no row for {engine}"
        raise CatalogError(msg)
    return found


def disk_margin(contents: str) -> DiskMargin:
    """What a download of this kind takes beside its weights.

    Raises:
        CatalogError: disk_margins.csv has no row for it.
    """
    for row in read_disk_margins():
        if row.contents == contents:
            return row
    msg = f"disk_margins.csv has no row for {contents!r}; it has {', '.join(CONTENTS)}"
    raise CatalogError(msg)


@cache
def _loading_by_engine() -> dict[str, EngineLoading]:
    return {row.engine.casefold(): row for row in read_engine_loading()}


@cache
def read_engine_loading() -> tuple[EngineLoading, ...]:
    """Rows of engine_loading.csv.

    Raises:
        CatalogError: a cell is wrong, or an engine occurs twice.
    """
    rows = tuple(
        EngineLoading(
            engine=row.one_of("engine", ENGINES),
            maps_files=row.flag("maps_files"),
            per_rank=row.flag("per_rank"),
            unit=row.one_of("unit", UNITS),
            units_in_flight=row.integer("units_in_flight", least=1, most=1024),
            staging_bytes=Bytes(row.integer("staging_mib", least=0, most=MIB) * MIB),
            prompt_cache_bytes=Bytes(row.integer("prompt_cache_mib", least=0, most=MIB) * MIB),
            cpu_millicores_layers=row.integer("cpu_millicores_layers", least=0, most=10**6),
            source=row.text("source"),
        )
        for row in read_table("engine_loading.csv", _LOADING_COLUMNS)
    )
    check_unique("engine_loading.csv", "engine", (row.engine for row in rows))
    return rows


@cache
def read_disk_margins() -> tuple[DiskMargin, ...]:
    """Rows of disk_margins.csv.

    Raises:
        CatalogError: a cell is wrong, or a kind of contents occurs twice.
    """
    rows = tuple(
        DiskMargin(
            contents=row.one_of("contents", CONTENTS),
            percent=row.integer("percent", least=0, most=100),
            fixed_bytes=row.gib("gib"),
            source=row.text("source"),
        )
        for row in read_table("disk_margins.csv", _MARGIN_COLUMNS)
    )
    check_unique("disk_margins.csv", "contents", (row.contents for row in rows))
    return rows
