"""`llama-operator status`: how a deployment of the cluster is, what runs and why."""

import argparse
from typing import Final

from rich.console import Console
from rich.markup import escape
from rich_argparse import RawDescriptionRichHelpFormatter

from llama_operator.api.status import Condition, ConditionType, Recommendation
from llama_operator.cli.exit_status import EXIT_DOES_NOT_FIT, EXIT_FITS
from llama_operator.cli.json_output import print_json
from llama_operator.cli.live_deployments import Live, add_cluster_options, read_one
from llama_operator.cli.plan_view import print_plan
from llama_operator.cli.wrapped import print_wrapped

_DESCRIPTION: Final = """Show a LlamaDeployment: whether it answers and where, its conditions, the
plan of what runs with the memory of one GPU, and what the operator would do but does
not do unasked."""
_EPILOG: Final = """Exit status: 0 it is ready; 3 it is not; 2 bad input.

Examples:
  llama-operator status llama-70b-awq
  kubectl llama status llama-70b-awq -n models
  llama-operator status llama-70b-awq -o json"""


def register(subparsers: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add the command."""
    parser = subparsers.add_parser(
        "status",
        help="show how a deployment is, and its plan",
        description=_DESCRIPTION,
        epilog=_EPILOG,
        formatter_class=RawDescriptionRichHelpFormatter,
    )
    parser.add_argument("name", metavar="NAME", help="the deployment's name")
    add_cluster_options(parser)
    parser.add_argument(
        "-o", "--output", choices=("table", "json"), default="table", help="default: table"
    )
    parser.add_argument(
        "--no-color", action="store_true", help="no colours; NO_COLOR does the same"
    )
    parser.set_defaults(func=_run)


def _run(arguments: argparse.Namespace) -> int:
    live = read_one(arguments, arguments.name)
    if arguments.output == "json":
        print_json(live.status_body)
    else:
        print_status(Console(no_color=arguments.no_color or None, highlight=False), live)
    ready = condition(live, ConditionType.READY)
    return EXIT_FITS if ready is not None and ready.status == "True" else EXIT_DOES_NOT_FIT


def condition(live: Live, kind: ConditionType) -> Condition | None:
    """The condition of a type; None while it is absent."""
    return next((one for one in live.status.conditions if one.type == kind), None)


def print_status(console: Console, live: Live) -> None:
    """Print conditions, the URL, the plan and the recommendation."""
    status = live.status
    ready = condition(live, ConditionType.READY)
    name = f"[bold]{escape(live.key)}[/bold]"
    if ready is None:
        console.print(f"{name}  not seen by an operator yet; is one running?")
        return
    colour = "green" if ready.status == "True" else "red"
    console.print(f"{name}  [bold {colour}]{escape(ready.reason)}[/bold {colour}]")
    for one in status.conditions:
        if one.type == ConditionType.READY:
            print_wrapped(console, one.message, label="because")
        elif one.message != ready.message or one.reason != ready.reason:
            print_wrapped(console, f"{one.reason}: {one.message}", label=one.type.lower())
    if status.observed_generation != live.generation:
        print_wrapped(
            console,
            f"generation {live.generation} is not acted on yet; this speaks of "
            f"{status.observed_generation}",
            label="behind",
        )
    print_wrapped(
        console, f"{status.ready_replicas or 0} of {live.replicas} ready", label="replicas"
    )
    if status.url:
        print_wrapped(console, status.url, label="url")
    if status.plan is not None:
        print_plan(console, status.plan)
    if status.recommendation is not None:
        _print_recommendation(console, status.recommendation)


def _print_recommendation(console: Console, found: Recommendation) -> None:
    console.print(f"\n[bold]Recommendation[/bold], {escape(found.reason)}")
    print_wrapped(console, found.message)
    for alternative in found.alternatives:
        print_wrapped(console, alternative.summary)
        console.print(f"    {alternative.patch}", style="cyan", markup=False, soft_wrap=True)
