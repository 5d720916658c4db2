"""`llama-operator size --sweep`: the longest context by GPU, number of GPUs and quantization."""

import argparse
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from llama_operator.catalog.catalog import Catalog
from llama_operator.catalog.rows import Scheme
from llama_operator.cli.exit_status import EXIT_DOES_NOT_FIT, EXIT_FITS
from llama_operator.cli.json_output import print_json
from llama_operator.cli.size_one import engine_version
from llama_operator.cli.size_question import Subject
from llama_operator.cli.size_serving import (
    ENGINE_OF_FAMILY,
    Card,
    on_card,
    read_gpu,
    read_serving,
)
from llama_operator.errors import InputError, SizingError
from llama_operator.sizing.checkpoints import checkpoint_bytes
from llama_operator.sizing.estimate import estimate
from llama_operator.sizing.nearest import longest_context
from llama_operator.sizing.scheme_names import scheme_for
from llama_operator.sizing.serving import Serving

PRODUCTS: Final = (
    "NVIDIA-L4",
    "NVIDIA-A10G",
    "NVIDIA-L40S",
    "NVIDIA-A100-SXM4-40GB",
    "NVIDIA-A100-SXM4-80GB",
    "NVIDIA-H100-80GB-HBM3",
    "NVIDIA-H200",
    "NVIDIA-B200",
)
"""What clouds rent, taken where no GPU is named."""
COUNTS: Final = (1, 2, 4, 8)
QUANTIZATIONS: Final = ("none", "fp8-dynamic", "awq-int4-g128")
"""Taken where neither the catalog nor the user names any."""
GPUS: Final = "GPUs"
GAP_CELLS: Final = 2
"""Blanks between columns."""
COLUMN_CELLS: Final = 11
"""Headings above this width take two lines."""


@dataclass(frozen=True, slots=True)
class Cell:
    """One placement: the longest context that fits, 0 and the reason where none does."""

    product: str
    count: int
    scheme: str
    max_model_len: int
    reason: str


def run_sweep(arguments: argparse.Namespace, catalog: Catalog, subject: Subject) -> int:
    """Print the table; returns 3 when nothing fits anywhere.

    Raises:
        InputError: an argument is wrong.
    """
    serving = read_serving(arguments, catalog, subject)
    if arguments.gpu_memory_mib is not None and len(arguments.gpu) > 1:
        msg = "--gpu-memory-mib is of one GPU; name one by --gpu"
        raise InputError(msg)
    products = tuple(dict.fromkeys(arguments.gpu or PRODUCTS))
    cards = [read_gpu(product, arguments.gpu_memory_mib, catalog) for product in products]
    one = arguments.tensor_parallel_size
    counts = COUNTS if one is None else (one,)
    schemes = swept_schemes(arguments, subject)
    found = list(cells_of(serving, cards, counts, schemes))
    if arguments.output == "json":
        print_json([as_object(cell) for cell in found])
    else:
        console = Console(no_color=arguments.no_color or None, highlight=False)
        _print_table(console, subject, serving, schemes, found)
    return EXIT_FITS if any(cell.max_model_len for cell in found) else EXIT_DOES_NOT_FIT


def swept_schemes(arguments: argparse.Namespace, subject: Subject) -> tuple[Scheme, ...]:
    """Columns: what the user names, else what the model is published in that its engine loads.

    Raises:
        InputError: a name is not known.
    """
    try:
        if arguments.quantization and arguments.format is None:
            return tuple(dict.fromkeys(map(scheme_for, arguments.quantization)))
        if arguments.format is not None:
            return (subject.scheme,)
        published = [subject.scheme, *(scheme for _, scheme in subject.others)]
        own = ENGINE_OF_FAMILY.get(subject.scheme.family)
        loadable = [scheme for scheme in published if ENGINE_OF_FAMILY.get(scheme.family) == own]
        if not subject.others and own is None:
            loadable += map(scheme_for, QUANTIZATIONS)
        sizes = {scheme: checkpoint_bytes(subject.shape, scheme) for scheme in loadable}
        return tuple(sorted(sizes, key=lambda scheme: (-sizes[scheme], scheme.name)))
    except SizingError as error:
        msg = f"--quantization: {error}"
        raise InputError(msg) from None


def cells_of(
    serving: Serving, cards: Sequence[Card], counts: Sequence[int], schemes: Sequence[Scheme]
) -> Iterator[Cell]:
    """Every cell, row by row."""
    for card in cards:
        for count in counts:
            for scheme in schemes:
                placed = replace(
                    on_card(serving, card),
                    scheme=scheme,
                    tensor_parallel_size=count,
                    stored_bytes=serving.stored_bytes if scheme == serving.scheme else None,
                )
                yield _cell(placed, card.product)


def _cell(placed: Serving, product: str) -> Cell:
    count, name = placed.tensor_parallel_size, placed.scheme.name
    try:
        setting = placed.setting()
        longest = longest_context(placed)
        if longest and placed.max_model_len is not None:
            longest = min(longest, placed.max_model_len)
        if longest:
            return Cell(product, count, name, longest, "")
        found = estimate(replace(setting, max_model_len=1))
    except SizingError:
        return Cell(product, count, name, 0, "unsupported-quantization")
    return Cell(product, count, name, 0, str(found.reason or ""))


def as_object(cell: Cell) -> dict[str, Any]:
    """A cell as JSON: `max_model_len` is null where nothing fits, with the reason."""
    return {
        "product": cell.product,
        "tensor_parallel_size": cell.count,
        "quantization": cell.scheme,
        "max_model_len": cell.max_model_len or None,
        **({"reason": cell.reason} if cell.reason else {}),
    }


def _print_table(
    console: Console,
    subject: Subject,
    serving: Serving,
    schemes: Sequence[Scheme],
    found: Sequence[Cell],
) -> None:
    setting = serving.setting()
    engine = f"{setting.rules.engine} {engine_version(serving, setting)}".rstrip()
    console.print(
        f"[bold]{escape(subject.title)}[/bold], {engine}: "
        "longest context in tokens, or what is missing"
    )
    rows = [found[start : start + len(schemes)] for start in range(0, len(found), len(schemes))]
    start = 0
    for count in _columns(console.width, schemes, found):
        if start:
            console.print()
        console.print(_table(rows, schemes, slice(start, start + count)))
        start += count


def _columns(width: int, schemes: Sequence[Scheme], found: Sequence[Cell]) -> Iterator[int]:
    """How many quantizations each table has, so that no figure is cut: at least one."""
    room = width - max(len(cell.product) for cell in found) - len(GPUS) - 2 * GAP_CELLS
    taken = count = 0
    for number, scheme in enumerate(schemes):
        column = found[number :: len(schemes)]
        lines = [*_heading(scheme.name).split("\n"), *map(_cell_text, column)]
        needed = GAP_CELLS + max(map(len, lines))
        if count and taken + needed > room:
            yield count
            taken = count = 0
        taken, count = taken + needed, count + 1
    yield count


def _table(rows: Sequence[Sequence[Cell]], schemes: Sequence[Scheme], part: slice) -> Table:
    table = Table(box=None, pad_edge=False, padding=(0, GAP_CELLS, 0, 0))
    table.add_column("GPU", overflow="fold")
    table.add_column(GPUS, justify="right", no_wrap=True)
    for scheme in schemes[part]:
        table.add_column(_heading(scheme.name), justify="right", no_wrap=True)
    before = ""
    for row in rows:
        product = row[0].product
        table.add_row(
            product if product != before else "", str(row[0].count), *map(_cell_text, row[part])
        )
        before = product
    return table


def _cell_text(cell: Cell) -> str:
    return f"{cell.max_model_len:,}" if cell.max_model_len else cell.reason


def _heading(name: str) -> str:
    head, _, tail = name.rpartition("-")
    return f"{head}\n-{tail}" if len(name) > COLUMN_CELLS and head else name
