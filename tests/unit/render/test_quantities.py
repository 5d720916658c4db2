import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from llama_operator.render.quantities import canonical_bytes, canonical_cpu
from llama_operator.units import MIB, parse_quantity


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        pytest.param(0, "0", id="nothing"),
        pytest.param(1, "1Mi", id="one byte is rounded up"),
        pytest.param(1_048_576, "1Mi", id="one MiB"),
        pytest.param(1_048_577, "2Mi", id="a byte more is two"),
        pytest.param(1_072_693_248, "1023Mi", id="below a GiB"),
        pytest.param(1_073_741_824, "1Gi", id="one GiB"),
        pytest.param(13_958_643_712, "13Gi", id="13312 MiB are 13 GiB"),
        pytest.param(14_495_514_624, "13824Mi", id="13.5 GiB stay MiB"),
        pytest.param(43_904_000_000, "41871Mi", id="41870.1 MiB, rounded up"),
        pytest.param(1_099_511_627_776, "1Ti", id="1024 GiB are one TiB"),
        pytest.param(2**60, "1Ei", id="the largest suffix"),
        pytest.param(2**70, "1024Ei", id="beyond the largest suffix"),
    ],
)
def test_bytes(value: int, expected: str) -> None:
    assert canonical_bytes(value) == expected


@pytest.mark.parametrize(
    ("millicores", "expected"),
    [
        pytest.param(0, "0", id="nothing"),
        pytest.param(1500, "1500m", id="a core and a half"),
        pytest.param(2000, "2", id="whole cores"),
        pytest.param(12, "12m", id="a little"),
    ],
)
def test_cpu(millicores: int, expected: str) -> None:
    assert canonical_cpu(millicores) == expected


@settings(deadline=None)
@given(value=st.integers(min_value=0, max_value=2**53))
def test_a_quantity_holds_the_bytes_and_wastes_less_than_a_mebibyte(value: int) -> None:
    assert value <= parse_quantity(canonical_bytes(value)) < value + MIB


@settings(deadline=None)
@given(millicores=st.integers(min_value=0, max_value=10**7))
def test_a_cpu_quantity_is_exact(millicores: int) -> None:
    assert parse_quantity(canonical_cpu(millicores)) * 1000 == millicores
