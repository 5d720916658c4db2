import pytest
from hypothesis import given
from hypothesis import strategies as st

from llama_operator.catalog.catalog import Catalog
from llama_operator.catalog.gpus import unknown_gpu, visible_bytes
from llama_operator.units import GIB, MIB

CATALOG = Catalog.load()


@pytest.mark.parametrize(
    ("product", "label_mib", "expected"),
    [
        # 22.06 GiB = 23,686,744,637.44 bytes
        pytest.param("NVIDIA-A10G", 23028, 23_686_744_637, id="the label of the row"),
        # one MiB less on the label is one MiB less for a process
        pytest.param("NVIDIA-A10G", 23027, 23_685_696_061, id="a driver that reports less"),
        # 79.19 GiB
        pytest.param("NVIDIA-H100-80GB-HBM3", 81559, 85_029_615_042, id="H100"),
        # 191 GiB of the label "191G": the counter is the same
        pytest.param("AMD_Instinct_MI300X_OAM", 195584, 195584 * MIB, id="AMD keeps nothing"),
        # 24 GiB - 0.45 GiB = 25,769,803,776 - 483,183,820
        pytest.param(None, 24576, 25_286_619_956, id="unknown, 24 GB"),
        # 24 GiB and 1 MiB - 0.65 GiB = 25,770,852,352 - 697,932,185
        pytest.param(None, 24577, 25_072_920_167, id="unknown, above 24 GB"),
        pytest.param(None, 400, 0, id="a label below the reserve"),
    ],
)
def test_visible_bytes(product: str | None, label_mib: int, expected: int) -> None:
    gpu = CATALOG.gpu(product) if product else None
    assert visible_bytes(gpu, label_mib) == expected


@given(label_mib=st.integers(min_value=1, max_value=2**22))
def test_a_process_never_sees_more_than_the_label(label_mib: int) -> None:
    for gpu in (None, *CATALOG.tables.gpus[:3]):
        assert 0 <= visible_bytes(gpu, label_mib) <= label_mib * MIB


@pytest.mark.parametrize(
    ("product", "label_mib", "vendor", "reserve_gib", "held_gib"),
    [
        pytest.param("NVIDIA-A100-SXM4-80GB-MIG-3g.40gb", 40192, "NVIDIA", 0.65, 0.5, id="a slice"),
        pytest.param("NVIDIA-RTX-4000-SFF-Ada", 20475, "NVIDIA", 0.45, 0.5, id="a 20 GB card"),
        pytest.param("Quadro-RTX-6000", 24220, "NVIDIA", 0.45, 2.28, id="a 24 GB card"),
        pytest.param("AMD-Instinct-MI210", 65520, "AMD", 0.0, 0.5, id="AMD"),
        pytest.param("HL-100", 32768, "Intel", 0.0, 0.5, id="Gaudi"),
    ],
)
def test_unknown_products_follow_from_their_label(
    product: str, label_mib: int, vendor: str, reserve_gib: float, held_gib: float
) -> None:
    gpu = unknown_gpu(product, label_mib, (8, 0))
    assert (gpu.product, gpu.vendor, gpu.compute_capability) == (product, vendor, (8, 0))
    assert gpu.label_bytes - gpu.total_bytes == int(reserve_gib * GIB)
    assert gpu.reserved_at_start_bytes == int(held_gib * GIB)
    assert gpu.marketed_gb == -(-label_mib // 1024)
