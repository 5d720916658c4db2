"""The order in which placements are preferred: by the user's list, then by price."""

from typing import Final

from llama_operator.planning.candidates import Candidate

PRICE_TOLERANCE_PERCENT: Final = 25
"""How much more GPUs may cost that are free now than cheaper ones that are busy."""
PRICE_TOLERANCE_LIMIT_PERCENT: Final = 1000


def rank(candidate: Candidate) -> tuple[int, bool, int, int, int, str, str]:
    """Where a placement stands among those that fit; the least comes first.

    The entry of spec.hardware, then the price of a replica, GPUs without a price after all that
    have one, then fewer GPUs, higher memory bandwidth, and the names, so that no two are equal.
    """
    price = candidate.micro_usd_per_hour
    return (
        candidate.preference,
        price is None,
        price or 0,
        candidate.gpu_count,
        -candidate.pool.gpu.bandwidth_bytes_per_second,
        candidate.pool.product,
        candidate.pool.resource,
    )


def is_within(price: int | None, cheapest: int | None, tolerance_percent: int) -> bool:
    """Whether a price is not known to be too high beside the cheapest one.

    Args:
        price: of what is free now, in millionths of a dollar; None when unknown.
        cheapest: of the cheapest that fits; None when unknown.
        tolerance_percent: how much more it may be.
    """
    if price is None or cheapest is None:
        return True
    return 100 * price <= cheapest * (100 + tolerance_percent)
