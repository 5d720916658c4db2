"""The promises, as tests/promises.yaml lists them, with the tests that prove each."""

import ast
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import yaml

FILE: Final = Path("tests/promises.yaml")
_ID: Final = re.compile(r"[a-z0-9]+(-[a-z0-9]+)*")


@dataclass(frozen=True)
class Shown:
    """How one figure is told.

    Attributes:
        name: as the test or the benchmark gives it.
        text: with `{}` in the place of the value.
        of: which of several tests' values is told: max, min or sum.
        at_most: what every value must keep for the promise to be met; None sets no bound.
    """

    name: str
    text: str
    of: str = "max"
    at_most: float | None = None


@dataclass(frozen=True)
class Promise:
    """One promise and its proof.

    Attributes:
        id: short name, unique.
        promise: what holds, one sentence.
        tests: node ids of the tests that prove it, each for all its parameters unless it names one.
        benchmarks: keys of the benchmark's figures that prove it.
        figures: how figures of the tests are told; others are told by their name.
        fault: number in the table of faults; None elsewhere. Tests that are marked with the number
            prove it too.
        injected: what is done to the operator or its cluster, for a fault.
    """

    id: str
    promise: str
    tests: tuple[str, ...] = ()
    benchmarks: tuple[str, ...] = ()
    figures: tuple[Shown, ...] = ()
    fault: int | None = None
    injected: str = ""


@dataclass(frozen=True)
class Section:
    """Promises under one heading.

    Attributes:
        title: the heading.
        text: what stands below the heading, in Markdown.
        table: rows of another table between text and promises, each with the same columns.
        promises: the rows.
    """

    title: str
    text: str
    promises: tuple[Promise, ...]
    table: tuple[Mapping[str, str], ...] = ()


def load(root: Path) -> tuple[Section, ...]:
    """Read the promises.

    Raises:
        ValueError: a promise is written wrongly.
    """
    content = yaml.safe_load((root / FILE).read_text("utf-8"))
    sections = tuple(
        Section(
            one["title"],
            one.get("text", "").strip(),
            tuple(_promise(row) for row in one["promises"]),
            tuple(one.get("table", ())),
        )
        for one in content["sections"]
    )
    ids = [promise.id for promise in all_of(sections)]
    twice = sorted({name for name in ids if ids.count(name) > 1})
    if twice:
        raise ValueError(f"{FILE}: used twice: {', '.join(twice)}")
    return sections


def all_of(sections: tuple[Section, ...]) -> Iterator[Promise]:
    """The promises of all sections, in their order."""
    for section in sections:
        yield from section.promises


def _promise(row: dict[str, Any]) -> Promise:
    figures = tuple(Shown(**figure) for figure in row.get("figures", ()))
    made = Promise(
        **row
        | {
            "figures": figures,
            "tests": tuple(row.get("tests", ())),
            "benchmarks": tuple(row.get("benchmarks", ())),
        }
    )
    if not _ID.fullmatch(made.id):
        raise ValueError(f"{FILE}: {made.id!r} is no id in kebab-case")
    for shown in made.figures:
        if "{}" not in shown.text or shown.of not in ("max", "min", "sum"):
            raise ValueError(f"{FILE}: {made.id}: the figure {shown.name} cannot be told")
    return made


def missing(root: Path, node: str) -> str:
    """Why a node id leads to no test; empty when it does."""
    path, _, name = node.partition("::")
    file = root / path
    if not file.is_file():
        return f"{path} does not exist"
    functions = {
        one.name
        for one in ast.walk(ast.parse(file.read_text("utf-8")))
        if isinstance(one, ast.FunctionDef | ast.AsyncFunctionDef)
    }
    function = name.partition("[")[0].rpartition("::")[2]
    return "" if function in functions else f"{path} has no {function}"
