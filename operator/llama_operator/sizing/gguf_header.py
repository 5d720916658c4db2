"""From the header of a GGUF file to a model's shape and the file's mix.

The metadata become the keys of a `config.json`, which `model_shape` reads as any other. Which
architecture is which model type, and which key is which, is in the tables gguf_architectures.csv,
gguf_keys.csv and gguf_switches.csv.
"""

import re
from collections.abc import Collection, Iterable, Mapping
from typing import Any, Final

from llama_operator.catalog.gguf_architectures import (
    ANY,
    GgufArchitecture,
    GgufKey,
    gguf_architectures,
    gguf_file_types,
    gguf_keys,
    gguf_switches,
)
from llama_operator.catalog.gguf_tables import gguf_mixes
from llama_operator.errors import ConfigError, SizingError
from llama_operator.sizing.gguf import gguf_bytes
from llama_operator.sizing.models.model import ModelShape
from llama_operator.sizing.models.shape import model_shape

ARCHITECTURE: Final = "general.architecture"
FILE_TYPE: Final = "general.file_type"
TOKENS: Final = "tokenizer.ggml.tokens"
OUTPUT: Final = "output.weight"
"""A file without it has one matrix for input and output."""
GUESSED: Final = 1024
"""Flag in `general.file_type`: the type was not written, but guessed (llama.h, `llama_ftype`)."""
_EXPERTS: Final = "expert_count"
_VOCABULARY: Final = "vocab_size"
_LAYER: Final = re.compile(r"blk\.[0-9]+\.")


def gguf_shape(
    metadata: Mapping[str, Any],
    list_lengths: Mapping[str, int],
    tensor_names: Collection[str],
    *,
    name: str = "",
) -> ModelShape:
    """The shape of the model in a GGUF file.

    Args:
        metadata: keys and values of the header; long lists may be left out.
        list_lengths: of every list in the metadata.
        tensor_names: of the header; of a split file, of all its parts.
        name: of the model, for messages only.

    Raises:
        SizingError: the architecture is not known, or a key is missing or wrong; names it and what
            is allowed.
    """
    config = gguf_config(metadata, list_lengths, tensor_names)
    try:
        return model_shape(config, name=name)
    except ConfigError as error:
        msg = f"{_gguf_key(_row(metadata), error.key)}: {error.message}"
        raise SizingError(msg) from None


def gguf_config(
    metadata: Mapping[str, Any], list_lengths: Mapping[str, int], tensor_names: Collection[str]
) -> dict[str, Any]:
    """The metadata as the keys of a `config.json`.

    Args:
        metadata: keys and values of the header.
        list_lengths: of every list in the metadata.
        tensor_names: of the header.

    Raises:
        SizingError: the architecture is not known, or has keys that no model type knows.
    """
    row = _row(metadata)
    experts = _number(metadata, f"{row.architecture}.{_EXPERTS}")
    config: dict[str, Any] = {
        "model_type": row.experts_model_type if experts else row.model_type,
        "vocab_size": list_lengths.get(TOKENS, _number(metadata, _vocabulary_key(row))),
        "tie_word_embeddings": OUTPUT not in tensor_names,
    }
    if experts and not row.experts_model_type:
        msg = f"{row.architecture}.{_EXPERTS}: {experts!r:.40} experts have no rule here"
        raise SizingError(msg)
    for key in _keys_of(row.architecture):
        value = _value(metadata, row.architecture, key)
        *sections, last = key.config_key.split(".")
        section = config
        for word in sections if value is not None else ():
            section = section.setdefault(word, {})
        if value is not None and last not in section:
            section[last] = value
    _set_head_dim(config, metadata, row.architecture)
    present = {_LAYER.sub("", tensor) for tensor in tensor_names}
    for switch in gguf_switches():
        if switch.architecture in (ANY, row.architecture) and switch.tensor in present:
            config[switch.config_key] = switch.config_value
    return config


def is_known_architecture(metadata: Mapping[str, Any]) -> bool:
    """Whether there is a row for the architecture of the header."""
    return isinstance(metadata.get(ARCHITECTURE), str) and (
        metadata[ARCHITECTURE] in gguf_architectures()
    )


def file_type_of(
    shape: ModelShape, metadata: Mapping[str, Any], file_name: str, tensor_bytes: int
) -> str:
    """The mix of a file: what its name ends in or its header says, whichever is nearer in size.

    A name may tell more: `Q4_K_L` is Q4_K_M by its header, with two matrices in Q8_0.

    Args:
        shape: of the model.
        metadata: of the header.
        file_name: without `.gguf`.
        tensor_bytes: of all tensors, by the header.

    Raises:
        SizingError: neither names a mix that is known; names those that are.
    """
    number = metadata.get(FILE_TYPE)
    told = gguf_file_types().get(number & ~GUESSED) if type(number) is int else None
    found = [name for name in (told, named_file_type(file_name)) if name is not None]
    if not found:
        msg = (
            f"{FILE_TYPE} is {number!r:.40} and the name {file_name[-60:]!r} ends in no file type; "
            f"known are {', '.join(gguf_mixes())}"
        )
        raise SizingError(msg)
    return min(found, key=lambda name: abs(gguf_bytes(shape, name) - tensor_bytes))


def named_file_type(file_name: str) -> str | None:
    """The mix that the name of a file ends in, such as `Model-8B-Q4_K_M`; None for no known one."""
    name = file_name.upper()
    found = [mix for mix in gguf_mixes() if re.search(rf"(?:^|[-._]){mix}$", name)]
    return max(found, key=len, default=None)


def _row(metadata: Mapping[str, Any]) -> GgufArchitecture:
    name = metadata.get(ARCHITECTURE)
    rows = gguf_architectures()
    if not isinstance(name, str) or name not in rows:
        msg = f"{ARCHITECTURE}: {name!r:.42} is not known; known are {', '.join(sorted(rows))}"
        raise SizingError(msg)
    return rows[name]


def _keys_of(architecture: str) -> Iterable[GgufKey]:
    return (key for key in gguf_keys() if key.architecture in (ANY, architecture))


def _value(metadata: Mapping[str, Any], architecture: str, key: GgufKey) -> object:
    """Its value, None where the header lacks a key of the row."""
    value = _number(metadata, f"{architecture}.{key.key}")
    if not key.less or value is None:
        return value
    less = _number(metadata, f"{architecture}.{key.less}")
    return value - less if type(value) is int and type(less) is int else None


def _number(metadata: Mapping[str, Any], key: str) -> object:
    """A value; of a list of equal values, one for each layer, that value."""
    value = metadata.get(key)
    if isinstance(value, list) and value and all(one == value[0] for one in value):
        return value[0]
    return value


def _set_head_dim(config: dict[str, Any], metadata: Mapping[str, Any], architecture: str) -> None:
    """llama.cpp's own rule where no key tells it; a value of another width has no rule."""
    heads, hidden = config.get("num_attention_heads"), config.get("hidden_size")
    if type(heads) is int and type(hidden) is int and heads > 0:
        config.setdefault("head_dim", hidden // heads)
    key = f"{architecture}.attention.value_length"
    values = _number(metadata, key)
    if "kv_lora_rank" not in config and values not in (None, config.get("head_dim")):
        msg = f"{key}: {values!r:.40} is not the length of keys, {config.get('head_dim')!r:.40}"
        raise SizingError(msg)


def _gguf_key(row: GgufArchitecture, config_key: str) -> str:
    """The key of the header that a key of the configuration came from, or should have."""
    if config_key == _VOCABULARY:
        return f"{TOKENS} or {_vocabulary_key(row)}"
    found = next((key for key in _keys_of(row.architecture) if key.config_key == config_key), None)
    return f"{row.architecture}.{found.key}" if found else config_key


def _vocabulary_key(row: GgufArchitecture) -> str:
    return f"{row.architecture}.{_VOCABULARY}"
