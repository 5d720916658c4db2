"""From the arguments of `llama-operator size` to a model, a GPU and a way to serve."""

import argparse
import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

from llama_operator.catalog.catalog import Catalog
from llama_operator.catalog.rows import Gpu, Model, Publication, Scheme
from llama_operator.cli.size_options import AUTO
from llama_operator.errors import ConfigError, InputError, SizingError, SpecError
from llama_operator.nesting import DEPTH_LIMIT, is_deeper
from llama_operator.sizing.architectures import shape_of
from llama_operator.sizing.cache import KV_CACHE_DTYPES
from llama_operator.sizing.engine_budget import Budgeting, engine_rules
from llama_operator.sizing.models.model import ModelShape
from llama_operator.sizing.models.shape import model_shape
from llama_operator.sizing.nearest import Changes
from llama_operator.sizing.offload import gpu_layers_that_fit, offloads
from llama_operator.sizing.quantization_config import quantization_name
from llama_operator.sizing.scheme_names import UNQUANTIZED, scheme_for
from llama_operator.sizing.serving import Serving
from llama_operator.sizing.settings import Setting

AT_LOAD: Final = ("fp8-online",)
"""Schemes that vLLM makes of 16-bit weights while it loads them."""
ENGINE_OF_FAMILY: Final = {"gguf": "llama.cpp", "mlx": "mlx-lm"}
CONFIG_BYTES_LIMIT: Final = 16 << 20
GGUF_SUFFIX: Final = ".gguf"
NOTHING_NAMED: Final = (
    "MODEL or --config is needed: a name of the catalog with its SIZE, e.g. llama-3.1-instruct "
    "70b, a repository, e.g. Qwen/Qwen3-8B, a config.json or a GGUF file"
)


@dataclass(frozen=True, slots=True)
class Subject:
    """The model that is asked about.

    Attributes:
        title: as people know it.
        repository: where it is published; empty for a file.
        shape: its tensors.
        scheme: how its weights are stored.
        others: other quantizations, each with the options that choose it.
        stored_bytes: weights as the repository holds them; None where that is not known.
        tensor_bytes: of all tensors of a GGUF file whose header was read; None for others.
        largest_file_bytes: of its files with weights; None where they are not known.
        note: how they differ from what is computed; empty where they do not.
        quantize_at_load: whether the repository holds 16-bit weights that the engine quantizes.
    """

    title: str
    repository: str
    shape: ModelShape
    scheme: Scheme
    others: tuple[tuple[Changes, Scheme], ...]
    stored_bytes: int | None = None
    note: str = ""
    quantize_at_load: bool = False
    tensor_bytes: int | None = None
    largest_file_bytes: int | None = None


def read_subject(arguments: argparse.Namespace, catalog: Catalog) -> Subject:
    """The model of the arguments.

    Raises:
        InputError: no model is named, or something that does not exist; names what does.
        HubUnreachableError: a hub does not answer.
    """
    if arguments.config is not None:
        if arguments.model is not None:
            msg = "MODEL and --config exclude each other"
            raise InputError(msg)
        return _of_file(arguments)
    if arguments.model is None:
        raise InputError(NOTHING_NAMED)
    if "/" in arguments.model:
        if arguments.size is not None:
            msg = f"SIZE {arguments.size!r}: a repository has no sizes"
            raise InputError(msg)
        # Imported here: no other way to name a model needs a network.
        from llama_operator.cli.size_repository import subject_of_repository

        return subject_of_repository(arguments)
    if arguments.size is None:
        sizes = [row.size for row in catalog.tables.models if row.name == arguments.model]
        known = f"sizes are {', '.join(sizes)}" if sizes else _known_models(catalog)
        msg = f"SIZE is needed beside MODEL {arguments.model!r}: {known}"
        raise InputError(msg)
    return _of_catalog(arguments, catalog)


def read_config_file(path: Path) -> Mapping[str, Any]:
    """The object of a config.json, or of the one in a folder.

    Raises:
        InputError: it cannot be read or is no JSON object.
    """
    file = path / "config.json" if path.is_dir() else path
    try:
        if file.stat().st_size > CONFIG_BYTES_LIMIT:
            msg = f"--config {file}: more than {CONFIG_BYTES_LIMIT >> 20} MiB are no config.json"
            raise InputError(msg)
        found = json.loads(file.read_text("utf-8-sig"))
    except OSError as error:
        msg = f"--config {file} cannot be read: {error.strerror}"
        raise InputError(msg) from None
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        msg = f"--config {file} is no JSON: {error}"
        raise InputError(msg) from None
    except (ValueError, RecursionError):
        msg = f"--config {file} is no config.json: its numbers or its nesting have no end"
        raise InputError(msg) from None
    if not isinstance(found, dict):
        msg = f"--config {file} holds no JSON object"
        raise InputError(msg)
    if is_deeper(found, DEPTH_LIMIT):
        msg = f"--config {file} nests more than {DEPTH_LIMIT} objects and lists"
        raise InputError(msg)
    return found


def _of_file(arguments: argparse.Namespace) -> Subject:
    path: Path = arguments.config
    if path.suffix.lower() == GGUF_SUFFIX:
        # Imported here: what reads such files is not needed elsewhere.
        from llama_operator.cli.size_gguf import subject_of_file

        return subject_of_file(path, one_quantization(arguments), arguments)
    return subject_of_config(read_config_file(path), str(path), "", arguments)


def subject_of_config(
    config: Mapping[str, Any], title: str, repository: str, arguments: argparse.Namespace
) -> Subject:
    """The model of a configuration.

    Args:
        config: a whole `config.json`.
        title: names it in the answer and in errors.
        repository: where it is from; empty for a file.
        arguments: of the command.

    Raises:
        InputError: it does not describe a model that can be sized.
    """
    check_no_format(arguments)
    source = f"MODEL {repository!r}" if repository else f"--config {title}"
    named = one_quantization(arguments)
    try:
        shape = model_shape(config, name=repository or title)
        scheme = scheme_for(named or quantization_name(config))
    except ConfigError as error:
        msg = f"{source}: {error}"
        raise InputError(msg) from None
    except SizingError as error:
        msg = f"{source if named is None else '--quantization'}: {error}"
        raise InputError(msg) from None
    made = AT_LOAD if scheme.name == UNQUANTIZED else ()
    others = tuple(((("--quantization", name),), scheme_for(name)) for name in made)
    return Subject(title, repository, shape, scheme, others)


def check_no_format(arguments: argparse.Namespace) -> None:
    """Check that no format is named.

    Raises:
        InputError: one is.
    """
    if arguments.format is not None:
        msg = "--format is for models of the catalog; --quantization names a scheme"
        raise InputError(msg)


def _of_catalog(arguments: argparse.Namespace, catalog: Catalog) -> Subject:
    try:
        model = catalog.model(arguments.model, arguments.size)
        shape = catalog_shape(model)
        scheme, publication = _published(arguments, catalog, model)
    except SpecError as error:
        field = error.field.removeprefix("spec.")
        option = {"model": "MODEL", "size": "SIZE"}.get(field, f"--{field}")
        msg = f"{option}: {error.message}"
        raise InputError(msg) from None
    except SizingError as error:
        raise InputError(str(error)) from None
    rows = catalog.publications(model.name, model.size)
    others = {
        (row.format, row.quantization): (
            (("--format", row.format), ("--quantization", row.quantization)),
            catalog.scheme(row.scheme),
        )
        for row in rows
        if row.hub == arguments.hub and row.publisher_rank == 1 and row.scheme != scheme.name
    }
    repository = publication.repository if publication else ""
    title = f"{model.name} {model.size}"
    return Subject(
        title,
        repository,
        shape,
        scheme,
        tuple(others.values()),
        quantize_at_load=publication is not None and publication.quantize_at_load,
    )


def catalog_shape(model: Model) -> ModelShape:
    """The shape of a catalog's model.

    Raises:
        InputError: the model cannot be served.
    """
    if model.architecture is None:
        msg = f"MODEL: {model.name} {model.size} cannot be sized: {model.not_servable}"
        raise InputError(msg)
    return shape_of(model.architecture)


def _published(
    arguments: argparse.Namespace, catalog: Catalog, model: Model
) -> tuple[Scheme, Publication | None]:
    """The scheme of the arguments and, with a format, the publication that holds it."""
    quantization = one_quantization(arguments)
    where = model.name, model.size
    if arguments.format is not None:
        row = catalog.resolve(*where, arguments.format, quantization, arguments.hub)
        return catalog.scheme(row.scheme), row
    if quantization is not None:
        return scheme_for(quantization), None
    for row in catalog.publications(*where):
        if row.scheme == UNQUANTIZED and row.hub == arguments.hub and row.publisher_rank == 1:
            return catalog.scheme(row.scheme), row
    return scheme_for(UNQUANTIZED), None


def one_quantization(arguments: argparse.Namespace) -> str | None:
    """The quantization that is named; None for none, and with `--sweep`.

    Raises:
        InputError: several are, without `--sweep`.
    """
    names = arguments.quantization or [None]
    if len(names) > 1 and not arguments.sweep:
        msg = "--quantization: several only with --sweep"
        raise InputError(msg)
    return names[0] if len(names) == 1 and not arguments.sweep else None


def _known_models(catalog: Catalog) -> str:
    names = sorted({row.name for row in catalog.tables.models})
    return f"the catalog has {', '.join(names)}; a repository is named owner/name"


@dataclass(frozen=True, slots=True)
class Card:
    """A GPU: its row, the product as its label spells it, and what a process sees of it."""

    gpu: Gpu
    product: str
    total_bytes: int


def read_gpu(product: str, memory_mib: int | None, catalog: Catalog) -> Card:
    """The GPU of a label, with the memory of its label where that is given.

    A MIG slice has its own memory and the compute capability of its parent.

    Raises:
        InputError: the catalog does not know it and no memory is given, or less than its driver
            keeps.
    """
    found = catalog.labelled_gpu(product, memory_mib)
    if found is None:
        msg = (
            f"--gpu {product!r} is not in the catalog (llama-operator gpus lists it); "
            "give its label nvidia.com/gpu.memory by --gpu-memory-mib"
        )
        raise InputError(msg)
    if found.total_bytes <= 0:
        msg = f"--gpu-memory-mib {memory_mib} is less than the driver of {product} keeps for itself"
        raise InputError(msg)
    return Card(found.gpu, product, found.total_bytes)


def named_card(arguments: argparse.Namespace, catalog: Catalog) -> Card | None:
    """The GPU of the arguments; None where none is named, or several are to be swept.

    Raises:
        InputError: it is not known, or several are named.
    """
    products = arguments.gpu or []
    if len(products) > 1 and not arguments.sweep:
        msg = "--gpu: several only with --sweep"
        raise InputError(msg)
    if arguments.gpu_memory_mib is not None and not products:
        msg = "--gpu-memory-mib is of a GPU; name it by --gpu"
        raise InputError(msg)
    if len(products) != 1:
        return None
    return read_gpu(products[0], arguments.gpu_memory_mib, catalog)


def read_serving(arguments: argparse.Namespace, catalog: Catalog, subject: Subject) -> Serving:
    """How the model is to be served.

    Raises:
        InputError: an argument names what does not exist; names what does.
    """
    card = named_card(arguments, catalog)
    if arguments.kv_cache_dtype not in KV_CACHE_DTYPES:
        allowed = ", ".join(KV_CACHE_DTYPES)
        msg = f"--kv-cache-dtype {arguments.kv_cache_dtype!r} is none of {allowed}"
        raise InputError(msg)
    tokens, seqs = arguments.max_num_batched_tokens, arguments.max_num_seqs
    if tokens is not None and seqs is not None and tokens < seqs:
        msg = f"--max-num-batched-tokens {tokens} is below --max-num-seqs {seqs}: a token for each"
        raise InputError(msg)
    engine = arguments.engine
    if engine is None:
        engine = ENGINE_OF_FAMILY.get(subject.scheme.family, "vllm")
    version = arguments.engine_version
    if version is not None and not version[:1].isdecimal():
        msg = f"--engine-version {version!r} does not begin with a number, as 0.19.0 does"
        raise InputError(msg)
    try:
        engine_rules(engine, version)
    except SizingError as error:
        msg = f"--engine: {error}"
        raise InputError(msg) from None
    serving = Serving(
        model=subject.shape,
        scheme=subject.scheme,
        engine=engine,
        engine_version=arguments.engine_version,
        tensor_parallel_size=arguments.tensor_parallel_size or 1,
        pipeline_parallel_size=arguments.pipeline_parallel_size,
        utilization=arguments.gpu_memory_utilization,
        planned=True,
        max_model_len=arguments.max_model_len,
        max_num_batched_tokens=arguments.max_num_batched_tokens,
        max_num_seqs=arguments.max_num_seqs,
        enforce_eager=arguments.enforce_eager,
        dtype=arguments.dtype,
        kv_cache_dtype=arguments.kv_cache_dtype,
        stored_bytes=subject.tensor_bytes,
        expert_parallel=arguments.enable_expert_parallel,
        flash_attention=arguments.flash_attn == "on",
    )
    try:
        _check_engine_options(serving.setting(), arguments)
    except SizingError as error:
        raise InputError(str(error)) from None
    if card is not None:
        serving = on_card(serving, card)
    return _with_gpu_layers(serving, arguments.n_gpu_layers)


def _check_engine_options(setting: Setting, arguments: argparse.Namespace) -> None:
    """Options that one engine has, or that do something to some models alone."""
    engine = setting.rules.engine
    if arguments.flash_attn != "on" and setting.rules.budgeting is not Budgeting.ALLOCATED:
        msg = f"--flash-attn is for llama.cpp; engine is {engine}"
        raise InputError(msg)
    if arguments.enable_expert_parallel:
        if setting.rules.budgeting is not Budgeting.UTILIZATION:
            msg = f"--enable-expert-parallel is for vLLM; engine is {engine}"
            raise InputError(msg)
        if not setting.model.has_experts():
            msg = "--enable-expert-parallel: the model has no experts"
            raise InputError(msg)


def _with_gpu_layers(serving: Serving, wanted: int | str | None) -> Serving:
    if wanted is None:
        return serving
    setting = serving.setting()
    if not offloads(setting):
        msg = (
            "--n-gpu-layers is for llama.cpp with GGUF files; engine is "
            f"{setting.rules.engine}, quantization {setting.scheme.name}"
        )
        raise InputError(msg)
    if wanted != AUTO:
        return replace(serving, gpu_layers=int(wanted))
    if setting.total_bytes <= 0:
        msg = "--n-gpu-layers auto needs a --gpu to fit"
        raise InputError(msg)
    return replace(serving, gpu_layers=gpu_layers_that_fit(setting).gpu_layers)


def on_card(serving: Serving, card: Card) -> Serving:
    """The same on a GPU."""
    return replace(serving, gpu=card.gpu, product=card.product, total_bytes=card.total_bytes)
