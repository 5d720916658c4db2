"""The converter from pydantic's JSON schema to structural schemas, construct by construct."""

from enum import StrEnum
from typing import Annotated, Any, Literal, Optional

import pytest
from pydantic import Field, create_model

from llama_operator.api.cel import Rule, ruled
from llama_operator.api.crd import SchemaError, structural_schema
from llama_operator.api.fields import keyed_by
from llama_operator.api.model import ApiModel

Name = Annotated[str, Field(max_length=8)]
Small = Annotated[int, Field(ge=0, le=9)]
LOWER = Rule("self == self.lowerAscii()", "write lower case", str.islower)
SHORT = Rule("self.size() < 4", "write less", lambda text: len(text) < 4)


class Color(StrEnum):
    """Colors."""

    RED = "Red"
    BLUE = "Blue"


class Leaf(ApiModel):
    """A leaf."""

    name: Name = Field(description="Name, e.g. a.")
    size: Small = 3


class Ruled(ApiModel):
    """A model with a rule on itself."""

    name: Name | None = None

    rules = (Rule("has(self.name)", "write a name", lambda it: bool(it.name), field=".name"),)


class Looped(ApiModel):
    """A model that contains itself."""

    inner: Optional["Looped"] = None


def schema_of(annotation: Any, default: Any = ...) -> dict[str, Any]:
    """The structural schema of one field `x`."""
    model = create_model("Model", __base__=ApiModel, x=(annotation, default))
    schema = structural_schema(model)["properties"]["x"]
    assert isinstance(schema, dict)
    return schema


class Holder(ApiModel):
    """A model with a map."""

    values: Annotated[dict[str, Name], Field(max_length=2)] = Field(default={})


LEAF = {
    "type": "object",
    "required": ["name"],
    "properties": {
        "name": {"description": "Name, e.g. a.", "type": "string", "maxLength": 8},
        "size": {"type": "integer", "default": 3, "format": "int32", "minimum": 0, "maximum": 9},
    },
}


@pytest.mark.parametrize(
    ("annotation", "default", "expected"),
    [
        pytest.param(Name, ..., {"type": "string", "maxLength": 8}, id="a string keeps its bound"),
        pytest.param(
            Annotated[str, Field(min_length=1, max_length=8, pattern="^a")],
            ...,
            {"type": "string", "minLength": 1, "maxLength": 8, "pattern": "^a"},
            id="a string keeps its shortest length and its pattern",
        ),
        pytest.param(
            Annotated[str, Field(json_schema_extra={"format": "date-time"})],
            ...,
            {"type": "string", "format": "date-time"},
            id="a time needs no length",
        ),
        pytest.param(
            Name | None, None, {"type": "string", "maxLength": 8}, id="X or None is an optional X"
        ),
        pytest.param(
            Name, "", {"type": "string", "default": "", "maxLength": 8}, id="an empty text is kept"
        ),
        pytest.param(bool, False, {"type": "boolean", "default": False}, id="false is kept"),
        pytest.param(
            Literal["A", "B"],
            ...,
            {"type": "string", "enum": ["A", "B"]},
            id="literals are an enum",
        ),
        pytest.param(
            Literal["A"], ..., {"type": "string", "enum": ["A"]}, id="a const is an enum of one"
        ),
        pytest.param(
            Color,
            Color.RED,
            {
                "description": "Colors.",
                "type": "string",
                "default": "Red",
                "enum": ["Red", "Blue"],
            },
            id="an enum class is inlined, its default is its value",
        ),
        pytest.param(
            Small,
            ...,
            {"type": "integer", "format": "int32", "minimum": 0, "maximum": 9},
            id="an integer within 32 bits",
        ),
        pytest.param(
            Annotated[int, Field(ge=-1, le=2**31)],
            ...,
            {"type": "integer", "format": "int64", "minimum": -1, "maximum": 2147483648},
            id="an integer beyond 32 bits",
        ),
        pytest.param(
            Annotated[int, Field(gt=0, lt=10)],
            ...,
            {"type": "integer", "format": "int32", "minimum": 1, "maximum": 9},
            id="exclusive bounds become inclusive",
        ),
        pytest.param(
            Leaf,
            ...,
            {"description": "A leaf.", **LEAF},
            id="a model is inlined with its docstring",
        ),
        pytest.param(
            Annotated[Leaf, Field(description="Own.")],
            ...,
            {"description": "Own.", **LEAF},
            id="a description of the field goes before the docstring",
        ),
        pytest.param(
            Leaf | None, None, {"description": "A leaf.", **LEAF}, id="an optional model is inlined"
        ),
        pytest.param(
            Leaf,
            Leaf(name="a"),
            {
                "description": "A leaf.",
                "type": "object",
                "default": {"name": "a", "size": 3},
                **{key: value for key, value in LEAF.items() if key != "type"},
            },
            id="a default object is written out",
        ),
        pytest.param(
            Holder,
            Holder(),
            {
                "description": "A model with a map.",
                "type": "object",
                "default": {"values": {}},
                "properties": {
                    "values": {
                        "type": "object",
                        "default": {},
                        "maxProperties": 2,
                        "additionalProperties": {"type": "string", "maxLength": 8},
                    }
                },
            },
            id="an empty object is a default, for server-side apply that empties its parent",
        ),
        pytest.param(
            Ruled,
            Ruled(name="a"),
            {
                "description": "A model with a rule on itself.",
                "type": "object",
                "default": {"name": "a"},
                "properties": {"name": {"type": "string", "maxLength": 8}},
                "x-kubernetes-validations": [
                    {"rule": "has(self.name)", "message": "write a name", "fieldPath": ".name"}
                ],
            },
            id="rules of a model are kept with the field they name",
        ),
        pytest.param(
            Annotated[list[Name], Field(max_length=2)],
            [],
            {
                "type": "array",
                "maxItems": 2,
                "x-kubernetes-list-type": "atomic",
                "items": {"type": "string", "maxLength": 8},
            },
            id="a list is atomic unless it says otherwise, an empty default is dropped",
        ),
        pytest.param(
            Annotated[list[Name], Field(min_length=1, max_length=2)],
            ["a"],
            {
                "type": "array",
                "default": ["a"],
                "minItems": 1,
                "maxItems": 2,
                "x-kubernetes-list-type": "atomic",
                "items": {"type": "string", "maxLength": 8},
            },
            id="a default list with items is kept",
        ),
        pytest.param(
            Annotated[
                list[Name],
                Field(max_length=2, json_schema_extra={"x-kubernetes-list-type": "set"}),
            ],
            ...,
            {
                "type": "array",
                "maxItems": 2,
                "x-kubernetes-list-type": "set",
                "items": {"type": "string", "maxLength": 8},
            },
            id="a list may be a set",
        ),
        pytest.param(
            Annotated[list[Leaf], Field(max_length=2), keyed_by("name")],
            ...,
            {
                "type": "array",
                "maxItems": 2,
                "x-kubernetes-list-type": "map",
                "x-kubernetes-list-map-keys": ["name"],
                "items": {"description": "A leaf.", **LEAF},
            },
            id="a list of keyed objects is a map",
        ),
        pytest.param(
            Annotated[dict[str, Name], Field(min_length=1, max_length=2)],
            ...,
            {
                "type": "object",
                "minProperties": 1,
                "maxProperties": 2,
                "additionalProperties": {"type": "string", "maxLength": 8},
            },
            id="a map of strings",
        ),
        pytest.param(
            Annotated[Leaf, Field(json_schema_extra={"x-kubernetes-map-type": "atomic"})],
            ...,
            {
                "description": "A leaf.",
                "type": "object",
                "x-kubernetes-map-type": "atomic",
                **{key: value for key, value in LEAF.items() if key != "type"},
            },
            id="an atomic object",
        ),
        pytest.param(
            Annotated[Name, ruled(LOWER)] | None,
            None,
            {
                "type": "string",
                "maxLength": 8,
                "x-kubernetes-validations": [
                    {"rule": "self == self.lowerAscii()", "message": "write lower case"}
                ],
            },
            id="rules of an optional field are kept",
        ),
        pytest.param(
            Annotated[Annotated[Name, ruled(LOWER)], ruled(SHORT)],
            ...,
            {
                "type": "string",
                "maxLength": 8,
                "x-kubernetes-validations": [
                    {"rule": "self == self.lowerAscii()", "message": "write lower case"},
                    {"rule": "self.size() < 4", "message": "write less"},
                ],
            },
            id="rules of a type and of a narrower type add up",
        ),
    ],
)
def test_structural_schema_of(annotation: Any, default: Any, expected: dict[str, Any]) -> None:
    schema = schema_of(annotation, default)
    assert schema == expected
    assert (
        list(schema)[: 1 + ("description" in schema)]
        == list(expected)[: 1 + ("description" in schema)]
    ), "description and type stand first, for readers"


@pytest.mark.parametrize(
    ("annotation", "message"),
    [
        pytest.param(float, "type 'number' is not one of", id="a float"),
        pytest.param(str, "a string needs maxLength or enum", id="a string without a bound"),
        pytest.param(int, "an integer needs a minimum and a maximum", id="an unbounded integer"),
        pytest.param(
            Annotated[int, Field(ge=0, le=2**53)],
            "an integer needs a minimum and a maximum within 2^53",
            id="an integer that JSON readers round",
        ),
        pytest.param(
            Annotated[int, Field(ge=0, le=10, multiple_of=2)],
            "['multipleOf'] cannot be said of a integer",
            id="a keyword that is not translated",
        ),
        pytest.param(list[Name], "a list needs maxItems", id="a list without a bound"),
        pytest.param(
            Annotated[list[str], Field(max_length=1)],
            ".x[]: a string needs maxLength",
            id="an item without a bound",
        ),
        pytest.param(dict[str, Name], "a map needs maxProperties", id="a map without a bound"),
        pytest.param(
            Annotated[dict[str, str], Field(max_length=1)],
            ".x.*: a string needs maxLength",
            id="a map's value without a bound",
        ),
        pytest.param(Name | Small, "one type, or one type and None", id="a choice of types"),
        pytest.param(
            Annotated[
                list[Leaf], Field(max_length=1, json_schema_extra={"x-kubernetes-list-type": "map"})
            ],
            "x-kubernetes-list-type map and x-kubernetes-list-map-keys belong together",
            id="a keyed list without keys",
        ),
        pytest.param(
            Annotated[
                list[Name], Field(max_length=1, json_schema_extra={"x-kubernetes-list-type": "bag"})
            ],
            "x-kubernetes-list-type must be one of atomic, set, map",
            id="a list type that does not exist",
        ),
        pytest.param(Literal[1, 2], "an integer needs a minimum", id="a numeric enum"),
        pytest.param(Any, "type None is not one of", id="anything"),
        pytest.param(tuple[Name, Small], "a list has items of one type", id="a tuple"),
    ],
)
def test_refused(annotation: Any, message: str) -> None:
    with pytest.raises(SchemaError) as refusal:
        schema_of(annotation)
    assert message in str(refusal.value)
    assert str(refusal.value).startswith(".x"), "the message names the field"


def test_a_model_that_contains_itself_is_refused() -> None:
    with pytest.raises(SchemaError, match=r"^\.x\.inner: Looped contains itself"):
        schema_of(Looped)


def test_a_field_named_title_is_a_field_and_no_title() -> None:
    model = create_model("Titled", __base__=ApiModel, title=(Name, ...))
    assert structural_schema(model)["properties"] == {"title": {"type": "string", "maxLength": 8}}


def test_nulls_and_empty_lists_inside_a_default_object_are_dropped() -> None:
    class Box(ApiModel):
        name: Name | None = None
        items: list[Name] = Field(default=[], max_length=2)
        size: Small = 1

    class Outer(ApiModel):
        box: Box = Box()

    assert structural_schema(Outer)["properties"]["box"]["default"] == {"size": 1}
