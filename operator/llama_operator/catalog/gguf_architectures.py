"""The tables of GGUF headers: which architecture is which model type, and which key is which."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from types import MappingProxyType
from typing import Final

from llama_operator.catalog.checks import check_unique
from llama_operator.catalog.gguf_tables import gguf_mixes
from llama_operator.catalog.model_families import expert_families, model_families
from llama_operator.catalog.tables import Row, columns_of, read_table

ANY: Final = "*"
"""In a column `architecture`: all of them."""
FILE_TYPE_LIMIT: Final = 1023
"""1024 marks a file type that was guessed."""
_TRUE: Final = "true"


@dataclass(frozen=True, slots=True)
class GgufArchitecture:
    """A value of `general.architecture` as a `model_type`.

    `experts_model_type` counts where the header has experts; empty where it cannot have any.
    """

    architecture: str
    model_type: str
    experts_model_type: str
    source: str


@dataclass(frozen=True, slots=True)
class GgufKey:
    """A key of the metadata, without its architecture, as one of a `config.json`.

    The first row counts whose keys are in the header. `config_key` may be in a section, after a
    dot. `less` is a key whose number is taken off; empty for none.
    """

    config_key: str
    architecture: str
    key: str
    less: str
    source: str


@dataclass(frozen=True, slots=True)
class GgufSwitch:
    """A tensor of any layer that tells a value of a `config.json` by being there."""

    tensor: str
    architecture: str
    config_key: str
    value: str
    source: str

    @property
    def config_value(self) -> str | bool:
        """The value as a `config.json` has it."""
        return True if self.value == _TRUE else self.value


@dataclass(frozen=True, slots=True)
class GgufFileType:
    """A number of `general.file_type` as the name of a mix."""

    number: int
    file_type: str
    source: str


@cache
def gguf_architectures() -> Mapping[str, GgufArchitecture]:
    """Rows of gguf_architectures.csv by architecture.

    Raises:
        CatalogError: a cell is wrong, or a model type has no row.
    """

    def read(row: Row) -> GgufArchitecture:
        found = GgufArchitecture(
            architecture=row.text("architecture"),
            model_type=row.one_of("model_type", tuple(model_families())),
            experts_model_type=row.optional_text("experts_model_type"),
            source=row.text("source"),
        )
        if found.experts_model_type:
            row.one_of("experts_model_type", tuple(expert_families()))
        return found

    table = "gguf_architectures.csv"
    rows = tuple(map(read, read_table(table, columns_of(GgufArchitecture))))
    check_unique(table, "architecture", (row.architecture for row in rows))
    return MappingProxyType({row.architecture: row for row in rows})


@cache
def gguf_keys() -> tuple[GgufKey, ...]:
    """Rows of gguf_keys.csv, in their order.

    Raises:
        CatalogError: a cell is wrong.
    """
    return tuple(
        GgufKey(
            config_key=row.text("config_key"),
            architecture=_architecture(row),
            key=row.text("key"),
            less=row.optional_text("less"),
            source=row.text("source"),
        )
        for row in read_table("gguf_keys.csv", columns_of(GgufKey))
    )


@cache
def gguf_switches() -> tuple[GgufSwitch, ...]:
    """Rows of gguf_switches.csv, in their order.

    Raises:
        CatalogError: a cell is wrong.
    """
    return tuple(
        GgufSwitch(
            tensor=row.text("tensor"),
            architecture=_architecture(row),
            config_key=row.text("config_key"),
            value=row.text("value"),
            source=row.text("source"),
        )
        for row in read_table("gguf_switches.csv", columns_of(GgufSwitch))
    )


@cache
def gguf_file_types() -> Mapping[int, str]:
    """Names of mixes by the number of `general.file_type`, from gguf_file_types.csv.

    Raises:
        CatalogError: a cell is wrong, or a mix has no rules.
    """
    table = "gguf_file_types.csv"
    rows = [
        GgufFileType(
            number=row.integer("number", least=0, most=FILE_TYPE_LIMIT),
            file_type=row.one_of("file_type", tuple(gguf_mixes())),
            source=row.text("source"),
        )
        for row in read_table(table, columns_of(GgufFileType))
    ]
    check_unique(table, "number", (str(row.number) for row in rows))
    return MappingProxyType({row.number: row.file_type for row in rows})


def _architecture(row: Row) -> str:
    name = row.text("architecture")
    if name != ANY and name not in gguf_architectures():
        raise row.error("architecture", f"{name!r} has no row in gguf_architectures.csv")
    return name
