"""The tables as rows of text: CSV files of this package, with readers for single cells."""

import csv
import io
from collections.abc import Iterator, Mapping, Set
from dataclasses import dataclass, fields
from decimal import Decimal, InvalidOperation
from importlib import resources
from typing import TYPE_CHECKING, Final

from llama_operator.errors import CatalogError
from llama_operator.units import GIB, MIB, Bytes

if TYPE_CHECKING:
    import _csv

    from _typeshed import DataclassInstance

_TRUTH: Final[Mapping[str, bool]] = {"true": True, "false": False}


@dataclass(frozen=True, slots=True)
class Row:
    """One line of a table; readers name table, line and column when a cell is wrong."""

    table: str
    line: int
    cells: Mapping[str, str]

    def error(self, column: str, message: str) -> CatalogError:
        """An error that tells where it is, e.g. `gpus.csv line 3, column vendor: …`."""
        return CatalogError(f"{self.table} line {self.line}, column {column}: {message}")

    def optional_text(self, column: str) -> str:
        """A cell that may be empty.

        Raises:
            CatalogError: there are blanks around the text.
        """
        text = self.cells[column]
        if text != text.strip():
            raise self.error(column, f"{text!r} has blanks around it")
        return text

    def text(self, column: str) -> str:
        """A cell that must not be empty.

        Raises:
            CatalogError: the cell is empty.
        """
        text = self.optional_text(column)
        if not text:
            raise self.error(column, "must not be empty")
        return text

    def words(self, column: str) -> tuple[str, ...]:
        """A list of words with one blank between them; empty for an empty cell.

        Raises:
            CatalogError: a word occurs twice.
        """
        words = tuple(self.optional_text(column).split())
        if len(set(words)) != len(words):
            raise self.error(column, f"{' '.join(words)!r} names something twice")
        return words

    def one_of(self, column: str, allowed: tuple[str, ...]) -> str:
        """A cell with one of a few words.

        Raises:
            CatalogError: it holds another word.
        """
        text = self.text(column)
        if text not in allowed:
            raise self.error(column, f"{text!r} is none of {', '.join(allowed)}")
        return text

    def flag(self, column: str) -> bool:
        """`true` or `false`.

        Raises:
            CatalogError: it holds another word.
        """
        return _TRUTH[self.one_of(column, tuple(_TRUTH))]

    def integer(self, column: str, *, least: int, most: int) -> int:
        """A whole number within bounds, both inclusive.

        Raises:
            CatalogError: it is no whole number or out of bounds.
        """
        value = self._decimal(column)
        if value != value.to_integral_value() or not least <= value <= most:
            raise self.error(
                column, f"{self.cells[column]!r} is no whole number from {least} to {most}"
            )
        return int(value)

    def number(self, column: str, *, least: int, most: int) -> float:
        """A number within bounds, both inclusive.

        Raises:
            CatalogError: it is no number or out of bounds.
        """
        value = self._decimal(column)
        if not least <= value <= most:
            raise self.error(column, f"{self.cells[column]!r} is no number from {least} to {most}")
        return float(value)

    def gib(self, column: str) -> Bytes:
        """A size given in GiB, rounded down to bytes.

        Raises:
            CatalogError: it is no number from 0 to 4096.
        """
        self.number(column, least=0, most=4096)
        return Bytes(int(self._decimal(column) * GIB))

    def mib(self, column: str) -> Bytes:
        """A size given in whole MiB, from 1 MiB to 4 TiB.

        Raises:
            CatalogError: it is no whole number in that range.
        """
        return Bytes(self.integer(column, least=1, most=4 * MIB) * MIB)

    def version(self, column: str) -> tuple[int, ...]:
        """Leading numbers of a version, `0.19.0` is (0, 19, 0); empty for an empty cell.

        Raises:
            CatalogError: a part is no number.
        """
        text = self.optional_text(column)
        parts = text.split(".") if text else []
        if not all(part.isdecimal() and len(part) <= 6 for part in parts):
            raise self.error(column, f"{text!r} is no version such as 0.19.0")
        return tuple(int(part) for part in parts)

    def compute_capability(self, column: str) -> tuple[int, int] | None:
        """A compute capability such as 8.9, as (8, 9); None for an empty cell.

        Raises:
            CatalogError: the cell has another form.
        """
        parts = self.version(column)
        if not parts:
            return None
        if len(parts) != 2:
            raise self.error(column, f"{self.cells[column]!r} is no compute capability such as 8.9")
        return (parts[0], parts[1])

    def _decimal(self, column: str) -> Decimal:
        try:
            value = Decimal(self.text(column))
        except InvalidOperation:
            value = Decimal("NaN")
        if not value.is_finite():
            raise self.error(column, f"{self.cells[column]!r} is no number")
        return value


def read_rows(table: str, text: str, columns: Set[str]) -> Iterator[Row]:
    """Rows of a CSV text whose header must name exactly `columns`, in any order.

    Every table has a column `source`, which must not be empty.

    Raises:
        CatalogError: header or width of a line is wrong, or a row names no source.
    """
    reader = csv.reader(io.StringIO(text), strict=True)
    lines = _lines(table, reader)
    _, header = next(lines, (1, []))
    if sorted(header) != sorted(columns):
        expected = ", ".join(sorted(columns))
        msg = f"{table} line 1: columns are {', '.join(header)}; expected {expected}"
        raise CatalogError(msg)
    for line, cells in lines:
        if len(cells) != len(header):
            msg = f"{table} line {line}: {len(cells)} cells; expected {len(header)}"
            raise CatalogError(msg)
        row = Row(table, line, dict(zip(header, cells, strict=True)))
        row.text("source")
        yield row


def read_table(table: str, columns: Set[str]) -> Iterator[Row]:
    """Rows of a table that ships with this package, e.g. `gpus.csv`.

    Raises:
        CatalogError: as `read_rows`.
    """
    text = (resources.files("llama_operator.catalog") / "data" / table).read_text("utf-8")
    return read_rows(table, text, columns)


def columns_of(row_type: "type[DataclassInstance]") -> frozenset[str]:
    """Columns of a table that has one per field of its row type."""
    return frozenset(field.name for field in fields(row_type))


def _lines(table: str, reader: "_csv.Reader") -> Iterator[tuple[int, list[str]]]:
    try:
        for cells in reader:
            yield reader.line_num, cells
    except csv.Error as error:
        msg = f"{table} line {reader.line_num}: {error}"
        raise CatalogError(msg) from None
