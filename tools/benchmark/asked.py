"""What scenario `sizing` asks: models, settings and a cluster, none of them twice."""

import json
from collections.abc import Iterator
from dataclasses import replace
from functools import cache
from typing import Any, Final

from accuracy.rows import CONFIGS, measured_rows
from llama_operator.api.v1alpha1 import LlamaDeploymentSpec
from llama_operator.catalog.catalog import Catalog
from llama_operator.catalog.rows import Architecture, Model, Publication
from llama_operator.errors import SizingError
from llama_operator.planning.inventory import Inventory, NodeFacts
from llama_operator.sizing.models.model import ModelShape
from llama_operator.sizing.models.shape import model_shape
from llama_operator.sizing.nearest import Changes, Serving
from llama_operator.sizing.scheme_names import scheme_for
from llama_operator.units import GIB, MIB

GPU_TYPES: Final = 20
NODE_GPUS: Final = 8
CARDS: Final = ("NVIDIA-L4", "NVIDIA-A100-SXM4-80GB", "NVIDIA-H200")
"""Products that settings are for, in turn."""
SMALL_CARD: Final = "Tesla-T4"
"""The product on which what does not fit is asked for."""
PUBLISHED: Final[tuple[tuple[Changes, str], ...]] = tuple(
    ((("--quantization", name),), name) for name in ("fp8-dynamic", "awq-int4-g128", "gptq-int4-g128")
)
"""Other quantizations of every model."""
SIZES: Final = ("8b", "70b", "405b")
FAMILY: Final = "llama-3.1-instruct"
_ADDED_ROWS: Final = 64
"""What the vocabulary of each made model has more than that of the one before."""


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


def servings(shapes: tuple[ModelShape, ...], repeats: int) -> Iterator[Serving]:
    """Ways to serve all models in turn, every one with a context and a batch of its own."""
    catalog = Catalog.load()
    cards = tuple(catalog.gpu(product) for product in CARDS)
    for number in range(repeats):
        for shape in shapes:
            yield Serving(
                shape,
                scheme_for("fp8-dynamic" if number % 2 else "none"),
                gpu=cards[number % len(cards)],
                tensor_parallel_size=2 ** (number % 3),
                max_model_len=4096 + 16 * number,
                max_num_seqs=64 + number,
            )


def unfit(shape: ModelShape, number: int) -> Serving:
    """A way to serve a model that no T4 holds: its longest context, less some tokens."""
    length = max(2048, shape.max_position_embeddings - 16 * number)
    return Serving(
        shape,
        scheme_for("none"),
        gpu=Catalog.load().gpu(SMALL_CARD),
        max_model_len=length,
        max_num_seqs=64 + number,
    )


def rows(count: int) -> Iterator[dict[str, Any]]:
    """Rows of the batch interface: the measured ones, with other contexts and batches each time."""
    given = [one.given for one in measured_rows()]
    for number in range(count):
        row = given[number % len(given)]
        turn = number // len(given)
        yield {
            **row,
            "id": f"{row['id']}-{turn}",
            "max_model_len": 2048 + 16 * turn,
            "max_num_seqs": 16 + turn,
        }


def catalog_of(made: int) -> Catalog:
    """The catalog with as many made models of each size as are asked for, alike but for a few rows.

    Their names are those of `made_model`.
    """
    tables = Catalog.load().tables
    models: list[Model] = []
    publications: list[Publication] = []
    architectures: list[Architecture] = []
    for model in tables.models:
        if model.name != FAMILY or model.architecture is None:
            continue
        own = [row for row in tables.publications if (row.model, row.size) == (FAMILY, model.size)]
        for number in range(made):
            name = made_model(number)
            rows = model.architecture.vocab_size + (number + 1) * _ADDED_ROWS
            shape = replace(model.architecture, name=f"{name}-{model.size}", vocab_size=rows)
            architectures.append(shape)
            models.append(replace(model, name=name, architecture=shape))
            publications += [replace(row, model=name) for row in own]
    return Catalog(
        replace(
            tables,
            architectures=(*tables.architectures, *architectures),
            models=(*tables.models, *models),
            publications=(*tables.publications, *publications),
        )
    )


def made_model(number: int) -> str:
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
                usable=True,
            )
            for number, gpu in enumerate(gpus)
        )
    )


def spec(model: str, size: str, **fields: Any) -> LlamaDeploymentSpec:  # noqa: ANN401 - of the API
    """A deployment of a model."""
    return LlamaDeploymentSpec.model_validate({"model": model, "size": size, **fields})
