"""`llama-operator replan`: have a deployment planned and rendered anew."""

import argparse
from datetime import UTC, datetime
from typing import Final

from rich_argparse import RawDescriptionRichHelpFormatter

from llama_operator.api.names import ANNOTATION_REPLAN
from llama_operator.cli.exit_status import EXIT_FITS
from llama_operator.cli.live_deployments import add_cluster_options, plan_anew, read_one

_DESCRIPTION: Final = f"""Have the operator plan and render a deployment again, with the cluster,
the catalog and the operator's version of today. What runs stays where it still fits;
pods are replaced where what is rendered differs. Nothing else moves a deployment that
runs but an edit of its spec.

It sets the annotation {ANNOTATION_REPLAN} to the time."""
_EPILOG: Final = """Examples:
  llama-operator replan llama-70b-awq --dry-run
  kubectl llama replan llama-70b-awq -n models"""


def register(subparsers: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add the command."""
    parser = subparsers.add_parser(
        "replan",
        help="have a deployment planned and rendered anew",
        description=_DESCRIPTION,
        epilog=_EPILOG,
        formatter_class=RawDescriptionRichHelpFormatter,
    )
    parser.add_argument("name", metavar="NAME", help="the deployment's name")
    add_cluster_options(parser)
    parser.add_argument(
        "--dry-run", action="store_true", help="change nothing; tell what is recommended"
    )
    parser.set_defaults(func=_run)


def _run(arguments: argparse.Namespace) -> int:
    if arguments.dry_run:
        live = read_one(arguments, arguments.name)
    else:
        live = plan_anew(arguments, arguments.name, datetime.now(UTC))
    found = live.status.recommendation
    told = found.message if found is not None else "the operator recommends nothing else today"
    if arguments.dry_run:
        print(f"{live.key}: {told}")
    else:
        print(f"{live.key} is planned anew; before: {told}")
    return EXIT_FITS
