"""Users' prices, in the place of those that ship with the package or beside them."""

from llama_operator.catalog.gpus import SHARED_SUFFIX
from llama_operator.catalog.rows import GpuPrice
from llama_operator.catalog.table_set import Tables
from llama_operator.catalog.user_rows import RefusedRowError, UserRow
from llama_operator.catalog.user_schema import UserPrice
from llama_operator.units import micro_usd


class AddedPrices:
    """Prices that grow row by row; a refused row leaves them as they were."""

    def __init__(self, tables: Tables) -> None:
        self.prices = {row.product.casefold(): row for row in tables.prices}
        self._owners: dict[str, UserRow] = {}

    def add(self, row: UserRow, wanted: UserPrice) -> None:
        """Set the price of a product, which need not be in the table of GPUs.

        Raises:
            RefusedRowError: another row gives it already, or it names how a GPU is shared.
        """
        product = wanted.product.casefold()
        if wanted.product.upper().endswith(SHARED_SUFFIX):
            raise RefusedRowError(
                "product", f"write it without {SHARED_SUFFIX}: a replica takes the whole card"
            )
        if (owner := self._owners.get(product)) is not None:
            raise RefusedRowError(
                "product",
                f"is priced by ConfigMap {owner.configmap}, {owner.key}[{owner.row}] already",
            )
        self.prices[product] = GpuPrice(
            product=wanted.product,
            micro_usd_per_hour=micro_usd(wanted.usd_per_gpu_hour),
            date="",
            source=wanted.source or f"ConfigMap {row.configmap}",
        )
        self._owners[product] = row
