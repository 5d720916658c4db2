"""`llama-operator top`: GPUs and memory that deployments take."""

import argparse
from collections.abc import Sequence
from typing import Any, Final

from rich.console import Console
from rich.markup import escape
from rich.table import Table
from rich_argparse import RawDescriptionRichHelpFormatter

from llama_operator.api.status import ConditionType
from llama_operator.cli.exit_status import EXIT_FITS
from llama_operator.cli.json_output import print_json
from llama_operator.cli.live_deployments import Live, add_cluster_options, read_all
from llama_operator.cli.status import condition
from llama_operator.units import format_gib

_DESCRIPTION: Final = """List deployments with the GPUs that they take: those of one replica times
the replicas, and where the memory of one GPU goes by the plan. Most GPUs first."""
_EPILOG: Final = """Examples:
  llama-operator top
  kubectl llama top -A
  llama-operator top -n models -o json"""


def register(subparsers: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add the command."""
    parser = subparsers.add_parser(
        "top",
        help="list the GPUs and the memory that deployments take",
        description=_DESCRIPTION,
        epilog=_EPILOG,
        formatter_class=RawDescriptionRichHelpFormatter,
    )
    add_cluster_options(parser)
    parser.add_argument("-A", "--all-namespaces", action="store_true", help="of all namespaces")
    parser.add_argument(
        "-o", "--output", choices=("table", "json"), default="table", help="default: table"
    )
    parser.set_defaults(func=_run)


def _run(arguments: argparse.Namespace) -> int:
    found = read_all(arguments, everywhere=arguments.all_namespaces)
    rows = sorted(map(_row, found), key=lambda row: (-row["gpus"], row["namespace"], row["name"]))
    if arguments.output == "json":
        print_json(rows)
    else:
        _print(Console(highlight=False), rows)
    return EXIT_FITS


def _row(live: Live) -> dict[str, Any]:
    ready, plan = condition(live, ConditionType.READY), live.status.plan
    replicas = live.status.replicas or 0
    row: dict[str, Any] = {
        "namespace": live.namespace,
        "name": live.name,
        "reason": ready.reason if ready is not None else "",
        "replicas": replicas,
        "readyReplicas": live.status.ready_replicas or 0,
        "gpus": 0,
    }
    if plan is None:
        return row
    memory = plan.memory_per_gpu
    return row | {
        "gpus": plan.gpu_count * replicas,
        "product": plan.gpu.product,
        "weightsBytesPerGPU": memory.weights_bytes,
        "kvCacheBytesPerGPU": memory.kv_cache_bytes,
        "totalBytesPerGPU": memory.total_bytes,
        "kvCacheTokens": plan.kv_cache_tokens * replicas,
    }


def _print(console: Console, rows: Sequence[dict[str, Any]]) -> None:
    if not rows:
        console.print("No LlamaDeployments here; -A looks into all namespaces.")
        return
    table = Table(box=None, pad_edge=False, padding=(0, 1, 0, 0))
    for heading, right in _HEADINGS.items():
        table.add_column(heading, justify="right" if right else "left", no_wrap=right)
    for row in rows:
        planned = "product" in row
        table.add_row(
            escape(f"{row['namespace']}/{row['name']}"),
            escape(row["reason"] or "-"),
            f"{row['readyReplicas']}/{row['replicas']}",
            str(row["gpus"]),
            escape(row["product"]) if planned else "-",
            format_gib(row["weightsBytesPerGPU"]) if planned else "-",
            format_gib(row["kvCacheBytesPerGPU"]) if planned else "-",
            format_gib(row["totalBytesPerGPU"]) if planned else "-",
            f"{row['kvCacheTokens']:,}" if planned else "-",
        )
    console.print(table)
    console.print(f"{sum(row['gpus'] for row in rows):,} GPUs in all; memory is of one GPU")


_HEADINGS: Final = {
    "NAME": False,
    "REASON": False,
    "READY": True,
    "GPUS": True,
    "PRODUCT": False,
    "WEIGHTS": True,
    "KV CACHE": True,
    "OF": True,
    "KV TOKENS": True,
}
