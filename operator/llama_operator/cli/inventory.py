"""`llama-operator inventory`: the GPUs of a cluster as planning sees them."""

import argparse
from collections.abc import Callable, Collection
from typing import Final

from rich.console import Console
from rich.markup import escape
from rich.table import Table
from rich_argparse import RawDescriptionRichHelpFormatter

from llama_operator.cli.catalog_option import add_catalog_option, load_catalog, tell
from llama_operator.cli.exit_status import EXIT_BAD_INPUT
from llama_operator.cli.inventory_rows import LeftOut, PoolRow, left_out, pool_rows
from llama_operator.cli.json_output import print_json
from llama_operator.cli.nodes_file import read_nodes_file
from llama_operator.cli.plan import no_cluster
from llama_operator.planning.inventory import Inventory
from llama_operator.planning.survey import survey
from llama_operator.units import GIB

ReadInventory = Callable[[], Inventory]
NAMED_NODES: Final = 3
"""Nodes of a row of what is left out that are named."""
_DESCRIPTION: Final = """Show the GPUs of a cluster as plans see them, by product and resource.

The nodes are those of the current cluster, less the GPUs that deployments hold
there; or those of a file that `kubectl get nodes -o json` (or -o yaml) wrote, whose
GPUs all count as free. CARDS are whole GPUs or MIG slices, never shares of them: a
card that several pods share takes one model. What plans may not use is listed with
the cause: a node that is not ready, cordoned or tainted, labels that contradict each
other or do not tell the memory, GPUs that no engine serves."""
_EPILOG: Final = """Examples:
  llama-operator inventory
  kubectl get nodes -o json | llama-operator inventory --nodes -
  llama-operator inventory --nodes nodes.json -o json"""
LABEL_COLUMNS: Final = 100
"""Width from which the labels are shown, and below that of CPU and memory of nodes."""
NODE_COLUMNS: Final = 120
_LEGEND: Final = "GiB: what a process sees on one card; DRIVER: the oldest"
_NODE_LEGEND: Final = f"{_LEGEND}; CPU and NODE GiB: of one node"


def register(
    subparsers: "argparse._SubParsersAction[argparse.ArgumentParser]",
    read_inventory: ReadInventory = no_cluster,
) -> None:
    """Add the command; `read_inventory` gives the nodes when no file is named."""
    parser = subparsers.add_parser(
        "inventory",
        help="show the GPUs of a cluster as plans see them",
        description=_DESCRIPTION,
        epilog=_EPILOG,
        formatter_class=RawDescriptionRichHelpFormatter,
    )
    parser.add_argument(
        "--nodes",
        metavar="FILE",
        help="output of kubectl get nodes -o json|yaml, - for standard input",
    )
    add_catalog_option(parser)
    parser.add_argument(
        "-o", "--output", choices=("table", "json"), default="table", help="default: table"
    )
    parser.set_defaults(func=lambda arguments: run(arguments, read_inventory))


def run(arguments: argparse.Namespace, read_inventory: ReadInventory = no_cluster) -> int:
    """Print the inventory; returns the exit status.

    Raises:
        InputError: the file is wrong, or there is no cluster.
    """
    catalog, errors = load_catalog(arguments)
    found = read_nodes_file(arguments.nodes) if arguments.nodes else read_inventory()
    rows, others = pool_rows(survey(found, catalog)), left_out(found, catalog)
    if arguments.output == "json":
        print_json(
            {
                "gpus": [row.to_object() for row in rows],
                "leftOut": [row.to_object() for row in others],
            }
        )
    else:
        _print(Console(highlight=False), rows, others)
    tell(errors)
    return EXIT_BAD_INPUT if errors else 0


def _print(console: Console, rows: Collection[PoolRow], others: Collection[LeftOut]) -> None:
    if rows:
        console.print(_table(rows, console.width))
        console.print(
            _NODE_LEGEND if console.width >= NODE_COLUMNS else _LEGEND,
            markup=False,
            style="dim",
            soft_wrap=True,
        )
    else:
        console.print("No GPUs that plans may use.")
    if others:
        console.print("\nLeft out")
        for row in others:
            console.print(f"  - {_left_out_line(row)}", markup=False, soft_wrap=True)


def _table(rows: Collection[PoolRow], width: int) -> Table:
    table = Table(box=None, pad_edge=False, padding=(0, 1, 0, 0))
    table.add_column("PRODUCT", overflow="fold")
    table.add_column("RESOURCE", overflow="fold")
    for heading in ("NODES", "CARDS", "FREE", "GiB", "DRIVER"):
        table.add_column(heading, justify="right", no_wrap=True)
    table.add_column("SHARED")
    if width >= NODE_COLUMNS:
        for heading in ("CPU", "NODE GiB"):
            table.add_column(heading, justify="right", no_wrap=True)
    if width >= LABEL_COLUMNS:
        table.add_column("KNOWN BY", overflow="fold")
    for row in rows:
        cells = [
            row.product,
            row.resource,
            f"{row.nodes:,}",
            f"{row.cards:,}",
            f"{row.free_cards:,}",
            f"{row.memory_bytes / GIB:.2f}",
            str(row.driver or "-"),
            row.sharing or "-",
        ]
        if width >= NODE_COLUMNS:
            cells += [_between(row.cpu_millicores, 1000), _between(row.node_memory_bytes, GIB)]
        if width >= LABEL_COLUMNS:
            cells.append(" ".join(row.known_by))
        table.add_row(*map(escape, cells))
    return table


def _between(bounds: tuple[int, int], unit: int) -> str:
    least, most = (value // unit for value in bounds)
    return f"{least:,}" if least == most else f"{least:,}-{most:,}"


def _left_out_line(row: LeftOut) -> str:
    named = ", ".join(row.nodes[:NAMED_NODES])
    more = len(row.nodes) - NAMED_NODES
    nodes = named + (f" and {more:,} more" if more > 0 else "")
    what = " ".join(word for word in (row.product, row.resource) if word)
    return f"{row.gpus:,} {what} on {nodes}: {row.cause}"
