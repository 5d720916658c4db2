"""Rows as users write them, and what the catalog makes of them."""

import json
from collections.abc import Mapping
from typing import Any

from llama_operator.catalog.catalog import Catalog
from llama_operator.catalog.user_rows import UserRows, read_user_rows

CATALOG = Catalog.load()
SHAPE = {
    "hidden_size": 3072,
    "intermediate_size": 8192,
    "num_hidden_layers": 28,
    "num_attention_heads": 24,
    "num_key_value_heads": 8,
    "head_dim": 128,
    "vocab_size": 128256,
    "max_position_embeddings": 131072,
    "tie_word_embeddings": True,
}
PLAIN = {"format": "pytorch", "quantization": "none", "repository": "o/r"}


def model(**changes: Any) -> dict[str, Any]:
    row = {
        "name": "hermes-3",
        "size": "8b",
        "architecture": "llama-3.1-8b",
        "publications": [PLAIN],
        **changes,
    }
    return {key: value for key, value in row.items() if value is not None}


def publication(**changes: Any) -> dict[str, Any]:
    return model(publications=[{**PLAIN, **changes}])


def shaped(**changes: Any) -> dict[str, Any]:
    return model(architecture={key: v for key, v in {**SHAPE, **changes}.items() if v is not None})


def gpu(**changes: Any) -> dict[str, Any]:
    row = {"product": "NVIDIA-X", "label_mib": 16376, "compute_capability": "8.9", **changes}
    return {key: value for key, value in row.items() if value is not None}


def price(**changes: Any) -> dict[str, Any]:
    return {"product": "NVIDIA-L4", "usd_per_gpu_hour": "0.50", **changes}


def data(
    models: list[Any] | None = None,
    gpus: list[Any] | None = None,
    prices: list[Any] | None = None,
) -> dict[str, str]:
    texts = {"models.yaml": models, "gpus.yaml": gpus, "prices.yaml": prices}
    return {key: json.dumps(rows) for key, rows in texts.items() if rows is not None}


def read(values: Mapping[str, str], name: str = "ns/ours") -> UserRows:
    rows, errors = read_user_rows(name, values)
    assert errors == ()
    return rows


def added(*models: Any) -> tuple[Catalog, list[str]]:
    catalog, errors = CATALOG.with_user_rows(read(data(models=list(models))))
    catalog.tables.check()
    return catalog, list(map(str, errors))


def added_gpus(*gpus: Any) -> tuple[Catalog, list[str]]:
    catalog, errors = CATALOG.with_user_rows(read(data(gpus=list(gpus))))
    catalog.tables.check()
    return catalog, list(map(str, errors))


def priced(*prices: Any) -> tuple[Catalog, list[str]]:
    catalog, errors = CATALOG.with_user_rows(read(data(prices=list(prices))))
    catalog.tables.check()
    return catalog, list(map(str, errors))
