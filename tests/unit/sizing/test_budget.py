import pytest

from llama_operator.sizing.budget import (
    budget_bytes,
    highest_utilization_percent,
    planned_utilization_percent,
)
from llama_operator.units import GIB


@pytest.mark.parametrize(
    ("total_gib", "reserved_gib", "tensor_parallel_size", "planned", "highest"),
    [
        # (22.06 - 2.28 - 0.25) / 22.06 = 0.8853; with 0.05 spare 0.8943
        pytest.param(22.06, 2.28, 1, 88, 89, id="one A10G starts with 2.28 GiB taken"),
        # (22.03 - 2.28 - 0.25) / 22.03 = 0.8851; 0.8942
        pytest.param(22.03, 2.28, 1, 88, 89, id="one L4"),
        # (22.06 - 2.28 - 1.5 - 0.25) / 22.06 = 0.8173; 0.8263
        pytest.param(22.06, 2.28, 4, 81, 82, id="four A10G take 1.5 GiB more at start"),
        # (79.19 - 0.5 - 0.25) / 79.19 = 0.9905
        pytest.param(79.19, 0.5, 1, 92, 95, id="one H100 is bounded by the engine's default"),
        # (39.5 - 0.5 - 1.5 - 0.25) / 39.5 = 0.9430; 0.9481
        pytest.param(39.5, 0.5, 8, 92, 94, id="eight A100 of 40 GB"),
        # (14.58 - 0.5 - 0.25) / 14.58 = 0.9486; 0.9623
        pytest.param(14.58, 0.5, 1, 92, 95, id="one T4"),
        # (4.75 - 0.5 - 0.25) / 4.75 = 0.842; 0.884
        pytest.param(4.75, 0.5, 1, 84, 88, id="a small MIG slice"),
        pytest.param(0.5, 0.5, 1, 0, 0, id="nothing left is zero, not negative"),
    ],
)
def test_utilization_leaves_what_is_taken_at_start(
    total_gib: float, reserved_gib: float, tensor_parallel_size: int, planned: int, highest: int
) -> None:
    total, reserved = int(total_gib * GIB), int(reserved_gib * GIB)
    assert planned_utilization_percent(total, reserved, tensor_parallel_size) == planned
    assert highest_utilization_percent(total, reserved, tensor_parallel_size) == highest


def test_budget_is_the_share_rounded_down() -> None:
    assert budget_bytes(1001, 92) == 920
