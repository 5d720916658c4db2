"""Headers of GGUF files.

A file holds the magic, its version, the number of tensors and of metadata keys, the keys with their
values, then name, shape, type and offset of each tensor; the tensors follow, each on a multiple of
`general.alignment` (ggml, docs/gguf.md). All numbers are little endian. The vocabulary stands among
the metadata: a header has up to some 20 MB, so it is read in pieces, and long lists are counted.
"""

import math
import struct
from collections.abc import Generator, Iterator
from itertools import pairwise
from typing import Any, Final

from llama_operator.download.facts import GgufHeader, GgufTensor, MetadataValue
from llama_operator.errors import HubContentError, HubTooLargeError
from llama_operator.units import MIB, ceil_to

MAGIC: Final = b"GGUF"
VERSIONS: Final = (2, 3)
HEADER_LIMIT_BYTES: Final = 96 * MIB
TENSORS_LIMIT: Final = 200_000
KEYS_LIMIT: Final = 10_000
KEY_LIMIT_BYTES: Final = 65_535
"""What docs/gguf.md allows for a key."""
STRING_LIMIT_BYTES: Final = 8 * MIB
KEPT_STRING_BYTES: Final = 4_096
"""A longer string, such as a chat template, says nothing of memory and is not kept."""
KEPT_LIST: Final = 1_024
"""A longer list is only counted; lists of one number per layer are shorter."""
DIMENSIONS_LIMIT: Final = 8
DIMENSION_LIMIT: Final = 1 << 48
ALIGNMENT: Final = 32
ALIGNMENT_LIMIT: Final = 1 << 20

TYPE_NAMES: Final = {
    0: "F32", 1: "F16", 2: "Q4_0", 3: "Q4_1", 6: "Q5_0", 7: "Q5_1", 8: "Q8_0", 9: "Q8_1",
    10: "Q2_K", 11: "Q3_K", 12: "Q4_K", 13: "Q5_K", 14: "Q6_K", 15: "Q8_K",
    16: "IQ2_XXS", 17: "IQ2_XS", 18: "IQ3_XXS", 19: "IQ1_S", 20: "IQ4_NL", 21: "IQ3_S",
    22: "IQ2_S", 23: "IQ4_XS", 24: "I8", 25: "I16", 26: "I32", 27: "I64", 28: "F64", 29: "IQ1_M",
    30: "BF16", 34: "TQ1_0", 35: "TQ2_0", 39: "MXFP4", 40: "NVFP4", 41: "Q1_0", 42: "Q2_0",
}  # fmt: skip
"""Numbers of the types in a file: `enum ggml_type` of ggml.h."""

_STRING: Final = 8
_LIST: Final = 9
_SCALARS: Final = {
    0: "B", 1: "b", 2: "H", 3: "h", 4: "I", 5: "i", 6: "f", 7: "?", 10: "Q", 11: "q", 12: "d",
}  # fmt: skip
"""Kinds of metadata (docs/gguf.md, `gguf_metadata_value_type`), as struct reads them."""


class GgufParser:
    """Reads a header from pieces of a file, in their order.

    Args:
        what: names the file in errors.

    Attributes:
        done: whether the header is whole.
    """

    def __init__(self, what: str) -> None:
        self.done = False
        self._what = what
        self._buffer = bytearray()
        self._at = 0
        self._before = 0
        self._metadata: dict[str, MetadataValue] = {}
        self._list_lengths: dict[str, int] = {}
        self._tensors: list[tuple[str, str, tuple[int, ...], int]] = []
        self._steps = self._read()

    def feed(self, piece: bytes) -> None:
        """Take the next piece; what follows the header is ignored.

        Raises:
            HubTooLargeError: more than any header needs.
            HubContentError: not a GGUF file that can be read.
        """
        self._before += self._at
        del self._buffer[: self._at]
        self._at = 0
        self._buffer += piece
        try:
            next(self._steps)
        except StopIteration:
            self.done = True
            return
        if self._before + len(self._buffer) > HEADER_LIMIT_BYTES:
            raise self._too_large(f"a header of more than {HEADER_LIMIT_BYTES:,} bytes")

    def header(self, file_bytes: int) -> GgufHeader:
        """The header, with the place of each tensor in a file of this many bytes.

        Raises:
            HubContentError: the tensors do not lie in the file.
        """
        alignment = self._metadata.get("general.alignment", ALIGNMENT)
        if type(alignment) is not int or not 0 < alignment <= ALIGNMENT_LIMIT:
            raise self._wrong(f"general.alignment must be 1 to {ALIGNMENT_LIMIT:,}")
        data_bytes = file_bytes - ceil_to(self._before + self._at, alignment)
        starts = sorted({offset for *_, offset in self._tensors})
        if starts and starts[-1] > data_bytes:
            raise self._wrong(f"its tensors end beyond its {file_bytes:,} bytes")
        sizes = {start: end - start for start, end in pairwise([*starts, data_bytes])}
        return GgufHeader(
            metadata=self._metadata,
            list_lengths=self._list_lengths,
            tensors=tuple(
                GgufTensor(name, type_name, shape, sizes[offset])
                for name, type_name, shape, offset in self._tensors
            ),
        )

    def _read(self) -> Iterator[None]:
        yield from self._wait(24)
        magic, version, tensors, keys = self._unpack("<4sIQQ")
        if magic != MAGIC:
            raise self._wrong("it does not start with GGUF")
        if version not in VERSIONS:
            raise self._wrong("only little-endian files of GGUF version 2 and 3 are read")
        if tensors > TENSORS_LIMIT or keys > KEYS_LIMIT:
            raise self._too_large(f"{tensors:,} tensors and {keys:,} metadata keys")
        for _ in range(keys):
            yield from self._read_key()
        for _ in range(tensors):
            yield from self._read_tensor()

    def _read_key(self) -> Iterator[None]:
        key_bytes = yield from self._string(KEY_LIMIT_BYTES)
        key = key_bytes.decode("utf-8", "replace")
        yield from self._wait(4)
        (kind,) = self._unpack("<I")
        if kind == _STRING:
            text = yield from self._string(STRING_LIMIT_BYTES)
            if len(text) <= KEPT_STRING_BYTES:
                self._metadata[key] = text.decode("utf-8", "replace")
        elif kind == _LIST:
            yield from self._read_list(key)
        else:
            code = self._code(kind, key)
            yield from self._wait(struct.calcsize(code))
            (self._metadata[key],) = self._unpack(f"<{code}")

    def _read_list(self, key: str) -> Iterator[None]:
        yield from self._wait(12)
        kind, length = self._unpack("<IQ")
        if length > HEADER_LIMIT_BYTES:
            raise self._too_large(f"a list of {length:,} values ({key:.80})")
        self._list_lengths[key] = length
        if kind == _STRING:
            yield from self._skip_strings(length)
            return
        code = self._code(kind, key)
        if length <= KEPT_LIST:
            yield from self._wait(length * struct.calcsize(code))
            self._metadata[key] = list(self._unpack(f"<{length}{code}"))
            return
        yield from self._skip(length * struct.calcsize(code))

    def _read_tensor(self) -> Iterator[None]:
        name = yield from self._string(KEY_LIMIT_BYTES)
        text = name.decode("utf-8", "replace")
        yield from self._wait(4)
        (dimensions,) = self._unpack("<I")
        if dimensions > DIMENSIONS_LIMIT:
            raise self._wrong(f"tensor {text:.80} has {dimensions:,} dimensions")
        yield from self._wait(8 * dimensions + 12)
        *shape, number, offset = self._unpack(f"<{dimensions}QIQ")
        if max([*shape, offset]) > DIMENSION_LIMIT or math.prod(shape) > DIMENSION_LIMIT:
            raise self._wrong(f"tensor {text:.80} has a shape or offset beyond {DIMENSION_LIMIT:,}")
        type_name = TYPE_NAMES.get(number, f"type {number}")
        self._tensors.append((text, type_name, tuple(shape), offset))

    def _string(self, limit: int) -> Generator[None, None, bytes]:
        yield from self._wait(8)
        (length,) = self._unpack("<Q")
        if length > limit:
            raise self._too_large(f"a text of {length:,} bytes")
        yield from self._wait(length)
        self._at += length
        return bytes(self._buffer[self._at - length : self._at])

    def _skip_strings(self, left: int) -> Iterator[None]:
        read = struct.Struct("<Q").unpack_from
        while True:
            buffer, at, end = self._buffer, self._at, len(self._buffer)
            while left and at + 8 <= end:
                (length,) = read(buffer, at)
                if length > STRING_LIMIT_BYTES:
                    raise self._too_large(f"a text of {length:,} bytes")
                if at + 8 + length > end:
                    break
                at += 8 + length
                left -= 1
            self._at = at
            if not left:
                return
            yield

    def _skip(self, left: int) -> Iterator[None]:
        while left > len(self._buffer) - self._at:
            left -= len(self._buffer) - self._at
            self._at = len(self._buffer)
            yield
        self._at += left

    def _wait(self, count: int) -> Iterator[None]:
        while len(self._buffer) - self._at < count:
            yield

    def _unpack(self, code: str) -> tuple[Any, ...]:
        values = struct.unpack_from(code, self._buffer, self._at)
        self._at += struct.calcsize(code)
        return values

    def _code(self, kind: int, key: str) -> str:
        code = _SCALARS.get(kind)
        if code is None:
            raise self._wrong(f"metadata key {key:.80} is of kind {kind}, which is not known here")
        return code

    def _wrong(self, why: str) -> HubContentError:
        return HubContentError(f"{self._what} is no GGUF file that can be read: {why}")

    def _too_large(self, has: str) -> HubTooLargeError:
        return HubTooLargeError(f"{self._what} claims {has}; nothing more was read of it")
