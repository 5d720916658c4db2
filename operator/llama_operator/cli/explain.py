"""`llama-operator explain`: why a deployment of the cluster got its GPUs and no others."""

import argparse
from collections.abc import Callable
from typing import Any, Final

from rich.console import Console
from rich_argparse import RawDescriptionRichHelpFormatter

from llama_operator.api.deployment import LlamaDeployment
from llama_operator.cli.catalog_option import add_catalog_option, load_catalog, tell
from llama_operator.cli.exit_status import EXIT_BAD_INPUT, EXIT_DOES_NOT_FIT, EXIT_FITS
from llama_operator.cli.explain_view import candidate_objects, print_candidates
from llama_operator.cli.json_output import print_json
from llama_operator.cli.plan_view import print_head
from llama_operator.cli.price_tolerance_option import (
    add_price_tolerance_option,
    price_tolerance_percent,
)
from llama_operator.errors import InputError, SpecError
from llama_operator.planning.explain import explain
from llama_operator.planning.inventory import Inventory
from llama_operator.planning.outcome import Planned
from llama_operator.planning.plan import plan_on
from llama_operator.planning.survey import survey

ReadDeployment = Callable[[str, str | None], tuple[dict[str, Any], Inventory]]
_DESCRIPTION: Final = """Explain which GPUs a LlamaDeployment of the cluster would get now, and why
no others: every engine, format and number of GPUs with a verdict and a reason.

What runs stays where it is; it counts as today's placement, and its own GPUs as free.
`llama-operator plan --explain` does the same for a file."""
_EPILOG: Final = """Exit status: 0 it fits; 3 it does not; 2 bad input.

Examples:
  llama-operator explain llama-70b-awq
  llama-operator explain llama-70b-awq -n prod -o json"""


def no_cluster(name: str, _: str | None) -> tuple[dict[str, Any], Inventory]:
    """Reading a deployment from a cluster is not possible here.

    Raises:
        InputError: always; tells what to do instead.
    """
    msg = f"{name} cannot be read without a cluster; use llama-operator plan --explain -f FILE"
    raise InputError(msg)


def register(
    subparsers: "argparse._SubParsersAction[argparse.ArgumentParser]",
    read_deployment: ReadDeployment = no_cluster,
) -> None:
    """Add the command; `read_deployment` gives an object by name and namespace, and the nodes."""
    parser = subparsers.add_parser(
        "explain",
        help="explain why a LlamaDeployment of the cluster got its GPUs",
        description=_DESCRIPTION,
        epilog=_EPILOG,
        formatter_class=RawDescriptionRichHelpFormatter,
    )
    parser.add_argument("name", metavar="NAME", help="name of the LlamaDeployment")
    parser.add_argument(
        "-n", "--namespace", metavar="NAMESPACE", help="default: that of the kubeconfig"
    )
    add_catalog_option(parser)
    add_price_tolerance_option(parser)
    parser.add_argument(
        "-o", "--output", choices=("table", "json"), default="table", help="default: table"
    )
    parser.add_argument(
        "--no-color", action="store_true", help="no colours; NO_COLOR does the same"
    )
    parser.set_defaults(func=lambda arguments: run(arguments, read_deployment))


def run(arguments: argparse.Namespace, read_deployment: ReadDeployment = no_cluster) -> int:
    """Explain one deployment; returns the exit status.

    Raises:
        InputError: there is no such deployment, or it cannot be read.
    """
    tolerance = price_tolerance_percent(arguments)
    catalog, errors = load_catalog(arguments)
    tell(errors)
    body, inventory = read_deployment(arguments.name, arguments.namespace)
    try:
        deployment = LlamaDeployment.parse(body)
    except SpecError as error:
        msg = f"{arguments.name}: {error}"
        raise InputError(msg) from None
    surveyed, current = survey(inventory, catalog), deployment.status.plan
    outcome = plan_on(
        deployment.spec, catalog, surveyed, current=current, price_tolerance_percent=tolerance
    )
    rows = explain(
        deployment.spec, catalog, surveyed, current=current, price_tolerance_percent=tolerance
    )
    if arguments.output == "json":
        metadata = deployment.metadata
        print_json(
            {
                "namespace": metadata.namespace,
                "name": metadata.name,
                "fits": isinstance(outcome, Planned),
                "candidates": candidate_objects(rows),
            }
        )
    else:
        console = Console(no_color=arguments.no_color or None, highlight=False)
        print_head(console, deployment, outcome)
        print_candidates(console, rows)
    if errors:
        return EXIT_BAD_INPUT
    return EXIT_FITS if isinstance(outcome, Planned) else EXIT_DOES_NOT_FIT
