import pytest

from llama_operator.sizing.allocator import allocated_bytes
from llama_operator.units import MIB


@pytest.mark.parametrize(
    ("tensor", "expected"),
    [
        pytest.param(1, 512, id="a tiny tensor takes 512 bytes"),
        pytest.param(513, 1024, id="small tensors are multiples of 512 bytes"),
        pytest.param(10 * MIB, 10 * MIB, id="10 MiB stay 10 MiB"),
        pytest.param(11 * MIB, 12 * MIB, id="a rest of 1 MiB is lost"),
        pytest.param(11 * MIB - 512, 11 * MIB - 512, id="a larger rest is given to others"),
    ],
)
def test_allocator_rounds_as_pytorch_does(tensor: int, expected: int) -> None:
    assert allocated_bytes(tensor) == expected
