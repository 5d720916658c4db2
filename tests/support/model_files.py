"""The first bytes of model files, made by hand."""

import json
import struct
from collections.abc import Iterable, Sequence
from typing import Any

TEXT, LIST, UINT32, UINT64, FLOAT32, BOOL, INT32 = 8, 9, 4, 10, 6, 7, 5
"""Kinds of metadata in a GGUF file."""
_CODES = {UINT32: "I", UINT64: "Q", FLOAT32: "f", BOOL: "?", INT32: "i"}

Key = tuple[str, int, Any]
"""Name, kind and value; the value of a LIST is the kind of its elements and the elements."""
Tensor = tuple[str, Sequence[int], int, int]
"""Name, shape, type and offset."""


def safetensors_start(tensors: dict[str, tuple[str, Sequence[int], int]], **more: Any) -> bytes:
    """Length and header of a file: dtype, shape and bytes of each tensor, one after the other."""
    header: dict[str, Any] = dict(more)
    end = 0
    for name, (dtype, shape, size) in tensors.items():
        header[name] = {"dtype": dtype, "shape": list(shape), "data_offsets": [end, end + size]}
        end += size
    text = json.dumps(header).encode()
    return struct.pack("<Q", len(text)) + text


def gguf_start(keys: Iterable[Key], tensors: Iterable[Tensor], *, version: int = 3) -> bytes:
    """A header of a GGUF file."""
    keys, tensors = list(keys), list(tensors)
    parts = [struct.pack("<4sIQQ", b"GGUF", version, len(tensors), len(keys))]
    for name, kind, value in keys:
        parts += [_text(name), struct.pack("<I", kind), _value(kind, value)]
    for name, shape, number, offset in tensors:
        code = f"<I{len(shape)}QIQ"
        parts += [_text(name), struct.pack(code, len(shape), *shape, number, offset)]
    return b"".join(parts)


def _text(text: str) -> bytes:
    encoded = text.encode()
    return struct.pack("<Q", len(encoded)) + encoded


def _value(kind: int, value: Any) -> bytes:
    if kind == TEXT:
        return _text(value)
    if kind == LIST:
        inner, elements = value
        start = struct.pack("<IQ", inner, len(elements))
        return start + b"".join(_value(inner, element) for element in elements)
    return struct.pack(f"<{_CODES[kind]}", value)
