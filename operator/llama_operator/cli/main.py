"""The command `llama-operator`: one subcommand a module."""

import argparse
import os
import sys
from collections.abc import Sequence
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from rich_argparse import RawDescriptionRichHelpFormatter

from llama_operator import __version__
from llama_operator.cli.exit_status import EXIT_BAD_INPUT
from llama_operator.errors import InputError, LlamaOperatorError

if TYPE_CHECKING:
    from llama_operator.planning.inventory import Inventory

COMMANDS: Final = (
    "plan",
    "explain",
    "render",
    "size",
    "prefetch",
    "models",
    "gpus",
    "inventory",
    "status",
    "replan",
    "top",
    "crd",
    "run",
    "completion",
)
"""Each is a module beside this one, in the order of the help."""
PLUGIN_COMMANDS: Final = ("plan", "explain", "status", "replan", "top")
"""Those that look at a cluster."""
ALONE: Final = ("version", "--version")
"""What needs none of them."""
PLANNING: Final = ("plan", "render", "inventory")
"""Commands that may ask a cluster for its nodes."""
_EPILOG: Final = """
Exit status: 0 done, and what was planned fits; 3 it does not fit; 2 bad input.

First steps:
  llama-operator models                        what can be deployed
  llama-operator size llama-3.1-instruct 70b --format awq --gpu NVIDIA-A100-SXM4-80GB
  llama-operator plan -f llama-70b-awq.yaml --nodes nodes.json
  kubectl apply -f llama-70b-awq.yaml
  llama-operator explain llama-70b-awq
  kubectl get llama
"""


def parser(
    only: str | None = None, *, program: str = "llama-operator", names: Sequence[str] = COMMANDS
) -> argparse.ArgumentParser:
    """The parser of the whole command, or with one of `names` alone, which imports no other."""
    result = argparse.ArgumentParser(
        prog=program,
        description="Turns one LlamaDeployment into a sized, placed and served LLM.",
        epilog=_EPILOG,
        formatter_class=RawDescriptionRichHelpFormatter,
    )
    result.add_argument("--version", action="version", version=f"llama-operator {__version__}")
    commands = result.add_subparsers(
        title="commands",
        dest="command",
        metavar="COMMAND",
        required=True,
        # Without it argparse formats a usage, and imports what colours it, to learn the name.
        prog=result.prog,
    )
    for name in names:
        if only not in (None, name):
            continue
        module = import_module(f"llama_operator.cli.{name}")
        if name in PLANNING:
            module.register(commands, _live_inventory)
        elif name == "explain":
            module.register(commands, _live_deployment)
        else:
            module.register(commands)
    version = commands.add_parser("version", help="print the version", add_help=True)
    version.set_defaults(func=_version)
    return result


def _live_inventory() -> "Inventory":
    # Imported here: only commands that ask a cluster wait for its client.
    from llama_operator.cli.live_inventory import live_inventory

    return live_inventory()


def _live_deployment(name: str, namespace: str | None) -> "tuple[dict[str, Any], Inventory]":
    from llama_operator.cli.live_inventory import live_deployment

    return live_deployment(name, namespace)


def _version(_: argparse.Namespace) -> int:
    print(f"llama-operator {__version__}")
    return 0


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command; returns the exit status."""
    words = sys.argv[1:] if argv is None else argv
    completing = "_ARGCOMPLETE" in os.environ
    named = words[0] if words and words[0] in COMMANDS + ALONE and not completing else None
    chosen = parser(named)
    if completing:
        # Imported here: a shell that completes waits for it, and nobody else.
        import argcomplete

        argcomplete.autocomplete(chosen)
    return _run(chosen.parse_args(argv))


def kubectl(argv: Sequence[str] | None = None) -> int:
    """Run one command as kubectl's plugin; returns the exit status."""
    return _run(parser(program="kubectl llama", names=PLUGIN_COMMANDS).parse_args(argv))


def _run(arguments: argparse.Namespace) -> int:
    if sys.stdout is None:
        # A shell has closed it: `>&-`.
        sys.stdout = Path(os.devnull).open("w", encoding="utf-8")  # noqa: SIM115 - never closed
    try:
        status = int(arguments.func(arguments))
        sys.stdout.flush()
        return status
    except InputError as error:
        print(f"llama-operator: {error}", file=sys.stderr)
        return EXIT_BAD_INPUT
    except LlamaOperatorError as error:
        print(f"llama-operator: {error}", file=sys.stderr)
        return 1
    except BrokenPipeError:
        _drop_output()
        return 0
    except OSError as error:
        print(f"llama-operator: {error.strerror or error}", file=sys.stderr)
        _drop_output()
        return 1


def _drop_output() -> None:
    """Send nowhere what is still to be flushed to a pipe that is closed, or a disk that is full."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, sys.stdout.fileno())
    os.close(nowhere)


if __name__ == "__main__":
    sys.exit(main())
