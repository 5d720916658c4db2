"""`llama-operator render`: the objects that a LlamaDeployment would become, without a cluster."""

import argparse
import json
import sys
from collections.abc import Callable, Mapping
from typing import Any, Final

import yaml
from pydantic import ValidationError
from rich_argparse import RawDescriptionRichHelpFormatter

from llama_operator.api.deployment import LlamaDeployment
from llama_operator.api.plan import Plan
from llama_operator.api.reasons import Reason
from llama_operator.catalog.yaml_input import parse_documents
from llama_operator.cli.catalog_option import add_catalog_option, load_catalog, tell
from llama_operator.cli.deployment_file import parse_deployments
from llama_operator.cli.exit_status import EXIT_BAD_INPUT, EXIT_DOES_NOT_FIT, EXIT_FITS
from llama_operator.cli.image_registry_option import add_image_registry_option, image_registry
from llama_operator.cli.inventory_options import add_leader_worker_set_option, chosen_inventory
from llama_operator.cli.nodes_file import read_text
from llama_operator.cli.plan import ReadInventory, no_cluster
from llama_operator.cli.price_tolerance_option import (
    add_price_tolerance_option,
    price_tolerance_percent,
)
from llama_operator.errors import CatalogError, InputError, SpecError
from llama_operator.planning.outcome import Outcome, Planned, Refusal
from llama_operator.planning.plan import plan_on
from llama_operator.planning.survey import survey
from llama_operator.reconcile.decide import REVISION_KIND, first_children
from llama_operator.reconcile.desired import desire

Manifest = dict[str, Any]
Planner = Callable[[LlamaDeployment, Plan | None], Outcome]
_HOW_TO_MAKE: Final = "make one with `llama-operator plan -o yaml`"
_DESCRIPTION: Final = """Print the objects that LlamaDeployments would become, as YAML documents:
Services, StatefulSet or, for replicas on several nodes, LeaderWorkerSet,
PodDisruptionBudget for two replicas and more, and the ControllerRevision that records
them. They are what the operator creates; without
metadata.uid in FILE they belong to nobody.

The plan is made for the nodes of a file that `kubectl get nodes -o json` wrote, or is
taken from a file that `llama-operator plan -o yaml` (or -o json) wrote."""
_EPILOG: Final = """Exit status: 0 all were rendered; 3 something does not fit; 2 bad input.

Examples:
  llama-operator render -f llama-70b-awq.yaml --nodes nodes.json
  llama-operator plan -f llama-70b-awq.yaml --nodes nodes.json -o yaml > plan.yaml
  llama-operator render -f llama-70b-awq.yaml --plan plan.yaml | less"""


def register(
    subparsers: "argparse._SubParsersAction[argparse.ArgumentParser]",
    read_inventory: ReadInventory = no_cluster,
) -> None:
    """Add the command; `read_inventory` gives the nodes when no file is named."""
    parser = subparsers.add_parser(
        "render",
        help="print the objects that a LlamaDeployment becomes",
        description=_DESCRIPTION,
        epilog=_EPILOG,
        formatter_class=RawDescriptionRichHelpFormatter,
    )
    parser.add_argument(
        "-f", "--file", required=True, metavar="FILE", help="manifest, - for standard input"
    )
    source = parser.add_mutually_exclusive_group()
    source.add_argument("--nodes", metavar="FILE", help="output of kubectl get nodes -o json|yaml")
    source.add_argument("--plan", metavar="FILE", help="output of llama-operator plan -o json|yaml")
    add_leader_worker_set_option(parser)
    add_catalog_option(parser)
    add_image_registry_option(parser)
    add_price_tolerance_option(parser)
    parser.set_defaults(func=lambda arguments: run(arguments, read_inventory))


def run(arguments: argparse.Namespace, read_inventory: ReadInventory = no_cluster) -> int:
    """Render every deployment of the file and print its objects; returns the exit status.

    Raises:
        InputError: a file is wrong; names the file, the document and the field.
    """
    found = parse_deployments(arguments.file, read_text("-f", arguments.file))
    registry, tolerance = image_registry(arguments), price_tolerance_percent(arguments)
    if registry and arguments.plan:
        msg = "--image-registry is for planning; the plan of --plan names its image"
        raise InputError(msg)
    catalog, errors = load_catalog(arguments)
    tell(errors)
    planner: Planner
    if arguments.plan:
        planner = plans_of_file(arguments.plan, read_text("--plan", arguments.plan))
    else:
        surveyed = survey(chosen_inventory(arguments, read_inventory), catalog)

        def planner(deployment: LlamaDeployment, current: Plan | None) -> Outcome:
            return plan_on(
                deployment.spec,
                catalog,
                surveyed,
                current=current,
                image_registry=registry,
                price_tolerance_percent=tolerance,
            )

    rendered = [objects(deployment, planner) for deployment in found.deployments]
    for note in found.notes:
        print(f"llama-operator: {note}", file=sys.stderr)
    for deployment, result in zip(found.deployments, rendered, strict=True):
        if isinstance(result, Refusal):
            name = f"{deployment.metadata.namespace}/{deployment.metadata.name}"
            text = f"{name} does not fit: {result.reason.value}: {result.message}"
            print(f"llama-operator: {text}", file=sys.stderr)
    documents = [body for result in rendered if isinstance(result, tuple) for body in result]
    print(to_yaml(documents), end="")
    if errors:
        return EXIT_BAD_INPUT
    return EXIT_DOES_NOT_FIT if any(isinstance(r, Refusal) for r in rendered) else EXIT_FITS


def objects(deployment: LlamaDeployment, planner: Planner) -> tuple[Manifest, ...] | Refusal:
    """What the operator would create for a deployment that has no children, the record last.

    Raises:
        InputError: the plan names an engine that is not known.
    """
    try:
        desired = desire(deployment, None, planner)
    except SpecError as error:
        raise InputError(str(error)) from None
    if desired.refusal is not None:
        return desired.refusal
    bodies = first_children(deployment, desired.revision)
    return tuple(sorted(bodies, key=lambda body: body["kind"] == REVISION_KIND))


def to_yaml(documents: list[Manifest]) -> str:
    """Objects as YAML documents, keys in their own order; nothing for no objects."""
    if not documents:
        return ""
    text = yaml.dump_all(
        documents,
        Dumper=yaml.CSafeDumper,
        sort_keys=False,
        allow_unicode=True,
        explicit_start=True,
    )
    return str(text)


def plans_of_file(file: str, text: str) -> Planner:
    """A planner that knows the plans of a file: what `plan -o json|yaml` prints, or one plan alone.

    Raises:
        InputError: the file holds something else; names the file and the field.
    """
    try:
        documents = [document for document in parse_documents(text) if document is not None]
    except CatalogError as error:
        msg = f"--plan {file} {error}"
        raise InputError(msg) from None
    if len(documents) != 1 or not isinstance(documents[0], list | dict):
        msg = f"--plan {file} must hold one list of plans, or one plan; {_HOW_TO_MAKE}"
        raise InputError(msg)
    held = documents[0]
    entries = held if isinstance(held, list) else [held]

    def planner(deployment: LlamaDeployment, _: Plan | None) -> Outcome:
        return _outcome(f"--plan {file}", entries, deployment)

    return planner


def _outcome(where: str, entries: list[Any], deployment: LlamaDeployment) -> Outcome:
    """The plan of a deployment; a plan without a name is anybody's."""
    namespace, name = deployment.metadata.namespace, deployment.metadata.name
    for entry in entries:
        if not isinstance(entry, Mapping):
            msg = f"{where}: every item must be an object; {_HOW_TO_MAKE}"
            raise InputError(msg)
        if "fits" not in entry:
            return Planned(_plan(where, entry, deployment), fits_now=True)
        if (entry.get("namespace"), entry.get("name")) == (namespace, name):
            if not entry["fits"]:
                return _refusal(where, entry)
            return Planned(_plan(where, entry.get("plan"), deployment), fits_now=True)
    msg = f"{where} holds no plan of {namespace}/{name}; {_HOW_TO_MAKE}"
    raise InputError(msg)


def _refusal(where: str, entry: Mapping[str, Any]) -> Refusal:
    try:
        return Refusal(Reason(str(entry.get("reason"))), str(entry.get("message")))
    except ValueError:
        msg = f"{where}: reason: {entry.get('reason')!r} is none; {_HOW_TO_MAKE}"
        raise InputError(msg) from None


def _plan(where: str, value: object, deployment: LlamaDeployment) -> Plan:
    try:
        text = json.dumps(value, default=str)
        plan = Plan.model_validate_json(
            text, strict=True, extra="forbid", by_alias=True, by_name=False
        )
    except ValidationError as error:
        first = error.errors(include_url=False, include_context=False, include_input=False)[0]
        path = ".".join(str(part) for part in first["loc"])
        msg = f"{where}: {path or 'plan'}: {first['msg']}"
        raise InputError(msg) from None
    spec = deployment.spec
    if (plan.model, plan.size) != (spec.model, spec.size):
        msg = (
            f"{where} plans {plan.model} {plan.size}, but {deployment.metadata.name} asks for "
            f"{spec.model} {spec.size}"
        )
        raise InputError(msg)
    return plan
