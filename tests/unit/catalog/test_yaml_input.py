import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llama_operator.catalog.yaml_input import parse_documents
from llama_operator.errors import CatalogError


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        pytest.param("", [], id="nothing"),
        pytest.param(
            "- a: 1\n  b: [x, 1.5, true, null]\n",
            [[{"a": 1, "b": ["x", 1.5, True, None]}]],
            id="plain",
        ),
        pytest.param("a\n---\nb\n", ["a", "b"], id="two documents"),
        pytest.param("d: 2026-01-02\n", [{"d": "2026-01-02"}], id="a date stays text"),
        pytest.param("d: 2026-99-99\n", [{"d": "2026-99-99"}], id="no date either"),
        pytest.param("<<: 1\n", [{"<<": 1}], id="no merging"),
    ],
)
def test_plain_values(text: str, expected: list[object]) -> None:
    assert parse_documents(text) == expected


BOMB = "a: &a [x,x]\n" + "".join(
    f"{after}: &{after} [*{before},*{before}]\n"
    for before, after in zip("abcdef", "bcdefg", strict=True)
)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        pytest.param("[", "is no YAML", id="unfinished"),
        pytest.param("a: b: c", "(line 1, column 5)", id="the place of a mistake"),
        pytest.param("a\x00b", "is no YAML", id="a NUL"),
        pytest.param(BOMB, "anchors and aliases are not allowed (line 1, column 4)", id="a bomb"),
        pytest.param("*a", "anchors and aliases are not allowed", id="an alias to nothing"),
        pytest.param("!!python/object/apply:os.system [ls]", "tags are not allowed", id="a tag"),
        pytest.param("a: !!bool x", "tags are not allowed", id="a standard tag"),
        pytest.param("[" * 5000, "nested deeper than 12", id="deep"),
        pytest.param("a: 1\na: 2\n", "key 'a' occurs twice", id="a doubled key"),
        pytest.param("x: " + "9" * 5000, "cannot be read", id="an endless number"),
        pytest.param("{[a]: b}", "is no YAML", id="a list as key"),
        pytest.param("x" * 262_145, "longer than 262,144 characters", id="long"),
        pytest.param("- 1\n" * 20_001, "more than 20,000 values", id="many values"),
    ],
)
def test_hostile_text_is_refused(text: str, message: str) -> None:
    with pytest.raises(CatalogError) as caught:
        parse_documents(text)
    assert message in str(caught.value)


def test_the_largest_texts_are_read_whole() -> None:
    text = "".join(f"k{number}: 1\n" for number in range(9_900))
    (document,) = parse_documents(text)
    assert len(document) == 9_900


@given(st.text(max_size=200) | st.text(alphabet="-:{}[]&*!|>?%@`'\"#,ab1 \n\t", max_size=60))
def test_any_text_gives_values_or_an_error(text: str) -> None:
    with contextlib.suppress(CatalogError):
        assert isinstance(parse_documents(text), list)
