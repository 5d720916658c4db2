"""The option `--price-tolerance-percent`: what it may cost not to wait."""

import argparse

from llama_operator.errors import InputError
from llama_operator.planning.ranking import (
    PRICE_TOLERANCE_LIMIT_PERCENT,
    PRICE_TOLERANCE_PERCENT,
)


def add_price_tolerance_option(parser: argparse.ArgumentParser) -> None:
    """Add `--price-tolerance-percent N`."""
    parser.add_argument(
        "--price-tolerance-percent",
        type=int,
        default=PRICE_TOLERANCE_PERCENT,
        metavar="N",
        help="how much more GPUs may cost that are free now than cheaper ones that are busy, "
        f"0 to {PRICE_TOLERANCE_LIMIT_PERCENT} (default {PRICE_TOLERANCE_PERCENT})",
    )


def price_tolerance_percent(arguments: argparse.Namespace) -> int:
    """What was given.

    Raises:
        InputError: it is out of bounds.
    """
    value: int = arguments.price_tolerance_percent
    if not 0 <= value <= PRICE_TOLERANCE_LIMIT_PERCENT:
        msg = (
            f"--price-tolerance-percent is {value}; allowed is 0 to {PRICE_TOLERANCE_LIMIT_PERCENT}"
        )
        raise InputError(msg)
    return value
