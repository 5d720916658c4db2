"""What a prefetch tells at its end: facts for the operator, small enough for Kubernetes.

A container's termination message has at most 4,096 bytes (Kubernetes, "Customizing the termination
message"); what a repository says is cut so that it always fits.
"""

import json
import math
from collections.abc import Mapping, Sequence
from typing import Any, Final

from llama_operator.api.reasons import Reason
from llama_operator.download.facts import GgufHeader, ModelFacts
from llama_operator.download.prefetch import Prefetched
from llama_operator.errors import (
    ChecksumError,
    FileNotFoundInRepositoryError,
    GatedRepositoryError,
    HubAccessError,
    HubUnreachableError,
    InputError,
    LlamaOperatorError,
    NotCachedError,
    RepositoryNotFoundError,
    RevisionNotFoundError,
    VolumeError,
    VolumeTooSmallError,
)

LIMIT_BYTES: Final = 4096
DTYPES_LIMIT: Final = 24
TEXT_LIMIT: Final = 80
NUMBER_LIMIT: Final = 1 << 63
CONFIG_KEYS: Final = (
    "model_type",
    "hidden_size",
    "intermediate_size",
    "num_hidden_layers",
    "num_attention_heads",
    "num_key_value_heads",
    "head_dim",
    "vocab_size",
    "max_position_embeddings",
    "sliding_window",
    "tie_word_embeddings",
    "torch_dtype",
    "dtype",
)
"""Of `config.json` and its `text_config`: what sizing goes by (memory of transformers)."""
QUANTIZATION_KEYS: Final = (
    "quant_method",
    "quant_algo",
    "bits",
    "group_size",
    "format",
    "load_in_4bit",
    "bnb_4bit_quant_type",
)
GGUF_KEYS: Final = (
    "block_count",
    "context_length",
    "embedding_length",
    "feed_forward_length",
    "attention.head_count",
    "attention.head_count_kv",
    "vocab_size",
    "expert_count",
)
"""Of a GGUF header, after its architecture."""
_REASONS: Final[tuple[tuple[type[LlamaOperatorError], Reason], ...]] = (
    (GatedRepositoryError, Reason.REPOSITORY_ACCESS_DENIED),
    (HubAccessError, Reason.REPOSITORY_ACCESS_DENIED),
    (RepositoryNotFoundError, Reason.REPOSITORY_NOT_FOUND),
    (RevisionNotFoundError, Reason.REPOSITORY_NOT_FOUND),
    (FileNotFoundInRepositoryError, Reason.REPOSITORY_NOT_FOUND),
    (HubUnreachableError, Reason.HUB_UNREACHABLE),
    (ChecksumError, Reason.DOWNLOAD_CORRUPT),
    (NotCachedError, Reason.MODEL_NOT_FETCHED),
    (VolumeTooSmallError, Reason.VOLUME_TOO_SMALL),
    (VolumeError, Reason.VOLUME_UNUSABLE),
    (InputError, Reason.INVALID_SPEC),
)
"""The first row that is a class of the error counts."""


def reason_of(error: LlamaOperatorError) -> Reason:
    """The condition reason that an error of a prefetch becomes."""
    for kind, reason in _REASONS:
        if isinstance(error, kind):
            return reason
    return Reason.REPOSITORY_UNUSABLE


def error_record(error: LlamaOperatorError) -> dict[str, str]:
    """Reason and message; the message is cut so that the JSON text fits."""
    message = str(error)
    while True:
        record = {"reason": str(reason_of(error)), "message": message}
        if len(termination_text(record)) <= LIMIT_BYTES:
            return record
        message = message[: len(message) * 3 // 4] + "…"


def success_record(result: Prefetched, revision: str) -> dict[str, Any]:
    """Facts of what is there: JSON values whose text fits.

    Args:
        result: of the prefetch.
        revision: that was asked for.
    """
    facts = result.facts
    record: dict[str, Any] = {
        "repository": facts.repository,
        "hub": facts.hub,
        "revision": revision,
        "commit": facts.commit,
        "gated": facts.gated,
        "path": str(result.path),
        "bytes": result.total_bytes,
        "files": len(result.files),
        "fetched_bytes": result.fetched_bytes,
        "seconds": round(result.seconds, 1),
    }
    header = _gguf_header(result)
    parts = {
        "dtypes": _gguf_types(header) if header is not None else _dtypes(facts),
        "config": _gguf_config(header) if header is not None else _config(facts),
    }
    for name, part in parts.items():
        if len(termination_text({**record, name: part})) <= LIMIT_BYTES:
            record[name] = part
    return record


def termination_text(record: Mapping[str, Any]) -> bytes:
    """The record as one line of ASCII."""
    return json.dumps(record, separators=(",", ":")).encode("ascii")


def _dtypes(facts: ModelFacts) -> dict[str, dict[str, int]]:
    dtypes = {} if facts.safetensors is None else facts.safetensors.dtypes
    largest = sorted(dtypes.items(), key=lambda item: -item[1].size_bytes)[:DTYPES_LIMIT]
    return {
        name: {"tensors": total.tensors, "elements": total.elements, "bytes": total.size_bytes}
        for name, total in largest
    }


def _config(facts: ModelFacts) -> dict[str, Any]:
    config = facts.config or {}
    found = _scalars(config, CONFIG_KEYS)
    text = config.get("text_config")
    if isinstance(text, Mapping):
        found["text_config"] = _scalars(text, CONFIG_KEYS)
    quantization = config.get("quantization_config", facts.quantization_config)
    if isinstance(quantization, Mapping):
        inner = quantization.get("quantization")
        named = {**inner, **quantization} if isinstance(inner, Mapping) else quantization
        found["quantization_config"] = _scalars(named, QUANTIZATION_KEYS)
    return found


def _gguf_header(result: Prefetched) -> GgufHeader | None:
    paths = {file.path for file in result.files}
    headers = (model.header for model in result.facts.gguf if paths.issuperset(model.files))
    return next((header for header in headers if header is not None), None)


def _gguf_types(header: GgufHeader) -> dict[str, dict[str, int]]:
    types: dict[str, dict[str, int]] = {}
    for tensor in header.tensors:
        total = types.setdefault(tensor.type_name, {"tensors": 0, "bytes": 0})
        total["tensors"] += 1
        total["bytes"] += tensor.size_bytes
    largest = sorted(types.items(), key=lambda item: -item[1]["bytes"])
    return dict(largest[:DTYPES_LIMIT])


def _gguf_config(header: GgufHeader) -> dict[str, Any]:
    architecture = header.metadata.get("general.architecture")
    keys = ["general.architecture", "general.file_type"]
    return _scalars(header.metadata, [*keys, *(f"{architecture}.{key}" for key in GGUF_KEYS)])


def _scalars(values: Mapping[str, Any], keys: Sequence[str]) -> dict[str, Any]:
    """Numbers, truths and texts, the latter cut."""
    return {
        key: value[:TEXT_LIMIT] if isinstance(value, str) else value
        for key in keys
        if _is_scalar(value := values.get(key))
    }


def _is_scalar(value: object) -> bool:
    if isinstance(value, int):
        return abs(value) < NUMBER_LIMIT
    return isinstance(value, str) or (isinstance(value, float) and math.isfinite(value))
