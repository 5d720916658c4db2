"""Facts against a computed size."""

import pytest

from llama_operator.download.compare import compare, stored_bytes
from llama_operator.download.facts import GgufFacts
from unit.download.facts_made import (
    LLAMA_8B_BYTES,
    gguf_facts,
    model_facts_made,
    safetensors_facts,
)


@pytest.mark.parametrize(
    "computed_bytes",
    [
        pytest.param(16_060_522_496, id="equal"),
        pytest.param(16_060_522_496 + 16_060_522, id="0.1 % more"),
        pytest.param(16_060_522_496 - 16_060_522, id="0.1 % less"),
    ],
)
def test_sizes_within_a_thousandth_agree(computed_bytes: int) -> None:
    assert compare(model_facts_made(), computed_bytes) is None


def test_a_larger_size_warns_by_how_much() -> None:
    # 16,221,127,720 / 16,060,522,496 = 1.01; 15.107 and 14.957 GiB.
    assert compare(model_facts_made(), 16_221_127_720) == (
        "computed 15.11 GiB, 1.00% more than the 14.96 GiB (16,060,522,496 bytes) of tensors in "
        "org/model at 00000000; disk is counted by the files, memory by the shape, which is that "
        "much off where the engine holds the files as they are"
    )


def test_a_size_just_beyond_a_thousandth_warns() -> None:
    warning = compare(model_facts_made(), 16_060_522_496 - 16_060_523)
    assert warning is not None
    assert "0.10% less" in warning
    assert "0.10% less than" in warning


def test_an_index_that_its_headers_do_not_bear_out_is_not_used() -> None:
    facts = model_facts_made(safetensors=safetensors_facts(LLAMA_8B_BYTES, 8_030_261_248))
    assert stored_bytes(facts) == LLAMA_8B_BYTES
    assert compare(facts, LLAMA_8B_BYTES) is None
    warning = compare(facts, 2 * LLAMA_8B_BYTES)
    assert warning is not None
    assert "its index says 8,030,261,248 bytes, which the headers of its files do not" in warning


def test_the_index_counts_where_the_headers_bear_it_out() -> None:
    facts = model_facts_made(safetensors=safetensors_facts(LLAMA_8B_BYTES + 4096, LLAMA_8B_BYTES))
    assert stored_bytes(facts) == LLAMA_8B_BYTES


def test_a_gguf_model_is_compared_by_its_header() -> None:
    facts = model_facts_made(safetensors=None, gguf=(gguf_facts(4_920_000_000),))
    assert compare(facts, 4_920_000_000) is None
    warning = compare(facts, 4_428_000_000)
    assert warning is not None
    assert "10.00% less than the 4.58 GiB" in warning


@pytest.mark.parametrize(
    "gguf",
    [
        pytest.param((), id="no weights at all"),
        pytest.param((GgufFacts("a", ("a.gguf",), 5),), id="no header was read"),
        pytest.param((gguf_facts(5), gguf_facts(6)), id="two headers: which is meant?"),
    ],
)
def test_without_a_size_there_is_nothing_to_compare(gguf: tuple[GgufFacts, ...]) -> None:
    facts = model_facts_made(safetensors=None, gguf=gguf)
    assert stored_bytes(facts) is None
    assert compare(facts, 1) is None
