"""`llama-operator completion`: shell completion."""

import argparse

from argcomplete.shell_integration import shellcode
from rich_argparse import RawDescriptionRichHelpFormatter

_DESCRIPTION = """Print the completion script of a shell.

  bash:  source <(llama-operator completion bash)
  zsh:   source <(llama-operator completion zsh)
  fish:  llama-operator completion fish | source"""


def register(subparsers: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add the command."""
    parser = subparsers.add_parser(
        "completion",
        help="print a shell's completion script",
        description=_DESCRIPTION,
        formatter_class=RawDescriptionRichHelpFormatter,
    )
    parser.add_argument("shell", choices=("bash", "zsh", "fish"))
    parser.set_defaults(func=_completion)


def _completion(arguments: argparse.Namespace) -> int:
    print(shellcode(["llama-operator"], shell=arguments.shell))
    return 0
