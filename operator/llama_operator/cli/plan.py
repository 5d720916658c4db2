"""`llama-operator plan`: what a LlamaDeployment would become, without applying it."""

import argparse
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final

import yaml
from rich.console import Console
from rich_argparse import RawDescriptionRichHelpFormatter

from llama_operator.api.deployment import LlamaDeployment
from llama_operator.cli.catalog_option import add_catalog_option, load_catalog, tell
from llama_operator.cli.deployment_file import parse_deployments
from llama_operator.cli.exit_status import EXIT_BAD_INPUT, EXIT_DOES_NOT_FIT, EXIT_FITS
from llama_operator.cli.explain_view import candidate_objects, print_candidates
from llama_operator.cli.image_registry_option import add_image_registry_option, image_registry
from llama_operator.cli.inventory_options import add_leader_worker_set_option, chosen_inventory
from llama_operator.cli.json_output import print_json
from llama_operator.cli.nodes_file import HOW_TO_MAKE, read_text
from llama_operator.cli.plan_view import print_outcome
from llama_operator.cli.price_tolerance_option import (
    add_price_tolerance_option,
    price_tolerance_percent,
)
from llama_operator.errors import InputError
from llama_operator.planning.explain import ExplainedRow, explain
from llama_operator.planning.inventory import Inventory
from llama_operator.planning.outcome import Outcome, Planned
from llama_operator.planning.plan import plan_on
from llama_operator.planning.survey import survey

ReadInventory = Callable[[], Inventory]
_DESCRIPTION: Final = """Plan LlamaDeployments: GPUs, context and where each byte goes.

FILE holds one or several documents; objects of other kinds are left out. Fields that
do not exist are errors. The nodes are those of the current cluster, less the GPUs that
deployments hold there; or those of a file that `kubectl get nodes -o json` (or -o yaml)
wrote, whose GPUs all count as free."""
_EPILOG: Final = """Exit status: 0 everything fits these nodes; 3 something does not; 2 bad input.

Examples:
  llama-operator plan -f llama-70b-awq.yaml
  kubectl get nodes -o json > nodes.json
  llama-operator plan -f llama-70b-awq.yaml --nodes nodes.json
  llama-operator plan -f llama-70b-awq.yaml --nodes nodes.json --explain
  cat *.yaml | llama-operator plan -f - --nodes nodes.json -o json"""


@dataclass(frozen=True, slots=True)
class Answer:
    """What came of one deployment; `rows` is None when nobody asked for an explanation."""

    deployment: LlamaDeployment
    outcome: Outcome
    rows: tuple[ExplainedRow, ...] | None


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
    add_leader_worker_set_option(parser)
    add_catalog_option(parser)
    add_image_registry_option(parser)
    add_price_tolerance_option(parser)
    parser.add_argument(
        "--explain",
        action="store_true",
        help="tell every candidate: engine, format and GPUs, with a verdict and a reason",
    )
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
    registry, tolerance = image_registry(arguments), price_tolerance_percent(arguments)
    catalog, errors = load_catalog(arguments)
    tell(errors)
    surveyed = survey(chosen_inventory(arguments, read_inventory), catalog)
    outcomes = []
    for deployment in found.deployments:
        spec = deployment.spec
        outcome = plan_on(
            spec,
            catalog,
            surveyed,
            image_registry=registry,
            price_tolerance_percent=tolerance,
        )
        rows = (
            explain(spec, catalog, surveyed, price_tolerance_percent=tolerance)
            if arguments.explain
            else None
        )
        outcomes.append(Answer(deployment, outcome, rows))
    for note in found.notes:
        print(f"llama-operator: {note}", file=sys.stderr)
    _print(arguments, outcomes)
    if errors:
        return EXIT_BAD_INPUT
    fits = all(isinstance(answer.outcome, Planned) for answer in outcomes)
    return EXIT_FITS if fits else EXIT_DOES_NOT_FIT


def _print(arguments: argparse.Namespace, answers: Sequence[Answer]) -> None:
    objects = [
        as_object(answer.deployment, answer.outcome)
        | ({} if answer.rows is None else {"candidates": candidate_objects(answer.rows)})
        for answer in answers
    ]
    if arguments.output == "json":
        print_json(objects)
    elif arguments.output == "yaml":
        print(yaml.safe_dump(objects, sort_keys=False, allow_unicode=True), end="")
    else:
        console = Console(no_color=arguments.no_color or None, highlight=False)
        for index, answer in enumerate(answers):
            if index:
                console.print()
            print_outcome(console, answer.deployment, answer.outcome)
            print_candidates(console, answer.rows or ())


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
