from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from llama_operator.render.scalars import from_json, literal, to_json
from unit.render.kubelet import expand

TEXT = st.text(st.characters(exclude_categories=["Cs"]))
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | TEXT,
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(
            st.text(st.characters(exclude_categories=["Cs"]), max_size=60), inner, max_size=4
        )
    ),
    max_leaves=12,
)


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        pytest.param("yes", '"yes"', id="a word"),
        pytest.param('a"b\\c', '"a\\"b\\\\c"', id="quote and backslash"),
        pytest.param("a\nb: c", '"a\\nb: c"', id="a newline"),
        pytest.param("🦙", '"🦙"', id="a character outside the basic plane"),
        pytest.param(True, "true", id="a boolean"),
        pytest.param(None, "null", id="nothing"),
        pytest.param(2**53, "9007199254740992", id="a large integer"),
        pytest.param({"b": 1, "a": (2,)}, '{"a": [2], "b": 1}', id="a map is sorted"),
    ],
)
def test_values_as_json(value: object, expected: str) -> None:
    assert to_json(value) == expected


@settings(max_examples=50, deadline=None)
@given(value=JSON)
def test_every_json_value_without_floats_comes_back(value: Any) -> None:
    assert from_json(to_json(value)) == value


@pytest.mark.parametrize(
    "value",
    [
        pytest.param(float("nan"), id="not a number"),
        pytest.param(float("inf"), id="an infinity"),
        pytest.param(object(), id="no JSON value"),
    ],
)
def test_what_is_no_json_is_refused(value: object) -> None:
    with pytest.raises((TypeError, ValueError)):
        to_json(value)


@pytest.mark.parametrize(
    "text",
    [
        pytest.param("0.5", id="a float"),
        pytest.param("1e-05", id="a small float"),
        pytest.param('{"a": [1, {"b": 0.5}]}', id="a float deep inside"),
        pytest.param('"\ud83e"', id="half a character"),
        pytest.param("{", id="no JSON"),
    ],
)
def test_floats_and_broken_texts_are_refused(text: str) -> None:
    with pytest.raises((TypeError, ValueError)):
        from_json(text)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        pytest.param("$(HF_TOKEN)", "$$(HF_TOKEN)", id="a reference to a variable"),
        pytest.param("$$", "$$$$", id="two dollars"),
        pytest.param("cost 5$", "cost 5$$", id="a dollar at the end"),
        pytest.param("plain", "plain", id="no dollar"),
    ],
)
def test_dollars_are_doubled(text: str, expected: str) -> None:
    assert literal(text) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        pytest.param("$(A)", "secret", id="a variable"),
        pytest.param("$(B)", "$(B)", id="an unknown variable"),
        pytest.param("$$(A)", "$(A)", id="an escaped reference"),
        pytest.param("$$$(A)", "$secret", id="a dollar before a variable"),
        pytest.param("$(A", "$(A", id="no closing parenthesis"),
        pytest.param("$x$", "$x$", id="lone dollars"),
    ],
)
def test_the_port_of_the_kubelet_expands(text: str, expected: str) -> None:
    assert expand(text, {"A": "secret"}) == expected


@settings(deadline=None)
@given(text=st.text(st.sampled_from("$()A{} x")) | TEXT)
def test_the_process_gets_the_text_unchanged(text: str) -> None:
    assert expand(literal(text), {"A": "secret", "": "empty", "x": "y"}) == text
