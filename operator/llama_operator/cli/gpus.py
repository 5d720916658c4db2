"""`llama-operator gpus`: GPUs whose figures the catalog knows."""

import argparse
import json
from collections.abc import Collection
from typing import Any, Final

import yaml
from rich.console import Console
from rich.markup import escape
from rich.table import Table
from rich_argparse import RawDescriptionRichHelpFormatter

from llama_operator.catalog.catalog import Catalog
from llama_operator.catalog.machine_tables import VENDORS
from llama_operator.catalog.rows import Gpu
from llama_operator.cli.catalog_option import add_catalog_option, load_catalog, tell
from llama_operator.cli.exit_status import EXIT_BAD_INPUT
from llama_operator.units import GIB, MIB, format_usd

WIDE_COLUMNS: Final = 120
_DESCRIPTION: Final = """List GPUs, with the memory that a process sees on each.

PRODUCT is the value of the node label nvidia.com/gpu.product, for AMD of
amd.com/gpu.product-name, and what spec.hardware takes. A GPU that is not listed
works too: its memory is then that of the node's label, less what drivers keep.
With -o yaml, rows are printed as gpus.yaml of a ConfigMap takes them."""
_EPILOG: Final = """Examples:
  llama-operator gpus
  llama-operator gpus A100
  llama-operator gpus --vendor AMD -o json
  llama-operator gpus NVIDIA-L4 -o yaml
  llama-operator gpus --catalog our-gpus.yaml"""

_LEGEND: Final = (
    "GB as marketed; GiB what a process sees; COMPUTE compute capability; GB/s memory",
    "bandwidth; NVLINK GB/s both ways (AMD: Infinity Fabric), on PCIe cards by a bridge",
    "LABEL of the node; HELD on an idle card when an engine starts; USD for one GPU an hour",
)


def register(subparsers: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add the command."""
    parser = subparsers.add_parser(
        "gpus",
        help="list GPUs and their memory",
        description=_DESCRIPTION,
        epilog=_EPILOG,
        formatter_class=RawDescriptionRichHelpFormatter,
    )
    parser.add_argument(
        "text", nargs="?", default="", metavar="TEXT", help="part of a product or alias, e.g. A100"
    )
    parser.add_argument("--vendor", choices=VENDORS, help="one vendor")
    parser.add_argument(
        "-o", "--output", choices=("table", "json", "yaml"), default="table", help="default: table"
    )
    add_catalog_option(parser)
    parser.set_defaults(func=_run)


def _run(arguments: argparse.Namespace) -> int:
    catalog, errors = load_catalog(arguments)
    found = _select(catalog, arguments.text, arguments.vendor)
    if arguments.output == "json":
        print(json.dumps([_as_user_row(row) for row in found], indent=2))
    elif arguments.output == "yaml":
        rows = [_as_user_row(row) for row in found]
        print(yaml.safe_dump(rows, sort_keys=False, allow_unicode=True), end="")
    else:
        _print_table(Console(), found, catalog)
    tell(errors)
    return EXIT_BAD_INPUT if errors else 0


def _select(catalog: Catalog, text: str, vendor: str | None) -> list[Gpu]:
    wanted = text.casefold()
    return [
        row
        for row in catalog.tables.gpus
        if vendor in (None, row.vendor)
        and any(wanted in name.casefold() for name in (row.product, *row.aliases))
    ]


def _capability(row: Gpu) -> str | None:
    return ".".join(map(str, row.compute_capability)) if row.compute_capability else None


def _as_user_row(row: Gpu) -> dict[str, Any]:
    """The row that `gpus.yaml` of a ConfigMap takes; keys without a value are left out."""
    facts = {
        "product": row.product,
        "aliases": list(row.aliases),
        "vendor": row.vendor,
        "marketed_gb": row.marketed_gb,
        "label_mib": row.label_bytes // MIB,
        "total_bytes": row.total_bytes,
        "reserved_at_start_bytes": row.reserved_at_start_bytes,
        "compute_capability": _capability(row),
        "bandwidth_bytes_per_second": row.bandwidth_bytes_per_second,
        "nvlink_gb_per_second": row.nvlink_gb_per_second,
        "instances": row.instances,
        "source": row.source,
    }
    return {key: value for key, value in facts.items() if value is not None}


def _print_table(console: Console, rows: Collection[Gpu], catalog: Catalog) -> None:
    if not rows:
        console.print("Nothing in the catalog matches.")
        return
    wide = console.width >= WIDE_COLUMNS
    console.print(_table(rows, catalog, wide=wide))
    for line in _LEGEND if wide else _LEGEND[:2]:
        console.print(line, markup=False, style="dim")


def _table(rows: Collection[Gpu], catalog: Catalog, *, wide: bool) -> Table:
    table = Table(box=None, pad_edge=False, padding=(0, 1, 0, 0))
    longest = max(len(row.product) for row in rows)
    table.add_column("PRODUCT", overflow="fold", min_width=longest if wide else None)
    headings = ["GB", "GiB", "COMPUTE", "GB/s", "NVLINK"]
    if wide:
        headings += ["LABEL MiB", "HELD GiB", "USD"]
    for heading in headings:
        table.add_column(heading, justify="right", no_wrap=True)
    if wide:
        table.add_column("ALIASES", overflow="fold")
        table.add_column("INSTANCES")
    for row in rows:
        price = catalog.micro_usd_per_hour(row.product)
        cells = [
            row.product,
            str(row.marketed_gb),
            f"{row.total_bytes / GIB:.2f}",
            _capability(row) or "-",
            f"{row.bandwidth_bytes_per_second // 10**9:,}"
            if row.bandwidth_bytes_per_second
            else "-",
            str(row.nvlink_gb_per_second or "-"),
        ]
        if wide:
            cells += [
                f"{row.label_bytes // MIB:,}",
                f"{row.reserved_at_start_bytes / GIB:.2f}",
                "-" if price is None else format_usd(price),
                " ".join(row.aliases),
                row.instances,
            ]
        table.add_row(*map(escape, cells))
    return table
