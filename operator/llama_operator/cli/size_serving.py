"""From the arguments of `llama-operator size` to a GPU and a way to serve."""

import argparse
from dataclasses import dataclass, replace
from typing import Final

from llama_operator.catalog.catalog import Catalog
from llama_operator.catalog.rows import Gpu
from llama_operator.cli.size_options import AUTO, flag
from llama_operator.cli.size_question import Subject
from llama_operator.errors import InputError, SizingError
from llama_operator.sizing.cache import KV_CACHE_DTYPES
from llama_operator.sizing.engine_budget import Budgeting, engine_rules
from llama_operator.sizing.offload import gpu_layers_that_fit, offloads
from llama_operator.sizing.scheme_names import GGUF, MLX
from llama_operator.sizing.serving import Serving
from llama_operator.sizing.settings import Setting

ENGINE_OF_FAMILY: Final = {GGUF: "llama.cpp", MLX: "mlx-lm"}
ENGINE_OPTIONS: Final = {
    "cache_ram": (Budgeting.ALLOCATED, None),
    "flash_attn": (Budgeting.ALLOCATED, "on"),
    "kv_offloading_size": (Budgeting.UTILIZATION, None),
    "enable_expert_parallel": (Budgeting.UTILIZATION, False),
}
"""Arguments that one kind of engine has, with their defaults."""


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
    for name, (budgeting, default) in ENGINE_OPTIONS.items():
        if getattr(arguments, name) != default and setting.rules.budgeting is not budgeting:
            engine = "llama.cpp" if budgeting is Budgeting.ALLOCATED else "vLLM"
            msg = f"{flag(name)} is for {engine}; engine is {setting.rules.engine}"
            raise InputError(msg)
    if arguments.enable_expert_parallel and not setting.model.has_experts():
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
