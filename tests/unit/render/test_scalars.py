from typing import Any

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from llama_operator.render.scalars import literal, to_yaml
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


def read(text: str) -> Any:
    return yaml.load(text, Loader=yaml.CSafeLoader)


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        pytest.param("yes", '"yes"', id="a word that YAML takes for a boolean"),
        pytest.param("1e3", '"1e3"', id="a word that looks like a number"),
        pytest.param('a"b\\c', '"a\\"b\\\\c"', id="quote and backslash"),
        pytest.param("a\nb: c", '"a\\nb: c"', id="a newline"),
        pytest.param("é", '"\\U000000e9"', id="a letter outside ASCII"),
        pytest.param("🦙", '"\\U0001f999"', id="a character outside the basic plane"),
        pytest.param("\\ud83e", '"\\\\ud83e"', id="an escape that is text"),
        pytest.param("\u2028\u0085\ufeff", '"\\U00002028\\U00000085\\U0000feff"', id="line ends"),
        pytest.param("\x7f\x01", '"\\U0000007f\\u0001"', id="control characters"),
        pytest.param("{{ v }} {% if %}", '"{{ v }} {% if %}"', id="template syntax"),
        pytest.param(True, "true", id="a boolean"),
        pytest.param(None, "null", id="nothing"),
        pytest.param(2**53, "9007199254740992", id="a large integer"),
        pytest.param({"b": 1, "a": [2]}, '{"a": [2], "b": 1}', id="a map is sorted"),
    ],
)
def test_values_as_yaml(value: object, expected: str) -> None:
    assert to_yaml(value) == expected
    assert read(expected) == value


@settings(max_examples=50, deadline=None)
@given(value=JSON)
def test_every_json_value_without_floats_comes_back(value: Any) -> None:
    text = to_yaml(value)

    assert text.isprintable()
    assert text.isascii()
    assert read(text) == value
    assert read(f"outer:\n  - inner: {text}\n") == {"outer": [{"inner": value}]}


@pytest.mark.parametrize(
    "value",
    [
        pytest.param(1e-05, id="a float that YAML reads as text"),
        pytest.param({"a": [1, {"b": 0.5}]}, id="deep inside"),
        pytest.param(float("nan"), id="not a number"),
        pytest.param(object(), id="no JSON value"),
    ],
)
def test_floats_and_objects_are_refused(value: object) -> None:
    with pytest.raises(TypeError):
        to_yaml(value)


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
