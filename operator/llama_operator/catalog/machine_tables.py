"""Readers of the tables about GPUs and engines: cells are checked here, references in `checks`."""

from typing import Final

from llama_operator.catalog.model_tables import ENGINES
from llama_operator.catalog.rows import (
    BatchDefaults,
    BatchDefaultsRule,
    EngineHost,
    EngineVersion,
    Gpu,
)
from llama_operator.catalog.tables import Row, columns_of, read_table

VENDORS: Final = ("NVIDIA", "AMD", "Intel")

_GPU_COLUMNS: Final = frozenset(
    [
        "product",
        "aliases",
        "vendor",
        "marketed_gb",
        "label_mib",
        "total_gib",
        "reserved_at_start_gib",
        "compute_capability",
        "bandwidth_gb_per_second",
        "nvlink_gb_per_second",
        "instances",
        "source",
    ]
)


def read_gpus() -> tuple[Gpu, ...]:
    """Rows of gpus.csv: the label in MiB, memory that a process sees in GiB, bandwidth in GB/s.

    Raises:
        CatalogError: a cell is wrong, or a process would see more memory than the label has.
    """

    def read(row: Row) -> Gpu:
        label_bytes, total_bytes = row.mib("label_mib"), row.gib("total_gib")
        if not 0 < total_bytes <= label_bytes:
            raise row.error("total_gib", "must be above 0 and at most the label")
        vendor = row.one_of("vendor", VENDORS)
        compute_capability = row.compute_capability("compute_capability")
        if (vendor == "NVIDIA") != (compute_capability is not None):
            raise row.error("compute_capability", "NVIDIA GPUs have one, others none")
        bandwidth = row.integer("bandwidth_gb_per_second", least=1, most=10**6)
        return Gpu(
            product=row.text("product"),
            aliases=row.words("aliases"),
            vendor=vendor,
            marketed_gb=row.integer("marketed_gb", least=1, most=4096),
            label_bytes=label_bytes,
            total_bytes=total_bytes,
            reserved_at_start_bytes=row.gib("reserved_at_start_gib"),
            compute_capability=compute_capability,
            bandwidth_bytes_per_second=bandwidth * 10**9,
            nvlink_gb_per_second=row.integer("nvlink_gb_per_second", least=0, most=10**5),
            instances=row.optional_text("instances"),
            source=row.text("source"),
        )

    return tuple(map(read, read_table("gpus.csv", _GPU_COLUMNS)))


def read_engines() -> tuple[EngineVersion, ...]:
    """Rows of engines.csv.

    Raises:
        CatalogError: a cell is wrong.
    """

    def read(row: Row) -> EngineVersion:
        row.version("version")
        return EngineVersion(
            engine=row.one_of("engine", ENGINES),
            version=row.text("version"),
            default=row.flag("default"),
            source=row.text("source"),
        )

    return tuple(map(read, read_table("engines.csv", columns_of(EngineVersion))))


_DEFAULTS_COLUMNS: Final = frozenset(
    [
        "engine",
        "min_version",
        "below_version",
        "min_gpu_gib",
        "excluded_product",
        "max_num_batched_tokens",
        "max_num_seqs",
        "source",
    ]
)


def read_batch_defaults() -> tuple[BatchDefaultsRule, ...]:
    """Rows of engine_defaults.csv, in the order of the file.

    Raises:
        CatalogError: a cell is wrong.
    """
    return tuple(
        BatchDefaultsRule(
            engine=row.one_of("engine", ENGINES),
            min_version=row.version("min_version"),
            below_version=row.version("below_version"),
            min_gpu_bytes=row.gib("min_gpu_gib"),
            excluded_product=row.optional_text("excluded_product"),
            defaults=BatchDefaults(
                row.integer("max_num_batched_tokens", least=16, most=2**20),
                row.integer("max_num_seqs", least=1, most=2**16),
            ),
            source=row.text("source"),
        )
        for row in read_table("engine_defaults.csv", _DEFAULTS_COLUMNS)
    )


_HOST_COLUMNS: Final = frozenset(
    [
        "engine",
        "cpu_millicores_base",
        "cpu_millicores_per_rank",
        "memory_gib_base",
        "memory_gib_per_rank",
        "shm_gib_one_rank",
        "shm_gib_many_ranks",
        "source",
    ]
)


def read_hosts() -> tuple[EngineHost, ...]:
    """Rows of engine_hosts.csv.

    Raises:
        CatalogError: a cell is wrong.
    """
    return tuple(
        EngineHost(
            engine=row.one_of("engine", ENGINES),
            cpu_millicores_base=row.integer("cpu_millicores_base", least=1, most=10**6),
            cpu_millicores_per_rank=row.integer("cpu_millicores_per_rank", least=0, most=10**6),
            memory_bytes_base=row.gib("memory_gib_base"),
            memory_bytes_per_rank=row.gib("memory_gib_per_rank"),
            shm_bytes_one_rank=row.gib("shm_gib_one_rank"),
            shm_bytes_many_ranks=row.gib("shm_gib_many_ranks"),
            source=row.text("source"),
        )
        for row in read_table("engine_hosts.csv", _HOST_COLUMNS)
    )
