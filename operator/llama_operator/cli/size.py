"""`llama-operator size`: where each byte of a GPU goes, for any model and setting."""

import argparse
import sys
from functools import partial
from typing import Final

from rich_argparse import RawDescriptionRichHelpFormatter

from llama_operator.cli.exit_status import EXIT_BAD_INPUT, EXIT_FITS
from llama_operator.cli.size_options import add_options, check_mode
from llama_operator.errors import InputError

_DESCRIPTION: Final = """Size a model on a GPU: weights, activations, graphs and KV cache.

The model is one of the catalog, a config.json, a GGUF file, or a repository, of which only
configuration and headers are fetched. No cluster is asked and no weights are read. When it
does not fit, the nearest settings that do are named, each with its numbers."""
_EPILOG: Final = """Exit status: 0 it fits, or no GPU is named; 3 it does not fit; 2 bad input.

Examples:
  llama-operator size llama-3.1-instruct 70b --format awq --gpu NVIDIA-A100-SXM4-80GB
  llama-operator size --config config.json --gpu NVIDIA-L4 --max-model-len 32768
  llama-operator size Qwen/Qwen3-30B-A3B --gpu NVIDIA-H100-80GB-HBM3 -tp 2 -o json
  llama-operator size bartowski/Meta-Llama-3.1-8B-Instruct-GGUF --quantization Q4_K_M
  llama-operator size llama-3.1-instruct 8b --sweep
  llama-operator size llama-3.1-instruct 8b --train qlora --sequence-length 4096
  llama-operator size --jsonl < settings.jsonl"""


def register(subparsers: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add the command."""
    parser = subparsers.add_parser(
        "size",
        help="size a model on a GPU: where each byte goes, and what fits",
        description=_DESCRIPTION,
        epilog=_EPILOG,
        formatter_class=RawDescriptionRichHelpFormatter,
    )
    add_options(parser)
    parser.set_defaults(func=partial(run, parser))


def run(parser: argparse.ArgumentParser, arguments: argparse.Namespace) -> int:
    """Run the command; returns the exit status.

    Raises:
        InputError: an argument is wrong; names it and what is allowed.
    """
    check_mode(arguments, parser.get_default)
    if arguments.jsonl:
        return _jsonl()
    # Imported below: whoever asks for help, or for another command, waits for none of these.
    from llama_operator.cli.catalog_option import load_catalog, tell
    from llama_operator.cli.size_question import read_subject

    catalog, errors = load_catalog(arguments)
    tell(errors)
    subject = read_subject(arguments, catalog)
    if arguments.train is not None:
        from llama_operator.cli.size_train import run_training

        status = run_training(arguments, catalog, subject)
    elif arguments.sweep:
        from llama_operator.cli.size_sweep import run_sweep

        status = run_sweep(arguments, catalog, subject)
    else:
        from llama_operator.cli.size_one import run_one

        status = run_one(arguments, catalog, subject)
    return EXIT_BAD_INPUT if errors else status


def _jsonl() -> int:
    from llama_operator.cli.size_jsonl import answer_lines

    if sys.stdin is None:
        msg = "--jsonl reads standard input, which is closed"
        raise InputError(msg)
    answer_lines(sys.stdin.buffer, sys.stdout)
    return EXIT_FITS
