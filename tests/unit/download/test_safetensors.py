"""Headers of safetensors files."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llama_operator.download.facts import DtypeTotal
from llama_operator.download.safetensors import (
    HEADER_LIMIT_BYTES,
    add_totals,
    dtype_totals,
    header_length,
    index_facts,
)
from llama_operator.errors import HubContentError, HubError, HubTooLargeError


def header(**tensors: Any) -> bytes:
    return json.dumps(tensors).encode()


def tensor(dtype: Any = "BF16", shape: Any = (2, 4), offsets: Any = (0, 16)) -> dict[str, Any]:
    return {"dtype": dtype, "shape": shape, "data_offsets": offsets}


def test_tensors_are_counted_by_dtype() -> None:
    # An FP8 linear of 4 x 8 in blocks of 128 x 128: one byte a weight and one scale of 4 bytes.
    read = dtype_totals(
        header(
            __metadata__={"format": "pt"},
            embed=tensor("BF16", [16, 4], [0, 128]),
            norm=tensor("BF16", [4], [128, 136]),
            weight=tensor("F8_E4M3", [4, 8], [136, 168]),
            scale=tensor("F32", [], [168, 172]),
        ),
        "model.safetensors",
        172,
    )
    assert read == {
        "BF16": DtypeTotal(tensors=2, elements=68, size_bytes=136),
        "F8_E4M3": DtypeTotal(tensors=1, elements=32, size_bytes=32),
        "F32": DtypeTotal(tensors=1, elements=1, size_bytes=4),
    }


def test_totals_of_shards_add_up() -> None:
    first, second = DtypeTotal(1, 10, 20), DtypeTotal(2, 30, 60)
    assert add_totals([{"F16": first}, {"F16": second, "BF16": first}]) == {
        "BF16": first,
        "F16": DtypeTotal(3, 40, 80),
    }


@pytest.mark.parametrize(
    ("start", "file_bytes", "length"),
    [
        pytest.param((2).to_bytes(8, "little"), 10, 2, id="no tensor"),
        pytest.param((25_000_000).to_bytes(8, "little"), None, 25_000_000, id="the longest"),
    ],
)
def test_the_length_of_a_header_is_read(start: bytes, file_bytes: int | None, length: int) -> None:
    assert header_length(start, "model.safetensors", file_bytes) == length


@pytest.mark.parametrize(
    ("start", "file_bytes", "error", "part"),
    [
        pytest.param(b"\0" * 7, 7, HubContentError, "it has 7 bytes", id="a file of 7 bytes"),
        pytest.param(
            (2**60).to_bytes(8, "little"),
            None,
            HubTooLargeError,
            "1,152,921,504,606,846,976 bytes",
            id="2 to the 60",
        ),
        pytest.param(
            (HEADER_LIMIT_BYTES + 1).to_bytes(8, "little"),
            10**12,
            HubTooLargeError,
            "more than 25,000,000",
            id="one byte too long",
        ),
        pytest.param(
            (93).to_bytes(8, "little"),
            100,
            HubContentError,
            "the file has 100",
            id="longer than the file",
        ),
        pytest.param(
            (1).to_bytes(8, "little"), 100, HubContentError, "1 bytes", id="too short for an object"
        ),
    ],
)
def test_a_length_that_cannot_be_is_refused(
    start: bytes, file_bytes: int | None, error: type[Exception], part: str
) -> None:
    with pytest.raises(error, match=part):
        header_length(start, "model.safetensors", file_bytes)


@pytest.mark.parametrize(
    ("tensors", "part"),
    [
        pytest.param({"a": 1}, "tensor a of m must be an object", id="a number"),
        pytest.param({"a": tensor(dtype=3)}, "dtype must be a name", id="dtype"),
        pytest.param({"a": tensor(dtype="B" * 17)}, "dtype must be a name", id="a long dtype"),
        pytest.param({"a": tensor(shape=None)}, "shape must be a list", id="no shape"),
        pytest.param({"a": tensor(shape=[2.5])}, "shape must be a list", id="a broken dimension"),
        pytest.param(
            {"a": tensor(shape=[True])}, "shape must be a list", id="a dimension that is true"
        ),
        pytest.param({"a": tensor(shape=[2**60])}, "shape must be a list", id="a huge dimension"),
        pytest.param({"a": tensor(shape=[1] * 17)}, "at most 16", id="17 dimensions"),
        pytest.param(
            {"a": tensor(offsets=[16, 0])}, "start and end", id="it ends before it starts"
        ),
        pytest.param({"a": tensor(offsets=[-2, 0])}, "start and end", id="before the file"),
        pytest.param({"a": tensor(offsets=[0, 101])}, "within the 100 bytes", id="beyond the file"),
        pytest.param({"a": tensor(offsets=[0])}, "start and end", id="no end"),
        pytest.param(
            {"a": tensor(offsets=[0, 60]), "b": tensor(offsets=[10, 70])},
            "overlap",
            id="overlapping",
        ),
    ],
)
def test_a_tensor_that_cannot_be_is_refused(tensors: dict[str, Any], part: str) -> None:
    with pytest.raises(HubContentError, match=part):
        dtype_totals(json.dumps(tensors).encode(), "m", 100)


@given(
    st.dictionaries(
        st.text(max_size=5),
        st.recursive(
            st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
            lambda inner: (
                st.lists(inner, max_size=4)
                | st.dictionaries(
                    st.sampled_from(["dtype", "shape", "data_offsets", "x"]), inner, max_size=4
                )
            ),
            max_leaves=10,
        ),
    )
)
def test_any_header_is_read_or_refused(value: dict[str, Any]) -> None:
    try:
        totals = dtype_totals(json.dumps(value).encode(), "m", 1000)
    except HubError:
        return
    assert sum(total.size_bytes for total in totals.values()) <= 1000


def test_an_index_names_files_and_size() -> None:
    index = {
        "metadata": {"total_size": 16_060_522_496},
        "weight_map": {
            "b": "model-00002-of-00002.safetensors",
            "a": "model-00001-of-00002.safetensors",
        },
    }
    assert index_facts(index, "index") == (
        ["model-00001-of-00002.safetensors", "model-00002-of-00002.safetensors"],
        16_060_522_496,
    )


@pytest.mark.parametrize(
    ("metadata", "total"),
    [
        pytest.param({"total_size": 12.0}, 12, id="written as a float"),
        pytest.param({"total_size": "12"}, None, id="a text"),
        pytest.param({"total_size": True}, None, id="true"),
        pytest.param({"total_size": -1}, None, id="negative"),
        pytest.param({}, None, id="none"),
        pytest.param(None, None, id="no metadata"),
    ],
)
def test_the_size_of_an_index_is_a_number_or_none(metadata: object, total: int | None) -> None:
    assert index_facts({"metadata": metadata, "weight_map": {}}, "index") == ([], total)


@pytest.mark.parametrize("weight_map", [None, [], {"a": 1}])
def test_an_index_without_files_is_refused(weight_map: object) -> None:
    with pytest.raises(HubContentError, match="weight_map must name a file"):
        index_facts({"weight_map": weight_map}, "index")
