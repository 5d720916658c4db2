"""The values: documented, strict, and harmless whatever stands in them."""

import json
import re
from collections.abc import Iterator
from typing import Any

import pytest
import yaml
from jsonschema import Draft7Validator

from chart.conftest import CHART, NAMESPACE, RELEASE, Helm, parse

SCHEMA = json.loads((CHART / "values.schema.json").read_text())
VALUES = yaml.safe_load((CHART / "values.yaml").read_text())
VALIDATOR = Draft7Validator(SCHEMA)
WHOLE = frozenset({"affinity", "resources", "podSecurityContext", "securityContext"})
"""Values that Kubernetes documents and that the table of the README shows in one row."""

HOSTILE = {
    "a YAML key of its own": "a\nhostNetwork: true",
    "a YAML key after a quote": 'a"\nprivileged: true\nx: "',
    "a YAML document of its own": "a\n---\nkind: Pod",
    "a YAML anchor": "&a [*a]",
    "a YAML comment": "a #",
    "a Go template": '{{ .Release.Name }}{{ env "HOME" }}',
    "a shell command": "$(touch /tmp/pwned)`id`;id",
    "a path out of the folder": "../../etc/shadow",
    "NUL": "a\x00b",
    "terminal escapes": "\x1b[2J",
    "right-to-left override": "a\u202eb",
    "10,000 characters": "a" * 10_000,
    "true as YAML reads it": "yes",
    "a number as YAML reads it": "0o14",
    "null as YAML reads it": "~",
}


def leaves(schema: dict[str, Any], path: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    """Paths of all values that are no objects with properties."""
    for name, child in schema["properties"].items():
        if "properties" in child and name not in WHOLE:
            yield from leaves(child, (*path, name))
        elif name != "global":
            yield (*path, name)


LEAVES = list(leaves(SCHEMA))


def at(tree: dict[str, Any], path: tuple[str, ...]) -> Any:
    """What stands at a path; `tree` has it."""
    value: Any = tree
    for name in path:
        value = value[name]
    return value


def schema_at(path: tuple[str, ...]) -> dict[str, Any]:
    """The schema of a value, references resolved."""
    schema: dict[str, Any] = SCHEMA
    for name in path:
        schema = schema["properties"][name]
    for part in schema.get("allOf", ()):
        schema = {**SCHEMA["definitions"][part["$ref"].rpartition("/")[2]], **schema}
    return schema


def nested(path: tuple[str, ...], value: Any) -> dict[str, Any]:
    """Values with one of them set."""
    for name in reversed(path):
        value = {name: value}
    assert isinstance(value, dict)
    return value


def complaints(values: dict[str, Any]) -> list[str]:
    """Paths that the schema refuses."""
    return [".".join(map(str, error.absolute_path)) for error in VALIDATOR.iter_errors(values)]


def test_the_schema_is_a_schema() -> None:
    Draft7Validator.check_schema(SCHEMA)


def test_the_default_values_are_valid_and_complete() -> None:
    assert complaints(VALUES) == []
    for path in LEAVES:
        at(VALUES, path)


def test_every_value_has_a_schema_and_a_description() -> None:
    def compare(values: dict[str, Any], schema: dict[str, Any], path: str) -> None:
        for name, value in values.items():
            assert name in schema["properties"], f"{path}{name} has no schema"
            child = schema["properties"][name]
            assert len(child["description"]) > 5, f"{path}{name} has no description"
            if "properties" in child:
                assert child["additionalProperties"] is False, f"{path}{name} takes anything"
                compare(value, child, f"{path}{name}.")

    assert SCHEMA["additionalProperties"] is False
    compare(VALUES, SCHEMA, "")


def test_every_value_is_explained_in_values_yaml() -> None:
    lines = (CHART / "values.yaml").read_text().splitlines()
    for path in LEAVES:
        indent = "  " * (len(path) - 1)
        (place,) = (
            number
            for number, line in enumerate(lines)
            if re.match(rf"{indent}{path[-1]}:", line) and _section(lines, number) == path[0]
        )
        assert lines[place - 1].startswith(f"{indent}# -- "), f"{'.'.join(path)} is not explained"


def _section(lines: list[str], number: int) -> str:
    return next(
        line.partition(":")[0] for line in reversed(lines[: number + 1]) if re.match(r"\w", line)
    )


def test_the_readme_tells_every_value_with_its_default() -> None:
    readme = (CHART / "README.md").read_text().splitlines()
    rows = [line for line in readme if line.startswith("| `")]
    assert rows == [
        f"| `{'.'.join(path)}` | `{json.dumps(at(VALUES, path))}` | "
        f"{schema_at(path)['description']} |"
        for path in LEAVES
    ]


@pytest.mark.parametrize(
    ("values", "path"),
    [
        pytest.param({"replica": 3}, "", id="a slip at the top"),
        pytest.param({"image": {"tags": "1"}}, "image", id="a slip further down"),
        pytest.param({"replicas": 0}, "replicas", id="no copy at all"),
        pytest.param({"replicas": "2"}, "replicas", id="a number as text"),
        pytest.param({"image": {"tag": 1.0}}, "image.tag", id="a tag that YAML reads as a number"),
        pytest.param({"image": {"digest": "sha256:0123"}}, "image.digest", id="a short digest"),
        pytest.param({"image": {"repository": "a b"}}, "image.repository", id="a space"),
        pytest.param({"image": {"repository": "a:1.0/b:2"}}, "image.repository", id="a tag inside"),
        pytest.param({"logLevel": "trace"}, "logLevel", id="a level that does not exist"),
        pytest.param(
            {"imageRegistry": "https://registry.example.com"}, "imageRegistry", id="a URL"
        ),
        pytest.param(
            {"priceTolerancePercent": -1}, "priceTolerancePercent", id="a tolerance below zero"
        ),
        pytest.param({"workers": 65}, "workers", id="too many workers"),
        pytest.param(
            {"commonLabels": {"app.kubernetes.io/name": "x"}},
            "commonLabels",
            id="a label that selectors need",
        ),
        pytest.param(
            {"extraEnv": [{"name": "LLAMA_OPERATOR_LOG_LEVEL", "value": "debug"}]},
            "extraEnv.0.name",
            id="a variable that the chart sets",
        ),
        pytest.param(
            {"securityContext": {"privileged": True}},
            "securityContext.privileged",
            id="a privileged container",
        ),
        pytest.param(
            {"securityContext": {"allowPrivilegeEscalation": True}},
            "securityContext.allowPrivilegeEscalation",
            id="more rights than the parent has",
        ),
        pytest.param(
            {"podSecurityContext": {"runAsUser": 0}}, "podSecurityContext.runAsUser", id="root"
        ),
        pytest.param(
            {"resources": {"limits": {"memory": "much"}}},
            "resources.limits.memory",
            id="no quantity",
        ),
        pytest.param(
            {"networkPolicy": {"apiServerPorts": []}},
            "networkPolicy.apiServerPorts",
            id="no port of the API server",
        ),
        pytest.param(
            {"networkPolicy": {"metricsFrom": [{}]}},
            "networkPolicy.metricsFrom.0",
            id="an empty peer",
        ),
        pytest.param(
            {"serviceMonitor": {"interval": "30"}}, "serviceMonitor.interval", id="no unit"
        ),
        pytest.param({"fullnameOverride": "Llama"}, "fullnameOverride", id="a name in upper case"),
        pytest.param({"affinity": {"nodeAffinty": {}}}, "affinity", id="a slip in affinity"),
    ],
)
def test_refused(values: dict[str, Any], path: str) -> None:
    assert path in complaints(values)


@pytest.mark.cluster
def test_helm_keeps_the_schema(helm: Helm) -> None:
    done = helm.attempt("template", "x", str(CHART), values={"replica": 3, "image": {"tags": 1}})
    assert done.returncode != 0
    assert "replica" in done.stderr
    assert "tags" in done.stderr


def hostile_values(path: tuple[str, ...]) -> Iterator[tuple[str, str, dict[str, Any]]]:
    """Every hostile text in every place of a value that takes text, names of keys included."""
    schema = schema_at(path)
    for what, text in HOSTILE.items():
        places: list[Any] = [text]
        if schema.get("type") == "object":
            places = [{"a": text}, {text: "a"}]
        if schema.get("type") == "array":
            items = schema["items"].get("properties", {})
            places = [[text], *([{**_required(schema["items"]), name: text}] for name in items)]
        for place in places:
            yield what, text, nested(path, place)


def _required(schema: dict[str, Any]) -> dict[str, Any]:
    samples = {"name": "A", "cidr": "10.0.0.0/8", "maxSkew": 1, "topologyKey": "zone"}
    return {
        name: samples.get(name, schema["properties"][name].get("enum", [""])[0])
        for name in schema.get("required", ())
    }


def replaced(value: Any, old: str, new: str) -> Any:
    """A copy with one text instead of another, also inside of texts and in keys."""
    if isinstance(value, dict):
        return {key.replace(old, new): replaced(one, old, new) for key, one in value.items()}
    if isinstance(value, list):
        return [replaced(one, old, new) for one in value]
    return value.replace(old, new) if isinstance(value, str) else value


@pytest.mark.cluster
@pytest.mark.parametrize("path", LEAVES, ids=[".".join(path) for path in LEAVES])
def test_hostile_texts_are_refused_or_stay_one_text(helm: Helm, path: tuple[str, ...]) -> None:
    def render(values: dict[str, Any]) -> str | None:
        command = ("template", RELEASE, str(CHART), "-n", NAMESPACE)
        done = helm.attempt(*command, values={**values, "crds": {"enabled": False}})
        # Some texts are no YAML, so that Helm refuses the values and the chart sees nothing.
        assert done.returncode == 0 or "failed to parse -" in done.stderr, done.stderr
        return done.stdout if done.returncode == 0 else None

    unchanged: dict[str, Any] = {}
    tried = 0
    for what, text, values in hostile_values(path):
        tried += 1
        if complaints(values) or (rendered := render(values)) is None:
            continue
        # What the schema lets through must change one text and nothing around it.
        harmless = replaced(values, text, "harmless")
        place = json.dumps(harmless)
        if place not in unchanged:
            assert complaints(harmless) == [], f"{what}: the schema takes only the hostile text"
            unchanged[place] = parse(render(harmless) or "")
        assert replaced(parse(rendered), text, "harmless") == unchanged[place], what
    assert tried >= len(HOSTILE)
