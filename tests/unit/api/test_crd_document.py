"""Properties of the CRD as a whole: what the API conventions and its readers ask for."""

import re
from collections.abc import Iterator
from typing import Any

import pytest
import yaml

from llama_operator.api.crd import PRINTER_COLUMNS, custom_resource_definition, object_schema
from llama_operator.cli.crd import crd_yaml

SIZE_LIMIT_BYTES = 200_000
"""Below the 262,144 bytes that `kubectl apply` may put into an annotation."""

UNITS = re.compile(
    r"\b(bytes|tokens|percent|seconds|thousandths of a core|gpus|serving copies|pods|nodes|"
    r"requests|sequences|stages|generation)\b",
    re.IGNORECASE,
)


def named_fields(schema: dict[str, Any], path: str) -> Iterator[tuple[str, dict[str, Any]]]:
    """Every property below a schema, with its path."""
    for name, child in schema.get("properties", {}).items():
        yield f"{path}.{name}", child
        yield from named_fields(child, f"{path}.{name}")
    if "items" in schema:
        yield from named_fields(schema["items"], f"{path}[]")


def every_schema(schema: dict[str, Any], path: str = "") -> Iterator[tuple[str, dict[str, Any]]]:
    """Every schema, items of lists included."""
    yield path, schema
    for name, child in schema.get("properties", {}).items():
        yield from every_schema(child, f"{path}.{name}")
    if "items" in schema:
        yield from every_schema(schema["items"], f"{path}[]")


ROOT = object_schema()
FIELDS = [
    field
    for part in ("spec", "status")
    for field in [
        (part, ROOT["properties"][part]),
        *named_fields(ROOT["properties"][part], part),
    ]
]


@pytest.mark.parametrize(("path", "schema"), FIELDS, ids=[path for path, _ in FIELDS])
def test_every_field_explains_itself_with_an_example(path: str, schema: dict[str, Any]) -> None:
    description = schema.get("description", "")
    assert description.endswith(".")
    assert "e.g. " in description or "enum" in schema
    if schema["type"] == "integer":
        assert UNITS.search(description), f"{path} names no unit: {description}"


def test_it_is_small_enough_for_kubectl_apply() -> None:
    assert len(crd_yaml().encode()) < SIZE_LIMIT_BYTES


def test_it_holds_nothing_that_the_api_conventions_refuse() -> None:
    for path, schema in every_schema(ROOT):
        assert schema["type"] in {"object", "array", "string", "integer", "boolean"}, path
        assert "x-kubernetes-preserve-unknown-fields" not in schema, path
        assert "title" not in schema, path
        assert not {"$ref", "anyOf", "allOf", "oneOf", "not", "nullable"} & schema.keys(), path
        assert not path.endswith(".phase"), path
        if schema["type"] == "array":
            assert schema["x-kubernetes-list-type"] in {"atomic", "map", "set"}, path
        for rule in schema.get("x-kubernetes-validations", ()):
            assert len(rule["message"]) > 20, path
            assert "\n" not in rule["message"], "the API server refuses line breaks in messages"


def test_field_names_are_lower_camel_case() -> None:
    for path, _ in FIELDS:
        name = path.rsplit(".", 1)[-1]
        assert re.fullmatch(r"[a-z][A-Za-z0-9]*", name), path


def follow(json_path: str) -> dict[str, Any]:
    """The schema that a printer column or a scale path points at."""
    schema = ROOT
    for part in re.sub(r"\[\?\(.*?\)\]", "[]", json_path).removeprefix(".").split("."):
        schema = schema["properties"][part.removesuffix("[]")]
        if part.endswith("[]"):
            schema = schema["items"]
    return schema


@pytest.mark.parametrize(
    "column", PRINTER_COLUMNS, ids=[column["name"] for column in PRINTER_COLUMNS]
)
def test_every_printer_column_points_at_a_field_of_its_type(column: dict[str, Any]) -> None:
    if column["jsonPath"] == ".metadata.creationTimestamp":
        assert column["type"] == "date"
        return
    assert follow(column["jsonPath"])["type"] == column["type"]


def test_the_columns_are_those_of_the_documentation() -> None:
    shown = [column["name"] for column in PRINTER_COLUMNS if column.get("priority", 0) == 0]
    wide = [column["name"] for column in PRINTER_COLUMNS if column.get("priority", 0) == 1]
    assert shown == [
        "Model",
        "Size",
        "Format",
        "Engine",
        "GPUs",
        "Context",
        "Replicas",
        "Ready",
        "Reason",
        "Age",
    ]
    assert wide == ["Available", "URL", "Repository", "Message"]


def test_status_and_scale_are_subresources_that_point_at_fields() -> None:
    (version,) = custom_resource_definition()["spec"]["versions"]
    assert version["subresources"]["status"] == {}
    scale = version["subresources"]["scale"]
    assert {key: follow(path)["type"] for key, path in scale.items()} == {
        "specReplicasPath": "integer",
        "statusReplicasPath": "integer",
        "labelSelectorPath": "string",
    }


def test_names_do_not_collide_with_those_of_others() -> None:
    names = custom_resource_definition()["spec"]["names"]
    assert names["shortNames"] == ["llama"]
    assert names["categories"] == ["llm"], "never `all`, which lists every workload"


def test_a_fresh_object_has_a_status_that_tools_take_for_unfinished() -> None:
    assert ROOT["properties"]["status"]["default"] == {"observedGeneration": -1}


def test_parents_of_defaults_have_defaults_themselves() -> None:
    spec = ROOT["properties"]["spec"]["properties"]
    assert spec["engine"]["default"] == {"type": "Auto"}
    assert spec["context"]["default"] == {"concurrency": 2}
    assert spec["memory"]["default"] == {
        "kvCacheDType": "Auto",
        "cudaGraphs": "Enabled",
        "prefixCaching": "Auto",
    }


def test_plan_and_recommendation_are_replaced_as_a_whole() -> None:
    status = ROOT["properties"]["status"]["properties"]
    for name in ("plan", "recommendation"):
        assert status[name]["x-kubernetes-map-type"] == "atomic"


def test_what_may_be_written_empty_survives_server_side_apply() -> None:
    assert list(nulled(ROOT["properties"]["spec"], "spec")) == []


def nulled(schema: dict[str, Any], path: str) -> Iterator[str]:
    """Objects that server-side apply makes null of when their last field is taken away."""
    for name, child in schema.get("properties", {}).items():
        if child["type"] != "object" or child.get("x-kubernetes-map-type") == "atomic":
            continue
        if "default" not in child and not child.get("required"):
            yield f"{path}.{name}"
        yield from nulled(child, f"{path}.{name}")


def test_the_same_bytes_come_out_twice() -> None:
    assert crd_yaml() == crd_yaml()
    assert yaml.safe_load(crd_yaml()) == custom_resource_definition()
