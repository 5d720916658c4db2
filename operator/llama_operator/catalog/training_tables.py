"""Tables about fine-tuning: what optimizers keep, and what others published."""

from dataclasses import dataclass
from functools import lru_cache
from typing import Final

from llama_operator.catalog.checks import check_unique
from llama_operator.catalog.tables import Row, columns_of, read_table

METHODS: Final = ("full", "lora", "qlora")
"""Fine-tuning all weights, adapters beside 16-bit weights, or beside 4-bit weights."""


LORA_TARGETS: Final = ("all", "attention", "q-v")
"""Which matrices get adapters: all of the decoder layers as QLoRA (arXiv:2305.14314) found
necessary, attention alone, or queries and values as LoRA (arXiv:2106.09685) tried first."""


@dataclass(frozen=True, slots=True)
class Optimizer:
    """What an optimizer keeps for each weight that it trains.

    `master_bytes`: of a copy in fp32 beside weights in 16 bit; 0 where weights are updated in 16
    bit. `moments` of `moment_bytes` each; `block_weights` share one fp32 maximum, 0 for none.
    `factored`: of a matrix only the sums of rows and columns are kept.
    """

    name: str
    master_bytes: int
    moments: int
    moment_bytes: int
    block_weights: int
    factored: bool
    source: str


@dataclass(frozen=True, slots=True)
class PublishedTraining:
    """Memory to fine-tune a model as somebody published it, over all GPUs, in GB (10^9 bytes).

    `parameters` tells which model: configurations carry no name.
    """

    model: str
    parameters: int
    method: str
    published_gb: int
    source: str


@lru_cache(maxsize=1)
def read_optimizers() -> tuple[Optimizer, ...]:
    """Rows of optimizers.csv; the first is the default.

    Raises:
        CatalogError: a cell is wrong or a name occurs twice.
    """

    def read(row: Row) -> Optimizer:
        return Optimizer(
            name=row.text("name"),
            master_bytes=row.integer("master_bytes", least=0, most=4),
            moments=row.integer("moments", least=0, most=2),
            moment_bytes=row.integer("moment_bytes", least=1, most=4),
            block_weights=row.integer("block_weights", least=0, most=1 << 20),
            factored=row.flag("factored"),
            source=row.text("source"),
        )

    rows = tuple(map(read, read_table("optimizers.csv", columns_of(Optimizer))))
    check_unique("optimizers.csv", "name", (row.name for row in rows))
    return rows


@lru_cache(maxsize=1)
def read_published_training() -> tuple[PublishedTraining, ...]:
    """Rows of training_published.csv.

    Raises:
        CatalogError: a cell is wrong.
    """

    def read(row: Row) -> PublishedTraining:
        return PublishedTraining(
            model=row.text("model"),
            parameters=row.integer("parameters", least=1, most=10**14),
            method=row.one_of("method", METHODS),
            published_gb=row.integer("published_gb", least=1, most=10**6),
            source=row.text("source"),
        )

    columns = columns_of(PublishedTraining)
    return tuple(map(read, read_table("training_published.csv", columns)))
