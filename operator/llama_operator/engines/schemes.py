"""Which weight schemes an engine loads, on which GPUs and with which arguments: one table each."""

import csv
import re
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.resources import files
from io import StringIO
from types import MappingProxyType
from typing import Final

from llama_operator.errors import CatalogError

VLLM_SCHEMES: Final = "vllm-schemes.csv"
"""Of the version of vLLM that is deployed by default."""
COLUMNS: Final = ("scheme", "min_compute_capability", "arguments", "not_loaded", "source")
_CAPABILITY = re.compile(r"^([1-9][0-9]?)\.([0-9])$")


@dataclass(frozen=True, slots=True)
class LoadableScheme:
    """How one engine takes one scheme of weights.

    `min_compute_capability` is (major, minor), None for a scheme that is not loaded, which
    `not_loaded` then explains. `arguments` are what the scheme needs on the command line.
    """

    scheme: str
    min_compute_capability: tuple[int, int] | None
    arguments: tuple[str, ...]
    not_loaded: str
    source: str


def read_schemes(table: str, text: str) -> Mapping[str, LoadableScheme]:
    """Read a table of schemes; `table` names it in errors.

    Raises:
        CatalogError: a column, a row or a value is wrong; names the table, the row and the column.
    """
    rows = csv.DictReader(StringIO(text), strict=True)
    if tuple(rows.fieldnames or ()) != COLUMNS:
        msg = f"{table}: the columns must be {', '.join(COLUMNS)}"
        raise CatalogError(msg)
    schemes: dict[str, LoadableScheme] = {}
    for number, row in enumerate(rows, start=2):
        where = f"{table}, line {number}"
        if None in row or None in row.values():
            msg = f"{where}: every line must have {len(COLUMNS)} values"
            raise CatalogError(msg)
        scheme = _scheme(where, row)
        if scheme.scheme in schemes:
            msg = f"{where}, scheme: {scheme.scheme} stands there twice"
            raise CatalogError(msg)
        schemes[scheme.scheme] = scheme
    return MappingProxyType(schemes)


def load_schemes(file: str) -> Mapping[str, LoadableScheme]:
    """Read a table that ships with this package, e.g. `vllm-schemes.csv`."""
    text = files("llama_operator.engines").joinpath("data", file).read_text(encoding="utf-8")
    return read_schemes(file, text)


def _scheme(where: str, row: Mapping[str, str]) -> LoadableScheme:
    for column in ("scheme", "source"):
        if not row[column]:
            msg = f"{where}, {column}: must not be empty"
            raise CatalogError(msg)
    capability = row["min_compute_capability"]
    if bool(capability) == bool(row["not_loaded"]):
        msg = f"{where}: write either min_compute_capability or not_loaded, the reason"
        raise CatalogError(msg)
    if row["arguments"] and not all(word.startswith("--") for word in row["arguments"].split()):
        msg = f"{where}, arguments: every word must begin with --, e.g. --quantization=fp8"
        raise CatalogError(msg)
    return LoadableScheme(
        scheme=row["scheme"],
        min_compute_capability=_capability(where, capability) if capability else None,
        arguments=tuple(row["arguments"].split()),
        not_loaded=row["not_loaded"],
        source=row["source"],
    )


def _capability(where: str, text: str) -> tuple[int, int]:
    match = _CAPABILITY.match(text)
    if match is None:
        msg = f"{where}, min_compute_capability: {text!r} must be major.minor, e.g. 8.0"
        raise CatalogError(msg)
    return int(match.group(1)), int(match.group(2))
