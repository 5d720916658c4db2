"""All tables together, as they ship."""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Self

from llama_operator.catalog import checks
from llama_operator.catalog.machine_tables import (
    read_batch_defaults,
    read_engines,
    read_gpus,
    read_hosts,
)
from llama_operator.catalog.model_tables import (
    read_architectures,
    read_formats,
    read_models,
    read_publications,
    read_schemes,
)
from llama_operator.catalog.price_tables import read_gpu_prices
from llama_operator.catalog.rows import (
    Architecture,
    BatchDefaultsRule,
    EngineHost,
    EngineVersion,
    FormatRule,
    Gpu,
    GpuPrice,
    Model,
    Publication,
    Scheme,
)

LEAST_AUTO_BITS = 4
"""Auto never goes below 4 bits per weight: quality falls steeply there."""


@dataclass(frozen=True, slots=True)
class Tables:
    """Every table, rows in the order of the files."""

    architectures: tuple[Architecture, ...]
    models: tuple[Model, ...]
    publications: tuple[Publication, ...]
    formats: tuple[FormatRule, ...]
    schemes: tuple[Scheme, ...]
    gpus: tuple[Gpu, ...]
    prices: tuple[GpuPrice, ...]
    engines: tuple[EngineVersion, ...]
    batch_defaults: tuple[BatchDefaultsRule, ...]
    hosts: tuple[EngineHost, ...]

    @classmethod
    def read(cls) -> Self:
        """The tables of this package, checked.

        Raises:
            CatalogError: a row is wrong; names table, row and column.
        """
        architectures, formats, schemes = read_architectures(), read_formats(), read_schemes()
        gpus = read_gpus()
        tables = cls(
            architectures=architectures,
            models=read_models(architectures),
            publications=with_auto_ranks(read_publications(), formats, schemes),
            formats=formats,
            schemes=schemes,
            gpus=gpus,
            prices=read_gpu_prices(gpus),
            engines=read_engines(),
            batch_defaults=read_batch_defaults(),
            hosts=read_hosts(),
        )
        tables.check()
        return tables

    def check(self) -> None:
        """Check rows against each other.

        Raises:
            CatalogError: a row is wrong; names table, row and column.
        """
        checks.check_unique("formats.csv", "name", (row.name for row in self.formats))
        checks.check_unique("schemes.csv", "name", (row.name for row in self.schemes))
        checks.check_architectures(self.architectures)
        checks.check_models(self.models)
        checks.check_publications(self.publications, self.models, self.schemes, self.formats)
        checks.check_gpus(self.gpus)
        checks.check_unique("gpu_prices.csv", "product", (row.product for row in self.prices))
        checks.check_engines(self.engines, self.batch_defaults, self.hosts)


def with_auto_ranks(
    publications: Iterable[Publication],
    formats: Iterable[FormatRule],
    schemes: Iterable[Scheme],
) -> tuple[Publication, ...]:
    """Publications with their rank when the format is Auto.

    The rank is that of the format for the one publication that is taken when only the format is
    given; all others, those below 4 bits and those quantized at load have 0: never. Names that no
    table knows are left to the checks.
    """
    ranks = {row.name: row.auto_rank for row in formats}
    bits = {row.name: row.bits for row in schemes}

    def rank(row: Publication) -> int:
        eligible = (
            row.recommended
            and row.publisher_rank == 1
            and not row.quantize_at_load
            and bits.get(row.scheme, 0) >= LEAST_AUTO_BITS
        )
        return ranks.get(row.format, 0) if eligible else 0

    return tuple(replace(row, auto_rank=rank(row)) for row in publications)
