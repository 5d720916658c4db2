"""`llama-operator models`: what can be deployed."""

import argparse
import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict
from typing import Any, Final

import yaml
from rich.console import Console
from rich.markup import escape
from rich.table import Table
from rich_argparse import RawDescriptionRichHelpFormatter

from llama_operator.catalog.catalog import Catalog
from llama_operator.catalog.model_tables import FORMATS, HUBS
from llama_operator.catalog.rows import Model, Publication
from llama_operator.catalog.user_schema import UserPublication
from llama_operator.cli.catalog_option import add_catalog_option, load_catalog, tell
from llama_operator.cli.exit_status import EXIT_BAD_INPUT
from llama_operator.errors import InputError
from llama_operator.planning.choices import engines_that_load
from llama_operator.units import GB

WIDE_COLUMNS: Final = 120
"""Terminals from this width on show repositories on one line, and schemes."""
FULL_COLUMNS: Final = 150
"""Terminals from this width on show engines and file sizes too."""
_DESCRIPTION: Final = """List models; with a name or an option also how each is published.

The words are those of spec.model, spec.size, spec.format, spec.quantization
and spec.hub of a LlamaDeployment. With -o yaml, rows are printed as models.yaml
of a ConfigMap takes them; with -o json with all they say, those that another
repository outranks included."""
_EPILOG: Final = """Examples:
  llama-operator models
  llama-operator models llama-3.1-instruct --size 70b
  llama-operator models --format ggufv2 --hub ModelScope
  llama-operator models llama-guard-3 -o yaml
  llama-operator models --catalog our-models.yaml"""
RECOMMENDED: Final = "*"
AT_LOAD: Final = "~"
GATED: Final = " !"
_MARKS: Final = {
    RECOMMENDED: "taken when only the format is given",
    AT_LOAD: "quantized by the engine while it loads",
    GATED: "gated: accept the licence on the hub and set spec.tokenSecretRef",
    "()": "published here too, but another repository is taken",
}
_USER_KEYS: Final = frozenset(UserPublication.model_fields)


def register(subparsers: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add the command."""
    parser = subparsers.add_parser(
        "models",
        help="list models and how they are published",
        description=_DESCRIPTION,
        epilog=_EPILOG,
        formatter_class=RawDescriptionRichHelpFormatter,
    )
    parser.add_argument("name", nargs="?", metavar="NAME", help="one model, e.g. llama-3.1")
    parser.add_argument("--size", metavar="SIZE", help="one size, e.g. 70b")
    parser.add_argument("--format", choices=FORMATS, help="one format")
    parser.add_argument("--hub", choices=HUBS, help="one hub")
    parser.add_argument(
        "-o", "--output", choices=("table", "json", "yaml"), default="table", help="default: table"
    )
    add_catalog_option(parser)
    parser.set_defaults(func=_run)


def _run(arguments: argparse.Namespace) -> int:
    catalog, errors = load_catalog(arguments)
    found = _select(catalog, arguments)
    options = (arguments.name, arguments.size, arguments.format, arguments.hub)
    if arguments.output == "json":
        print(json.dumps([_as_json(*item) for item in found.items()], indent=2))
    elif arguments.output == "yaml":
        rows = [_as_user_row(*item) for item in found.items()]
        print(yaml.safe_dump(rows, sort_keys=False, allow_unicode=True), end="")
    elif not found:
        print("Nothing in the catalog matches.")
    elif options == (None, None, None, None):
        _print_summary(Console(), catalog)
    else:
        _print_details(Console(), catalog, found)
    tell(errors)
    return EXIT_BAD_INPUT if errors else 0


def _select(
    catalog: Catalog, arguments: argparse.Namespace
) -> dict[Model, tuple[Publication, ...]]:
    """Models with the publications that the options leave; models without any are left out.

    Raises:
        InputError: no model has the name or size.
    """
    models = catalog.tables.models
    for option, value, known in (
        ("NAME", arguments.name, [model.name for model in models]),
        (
            "--size",
            arguments.size,
            [model.size for model in models if arguments.name in (None, model.name)],
        ),
    ):
        if value is not None and value not in known:
            msg = (
                f"{option} {value!r} is not in the catalog; it has {', '.join(sorted(set(known)))}"
            )
            raise InputError(msg)
    selected = {}
    for model in models:
        if arguments.name in (None, model.name) and arguments.size in (None, model.size):
            publications = tuple(
                row
                for row in catalog.publications(model.name, model.size)
                if arguments.format in (None, row.format) and arguments.hub in (None, row.hub)
            )
            if publications:
                selected[model] = publications
    return selected


def _as_json(model: Model, publications: Iterable[Publication]) -> dict[str, Any]:
    return {**asdict(model), "publications": [asdict(row) for row in publications]}


def _as_user_row(model: Model, publications: Iterable[Publication]) -> dict[str, Any]:
    """The row that `models.yaml` of a ConfigMap takes for the same model under another name."""
    facts = asdict(model)
    if model.architecture is not None:
        facts["architecture"] = {
            key: value
            for key, value in facts["architecture"].items()
            if key not in ("name", "source")
        }
    rows = [
        _without_blanks({key: value for key, value in asdict(row).items() if key in _USER_KEYS})
        for row in publications
        if row.publisher_rank == 1
    ]
    return {**_without_blanks(facts), "publications": rows}


def _without_blanks(row: Mapping[str, Any]) -> dict[str, Any]:
    return {
        key: list(value) if isinstance(value, tuple) else value
        for key, value in row.items()
        if value not in (None, "", ())
    }


def _print_summary(console: Console, catalog: Catalog) -> None:
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0))
    for heading in ("MODEL", "SIZE", "CONTEXT", "ABILITIES", "FORMATS"):
        table.add_column(heading, justify="right" if heading == "CONTEXT" else "left")
    for model in catalog.tables.models:
        formats = ", ".join(catalog.formats(model.name, model.size))
        cells = [
            model.name,
            model.size,
            f"{model.context_length:,}",
            ", ".join(model.abilities),
            "cannot be deployed" if model.not_servable else formats,
        ]
        table.add_row(*map(escape, cells))
    console.print(table)
    hint = "llama-operator models NAME --size SIZE shows quantizations, hubs and repositories."
    console.print(hint, style="dim", markup=False)


def _print_details(
    console: Console, catalog: Catalog, found: Mapping[Model, tuple[Publication, ...]]
) -> None:
    used: set[str] = set()
    for model, publications in found.items():
        facts = [f"{model.context_length:,} tokens", ", ".join(model.abilities), model.licence]
        console.print(
            f"[bold]{escape(model.name)} {escape(model.size)}[/bold]  {escape('  '.join(facts))}"
        )
        if model.not_servable:
            console.print(f"Cannot be deployed: {model.not_servable}.", markup=False)
        console.print(_table(publications, catalog, console.width))
        console.print()
        used |= {mark for row in publications for mark in _marks(row)}
    for mark, meaning in _MARKS.items():
        if mark in used:
            console.print(f"{mark.strip():2} {meaning}", markup=False, style="dim")


def _table(publications: Iterable[Publication], catalog: Catalog, width: int) -> Table:
    wide, full = width >= WIDE_COLUMNS, width >= FULL_COLUMNS
    table = Table(box=None, pad_edge=False, padding=(0, 1, 0, 0))
    table.add_column("FORMAT", no_wrap=True)
    table.add_column("QUANTIZATION", max_width=26 if wide else 16)
    table.add_column("HUB", no_wrap=True)
    table.add_column("REPOSITORY", overflow="fold")
    if wide:
        table.add_column("SCHEME")
    if full:
        table.add_column("ENGINES")
        table.add_column("GB", justify="right", no_wrap=True)
    groups: dict[tuple[str, str, str, tuple[str, ...]], list[Publication]] = {}
    for row in sorted(publications, key=lambda row: FORMATS.index(row.format)):
        group = (row.format, row.hub, row.repository, _engines(row, catalog))
        groups.setdefault(group, []).append(row)
    for (format_name, hub, repository, engines), rows in groups.items():
        lines = repository if wide else repository.replace("/", "/\n", len(repository) > 42)
        cells = [
            format_name,
            " ".join(map(_quantization, rows)),
            hub,
            lines + (GATED if rows[0].gated else ""),
        ]
        if wide:
            schemes = dict.fromkeys(
                "GGUF type" if row.format == "ggufv2" else row.scheme for row in rows
            )
            cells.append(", ".join(schemes))
        if full:
            cells += [" ".join(engines), _sizes(rows)]
        table.add_row(*map(escape, cells))
    return table


def _engines(row: Publication, catalog: Catalog) -> tuple[str, ...]:
    return tuple(version.engine for version in engines_that_load(row, catalog))


def _marks(row: Publication) -> Iterator[str]:
    if row.recommended:
        yield RECOMMENDED
    if row.quantize_at_load:
        yield AT_LOAD
    if row.gated:
        yield GATED
    if row.publisher_rank > 1:
        yield "()"


def _quantization(row: Publication) -> str:
    name = row.quantization + RECOMMENDED * row.recommended + AT_LOAD * row.quantize_at_load
    return name if row.publisher_rank == 1 else f"({name})"


def _sizes(rows: Iterable[Publication]) -> str:
    sizes = sorted(row.file_bytes / GB for row in rows if row.file_bytes is not None)
    if not sizes:
        return ""
    return f"{sizes[0]:.1f}" if len(sizes) == 1 else f"{sizes[0]:.1f} - {sizes[-1]:.1f}"
