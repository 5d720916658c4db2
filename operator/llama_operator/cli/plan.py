"""`llama-operator plan`: what a LlamaDeployment would become, without a cluster."""

import argparse
import json
import sys
import textwrap
from collections.abc import Callable, Sequence
from typing import Any, Final

import yaml
from rich.console import Console
from rich.markup import escape
from rich.text import Text
from rich_argparse import RawDescriptionRichHelpFormatter

from llama_operator.api.deployment import LlamaDeployment
from llama_operator.api.plan import Plan
from llama_operator.api.reasons import REASONS
from llama_operator.cli.catalog_option import add_catalog_option, load_catalog, tell
from llama_operator.cli.deployment_file import parse_deployments
from llama_operator.cli.memory_bar import BAR_CELLS, memory_bar, memory_lines, memory_parts
from llama_operator.cli.nodes_file import HOW_TO_MAKE, read_nodes_file, read_text
from llama_operator.errors import InputError
from llama_operator.planning.inventory import Inventory
from llama_operator.planning.outcome import Outcome, Planned, Refusal
from llama_operator.planning.plan import plan_on
from llama_operator.planning.survey import survey
from llama_operator.units import format_gib

EXIT_FITS: Final = 0
EXIT_BAD_INPUT: Final = 2
EXIT_DOES_NOT_FIT: Final = 3
LABEL_CELLS: Final = 13
NOTHING_FITS: Final = (
    "no single change fits these nodes; add nodes with larger GPUs, or with more of them"
)
ReadInventory = Callable[[], Inventory]
_DESCRIPTION: Final = """Plan LlamaDeployments: GPUs, context and where each byte goes.

FILE holds one or several documents; objects of other kinds are left out. Fields that
do not exist are errors. The nodes come from a file that `kubectl get nodes -o json`
(or -o yaml) wrote; all their GPUs count as free."""
_EPILOG: Final = """Exit status: 0 everything fits these nodes; 3 something does not; 2 bad input.

Examples:
  kubectl get nodes -o json > nodes.json
  llama-operator plan -f llama-70b-awq.yaml --nodes nodes.json
  cat *.yaml | llama-operator plan -f - --nodes nodes.json -o json"""


def no_cluster() -> Inventory:
    """Reading nodes from a cluster is not possible here.

    Raises:
        InputError: always; tells how to make a file.
    """
    msg = f"--nodes FILE is needed; {HOW_TO_MAKE}"
    raise InputError(msg)


def register(
    subparsers: "argparse._SubParsersAction[argparse.ArgumentParser]",
    read_inventory: ReadInventory = no_cluster,
) -> None:
    """Add the command; `read_inventory` gives the nodes when no file is named."""
    parser = subparsers.add_parser(
        "plan",
        help="plan a LlamaDeployment without applying it",
        description=_DESCRIPTION,
        epilog=_EPILOG,
        formatter_class=RawDescriptionRichHelpFormatter,
    )
    parser.add_argument(
        "-f", "--file", required=True, metavar="FILE", help="manifest, - for standard input"
    )
    parser.add_argument("--nodes", metavar="FILE", help="output of kubectl get nodes -o json|yaml")
    add_catalog_option(parser)
    parser.add_argument(
        "-o", "--output", choices=("table", "json", "yaml"), default="table", help="default: table"
    )
    parser.add_argument(
        "--no-color", action="store_true", help="no colours; NO_COLOR does the same"
    )
    parser.set_defaults(func=lambda arguments: run(arguments, read_inventory))


def run(arguments: argparse.Namespace, read_inventory: ReadInventory = no_cluster) -> int:
    """Plan every deployment of the file and print what came of it; returns the exit status.

    Raises:
        InputError: a file is wrong; names the file, the document and the field.
    """
    found = parse_deployments(arguments.file, read_text("-f", arguments.file))
    catalog, errors = load_catalog(arguments)
    tell(errors)
    inventory = read_nodes_file(arguments.nodes) if arguments.nodes else read_inventory()
    surveyed = survey(inventory, catalog)
    outcomes = [
        (deployment, plan_on(deployment.spec, catalog, surveyed))
        for deployment in found.deployments
    ]
    for note in found.notes:
        print(f"llama-operator: {note}", file=sys.stderr)
    _print(arguments, outcomes)
    if errors:
        return EXIT_BAD_INPUT
    fits = all(isinstance(outcome, Planned) for _, outcome in outcomes)
    return EXIT_FITS if fits else EXIT_DOES_NOT_FIT


def _print(
    arguments: argparse.Namespace, outcomes: Sequence[tuple[LlamaDeployment, Outcome]]
) -> None:
    objects = [as_object(deployment, outcome) for deployment, outcome in outcomes]
    if arguments.output == "json":
        print(json.dumps(objects, indent=2, ensure_ascii=False))
    elif arguments.output == "yaml":
        print(yaml.safe_dump(objects, sort_keys=False, allow_unicode=True), end="")
    else:
        console = Console(no_color=arguments.no_color or None, highlight=False)
        for index, (deployment, outcome) in enumerate(outcomes):
            if index:
                console.print()
            _print_outcome(console, deployment, outcome)


def as_object(deployment: LlamaDeployment, outcome: Outcome) -> dict[str, Any]:
    """What came of one deployment, as JSON: `fits`, and the plan or the refusal."""
    head: dict[str, Any] = {
        "namespace": deployment.metadata.namespace,
        "name": deployment.metadata.name,
        "fits": isinstance(outcome, Planned),
    }
    if isinstance(outcome, Planned):
        waiting = {"waiting": outcome.waiting_message} if outcome.waiting_message else {}
        return {**head, "fitsNow": outcome.fits_now, **waiting, "plan": outcome.plan.to_object()}
    bytes_per_gpu = {
        "neededBytesPerGPU": outcome.needed_bytes,
        "availableBytesPerGPU": outcome.available_bytes,
    }
    return {
        **head,
        "reason": outcome.reason.value,
        "message": outcome.message,
        **{key: value for key, value in bytes_per_gpu.items() if value is not None},
        "alternatives": [alternative.to_object() for alternative in outcome.alternatives],
    }


def _print_outcome(console: Console, deployment: LlamaDeployment, outcome: Outcome) -> None:
    name = f"{deployment.metadata.namespace}/{deployment.metadata.name}"
    if isinstance(outcome, Refusal):
        _print_refusal(console, name, outcome)
        return
    console.print(
        f"[bold]{escape(name)}[/bold]  [bold green]fits[/bold green]  {escape(outcome.plan.gpus)}"
    )
    if not outcome.fits_now:
        console.print(f"  not all now: {outcome.waiting_message}", style="yellow", markup=False)
    for label, text in _facts(outcome.plan).items():
        _print_wrapped(console, text, label=label)
    memory = outcome.plan.memory_per_gpu
    parts = memory_parts(memory)
    console.print(f"\n[bold]Memory of one GPU[/bold], {format_gib(memory.total_bytes)}")
    console.print(memory_bar(parts, min(BAR_CELLS, console.width - 4)))
    for line in memory_lines(parts):
        console.print(line)
    console.print("\n[bold]Why[/bold]")
    for reason in outcome.plan.reasons:
        _print_wrapped(console, reason)


def _facts(plan: Plan) -> dict[str, str]:
    host = plan.host
    return {
        "model": f"{plan.model} {plan.size}, {plan.format} ({plan.quantization})",
        "repository": f"{plan.repository} ({plan.hub}{', gated' if plan.gated else ''})",
        "engine": f"{plan.engine} {plan.engine_version}, {plan.image}",
        "GPUs": f"{plan.gpus}, tensor parallel size {plan.tensor_parallel_size}",
        "accepted": ", ".join(plan.gpu.accepted_products),
        "context": f"{plan.max_model_len:,} tokens a request",
        "KV cache": (
            f"{plan.kv_cache_tokens:,} tokens ({plan.kv_cache_dtype}), "
            f"{plan.max_concurrency:,} requests of that length"
        ),
        "batch": f"{plan.max_num_seqs:,} sequences, {plan.max_num_batched_tokens:,} tokens a step",
        "utilization": f"{plan.utilization_percent} %, CUDA graphs {plan.cuda_graphs.lower()}",
        "node": (
            f"{host.cpu_millicores / 1000:g} CPU, {format_gib(host.memory_bytes)} memory, "
            f"{format_gib(host.disk_bytes)} disk"
        ),
        "start": f"at most {plan.startup_seconds:,} s",
    }


def _print_refusal(console: Console, name: str, refusal: Refusal) -> None:
    console.print(
        f"[bold]{escape(name)}[/bold]  [bold red]does not fit[/bold red]  {refusal.reason.value}"
    )
    _print_wrapped(console, refusal.message, label="because")
    if refusal.needed_bytes is not None and refusal.available_bytes is not None:
        for label, value in (("needed", refusal.needed_bytes), ("there", refusal.available_bytes)):
            text = f"{format_gib(value)} per GPU, {value:,} bytes"
            _print_wrapped(console, text, label=label)
    if not refusal.alternatives:
        memory_is_short = refusal.needed_bytes is not None
        remedy = NOTHING_FITS if memory_is_short else REASONS[refusal.reason].remedy
        _print_wrapped(console, remedy, label="remedy")
        return
    console.print("\n[bold]What fits instead[/bold], cheapest change first")
    for alternative in refusal.alternatives:
        _print_wrapped(console, alternative.summary)
        console.print(f"    {alternative.patch}", style="cyan", markup=False, soft_wrap=True)


def _print_wrapped(console: Console, text: str, *, label: str = "") -> None:
    """A sentence below a dash or beside a label, in as many lines as it needs."""
    head = f"  {label:<{LABEL_CELLS}}" if label else "  - "
    width = max(20, console.width - len(head))
    for index, line in enumerate(textwrap.wrap(text, width, break_on_hyphens=False)):
        start = Text(head if index == 0 else " " * len(head), style="dim")
        console.print(start.append(line, style="not dim"), soft_wrap=True)
