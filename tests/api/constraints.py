"""The constraints of a structural schema: listing them, and finding which ones a value breaks.

Written apart from the converter, so that the table of cases is held against what the API server
is given and not against what the converter believes.
"""

import copy
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

Schema = dict[str, Any]

BOUNDS = (
    "minimum",
    "maximum",
    "minLength",
    "maxLength",
    "minItems",
    "maxItems",
    "minProperties",
    "maxProperties",
)
ANY_KEY = "*"
MAPS = ("spec.template.metadata.labels", "spec.template.metadata.annotations")
"""Fields whose keys a user chooses."""
KNOWN = frozenset(
    {
        *BOUNDS,
        "type",
        "description",
        "default",
        "format",
        "enum",
        "pattern",
        "required",
        "properties",
        "items",
        "additionalProperties",
        "x-kubernetes-validations",
        "x-kubernetes-list-type",
        "x-kubernetes-list-map-keys",
        "x-kubernetes-map-type",
    }
)


@dataclass(frozen=True, order=True)
class Constraint:
    """One thing that a schema demands.

    Attributes:
        field: path that a refusal names; `[]` stands for any item of a list, `*` for any key.
        keyword: the schema's word; `rule` for CEL.
        detail: the message of a rule, or the bound.
    """

    field: str
    keyword: str
    detail: str


def walk(schema: Schema, path: str) -> Iterator[tuple[str, Schema]]:
    """Every schema below this one and itself, with its path."""
    unknown = schema.keys() - KNOWN
    assert not unknown, f"{path}: no test knows what {sorted(unknown)} demands"
    yield path, schema
    for name, child in schema.get("properties", {}).items():
        yield from walk(child, f"{path}.{name}".removeprefix("."))
    if "items" in schema:
        yield from walk(schema["items"], f"{path}[]")
    if "additionalProperties" in schema:
        yield from walk(schema["additionalProperties"], f"{path}.*")


def constraints(schema: Schema, path: str) -> Iterator[Constraint]:
    """Everything that a schema demands of a value, types apart."""
    for field, part in walk(schema, path):
        for keyword in (*BOUNDS, "enum", "pattern"):
            if keyword in part:
                yield Constraint(field, keyword, str(part[keyword]))
        if part.get("format") == "date-time":
            yield Constraint(field, "format", "date-time")
        for name in part.get("required", ()):
            yield Constraint(f"{field}.{name}".removeprefix("."), "required", "")
        if part.get("x-kubernetes-list-type") in ("map", "set"):
            yield Constraint(f"{field}[]", "unique", part["x-kubernetes-list-type"])
        for rule in part.get("x-kubernetes-validations", ()):
            named = (field + rule.get("fieldPath", "")).removeprefix(".")
            yield Constraint(named, "rule", rule["message"])


def generic(field: str) -> str:
    """A field's path with `[]` for every index and `*` for every key of a map."""
    return re.sub(rf"^({'|'.join(MAPS)})[.\[].*", r"\1.*", re.sub(r"\[\d+\]", "[]", field))


def values_at(value: Any, path: str) -> Iterator[Any]:
    """Every value at a generic path; nothing where a parent is missing or of another type."""
    head, _, rest = path.partition(".")
    name = head.removesuffix("[]")
    if not isinstance(value, dict) or (name not in value and name != ANY_KEY):
        return
    found = list(value.values()) if name == ANY_KEY else [value[name]]
    if head.endswith("[]"):
        found = value[name] if isinstance(value[name], list) else []
    for one in found:
        if rest:
            yield from values_at(one, rest)
        else:
            yield one


def measure(keyword: str, value: Any) -> int | None:
    """The number that a bound is about; None when the value is of another type."""
    if keyword in ("minimum", "maximum"):
        return value if isinstance(value, int) and not isinstance(value, bool) else None
    kinds = {"Length": str, "Items": list, "Properties": dict}
    return len(value) if isinstance(value, kinds[keyword[3:]]) else None


def breaks(constraint: Constraint, manifest: dict[str, Any]) -> bool:
    """Whether some value of the manifest breaks a constraint that is no rule."""
    if constraint.keyword == "required":
        return _lacks(constraint.field, manifest)
    values = list(values_at(manifest, constraint.field))
    if constraint.keyword in BOUNDS:
        sizes = [measure(constraint.keyword, value) for value in values]
        bound = int(constraint.detail)
        low = constraint.keyword.startswith("min")
        return any(size is not None and (size < bound if low else size > bound) for size in sizes)
    if constraint.keyword == "enum":
        return any(isinstance(one, str) and repr(one) not in constraint.detail for one in values)
    if constraint.keyword == "unique":
        keys = [str(one.get("name") if isinstance(one, dict) else one) for one in values]
        return len(set(keys)) < len(keys)
    assert constraint.keyword == "pattern", constraint
    return any(isinstance(one, str) and not re.search(constraint.detail, one) for one in values)


def lies_on_the_bound(constraint: Constraint, manifest: dict[str, Any]) -> bool:
    """Whether some value of the manifest is exactly as small or large as it may be."""
    values = values_at(manifest, constraint.field)
    return any(measure(constraint.keyword, one) == int(constraint.detail) for one in values)


def _lacks(field: str, manifest: dict[str, Any]) -> bool:
    parent, _, name = field.rpartition(".")
    parents = values_at(manifest, parent) if parent else iter([manifest])
    return any(isinstance(one, dict) and one.get(name) is None for one in parents)


def with_defaults(schema: Schema, value: Any) -> Any:
    """What the API server makes of a valid value: defaults filled in, null fields dropped."""
    if isinstance(value, list) and "items" in schema:
        return [with_defaults(schema["items"], one) for one in value]
    if not isinstance(value, dict) or "properties" not in schema:
        return value
    filled = {}
    for name, child in schema["properties"].items():
        given = value.get(name)
        if given is None and "default" in child:
            given = copy.deepcopy(child["default"])
        if given is not None:
            filled[name] = with_defaults(child, given)
    return filled


def replace_at(value: Any, path: str, new: Any) -> Any:
    """A copy of a value in which the first place at a generic path holds something else."""
    head, _, rest = path.partition(".")
    name = next(iter(value)) if head == ANY_KEY else head.removesuffix("[]")
    changed = dict(value)
    if head.endswith("[]"):
        items = list(value[name])
        items[0] = replace_at(items[0], rest, new) if rest else new
        changed[name] = items
    else:
        changed[name] = replace_at(value[name], rest, new) if rest else new
    return changed


def largest(schema: dict[str, Any]) -> Any:
    """A value that is as large as the schema allows."""
    kind = schema["type"]
    if "additionalProperties" in schema:
        child = largest(schema["additionalProperties"])
        return {f"{index:02}": child for index in range(schema["maxProperties"])}
    if kind == "object":
        return {name: largest(child) for name, child in schema["properties"].items()}
    if kind == "array":
        items = [largest(schema["items"]) for _ in range(schema["maxItems"])]
        for key in schema.get("x-kubernetes-list-map-keys", ()):
            for index, item in enumerate(items):
                item[key] = f"{item[key][:-2]}{index:02}"
        return items
    if kind == "string":
        if schema.get("format") == "date-time":
            return "2026-01-02T03:04:05Z"
        return schema["enum"][-1] if "enum" in schema else "é" * schema["maxLength"]
    return True if kind == "boolean" else schema["maximum"]
