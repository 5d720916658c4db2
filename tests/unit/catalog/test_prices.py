"""Prices of GPUs: the table, users' rows over it, and what name finds which."""

import pytest

from llama_operator.catalog import price_tables, tables
from llama_operator.catalog.rows import Gpu
from llama_operator.errors import CatalogError
from llama_operator.units import format_usd, micro_usd
from unit.catalog.rows_of_users import CATALOG, data, gpu, price, priced, read


@pytest.mark.parametrize(
    ("text", "expected", "shown"),
    [
        pytest.param("6.88", 6_880_000, "6.88", id="cents"),
        pytest.param("0.8048", 804_800, "0.8048", id="less than cents"),
        pytest.param("2", 2_000_000, "2.00", id="whole dollars"),
        pytest.param("0.000001", 1, "0.000001", id="the least"),
        pytest.param("0", 0, "0.00", id="nothing"),
        pytest.param("999999.999999", 999_999_999_999, "999999.999999", id="the most"),
    ],
)
def test_amounts_are_exact(text: str, expected: int, shown: str) -> None:
    assert micro_usd(text) == expected
    assert format_usd(expected) == shown


@pytest.mark.parametrize("text", ["", "1.", ".5", "-1", "1e3", "1.0000001", "٣", "1,5", "1\n"])
def test_what_is_no_amount_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"is no amount such as 2\.50"):
        micro_usd(text)


@pytest.mark.parametrize(
    ("product", "expected"),
    [
        # 55.04 dollars an hour for 8
        pytest.param("NVIDIA-H100-80GB-HBM3", 6_880_000, id="a product"),
        pytest.param("nvidia-h100-80gb-hbm3", 6_880_000, id="case does not matter"),
        pytest.param("NVIDIA-H100-SXM5-80GB", 6_880_000, id="an alias"),
        pytest.param("NVIDIA-L4-SHARED", 804_800, id="a shared card costs the whole card"),
        pytest.param("NVIDIA-H100-80GB-HBM3-MIG-3g.40gb", None, id="a slice has no price"),
        pytest.param("NVIDIA-A40", None, id="no large cloud lists it"),
        pytest.param("NVIDIA-X1", None, id="an unknown product"),
    ],
)
def test_the_price_of_a_label(product: str, expected: int | None) -> None:
    assert CATALOG.micro_usd_per_hour(product) == expected


def test_users_replace_prices_and_add_some() -> None:
    catalog, errors = priced(
        price(usd_per_gpu_hour="0.35"),
        price(product="NVIDIA-H100-SXM5-80GB", usd_per_gpu_hour="2"),
        price(product="NVIDIA-H100-80GB-HBM3-MIG-3g.40gb", usd_per_gpu_hour="1.1"),
        price(product="NVIDIA-X1", usd_per_gpu_hour="0"),
    )
    assert errors == []
    assert catalog.digest != CATALOG.digest
    assert catalog.micro_usd_per_hour("NVIDIA-L4") == 350_000
    assert catalog.micro_usd_per_hour("NVIDIA-H100-SXM5-80GB") == 2_000_000
    assert catalog.micro_usd_per_hour("NVIDIA-H100-80GB-HBM3") == 6_880_000
    assert catalog.micro_usd_per_hour("NVIDIA-H100-80GB-HBM3-MIG-3g.40gb") == 1_100_000
    assert catalog.micro_usd_per_hour("NVIDIA-X1") == 0


def test_prices_of_gpus_that_users_add() -> None:
    rows = read(data(gpus=[gpu()], prices=[price(product="NVIDIA-X", usd_per_gpu_hour="0.20")]))
    catalog, errors = CATALOG.with_user_rows(rows)
    assert errors == ()
    assert catalog.micro_usd_per_hour("nvidia-x") == 200_000


def test_a_product_has_one_price() -> None:
    rows = read(data(prices=[price()]), "a") + read(
        data(prices=[price(product="nvidia-l4", usd_per_gpu_hour="9")]), "b"
    )
    catalog, errors = CATALOG.with_user_rows(reversed(rows))
    assert catalog.micro_usd_per_hour("NVIDIA-L4") == 500_000
    assert [str(error) for error in errors] == [
        "ConfigMap b, prices.yaml[0].product: is priced by ConfigMap a, prices.yaml[0] already"
    ]


def test_how_a_card_is_shared_is_no_other_price() -> None:
    _, errors = priced(price(product="NVIDIA-L4-SHARED"))
    assert errors == [
        "ConfigMap ns/ours, prices.yaml[0].product: write it without -SHARED: "
        "a replica takes the whole card"
    ]


HEADER = "product,usd_per_gpu_hour,date,source\n"


@pytest.mark.parametrize(
    ("line", "message"),
    [
        pytest.param("NVIDIA-L5,1,2026-11-09,x", "product: gpus.csv has no 'NVIDIA-L5'", id="GPU"),
        pytest.param("NVIDIA-L4,$1,2026-11-09,x", "usd_per_gpu_hour: '\\$1' is no", id="amount"),
        pytest.param("NVIDIA-L4,1,9 Nov,x", "date: '9 Nov' is no date such as", id="date"),
        pytest.param("NVIDIA-L4,1,2026-11-09,", "source: must not be empty", id="no source"),
    ],
)
def test_a_wrong_cell_of_the_table_is_named(
    line: str, message: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def read_table(table: str, columns: frozenset[str]) -> object:
        return tables.read_rows(table, HEADER + line + "\n", columns)

    monkeypatch.setattr(price_tables, "read_table", read_table)
    gpus: tuple[Gpu, ...] = CATALOG.tables.gpus
    with pytest.raises(CatalogError, match=f"gpu_prices.csv line 2, column {message}"):
        price_tables.read_gpu_prices(gpus)
