"""What is sent: JSON for a create, and the same bytes as YAML for a server-side apply."""

import json
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from llama_operator.cluster.client import encode

texts = st.text(st.characters(exclude_categories=["Cs"]))
values = st.recursive(
    texts | st.integers() | st.booleans() | st.none(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=3),
    max_leaves=8,
)


@pytest.mark.parametrize(
    ("text", "sent"),
    [
        pytest.param("llama", b'{"a":"llama"}', id="plain"),
        pytest.param(
            "🦙", b'{"a":"\xf0\x9f\xa6\x99"}', id="beyond 16 bits: YAML has no surrogates"
        ),
        pytest.param("é", rb'{"a":"\u00e9"}', id="a letter beyond ASCII"),
        pytest.param("\x85", rb'{"a":"\u0085"}', id="what YAML takes for a line break"),
        pytest.param("\u2028", rb'{"a":"\u2028"}', id="a line separator"),
        pytest.param("\ufeff", rb'{"a":"\ufeff"}', id="a byte order mark"),
        pytest.param("\x7f", rb'{"a":"\u007f"}', id="delete"),
        pytest.param("\\ud83e", rb'{"a":"\\ud83e"}', id="a backslash that only looks like one"),
        pytest.param("\n\t\"'", rb'{"a":"\n\t\"' + b"'" + b'"}', id="quotes and line breaks"),
    ],
)
def test_bytes(text: str, sent: bytes) -> None:
    assert encode({"a": text}) == sent
    assert yaml.safe_load(sent) == json.loads(sent) == {"a": text}


@given(st.dictionaries(texts, values, max_size=4))
def test_any_object_is_the_same_as_json_and_as_yaml(body: dict[str, Any]) -> None:
    sent = encode(body)
    assert json.loads(sent) == body
    # A key of more than 1,024 characters is no key in YAML; Kubernetes has none of that length.
    if len(sent) < 1000:
        assert yaml.safe_load(sent) == body
