"""What an argparse parser says of lists of arguments; the interpreters of engines import it."""

import argparse
from collections.abc import Iterable, Sequence
from typing import NoReturn


class _Refused(Exception):
    """A complaint of the parser."""


def parser_refusals(
    parser: argparse.ArgumentParser, lines: Iterable[Sequence[str]]
) -> list[str | None]:
    """Its complaint of each list of arguments; None where it has none."""

    def refuse(message: str) -> NoReturn:
        raise _Refused(message)

    parser.error = refuse  # type: ignore[method-assign]
    return [_refusal(parser, line) for line in lines]


def _refusal(parser: argparse.ArgumentParser, arguments: Sequence[str]) -> str | None:
    try:
        parser.parse_args(arguments)
    except _Refused as refused:
        return str(refused)
    except SystemExit:
        return "it ends by itself"
    except Exception as error:  # as the real one does, with a trace
        return f"it breaks: {error!r}"
    return None
