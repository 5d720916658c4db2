"""Users' rows from the data of labelled ConfigMaps: what can be read, and what is wrong."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from llama_operator.catalog.user_schema import (
    ARCHITECTURE_TAGS,
    UserArchitecture,
    UserGpu,
    UserModel,
    UserPrice,
    UserPublication,
    UserRowModel,
)
from llama_operator.catalog.yaml_input import parse_documents
from llama_operator.errors import CatalogError

MODELS_KEY: Final = "models.yaml"
GPUS_KEY: Final = "gpus.yaml"
PRICES_KEY: Final = "prices.yaml"
ROW_TYPES: Final[Mapping[str, type[UserModel] | type[UserGpu] | type[UserPrice]]] = {
    MODELS_KEY: UserModel,
    GPUS_KEY: UserGpu,
    PRICES_KEY: UserPrice,
}
KEYS: Final = f"{', '.join([*ROW_TYPES][:-1])} or {[*ROW_TYPES][-1]}"
"""The keys, for messages."""
ROWS_LIMIT: Final = 256
"""Rows of one key of a ConfigMap."""
ERRORS_PER_ROW: Final = 4
ERRORS_LIMIT: Final = 64
"""Errors told of one ConfigMap; a message counts the others."""
TEXT_SHOWN: Final = 300
"""Characters of a message; names that users wrote may be long."""
_NESTED: Final[Mapping[str, type[UserRowModel]]] = {
    "publications": UserPublication,
    "architecture": UserArchitecture,
}


@dataclass(frozen=True, slots=True)
class RowError:
    """What is wrong with a row of a ConfigMap. The row is left out, all others stay.

    `key` is empty when the ConfigMap itself is wrong; `row` counts from 0 and is None when a whole
    key is; `field` is the path inside the row, empty for the row itself.
    """

    configmap: str
    key: str
    row: int | None
    field: str
    message: str

    def __str__(self) -> str:
        place = self.key + (f"[{self.row}]" if self.row is not None else "")
        place += f".{self.field}" if self.field else ""
        return f"ConfigMap {self.configmap}{', ' if place else ''}{place}: {self.message}"


@dataclass(frozen=True, slots=True)
class UserRow:
    """One readable row and where it stands."""

    configmap: str
    key: str
    row: int
    value: UserModel | UserGpu | UserPrice

    def error(self, field: str, message: str) -> RowError:
        """An error about a field of this row."""
        return RowError(self.configmap, self.key, self.row, field, printable(message))


class RefusedRowError(CatalogError):
    """A readable row that the catalog cannot take.

    Args:
        field: path inside the row, e.g. `publications[0].scheme`.
        message: what is wrong and what is allowed.
    """

    def __init__(self, field: str, message: str) -> None:
        super().__init__(message)
        self.field = field
        self.message = message


UserRows = tuple[UserRow, ...]
"""Rows of one ConfigMap, or of several one after the other."""


def read_user_rows(name: str, data: Mapping[str, str]) -> tuple[UserRows, tuple[RowError, ...]]:
    """Rows of one ConfigMap. Whatever it holds, nothing is raised.

    Args:
        name: name of the ConfigMap for messages, with its namespace, e.g. `llama/our-models`.
        data: its `data`: YAML lists under `models.yaml`, `gpus.yaml` and `prices.yaml`.

    Returns:
        Readable rows in their order, and errors. Names are checked against the catalog when the
        rows are added to it.
    """
    rows: list[UserRow] = []
    errors: list[RowError] = []
    for key in sorted(data):
        row_type = ROW_TYPES.get(key)
        if row_type is None:
            allowed = f"unknown key; allowed: {', '.join(ROW_TYPES)}"
            errors.append(RowError(name, printable(key), None, "", allowed))
            continue
        try:
            items = _items(data[key])
        except CatalogError as error:
            errors.append(RowError(name, key, None, "", printable(str(error))))
            continue
        for index, item in enumerate(items):
            try:
                rows.append(UserRow(name, key, index, row_type.model_validate(item)))
            except ValidationError as error:
                errors.extend(_row_errors(name, key, index, row_type, error))
    if (more := len(errors) - ERRORS_LIMIT) > 0:
        errors[ERRORS_LIMIT:] = [RowError(name, "", None, "", f"{more} more errors")]
    return tuple(rows), tuple(errors)


def printable(text: str) -> str:
    """Text for one line of a message: control characters replaced, cut to 300 characters."""
    cut = text[:TEXT_SHOWN] + ("…" if len(text) > TEXT_SHOWN else "")
    return "".join(
        letter if letter.isprintable() else "\N{REPLACEMENT CHARACTER}" for letter in cut
    )


def _items(text: object) -> list[Any]:
    if not isinstance(text, str):
        msg = "must be text holding a YAML list"
        raise CatalogError(msg)
    documents = parse_documents(text)
    if len(documents) > 1:
        msg = "holds several YAML documents; write one list"
        raise CatalogError(msg)
    items = documents[0] if documents and documents[0] is not None else []
    if not isinstance(items, list):
        msg = "must be a YAML list; begin each row with a dash"
        raise CatalogError(msg)
    if len(items) > ROWS_LIMIT:
        msg = f"has {len(items)} rows; at most {ROWS_LIMIT} are read, use more ConfigMaps"
        raise CatalogError(msg)
    return items


def _row_errors(
    name: str, key: str, index: int, row_type: type[UserRowModel], error: ValidationError
) -> Iterator[RowError]:
    details = error.errors(include_url=False, include_input=False)
    for detail in details[:ERRORS_PER_ROW]:
        path = _path(detail)
        field = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in path)
        message = _message(row_type, path, detail)
        yield RowError(name, key, index, printable(field.removeprefix(".")), printable(message))


def _path(detail: ErrorDetails) -> tuple[int | str, ...]:
    """Where the error is, without the tags that tell a name from a shape."""
    loc = detail["loc"]
    return tuple(
        part
        for before, part in zip(("", *loc), loc, strict=False)
        if not (before == "architecture" and part in ARCHITECTURE_TAGS)
    )


def _message(
    row_type: type[UserRowModel], path: tuple[int | str, ...], detail: ErrorDetails
) -> str:
    match detail["type"]:
        case "extra_forbidden":
            return f"unknown key; allowed: {', '.join(_keys(row_type, path[:-1]))}"
        case "model_type" | "dict_type":
            return f"must be a mapping; allowed keys: {', '.join(_keys(row_type, path))}"
        case "missing":
            return "is required"
    return detail["msg"].removeprefix("Value error, ")


def _keys(row_type: type[UserRowModel], path: tuple[int | str, ...]) -> list[str]:
    for part in path:
        row_type = _NESTED.get(str(part), row_type)
    return list(row_type.model_fields)
