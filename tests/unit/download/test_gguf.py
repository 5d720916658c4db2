"""Headers of GGUF files."""

import struct
from collections.abc import Sequence

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from llama_operator.download import gguf
from llama_operator.download.facts import GgufHeader, GgufTensor
from llama_operator.download.gguf import GgufParser
from llama_operator.errors import HubContentError, HubError, HubTooLargeError
from support.model_files import BOOL, FLOAT32, INT32, LIST, TEXT, UINT32, UINT64, gguf_start

KEYS = [
    ("general.architecture", TEXT, "llama"),
    ("llama.block_count", UINT32, 2),
    ("llama.rope.freq_base", FLOAT32, 500000.0),
    ("llama.expert_used", BOOL, False),
    ("llama.attention.head_count_kv", LIST, (INT32, [8, -1])),
    ("tokenizer.ggml.tokens", LIST, (TEXT, [f"word {number}" for number in range(300)])),
    ("tokenizer.ggml.scores", LIST, (FLOAT32, [0.5] * 1025)),
    ("tokenizer.chat_template", TEXT, "x" * 4097),
]
# 256 weights of Q4_K in 144 bytes, 32 of F32 in 128, on multiples of 32: 0, 160, 288 (end 290).
TENSORS = [
    ("token_embd.weight", [256], 12, 0),
    ("blk.0.attn_norm.weight", [32], 0, 160),
    ("blk.0.attn_k.weight", [1, 1], 99, 288),
]
START = gguf_start(KEYS, TENSORS)
DATA = -(-len(START) // 32) * 32


def read(start: bytes, file_bytes: int, sizes: Sequence[int] = ()) -> GgufHeader:
    """The header, fed in pieces of these sizes and then the rest."""
    parser, at = GgufParser("m.gguf"), 0
    for size in sizes:
        parser.feed(start[at : at + size])
        at += size
        if parser.done:
            break
    if not parser.done:
        parser.feed(start[at:])
    assert parser.done
    return parser.header(file_bytes)


def test_metadata_and_tensors_are_read() -> None:
    header = read(START, DATA + 290)
    assert header.metadata == {
        "general.architecture": "llama",
        "llama.block_count": 2,
        "llama.rope.freq_base": 500000.0,
        "llama.expert_used": False,
        "llama.attention.head_count_kv": [8, -1],
    }
    assert header.list_lengths == {
        "llama.attention.head_count_kv": 2,
        "tokenizer.ggml.tokens": 300,
        "tokenizer.ggml.scores": 1025,
    }
    assert header.tensors == (
        GgufTensor("token_embd.weight", "Q4_K", (256,), 160),
        GgufTensor("blk.0.attn_norm.weight", "F32", (32,), 128),
        GgufTensor("blk.0.attn_k.weight", "type 99", (1, 1), 2),
    )
    assert header.tensor_bytes == 290


def test_tensors_start_at_the_alignment_of_the_file() -> None:
    start = gguf_start([("general.alignment", UINT32, 4096)], [("a", [1], 0, 0)])
    assert read(start, 4096 + 10).tensor_bytes == 10


def test_version_2_is_read() -> None:
    assert read(gguf_start([], [], version=2), 32).tensors == ()


@given(st.lists(st.integers(1, 700), max_size=40))
@example([1] * len(START))
def test_pieces_of_any_size_give_the_same_header(sizes: list[int]) -> None:
    assert read(START, DATA + 290, sizes) == read(START, DATA + 290)


def test_a_long_list_of_numbers_is_skipped_without_being_kept() -> None:
    count = 1_000_000
    head = gguf_start([], [])[:16] + struct.pack("<Q", 1)
    key = struct.pack("<Q1sIIQ", 1, b"k", 9, UINT32, count)
    parser = GgufParser("m.gguf")
    parser.feed(head + key)
    for _ in range(4):
        parser.feed(b"\0" * count)
        assert len(parser._buffer) <= count
    assert parser.done
    assert parser.header(10_000_000).list_lengths == {"k": count}


@pytest.mark.parametrize(
    ("start", "error", "part"),
    [
        pytest.param(
            b"<!DOCTYPE html><html><head>", HubContentError, "does not start with GGUF", id="a page"
        ),
        pytest.param(
            gguf_start([], [], version=1), HubContentError, "version 2 and 3", id="version 1"
        ),
        pytest.param(
            b"GGUF" + struct.pack(">IQQ", 3, 0, 0),
            HubContentError,
            "little-endian",
            id="big-endian",
        ),
        pytest.param(
            b"GGUF" + struct.pack("<IQQ", 3, 2**60, 0),
            HubTooLargeError,
            "1,152,921,504,606,846,976 tensors",
            id="2 to the 60 tensors",
        ),
        pytest.param(
            b"GGUF" + struct.pack("<IQQ", 3, 0, 2**60),
            HubTooLargeError,
            "metadata keys",
            id="2 to the 60 keys",
        ),
        pytest.param(
            b"GGUF" + struct.pack("<IQQQ", 3, 0, 1, 2**60),
            HubTooLargeError,
            "a text of 1,152",
            id="a key of 2 to the 60 bytes",
        ),
        pytest.param(
            gguf_start([], [])[:16] + struct.pack("<QQ1sIIQ", 1, 1, b"k", LIST, TEXT, 2**60),
            HubTooLargeError,
            "a list of 1,152",
            id="a list of 2 to the 60 values",
        ),
        pytest.param(
            gguf_start([], [])[:16] + struct.pack("<QQ1sIIQQ", 1, 1, b"k", LIST, TEXT, 2, 2**60),
            HubTooLargeError,
            "a text of 1,152",
            id="a word of 2 to the 60 bytes",
        ),
        pytest.param(
            gguf_start([], [])[:16] + struct.pack("<QQ1sI", 1, 1, b"k", 77),
            HubContentError,
            "of kind 77",
            id="an unknown kind",
        ),
        pytest.param(
            gguf_start([], [])[:16] + struct.pack("<QQ1sIIQ", 1, 1, b"k", LIST, LIST, 3),
            HubContentError,
            "of kind 9",
            id="a list of lists",
        ),
        pytest.param(
            b"GGUF" + struct.pack("<IQQQ1sI", 3, 1, 0, 1, b"t", 2**31),
            HubContentError,
            "2,147,483,648 dimensions",
            id="2 to the 31 dimensions",
        ),
        pytest.param(
            gguf_start([], [("t", [2**40, 2**40], 0, 0)]),
            HubContentError,
            "tensor t has a shape",
            id="a tensor of 2 to the 80 weights",
        ),
        pytest.param(
            gguf_start([], [("t", [1], 0, 2**60)]),
            HubContentError,
            "shape or offset",
            id="an offset of 2 to the 60",
        ),
    ],
)
def test_what_is_no_header_is_refused(start: bytes, error: type[Exception], part: str) -> None:
    with pytest.raises(error, match=part):
        GgufParser("m.gguf").feed(start)


@pytest.mark.parametrize(
    ("keys", "file_bytes", "part"),
    [
        pytest.param([], 100, "its tensors end beyond its 100 bytes", id="a cut file"),
        pytest.param(
            [("general.alignment", UINT32, 0)], 9000, "alignment must be", id="alignment 0"
        ),
        pytest.param([("general.alignment", TEXT, "32")], 9000, "alignment must be", id="a text"),
        pytest.param([("general.alignment", UINT64, 2**40)], 9000, "alignment must be", id="huge"),
    ],
)
def test_tensors_that_are_not_in_the_file_are_refused(
    keys: list[tuple[str, int, object]], file_bytes: int, part: str
) -> None:
    with pytest.raises(HubContentError, match=part):
        read(gguf_start(keys, [("a", [64], 0, 512)]), file_bytes)


@given(st.binary(max_size=200), st.integers(0, len(START)))
def test_any_bytes_are_read_or_refused(noise: bytes, at: int) -> None:
    parser = GgufParser("m.gguf")
    try:
        parser.feed(START[:at] + noise + START[at + len(noise) :])
        if parser.done:
            assert parser.header(10**6).tensor_bytes <= 10**6 * 3
    except HubError as refused:
        told = str(refused)
    else:
        return
    assert told.startswith("m.gguf ")


def test_a_header_that_goes_on_and_on_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gguf, "HEADER_LIMIT_BYTES", 3_000)
    parser = GgufParser("m.gguf")
    for at in range(0, 3_000, 500):
        parser.feed(START[at : at + 500])
    with pytest.raises(HubTooLargeError, match="a header of more than 3,000 bytes"):
        parser.feed(START[3_000:3_500])
