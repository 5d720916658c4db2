"""Reader of the table of prices: cells are checked here, products against those of gpus.csv."""

import re
from collections.abc import Iterable
from typing import Final

from llama_operator.catalog.rows import Gpu, GpuPrice
from llama_operator.catalog.tables import Row, read_table
from llama_operator.units import micro_usd

TABLE: Final = "gpu_prices.csv"
_COLUMNS: Final = frozenset(["product", "usd_per_gpu_hour", "date", "source"])
_DATE: Final = re.compile(r"^20[0-9]{2}-[01][0-9]-[0-3][0-9]$")


def read_gpu_prices(gpus: Iterable[Gpu]) -> tuple[GpuPrice, ...]:
    """Rows of gpu_prices.csv.

    Args:
        gpus: rows of gpus.csv; each price is of one of them.

    Raises:
        CatalogError: a cell is wrong.
    """
    products = {gpu.product for gpu in gpus}

    def read(row: Row) -> GpuPrice:
        product, date = row.text("product"), row.text("date")
        if product not in products:
            raise row.error("product", f"gpus.csv has no {product!r}")
        if _DATE.match(date) is None:
            raise row.error("date", f"{date!r} is no date such as 2026-11-09")
        try:
            price = micro_usd(row.text("usd_per_gpu_hour"))
        except ValueError as error:
            raise row.error("usd_per_gpu_hour", str(error)) from None
        return GpuPrice(
            product=product,
            micro_usd_per_hour=price,
            date=date,
            source=row.text("source"),
        )

    return tuple(map(read, read_table(TABLE, _COLUMNS)))
