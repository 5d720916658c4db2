"""How engines use GPU memory, by version: facts, and the share of a GPU that each takes."""

from collections.abc import Mapping
from dataclasses import dataclass, fields
from functools import cache, lru_cache
from typing import Final

from llama_operator.catalog.model_tables import ENGINES
from llama_operator.catalog.tables import Row, columns_of, read_table
from llama_operator.errors import CatalogError

VLLM_CPU: Final = "vLLM-CPU"
ANY_ENGINE: Final = "*"
"""Rows for every engine that has none of its own."""
NEWEST: Final = (10**6,)
"""Stands for the newest version of an engine whose version is not known."""


@dataclass(frozen=True, eq=False, slots=True)
class EngineMemory:
    """Facts of one engine version. Compared by identity: `engine_memory` gives one for a version.

    Attributes:
        block_tokens: tokens that the KV cache is allocated by.
        latent_block_tokens: the same for latent attention (MLA).
        latent_multiple: elements that a latent vector is rounded up to.
        releases_windows: whether layers with a sliding window keep only its tokens.
        groups_layers: whether layers of several kinds share blocks in groups of equal size.
        tokens_by_concurrency: whether the printed number of tokens is concurrency times context.
        sampler_alpha: factor of the logits in the activation peak.
        hidden_copies: hidden states alive beside a feed-forward layer.
        non_torch_gib_one: memory outside the tensor allocator on one GPU.
        non_torch_gib_one_without_nvlink: the same on a GPU without NVLink.
        non_torch_gib_two: with tensor parallel size 2.
        non_torch_gib_many: with more.
        non_torch_gib_stage: with one GPU a stage and several stages.
        graphs_inside_budget: whether CUDA graphs are subtracted from the engine's share.
        captures_graphs: whether the engine's CUDA graphs are estimated at all.
        whole_prefill_tokens: longest context that is prefilled in one step by default.
        mask_bytes: of an element of llama.cpp's attention mask with flash attention.
        adapter_spare_slots: slots for adapters that are allocated beside those asked for.
        adapter_element_bytes: of an element of an adapter; 0 for the compute dtype.
        adapter_host_copies: copies of each adapter that every rank keeps in host memory.
        adapter_graph_sets: how often CUDA graphs are captured where there are adapters.
        compute_capability_tenths: least of an NVIDIA GPU that its builds run on, e.g. 75 for 7.5.
    """

    block_tokens: int
    latent_block_tokens: int
    latent_multiple: int
    releases_windows: bool
    groups_layers: bool
    tokens_by_concurrency: bool
    sampler_alpha: float
    hidden_copies: float
    non_torch_gib_one: float
    non_torch_gib_one_without_nvlink: float
    non_torch_gib_two: float
    non_torch_gib_many: float
    non_torch_gib_stage: float
    graphs_inside_budget: bool
    captures_graphs: bool
    whole_prefill_tokens: int
    mask_bytes: int
    adapter_spare_slots: int
    adapter_element_bytes: int
    adapter_host_copies: int
    adapter_graph_sets: int
    compute_capability_tenths: int

    @property
    def min_compute_capability(self) -> tuple[int, int]:
        """Least (major, minor) of an NVIDIA GPU."""
        return divmod(self.compute_capability_tenths, 10)


@dataclass(frozen=True, slots=True)
class EngineFact:
    """One fact of a range of versions; `min_version` is inclusive, `below_version` exclusive."""

    engine: str
    fact: str
    min_version: tuple[int, ...]
    below_version: tuple[int, ...]
    value: float
    source: str


@dataclass(frozen=True, slots=True)
class EngineShare:
    """Share of a GPU that an engine takes by default; the first row that matches counts.

    The share is `share * (1 - (reserve_gib + reserve_gib_per_gpu * GPUs) / GPU)`, where GPUs are
    those of the replica.
    """

    engine: str
    min_version: tuple[int, ...]
    below_version: tuple[int, ...]
    min_gpu_gib: float
    min_tensor_parallel_size: int
    share: float
    reserve_gib: float
    reserve_gib_per_gpu: float
    source: str


_FACTS: Final[Mapping[str, object]] = {field.name: field.type for field in fields(EngineMemory)}


@lru_cache(maxsize=256)
def engine_memory(engine: str, version: tuple[int, ...]) -> EngineMemory:
    """The facts of one version of an engine.

    Args:
        engine: one of the catalog's engines, or `vLLM-CPU`, which differs from vLLM where it has a
            row of its own.
        version: its leading numbers; `NEWEST` when it is not known.

    Raises:
        CatalogError: a fact is missing or twice there.
    """
    values: dict[str, float | int | bool] = {}
    for fact, kind in _FACTS.items():
        value = _fact(engine, fact, version)
        values[fact] = value if kind is float else bool(value) if kind is bool else int(value)
    return EngineMemory(**values)  # type: ignore[arg-type]  # each has its field's type by now


@lru_cache(maxsize=1024)
def engine_share(
    engine: str, version: tuple[int, ...], gpu_gib: float, tensor_parallel_size: int
) -> EngineShare:
    """The row of the share that an engine takes by default.

    Args:
        engine: one of the catalog's engines, or `vLLM-CPU`.
        version: its leading numbers.
        gpu_gib: memory that a process sees on one GPU.
        tensor_parallel_size: GPUs of one stage.

    Raises:
        CatalogError: no row matches.
    """
    for row in read_engine_shares():
        if (
            row.engine in _chain(engine)
            and _speaks_of(row, version)
            and gpu_gib >= row.min_gpu_gib
            and tensor_parallel_size >= row.min_tensor_parallel_size
        ):
            return row
    msg = f"engine_shares.csv has no row for {engine} {'.'.join(map(str, version))}"
    raise CatalogError(msg)


@cache
def read_engine_facts() -> tuple[EngineFact, ...]:
    """Rows of engine_memory.csv.

    Raises:
        CatalogError: a cell is wrong.
    """
    return tuple(
        EngineFact(
            engine=row.one_of("engine", (*ENGINES, VLLM_CPU, ANY_ENGINE)),
            fact=row.one_of("fact", tuple(_FACTS)),
            min_version=row.version("min_version"),
            below_version=row.version("below_version"),
            value=_value(row),
            source=row.text("source"),
        )
        for row in read_table("engine_memory.csv", columns_of(EngineFact))
    )


@cache
def read_engine_shares() -> tuple[EngineShare, ...]:
    """Rows of engine_shares.csv, in the order of the file.

    Raises:
        CatalogError: a cell is wrong.
    """
    return tuple(
        EngineShare(
            engine=row.one_of("engine", ENGINES),
            min_version=row.version("min_version"),
            below_version=row.version("below_version"),
            min_gpu_gib=row.number("min_gpu_gib", least=0, most=4096),
            min_tensor_parallel_size=row.integer("min_tensor_parallel_size", least=1, most=1024),
            share=row.number("share", least=0, most=1),
            reserve_gib=row.number("reserve_gib", least=0, most=4096),
            reserve_gib_per_gpu=row.number("reserve_gib_per_gpu", least=0, most=4096),
            source=row.text("source"),
        )
        for row in read_table("engine_shares.csv", columns_of(EngineShare))
    )


def _value(row: Row) -> float:
    value = row.number("value", least=0, most=2**20)
    if _FACTS[row.text("fact")] is bool and value not in (0, 1):
        raise row.error("value", "must be 0 or 1")
    if _FACTS[row.text("fact")] is int and value != int(value):
        raise row.error("value", "must be a whole number")
    return value


def _fact(engine: str, fact: str, version: tuple[int, ...]) -> float:
    rows = [row for row in read_engine_facts() if row.fact == fact and _speaks_of(row, version)]
    for name in (*_chain(engine), ANY_ENGINE):
        found = [row.value for row in rows if row.engine == name]
        if len(found) > 1:
            msg = f"engine_memory.csv: {name} {fact} has {len(found)} rows for one version"
            raise CatalogError(msg)
        if found:
            return found[0]
    msg = f"engine_memory.csv: {engine} {'.'.join(map(str, version))} has no row for {fact}"
    raise CatalogError(msg)


def _chain(engine: str) -> tuple[str, ...]:
    return (VLLM_CPU, "vLLM") if engine == VLLM_CPU else (engine,)


def _speaks_of(row: EngineFact | EngineShare, version: tuple[int, ...]) -> bool:
    return row.min_version <= version and (not row.below_version or version < row.below_version)
