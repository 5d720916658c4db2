"""Facts as JSON values and back: what the cache keeps."""

from collections.abc import Callable, Mapping
from dataclasses import asdict
from typing import Any, Final, TypeVar, cast

from llama_operator.download.facts import (
    HUBS,
    DtypeTotal,
    GgufFacts,
    GgufHeader,
    GgufTensor,
    HubFile,
    HubName,
    ModelFacts,
    SafetensorsFacts,
)

_Read = TypeVar("_Read")

RECORD_VERSION: Final = 2
"""Of the form below; another one is not read."""


def to_record(facts: ModelFacts) -> dict[str, Any]:
    """The facts as JSON values."""
    values = asdict(facts)
    del values["from_cache"]
    return {"version": RECORD_VERSION, **values}


def from_record(record: object) -> ModelFacts:
    """The facts of a record of `to_record`.

    Raises:
        ValueError: the record is of another form.
    """
    try:
        return _facts(cast("Mapping[str, Any]", record))
    except (AttributeError, KeyError, TypeError) as error:
        msg = f"no record of facts: {error}"
        raise ValueError(msg) from error


def _facts(record: Mapping[str, Any]) -> ModelFacts:
    if record["version"] != RECORD_VERSION or record["hub"] not in HUBS:
        msg = "no record of facts of this version"
        raise ValueError(msg)
    return ModelFacts(
        hub=cast("HubName", record["hub"]),
        repository=_text(record["repository"]),
        revision=_text(record["revision"]),
        commit=_text(record["commit"]),
        gated=_optional(record["gated"], bool),
        private=_optional(record["private"], bool),
        files=tuple(
            HubFile(
                _text(file["path"]),
                _optional(file["size_bytes"], int),
                _optional(file["digest"], str),
            )
            for file in record["files"]
        ),
        config=_optional(record["config"], dict),
        quantization_config=_optional(record["quantization_config"], dict),
        safetensors=_present(record["safetensors"], _safetensors),
        gguf=tuple(map(_gguf, record["gguf"])),
        from_cache=True,
    )


def _safetensors(record: Mapping[str, Any]) -> SafetensorsFacts:
    return SafetensorsFacts(
        files=tuple(map(_text, record["files"])),
        index_total_bytes=_optional(record["index_total_bytes"], int),
        dtypes={
            _text(name): DtypeTotal(
                int(total["tensors"]), int(total["elements"]), int(total["size_bytes"])
            )
            for name, total in record["dtypes"].items()
        },
    )


def _gguf(record: Mapping[str, Any]) -> GgufFacts:
    return GgufFacts(
        name=_text(record["name"]),
        files=tuple(map(_text, record["files"])),
        file_bytes=_optional(record["file_bytes"], int),
        header=_present(record["header"], _gguf_header),
    )


def _gguf_header(record: Mapping[str, Any]) -> GgufHeader:
    return GgufHeader(
        metadata=dict(record["metadata"]),
        list_lengths={_text(key): int(value) for key, value in record["list_lengths"].items()},
        tensors=tuple(
            GgufTensor(
                _text(tensor["name"]),
                _text(tensor["type_name"]),
                tuple(map(int, tensor["shape"])),
                int(tensor["size_bytes"]),
            )
            for tensor in record["tensors"]
        ),
    )


def _present(value: object, read: Callable[[Mapping[str, Any]], _Read]) -> _Read | None:
    return None if value is None else read(cast("Mapping[str, Any]", value))


def _optional(value: object, kind: type[_Read]) -> _Read | None:
    if value is None or isinstance(value, kind):
        return value
    msg = f"{value!r:.40} is no {kind.__name__}"
    raise ValueError(msg)


def _text(value: object) -> str:
    if isinstance(value, str):
        return value
    msg = f"{value!r:.40} is no text"
    raise ValueError(msg)
