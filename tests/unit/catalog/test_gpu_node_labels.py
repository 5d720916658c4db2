import pytest

from llama_operator.catalog.catalog import Catalog
from llama_operator.catalog.gpu_node_labels import (
    gpu_by_label,
    gpu_node_labels,
    mig_memory_mib,
    mig_profiles,
)
from llama_operator.units import MIB

TYPE = "node.kubernetes.io/instance-type"


def test_every_row_names_a_gpu_of_the_catalog() -> None:
    catalog = Catalog.load()
    named = {row.product for row in (*gpu_node_labels(), *mig_profiles())}
    assert {name for name in named if catalog.gpu(name) is None} == set()
    products = {row.product for row in catalog.tables.gpus}
    assert named <= products


def test_a_slice_has_no_more_memory_than_its_card() -> None:
    catalog = Catalog.load()
    for row in mig_profiles():
        card = catalog.gpu(row.product)
        assert card is not None
        assert row.memory_mib * MIB <= card.label_bytes, row


@pytest.mark.parametrize(
    ("label", "value", "expected"),
    [
        pytest.param(TYPE, "g5.12xlarge", ("NVIDIA-A10G", 4), id="as AWS writes it"),
        pytest.param(TYPE, "STANDARD_ND96ASR_V4", ("NVIDIA-A100-SXM4-40GB", 8), id="in capitals"),
        pytest.param(TYPE, "g6f.xlarge", None, id="a part of an L4 is no L4"),
        pytest.param("team", "g5.12xlarge", None, id="another label"),
    ],
)
def test_a_label_names_product_and_cards(
    label: str, value: str, expected: tuple[str, int] | None
) -> None:
    row = gpu_by_label(label, value)
    assert (row and (row.product, row.gpus)) == expected


@pytest.mark.parametrize(
    ("product", "profile", "expected"),
    [
        pytest.param("NVIDIA-H100-80GB-HBM3", "1g.10gb", 9_984, id="a row"),
        pytest.param("NVIDIA-H100-80GB-HBM3", "1g.10gb.me", 9_984, id="with media extensions"),
        pytest.param("NVIDIA-H100-80GB-HBM3", "1g.5gb", None, id="a profile it does not have"),
        pytest.param("", "1g.10gb", None, id="no product"),
    ],
)
def test_memory_of_a_slice(product: str, profile: str, expected: int | None) -> None:
    assert mig_memory_mib(product, profile) == expected
