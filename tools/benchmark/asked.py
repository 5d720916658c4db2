"""What scenario `sizing` asks: models, settings and a cluster, nothing twice."""

import json
from collections.abc import Iterator, Mapping
from dataclasses import replace
from functools import cache
from typing import Any, Final

from accuracy.rows import CONFIGS, measured_rows
from llama_operator.api.v1alpha1 import LlamaDeploymentSpec
from llama_operator.catalog.catalog import Catalog
from llama_operator.errors import SizingError
from llama_operator.planning.inventory import Inventory, NodeFacts
from llama_operator.sizing.models.model import ModelShape
from llama_operator.sizing.models.shape import model_shape
from llama_operator.sizing.scheme_names import scheme_for
from llama_operator.sizing.serving import Serving
from llama_operator.units import GIB, MIB

GPU_TYPES: Final = 20
NODE_GPUS: Final = 8
CARDS: Final = ("NVIDIA-L4", "NVIDIA-A100-SXM4-80GB", "NVIDIA-H200")
"""Products that settings are for, in turn."""
SMALL_CARD: Final = "Tesla-T4"
"""The product on which settings that do not fit are for."""
SCHEMES: Final = ("fp8-dynamic", "awq-int4-g128", "gptq-int4-g128")
"""Other quantizations of every model."""
FAMILY: Final = "llama-3.1-instruct"
SIZES: Final = ("8b", "70b", "405b")
ADDED_ROWS: Final = 64
"""Rows that the vocabulary of each made model has more than that of the one before."""
REFUSED: Final[Mapping[str, Mapping[str, Any]]] = {
    "on two of the products": {
        "hardware": [{"gpu": "Tesla-T4"}, {"gpu": "NVIDIA-L4"}],
        "context": {"maxModelLen": 131_072, "concurrency": 64},
    },
    "on all products": {
        "format": "pytorch",
        "context": {"maxModelLen": 131_072, "concurrency": 4000},
    },
}
"""Specs that the cluster refuses, by what they are."""


@cache
def configs() -> tuple[dict[str, Any], ...]:
    """Configurations of published models that can be sized, in the order of their names."""
    found = []
    for path in sorted(CONFIGS.glob("*/config.json")):
        config = json.loads(path.read_text(encoding="utf-8"))
        try:
            model_shape(config)
        except SizingError:
            continue
        found.append(config)
    return tuple(found)


def servings(shapes: tuple[ModelShape, ...], rounds: int, first: int = 0) -> Iterator[Serving]:
    """Ways to serve each model in turn, every one with another context and another batch.

    Args:
        shapes: the models.
        rounds: how often each comes.
        first: number of the first round; no two numbers have a setting in common.
    """
    cards = [Catalog.load().gpu(product) for product in CARDS]
    for number in range(first, first + rounds):
        for shape in shapes:
            yield Serving(
                shape,
                scheme_for(SCHEMES[0] if number % 2 else "none"),
                gpu=cards[number % len(cards)],
                max_model_len=4096 + 16 * number,
                max_num_seqs=64 + number,
                planned=True,
            )


def unfit(shape: ModelShape, number: int) -> Serving:
    """A large way to serve a model on a small GPU: its longest context, less some tokens."""
    return Serving(
        shape,
        scheme_for("none"),
        gpu=Catalog.load().gpu(SMALL_CARD),
        max_model_len=max(2048, shape.max_position_embeddings - 16 * number),
        max_num_seqs=64 + number,
        planned=True,
    )


def rows(count: int) -> Iterator[dict[str, Any]]:
    """Input rows of `size --jsonl`: the measured ones again and again, each time with other values.

    Rows of models whose configuration is not known have no estimate and are left out.
    """
    given = [one.given for one in measured_rows() if one.given["config"] is not None]
    for number in range(count):
        turn, row = number // len(given), given[number % len(given)]
        changed = {"max_model_len": 2048 + 16 * turn, "max_num_seqs": 16 + turn}
        yield {**row, "id": f"{row['id']}-{turn}", **changed}


def made_catalog(count: int) -> Catalog:
    """The catalog with `count` made models in each size of a family, alike but for some rows.

    Their names are those of `made_name`.
    """
    tables = Catalog.load().tables
    models = list(tables.models)
    publications = list(tables.publications)
    for model in tables.models:
        if model.name != FAMILY or model.architecture is None:
            continue
        own = [row for row in tables.publications if (row.model, row.size) == (FAMILY, model.size)]
        for number in range(count):
            name = made_name(number)
            vocabulary = model.architecture.vocab_size + (number + 1) * ADDED_ROWS
            shape = replace(model.architecture, name=name, vocab_size=vocabulary)
            models.append(replace(model, name=name, architecture=shape))
            publications += [replace(row, model=name) for row in own]
    return Catalog(replace(tables, models=tuple(models), publications=tuple(publications)))


def made_name(number: int) -> str:
    """Name of a made model."""
    return f"{FAMILY}-{number}"


def cluster() -> Inventory:
    """A node of 8 GPUs for each of 20 products, in the order of the catalog."""
    gpus = [gpu for gpu in Catalog.load().tables.gpus if gpu.compute_capability][:GPU_TYPES]
    return Inventory(
        tuple(
            NodeFacts(
                name=f"node-{number}",
                product=gpu.product,
                resource="nvidia.com/gpu",
                label="nvidia.com/gpu.product",
                gpus=NODE_GPUS,
                gpu_memory_mib=gpu.label_bytes // MIB,
                compute_capability=gpu.compute_capability,
                replicas=1,
                cpu_millicores=96_000,
                memory_bytes=1024 * GIB,
                disk_bytes=4096 * GIB,
            )
            for number, gpu in enumerate(gpus)
        )
    )


def spec(model: str, size: str, fields: Mapping[str, Any], length: int = 0) -> LlamaDeploymentSpec:
    """A deployment.

    Args:
        model: name in the catalog.
        size: of the model.
        fields: of spec beside those.
        length: `maxModelLen`, 0 for that of the fields.
    """
    context = {**fields.get("context", {}), **({"maxModelLen": length} if length else {})}
    return LlamaDeploymentSpec.model_validate(
        {"model": model, "size": size, **fields, **({"context": context} if context else {})}
    )
