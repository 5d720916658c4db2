"""Candidates of a plan in the terminal: a table with a verdict and a reason each."""

from collections.abc import Iterator, Sequence
from itertools import groupby
from typing import Any, Final

from rich.console import Console
from rich.markup import escape
from rich.table import Table
from rich.text import Text

from llama_operator.planning.explain import ExplainedRow, Verdict
from llama_operator.units import GIB, format_usd

BAR_CELLS: Final = 8
VERDICT_CELLS: Final = 9
GPUS_CELLS: Final = (12, 47)
"""Cells of the names of GPUs, at least and at most."""
FORMAT_CELLS: Final = (18, 28)
"""Cells of format and engine, at least and at most."""
USD_CELLS: Final = 7
GIB_CELLS: Final = 12
REASON_CELLS: Final = 24
"""Cells of a reason, at least."""
MEMORY_COLUMNS: Final = 100
"""Columns of the terminal from which on memory is told."""
BAR_COLUMNS: Final = 120
"""And from which on it is drawn, and names have more room."""
NAMED_LIMIT: Final = 3
"""GPUs that one line names where the reason is the same for all of them."""
_STYLES: Final = {
    Verdict.CHOSEN: "bold green",
    Verdict.FITS: "cyan",
    Verdict.DOES_NOT_FIT: "yellow",
    Verdict.REFUSED: "dim",
}
_WORDS: Final = {
    Verdict.CHOSEN: "chosen",
    Verdict.FITS: "fits",
    Verdict.DOES_NOT_FIT: "too small",
    Verdict.REFUSED: "refused",
}


def candidate_objects(rows: Sequence[ExplainedRow]) -> list[dict[str, Any]]:
    """The rows as JSON; keys without a value are left out."""
    return [
        {key: value for key, value in _object(row).items() if value or value is False}
        for row in rows
    ]


def _object(row: ExplainedRow) -> dict[str, Any]:
    price = row.micro_usd_per_hour
    return {
        "verdict": row.verdict.value,
        "reason": row.reason,
        "engine": row.engine,
        "engineVersion": row.engine_version,
        "format": row.format,
        "quantization": row.quantization,
        "product": row.product,
        "count": row.count,
        "usdPerHour": None if price is None else format_usd(price),
        "fitsNow": row.fits_now if row.verdict in (Verdict.CHOSEN, Verdict.FITS) else None,
        "neededBytesPerGPU": row.needed_bytes,
        "availableBytesPerGPU": row.available_bytes,
        "missingBytesPerGPU": row.missing_bytes,
    }


def print_candidates(console: Console, rows: Sequence[ExplainedRow]) -> None:
    """Print every candidate, those with the same verdict and reason in one line."""
    if not rows:
        return
    memory, wide = console.width >= MEMORY_COLUMNS, console.width >= BAR_COLUMNS
    bars = console.is_terminal and wide
    legend = "; GiB of one GPU: needed at least, of what the engine may use" if memory else ""
    console.print(f"\n[bold]Candidates[/bold], best first{legend}")
    table = Table(box=None, pad_edge=False, padding=(0, 1, 0, 0))
    groups = list(_groups(rows))
    formats = min(FORMAT_CELLS[wide], max(len(_format(group[0])) for group in groups))
    fixed = VERDICT_CELLS + formats + USD_CELLS + 4
    fixed += memory * (GIB_CELLS + 1) + bars * (BAR_CELLS + 1)
    least, most = GPUS_CELLS
    longest = min(most, max(len(_gpus(group)) for group in groups))
    gpus = max(least, min(longest, console.width - fixed - REASON_CELLS))
    table.add_column("", width=VERDICT_CELLS)
    table.add_column("GPUS", overflow="fold", width=gpus)
    table.add_column("FORMAT", overflow="fold", width=formats)
    table.add_column("USD/H", justify="right", overflow="fold", width=USD_CELLS)
    if bars:
        table.add_column("", width=BAR_CELLS)
    if memory:
        table.add_column("GiB", justify="right", overflow="fold", width=GIB_CELLS)
    table.add_column("WHY", overflow="fold", width=max(1, console.width - fixed - gpus))
    for group in groups:
        style = _STYLES[group[0].verdict]
        cells = [_WORDS[group[0].verdict], _gpus(group), _format(group[0]), _price(group)]
        texts = [Text(cell, style=style) for cell in cells]
        if bars:
            texts.append(_bar(group))
        if memory:
            texts.append(Text(_memory(group)))
        table.add_row(*texts, escape(group[0].reason))
    console.print(table)


def _groups(rows: Sequence[ExplainedRow]) -> Iterator[list[ExplainedRow]]:
    """Rows that follow each other with the same verdict, format, engine and reason."""

    def same(row: ExplainedRow) -> tuple[object, ...]:
        return row.verdict, row.engine, row.format, row.quantization, row.reason

    for _, group in groupby(rows, same):
        yield list(group)


def _gpus(group: Sequence[ExplainedRow]) -> str:
    names = [f"{row.count}x {row.product}" if row.count else row.product for row in group]
    more = len(names) - NAMED_LIMIT
    shown = ", ".join(names[:NAMED_LIMIT]) + (f" and {more} more" if more > 0 else "")
    return shown or "any"


def _format(row: ExplainedRow) -> str:
    if not row.format:
        return "any"
    what = f"{row.format} ({row.quantization})"
    return f"{what} by {row.engine}" if row.engine else what


def _price(group: Sequence[ExplainedRow]) -> str:
    price = group[0].micro_usd_per_hour
    return format_usd(price) if len(group) == 1 and price is not None else ""


def _memory(group: Sequence[ExplainedRow]) -> str:
    needed, available = group[0].needed_bytes, group[0].available_bytes
    if len(group) > 1 or needed is None or available is None:
        return ""
    return f"{needed / GIB:.1f} of {available / GIB:.1f}"


def _bar(group: Sequence[ExplainedRow]) -> Text:
    """What is needed of the budget; `!` where it is more than there is."""
    needed, available = group[0].needed_bytes, group[0].available_bytes
    if len(group) > 1 or needed is None or not available:
        return Text("")
    if needed > available:
        return Text("#" * (BAR_CELLS - 1) + "!", style="red")
    full = max(1, round(needed * BAR_CELLS / available))
    return Text("#" * full, style="green").append("." * (BAR_CELLS - full), style="dim")
