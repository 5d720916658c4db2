"""The table of accepted and refused manifests: reading tests/api/cases/*.yaml.

Three tags keep long values short: `!text {of: a, times: 64, then: b}` is a string,
`!list {of: {name: V}, times: 3}` a list of equal items, and `!map {of: key, times: 3}` a map of
such keys; `{n}` in a string becomes the index.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from llama_operator.api.v1alpha1 import API_VERSION, KIND

FOLDER = Path(__file__).parent / "cases"
KEYS = frozenset({"case", "name", "spec", "object", "refused", "read", "raw"})


@dataclass(frozen=True)
class Refusal:
    """How the API server refuses: the field it names, and a part of what it says."""

    field: str
    message: str


@dataclass(frozen=True)
class Case:
    """One manifest and what becomes of it.

    Attributes:
        sentence: what the case shows.
        manifest: the whole object.
        refused: None when it is accepted.
        read: whether reading it from a file has the same verdict; false for what only the API
            server knows, such as unknown fields.
    """

    sentence: str
    manifest: dict[str, Any]
    refused: Refusal | None
    read: bool


class _Loader(yaml.SafeLoader):
    """Knows the tags of the case files."""


def _numbered(value: Any, index: int) -> Any:
    if isinstance(value, str):
        return value.replace("{n}", str(index))
    if isinstance(value, dict):
        return {key: _numbered(item, index) for key, item in value.items()}
    return value


def _text(loader: _Loader, node: yaml.MappingNode) -> str:
    value = loader.construct_mapping(node, deep=True)
    return str(value["of"]) * int(value["times"]) + str(value.get("then", ""))


def _list(loader: _Loader, node: yaml.MappingNode) -> list[Any]:
    value = loader.construct_mapping(node, deep=True)
    return [_numbered(value["of"], index) for index in range(value["times"])]


def _map(loader: _Loader, node: yaml.MappingNode) -> dict[str, str]:
    value = loader.construct_mapping(node, deep=True)
    return {_numbered(value["of"], index): "x" for index in range(value["times"])}


_Loader.add_constructor("!text", _text)
_Loader.add_constructor("!map", _map)
_Loader.add_constructor("!list", _list)


def read(text: str) -> Any:
    """Parse the YAML of a case file."""
    return yaml.load(text, Loader=_Loader)


def load() -> Iterator[Case]:
    """Every case of every file."""
    for path in sorted(FOLDER.glob("*.yaml")):
        for entry in read(path.read_text()):
            unknown = entry.keys() - KEYS
            assert not unknown, f"{path.name}: {entry['case']}: {sorted(unknown)} means nothing"
            manifest = entry.get("object") or {
                "apiVersion": API_VERSION,
                "kind": KIND,
                "metadata": {"name": entry.get("name", "llama")},
                "spec": entry["spec"],
            }
            refused = Refusal(**entry["refused"]) if "refused" in entry else None
            yield Case(
                f"{path.stem}: {entry['case']}", manifest, refused, bool(entry.get("read", True))
            )


CASES = tuple(load())
