"""Many settings, one row in and one row out: the fields of `size --jsonl`."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Final

from llama_operator.catalog.catalog import Catalog
from llama_operator.catalog.rows import Gpu, Scheme
from llama_operator.errors import (
    LlamaOperatorError,
    SizingError,
    UnsupportedSchemeError,
)
from llama_operator.nesting import DEPTH_LIMIT, is_deeper
from llama_operator.sizing.estimate import Estimate, estimate, stage_caches
from llama_operator.sizing.models.model import ModelShape
from llama_operator.sizing.models.shape import model_shape
from llama_operator.sizing.scheme_names import scheme_for
from llama_operator.sizing.serving import Serving
from llama_operator.sizing.settings import DTYPE_BYTES, Setting
from llama_operator.sizing.support import Reason

INVALID_INPUT: Final = "invalid-input"
"""Reason of a row with a value that cannot be; the message names the key and what is allowed."""
COUNT_LIMIT: Final = 2**40
"""Bound of whole numbers in a row, far above any GPU's bytes."""
SIZE_LIMIT: Final = 2**14
"""Bound of tensor and pipeline parallel sizes."""
REMEMBERED_LETTERS: Final = 1 << 16
"""Configurations up to this length are remembered with their shapes."""
_MISTRAL_FORMAT: Final = "mistralai/"
"""Owner of repositories in Mistral's own format, which no key of config.json tells."""


class _Refused(Exception):
    """A row without an estimate: its reason and a message."""

    def __init__(self, reason: str, message: str) -> None:
        super().__init__(message)
        self.reason = reason


@dataclass(frozen=True, slots=True)
class RowAnswer:
    """What is said of a row.

    Attributes:
        fields: of the output row.
        message: why the row was not sized, in words; empty when it was.
    """

    fields: dict[str, Any]
    message: str = ""


def estimate_row(row: Mapping[str, Any]) -> RowAnswer:
    """The output fields of one input row; memory model, section 13.

    What is null in the row has the engine version's default. A row that cannot be sized has
    `reason`. All bytes are whole numbers for one GPU.

    Args:
        row: fields `id`, `engine`, `engine_version`, `model`, `config`, `quantization`, `dtype`,
            `kv_cache_dtype`, `gpu`, `tensor_parallel_size`, `pipeline_parallel_size`,
            `gpu_memory_utilization`, `max_model_len`, `max_num_batched_tokens`, `max_num_seqs`,
            `enforce_eager` and `available_kv_cache_bytes`; absent ones are null.

    Returns:
        `id` and what can be said; never raises for a row, whatever its values.
    """
    if not isinstance(row, Mapping):
        return RowAnswer({"id": None, "reason": INVALID_INPUT}, "a row must be an object")
    if is_deeper(row, DEPTH_LIMIT):
        message = f"the row nests more than {DEPTH_LIMIT} objects and lists"
        return RowAnswer({"id": None, "reason": INVALID_INPUT}, message)
    name = {"id": row.get("id")}
    try:
        setting = _setting(row)
        available = _whole(row, "available_kv_cache_bytes", least=0)
        if available is not None:
            return RowAnswer({**name, "kv_cache_tokens": tokens_of(setting, available)})
        found = estimate(setting)
        message = "" if found.stages else found.message
        return RowAnswer({**name, **_fields(setting, found)}, message)
    except _Refused as refused:
        reason, why = refused.reason, str(refused)
    except UnsupportedSchemeError as error:
        reason, why = str(Reason.UNSUPPORTED_QUANTIZATION), str(error)
    except LlamaOperatorError as error:
        reason, why = INVALID_INPUT, str(error)
    except (ArithmeticError, AttributeError, LookupError, TypeError, ValueError) as error:
        reason, why = INVALID_INPUT, f"the row cannot be sized: {error}"
    return RowAnswer({**name, "reason": str(reason)}, why)


def tokens_of(setting: Setting, pool_bytes: int) -> int:
    """Tokens that the engine prints for so many bytes of KV cache on each GPU."""
    return min(
        cache.tokens(pool_bytes, setting.max_model_len, setting.max_num_batched_tokens)
        for cache in stage_caches(setting)
    )


def _fields(setting: Setting, found: Estimate) -> dict[str, Any]:
    out: dict[str, Any] = {"checkpoint_bytes": found.checkpoint_bytes}
    if found.stages:
        first = found.stages[0]
        out |= {
            "weights_bytes": first.weights_bytes,
            "weights_bytes_per_stage": [stage.weights_bytes for stage in found.stages],
            "activation_bytes": first.activation_bytes,
            "activation_bytes_per_stage": [stage.activation_bytes for stage in found.stages],
            "non_torch_bytes": first.non_torch_bytes,
        }
        if setting.rules.memory.captures_graphs:
            out["cuda_graph_bytes"] = first.cuda_graph_bytes
        if first.kv_cache_bytes is not None:
            out["kv_cache_bytes"] = first.kv_cache_bytes
            out["kv_cache_tokens"] = found.kv_cache_tokens
        if found.max_concurrency is not None:
            out["max_concurrency"] = round(found.max_concurrency, 4)
    if found.fits is not None:
        out["fits"] = found.fits
    if found.reason is not None:
        out["reason"] = str(found.reason)
    return out


def _setting(row: Mapping[str, Any]) -> Setting:
    model = _model(row)
    scheme = _scheme(row)
    gpu, product, total = _gpu(row)
    dtype = _text(row, "dtype")
    if dtype is not None and dtype not in DTYPE_BYTES:
        raise _Refused(INVALID_INPUT, f"dtype is {dtype!r}; allowed are {', '.join(DTYPE_BYTES)}")
    utilization = _share(row, "gpu_memory_utilization")
    eager = row.get("enforce_eager")
    if eager not in (None, True, False):
        raise _Refused(INVALID_INPUT, f"enforce_eager is {eager!r}; allowed are true and false")
    try:
        return Serving(
            model,
            scheme,
            engine=_engine(row),
            engine_version=_text(row, "engine_version"),
            gpu=gpu,
            product=product,
            total_bytes=total,
            tensor_parallel_size=_whole(row, "tensor_parallel_size", most=SIZE_LIMIT) or 1,
            pipeline_parallel_size=_whole(row, "pipeline_parallel_size", most=SIZE_LIMIT) or 1,
            utilization=utilization,
            max_model_len=_whole(row, "max_model_len"),
            max_num_batched_tokens=_whole(row, "max_num_batched_tokens"),
            max_num_seqs=_whole(row, "max_num_seqs"),
            enforce_eager=bool(eager),
            dtype=dtype,
            kv_cache_dtype=_text(row, "kv_cache_dtype") or "auto",
        ).setting()
    except SizingError as error:
        raise _Refused(INVALID_INPUT, str(error)) from None


def _model(row: Mapping[str, Any]) -> ModelShape:
    config = row.get("config")
    if not isinstance(config, Mapping):
        raise _Refused(Reason.UNSUPPORTED_MODEL, "config must be the object of a config.json")
    name = row.get("model")
    name = name if isinstance(name, str) else ""
    text = json.dumps(config)
    shape = _shape if len(text) <= REMEMBERED_LETTERS else _shape.__wrapped__
    found = shape(text, name, name.startswith(_MISTRAL_FORMAT))
    if isinstance(found, str):
        raise _Refused(Reason.UNSUPPORTED_MODEL, found)
    return found


@lru_cache(maxsize=1024)
def _shape(config: str, name: str, mistral_format: bool) -> ModelShape | str:
    """The shape of a configuration, or why it has none; one object for equal configurations."""
    try:
        return model_shape(json.loads(config), name=name, mistral_format=mistral_format)
    except LlamaOperatorError as error:
        return str(error)


def _scheme(row: Mapping[str, Any]) -> Scheme:
    name = _text(row, "quantization")
    if not name:
        raise _Refused(Reason.UNSUPPORTED_QUANTIZATION, "quantization must name a scheme")
    try:
        return scheme_for(name)
    except LlamaOperatorError as error:
        raise _Refused(Reason.UNSUPPORTED_QUANTIZATION, str(error)) from None


def _gpu(row: Mapping[str, Any]) -> tuple[Gpu | None, str, int]:
    gpu = row.get("gpu")
    if gpu is None:
        return None, "", 0
    if not isinstance(gpu, Mapping):
        raise _Refused(INVALID_INPUT, "gpu must be an object with product and memory_mib, or null")
    memory_mib = _whole(gpu, "memory_mib")
    found = _visible(_text(gpu, "product") or "", memory_mib or 0)
    if found[0] is not None and found[2] <= 0:
        raise _Refused(
            INVALID_INPUT, f"gpu.memory_mib is {memory_mib}, less than the driver keeps for itself"
        )
    return found


@lru_cache(maxsize=1024)
def _visible(product: str, memory_mib: int) -> tuple[Gpu | None, str, int]:
    """The row of a product, its label, and what a process sees of it; memory model, section 10.

    The node's label is preferred over the table. A MIG slice has its own memory and the compute
    capability of its parent.
    """
    found = Catalog.load().labelled_gpu(product, memory_mib or None)
    return (found.gpu, product, found.total_bytes) if found else (None, product, 0)


def _engine(row: Mapping[str, Any]) -> str:
    name = _text(row, "engine")
    return "vllm" if name is None else name


def _text(row: Mapping[str, Any], key: str) -> str | None:
    value = row.get(key)
    if value is None or isinstance(value, str):
        return value
    raise _Refused(INVALID_INPUT, f"{key} is {value!r}; it must be a text or null")


def _whole(
    row: Mapping[str, Any], key: str, *, least: int = 1, most: int = COUNT_LIMIT
) -> int | None:
    value = row.get(key)
    if value is None:
        return None
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    if isinstance(value, bool) or not isinstance(value, int) or not least <= value <= most:
        raise _Refused(
            INVALID_INPUT, f"{key} is {value!r}; it must be a whole number from {least} to {most}"
        )
    return value


def _share(row: Mapping[str, Any], key: str) -> float | None:
    value = row.get(key)
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 < value <= 1:
        raise _Refused(INVALID_INPUT, f"{key} is {value!r}; it must be above 0 and at most 1")
    return float(value)
