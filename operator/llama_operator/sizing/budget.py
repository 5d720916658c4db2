"""The share of a GPU that the engine may use."""

from typing import Final

from llama_operator.units import GIB

PLANNED_LIMIT_PERCENT: Final = 92
"""The engine's own default, never exceeded unasked."""
RAISED_LIMIT_PERCENT: Final = 95
"""The highest share that an alternative proposes."""
PLANNED_SPARE_BYTES: Final = GIB // 4
RAISED_SPARE_BYTES: Final = GIB // 20
PARALLEL_AT_START_BYTES: Final = 3 * GIB // 2
"""More memory is taken when the engine starts if it joins several GPUs."""
OUTSIDE_HEADROOM_BYTES: Final = GIB // 5
"""What must stay free beside graphs that are captured outside the budget."""


def _percent(total_bytes: int, taken_bytes: int, limit: int) -> int:
    return max(0, min(limit, 100 * (total_bytes - taken_bytes) // total_bytes))


def _taken_at_start(reserved_at_start_bytes: int, tensor_parallel_size: int) -> int:
    parallel = PARALLEL_AT_START_BYTES if tensor_parallel_size > 1 else 0
    return reserved_at_start_bytes + parallel


def planned_utilization_percent(
    total_bytes: int, reserved_at_start_bytes: int, tensor_parallel_size: int
) -> int:
    """Utilization that a plan writes: `min(92, floor(100 * (total - taken - 0.25 GiB) / total))`.

    An engine refuses to start when less than `u * total` is free at that moment. Memory model,
    section 6.

    Args:
        total_bytes: memory that a process sees on one GPU.
        reserved_at_start_bytes: what an idle GPU of the product already holds.
        tensor_parallel_size: GPUs of one stage; from 2 on another 1.5 GiB are taken at start.
    """
    taken = _taken_at_start(reserved_at_start_bytes, tensor_parallel_size) + PLANNED_SPARE_BYTES
    return _percent(total_bytes, taken, PLANNED_LIMIT_PERCENT)


def highest_utilization_percent(
    total_bytes: int, reserved_at_start_bytes: int, tensor_parallel_size: int
) -> int:
    """Utilization that may be proposed to a user: at most 95, and 0.05 GiB stay spare at start."""
    taken = _taken_at_start(reserved_at_start_bytes, tensor_parallel_size) + RAISED_SPARE_BYTES
    return _percent(total_bytes, taken, RAISED_LIMIT_PERCENT)


def budget_bytes(total_bytes: int, utilization_percent: int) -> int:
    """Bytes of one GPU that the engine may use."""
    return total_bytes * utilization_percent // 100
