"""The command `llama-operator`: one subcommand a module."""

import argparse
import sys
from collections.abc import Sequence
from typing import Final

import argcomplete
from rich_argparse import RawDescriptionRichHelpFormatter

from llama_operator import __version__
from llama_operator.cli import completion, crd, gpus, models, plan, render, run
from llama_operator.cli.live_inventory import live_inventory
from llama_operator.errors import InputError, LlamaOperatorError

EXIT_BAD_INPUT: Final = 2
_EPILOG: Final = """
Exit status: 0 done, and what was planned fits; 3 it does not fit; 2 bad input.

First steps:
  llama-operator models                        what can be deployed
  llama-operator plan -f llama-70b-awq.yaml --nodes nodes.json
  kubectl apply -f llama-70b-awq.yaml
  kubectl get llama
"""


def parser() -> argparse.ArgumentParser:
    """The parser of the whole command."""
    result = argparse.ArgumentParser(
        prog="llama-operator",
        description="Turns one LlamaDeployment into a sized, placed and served LLM.",
        epilog=_EPILOG,
        formatter_class=RawDescriptionRichHelpFormatter,
    )
    result.add_argument("--version", action="version", version=f"llama-operator {__version__}")
    commands = result.add_subparsers(
        title="commands", dest="command", metavar="COMMAND", required=True
    )
    plan.register(commands, live_inventory)
    render.register(commands, live_inventory)
    for module in (models, gpus, crd, run, completion):
        module.register(commands)
    version = commands.add_parser("version", help="print the version", add_help=True)
    version.set_defaults(func=_version)
    return result


def _version(_: argparse.Namespace) -> int:
    print(f"llama-operator {__version__}")
    return 0


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command; returns the exit status."""
    whole = parser()
    argcomplete.autocomplete(whole)
    arguments = whole.parse_args(argv)
    try:
        return int(arguments.func(arguments))
    except InputError as error:
        print(f"llama-operator: {error}", file=sys.stderr)
        return EXIT_BAD_INPUT
    except LlamaOperatorError as error:
        print(f"llama-operator: {error}", file=sys.stderr)
        return 1
    except BrokenPipeError:
        sys.stderr.close()
        return 0


if __name__ == "__main__":
    sys.exit(main())
