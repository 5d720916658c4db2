"""Run by the interpreter of MLX: what the parser of `mlx_lm.server` says of lists of arguments.

Reads a JSON list of them and prints a JSON list of the complaints, null where there is none.
"""

import argparse
import json
import sys
from typing import Any, NoReturn, cast

from mlx_lm import server

from support.parser_refusals import parser_refusals


class _Found(Exception):
    """The parser that the server made."""

    def __init__(self, parser: argparse.ArgumentParser) -> None:
        self.parser = parser


def _the_parser() -> argparse.ArgumentParser:
    """The parser is made inside of `main`, and used there at once."""

    def take(parser: argparse.ArgumentParser, *_: Any) -> NoReturn:
        raise _Found(parser)

    original = argparse.ArgumentParser.parse_args
    argparse.ArgumentParser.parse_args = cast(Any, take)
    try:
        server.main()
    except _Found as found:
        return found.parser
    finally:
        argparse.ArgumentParser.parse_args = cast(Any, original)
    raise AssertionError("mlx_lm.server parses no arguments")


def _main() -> None:
    refusals = parser_refusals(_the_parser(), json.load(sys.stdin))
    sys.stdout.write(json.dumps(refusals) + "\n")


if __name__ == "__main__":
    _main()
