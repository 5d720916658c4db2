"""Adding users' rows to the tables.

Users may add models, add publications to any model, and add or override GPUs and prices. They may
not change a model or a publication that exists: what `llama-3.1-instruct` means stays the same for
everybody who deployed it. New models come first, so that publications may be added to them from
elsewhere; apart from that rows are added in the order of ConfigMap, key and position, whatever the
order they arrive in. A row that cannot be added is left out and told.
"""

from collections.abc import Iterable
from dataclasses import replace

from llama_operator.catalog.added_gpus import AddedGpus
from llama_operator.catalog.added_models import AddedModels
from llama_operator.catalog.added_prices import AddedPrices
from llama_operator.catalog.table_set import Tables
from llama_operator.catalog.user_rows import RefusedRowError, RowError, UserRow
from llama_operator.catalog.user_schema import UserModel, UserPrice


def add_user_rows(tables: Tables, rows: Iterable[UserRow]) -> tuple[Tables, tuple[RowError, ...]]:
    """Tables with the rows added, and errors of those left out.

    The result depends on the rows, not on their order.
    """
    errors: list[RowError] = []
    models = AddedModels(tables)
    gpus = AddedGpus(tables)
    prices = AddedPrices(tables)
    for row in sorted(rows, key=_order):
        try:
            if isinstance(row.value, UserModel):
                models.add(row, row.value)
            elif isinstance(row.value, UserPrice):
                prices.add(row, row.value)
            else:
                gpus.add(row, row.value)
        except RefusedRowError as refused:
            errors.append(row.error(refused.field, refused.message))
    added = replace(
        tables,
        models=tuple(models.models.values()),
        publications=tuple(models.publications),
        gpus=tuple(gpus.gpus.values()),
        prices=tuple(prices.prices.values()),
    )
    return added, tuple(
        sorted(errors, key=lambda error: (error.configmap, error.key, error.row or 0))
    )


def _order(row: UserRow) -> tuple[bool, str, str, int]:
    adds_only = isinstance(row.value, UserModel) and row.value.architecture is None
    return (adds_only, row.configmap, row.key, row.row)
