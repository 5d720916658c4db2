"""Headers of safetensors files.

A file starts with the length of its header (8 bytes, little endian), then the header: a JSON object
from tensor names to `dtype`, `shape` and `data_offsets`, and `__metadata__` for people
(safetensors 0.6, README, "Format").
"""

import math
from collections.abc import Iterable, Mapping
from typing import Any, Final

from llama_operator.download.facts import DtypeTotal
from llama_operator.download.json_text import read_object
from llama_operator.errors import HubContentError, HubTooLargeError

LENGTH_BYTES: Final = 8
HEADER_LIMIT_BYTES: Final = 25_000_000
"""What huggingface_hub 2.4 reads (`SAFETENSORS_MAX_HEADER_LENGTH`)."""
DIMENSIONS_LIMIT: Final = 16
DIMENSION_LIMIT: Final = 1 << 48
_METADATA: Final = "__metadata__"


def header_length(start: bytes, what: str, file_bytes: int | None) -> int:
    """Bytes of the header, which follows the first eight bytes.

    Args:
        start: of the file, at least eight bytes.
        what: names the file in errors.
        file_bytes: of the whole file, None where not known.

    Raises:
        HubTooLargeError: longer than any header.
        HubContentError: the file is shorter.
    """
    if len(start) < LENGTH_BYTES:
        msg = f"{what} is no safetensors file: it has {len(start)} bytes"
        raise HubContentError(msg)
    length = int.from_bytes(start[:LENGTH_BYTES], "little")
    if length > HEADER_LIMIT_BYTES:
        msg = (
            f"{what} says that its header has {length:,} bytes; "
            f"more than {HEADER_LIMIT_BYTES:,} are not read"
        )
        raise HubTooLargeError(msg)
    if length < len(b"{}") or (file_bytes is not None and LENGTH_BYTES + length > file_bytes):
        msg = f"{what} says that its header has {length:,} bytes, the file has {file_bytes}"
        raise HubContentError(msg)
    return length


def dtype_totals(header: bytes, what: str, data_bytes: int | None) -> dict[str, DtypeTotal]:
    """Tensors, elements and bytes of each dtype.

    Args:
        header: the JSON text.
        what: names the file in errors.
        data_bytes: of the file behind the header, None where not known.

    Raises:
        HubTooLargeError: more values than a header needs.
        HubContentError: not a header, or tensors beyond the end of the file.
    """
    totals: dict[str, list[int]] = {}
    for name, tensor in read_object(header, f"the header of {what}").items():
        if name == _METADATA:
            continue
        dtype, elements, size = _tensor(tensor, data_bytes, f"tensor {name:.80} of {what}")
        total = totals.setdefault(dtype, [0, 0, 0])
        total[0] += 1
        total[1] += elements
        total[2] += size
    if data_bytes is not None and sum(total[2] for total in totals.values()) > data_bytes:
        msg = f"{what}: its tensors overlap, they take more than its {data_bytes:,} bytes of data"
        raise HubContentError(msg)
    return {dtype: DtypeTotal(*total) for dtype, total in totals.items()}


def _tensor(tensor: object, data_bytes: int | None, what: str) -> tuple[str, int, int]:
    if not isinstance(tensor, dict):
        msg = f"{what} must be an object"
        raise HubContentError(msg)
    dtype = tensor.get("dtype")
    if not isinstance(dtype, str) or not dtype.isascii() or len(dtype) > 16:
        msg = f"{what}: dtype must be a name such as BF16"
        raise HubContentError(msg)
    shape = _whole_numbers(tensor.get("shape"), DIMENSION_LIMIT)
    if shape is None or len(shape) > DIMENSIONS_LIMIT:
        msg = f"{what}: shape must be a list of at most {DIMENSIONS_LIMIT} whole numbers"
        raise HubContentError(msg)
    limit = DIMENSION_LIMIT if data_bytes is None else data_bytes
    offsets = _whole_numbers(tensor.get("data_offsets"), limit)
    if offsets is None or len(offsets) != 2 or offsets[0] > offsets[1]:
        msg = f"{what}: data_offsets must be start and end within the {limit:,} bytes of data"
        raise HubContentError(msg)
    return dtype, math.prod(shape), offsets[1] - offsets[0]


def _whole_numbers(value: object, limit: int) -> list[int] | None:
    """The value as a list of numbers from 0 to a limit, None where it is not one."""
    if isinstance(value, list) and all(
        type(number) is int and 0 <= number <= limit for number in value
    ):
        return value
    return None


def add_totals(parts: Iterable[Mapping[str, DtypeTotal]]) -> dict[str, DtypeTotal]:
    """Totals of several files together, by name of the dtype."""
    totals: dict[str, DtypeTotal] = {}
    for part in parts:
        for dtype, total in part.items():
            before = totals.get(dtype, DtypeTotal(0, 0, 0))
            totals[dtype] = DtypeTotal(
                before.tensors + total.tensors,
                before.elements + total.elements,
                before.size_bytes + total.size_bytes,
            )
    return dict(sorted(totals.items()))


def index_facts(index: Mapping[str, Any], what: str) -> tuple[list[str], int | None]:
    """The files of an index, by name, and its `metadata.total_size`.

    Raises:
        HubContentError: `weight_map` is not one.
    """
    weight_map = index.get("weight_map")
    if not isinstance(weight_map, dict) or not all(
        isinstance(file, str) for file in weight_map.values()
    ):
        msg = f"{what}: weight_map must name a file for each tensor"
        raise HubContentError(msg)
    metadata = index.get("metadata")
    total = metadata.get("total_size") if isinstance(metadata, dict) else None
    if isinstance(total, float) and total.is_integer():
        total = int(total)
    valid = type(total) is int and 0 <= total <= DIMENSION_LIMIT
    return sorted(set(weight_map.values())), total if valid else None
