"""From the API models to the CustomResourceDefinition.

Pydantic writes JSON schema; the API server takes structural schemas, a subset with other words:
no `$ref`, no `anyOf` with null, no `const`, no `exclusiveMinimum` as a number. This module
translates the constructs that the API uses and refuses every other one, so that none gets lost.
"""

from collections.abc import Callable, Mapping
from typing import Any, Final

from llama_operator.api.deployment import LlamaDeployment
from llama_operator.api.model import ApiModel
from llama_operator.api.status import LlamaDeploymentStatus
from llama_operator.api.v1alpha1 import (
    CATEGORY,
    GROUP,
    KIND,
    PLURAL,
    SHORT_NAME,
    VERSION,
    LlamaDeploymentSpec,
)

Schema = dict[str, Any]

INT32_MAX: Final = 2**31 - 1
SAFE_INTEGER_MAX: Final = 2**53 - 1
"""Largest integer that every JSON reader keeps exact (Kubernetes API conventions, numbers)."""

_LIST_TYPES: Final = ("atomic", "set", "map")
_ANNOTATIONS: Final = frozenset({"title", "description", "default"})
_VALIDATIONS: Final = "x-kubernetes-validations"
_LIST_TYPE: Final = "x-kubernetes-list-type"
_LIST_KEYS: Final = "x-kubernetes-list-map-keys"
_MAP_TYPE: Final = "x-kubernetes-map-type"


class SchemaError(ValueError):
    """A model uses what a structural schema cannot say, or leaves something unbounded."""

    def __init__(self, path: str, message: str) -> None:
        super().__init__(f"{path or '.'}: {message}")


def structural_schema(model: type[ApiModel]) -> Schema:
    """The structural schema of a model.

    Raises:
        SchemaError: a field has no bound, or a type that the API server does not know.
    """
    source = model.model_json_schema(by_alias=True, mode="validation")
    return _Converter(source.pop("$defs", {})).convert(source, "", ())


class _Converter:
    """Translates the schemas of one JSON schema document; `path` only serves messages."""

    def __init__(self, definitions: Mapping[str, Schema]) -> None:
        self._definitions = definitions
        self._by_type: dict[str, Callable[[Schema, str, tuple[str, ...]], Schema]] = {
            "object": self._object,
            "array": self._array,
            "string": self._string,
            "integer": self._integer,
            "boolean": self._boolean,
        }

    def convert(self, source: Schema, path: str, parents: tuple[str, ...]) -> Schema:
        """Translate one schema; `parents` are the definitions that it stands in."""
        source, parents = self._resolve(source, path, parents)
        kind = source.pop("type", None)
        if kind not in self._by_type:
            raise SchemaError(
                path, f"type {kind!r} is not one of {', '.join(self._by_type)}; floats are not used"
            )
        head: Schema = {"description": source["description"]} if "description" in source else {}
        head["type"] = kind
        default = _without_empty(source.get("default"))
        if default is not None:
            head["default"] = default
        rest = {key: value for key, value in source.items() if key not in _ANNOTATIONS}
        rules = rest.pop(_VALIDATIONS, None)
        schema = head | self._by_type[kind](rest, path, parents)
        if rest:
            raise SchemaError(path, f"{sorted(rest)} cannot be said of a {kind}")
        if rules:
            schema[_VALIDATIONS] = rules
        return schema

    def _resolve(
        self, source: Schema, path: str, parents: tuple[str, ...]
    ) -> tuple[Schema, tuple[str, ...]]:
        """Inline `$ref`, unwrap `anyOf` with null and turn `const` into `enum`."""
        source = dict(source)
        while "$ref" in source or "anyOf" in source:
            if "$ref" in source:
                name = source.pop("$ref").removeprefix("#/$defs/")
                if name in parents:
                    raise SchemaError(path, f"{name} contains itself")
                parents = (*parents, name)
                inner = self._definitions[name]
            else:
                choices = [one for one in source.pop("anyOf") if one != {"type": "null"}]
                if len(choices) != 1:
                    raise SchemaError(path, "a field has one type, or one type and None")
                (inner,) = choices
            source = {**inner, **source}
        if "const" in source:
            source["enum"] = [source.pop("const")]
        return source, parents

    def _object(self, rest: Schema, path: str, parents: tuple[str, ...]) -> Schema:
        schema = _take(rest, _MAP_TYPE)
        if "additionalProperties" in rest:
            if "maxProperties" not in rest:
                raise SchemaError(path, "a map needs maxProperties")
            schema |= _take(rest, "minProperties", "maxProperties")
            values = rest.pop("additionalProperties")
            schema["additionalProperties"] = self.convert(values, f"{path}.*", parents)
            return schema
        properties = rest.pop("properties", {})
        required = rest.pop("required", [])
        if required:
            schema["required"] = required
        schema["properties"] = {
            name: self.convert(value, f"{path}.{name}", parents)
            for name, value in properties.items()
        }
        return schema

    def _array(self, rest: Schema, path: str, parents: tuple[str, ...]) -> Schema:
        if "maxItems" not in rest:
            raise SchemaError(path, "a list needs maxItems")
        if "items" not in rest:
            raise SchemaError(path, "a list has items of one type")
        schema = _take(rest, "minItems", "maxItems")
        schema[_LIST_TYPE] = rest.pop(_LIST_TYPE, "atomic")
        if schema[_LIST_TYPE] not in _LIST_TYPES:
            raise SchemaError(path, f"{_LIST_TYPE} must be one of {', '.join(_LIST_TYPES)}")
        if (schema[_LIST_TYPE] == "map") != (_LIST_KEYS in rest):
            raise SchemaError(path, f"{_LIST_TYPE} map and {_LIST_KEYS} belong together")
        schema |= _take(rest, _LIST_KEYS)
        schema["items"] = self.convert(rest.pop("items"), f"{path}[]", parents)
        return schema

    def _string(self, rest: Schema, path: str, _parents: tuple[str, ...]) -> Schema:
        if not {"enum", "maxLength"} & rest.keys() and rest.get("format") != "date-time":
            raise SchemaError(path, "a string needs maxLength or enum")
        return _take(rest, "format", "enum", "minLength", "maxLength", "pattern")

    def _integer(self, rest: Schema, path: str, _parents: tuple[str, ...]) -> Schema:
        if "exclusiveMinimum" in rest:
            rest["minimum"] = rest.pop("exclusiveMinimum") + 1
        if "exclusiveMaximum" in rest:
            rest["maximum"] = rest.pop("exclusiveMaximum") - 1
        bounds = _take(rest, "minimum", "maximum")
        if len(bounds) != 2 or max(map(abs, bounds.values())) > SAFE_INTEGER_MAX:
            raise SchemaError(path, "an integer needs a minimum and a maximum within 2^53")
        narrow = bounds["minimum"] >= -INT32_MAX and bounds["maximum"] <= INT32_MAX
        return {"format": "int32" if narrow else "int64", **bounds}

    def _boolean(self, _rest: Schema, _path: str, _parents: tuple[str, ...]) -> Schema:
        return {}


def _take(source: Schema, *keys: str) -> Schema:
    return {key: source.pop(key) for key in keys if key in source}


def _without_empty(value: object) -> object:
    """A default without what an absent field says as well: null and the empty list."""
    if isinstance(value, dict):
        kept = {key: _without_empty(item) for key, item in value.items()}
        return {key: item for key, item in kept.items() if item is not None}
    return None if value == [] else value


def _column(name: str, path: str, description: str, **more: object) -> Schema:
    return {"name": name, "type": "string", "jsonPath": path, "description": description, **more}


def _condition(name: str, value: str) -> str:
    return f'.status.conditions[?(@.type=="{name}")].{value}'


PRINTER_COLUMNS: Final[tuple[Schema, ...]] = (
    _column("Model", ".spec.model", "Name of the model in the catalog"),
    _column("Size", ".spec.size", "Size of the model"),
    _column("Format", ".status.plan.format", "Planned format of the weights"),
    _column("Engine", ".status.plan.engine", "Planned serving engine"),
    _column("GPUs", ".status.plan.gpus", "Planned GPUs of one replica"),
    _column("Context", ".status.plan.maxModelLen", "Longest request in tokens", type="integer"),
    _column("Replicas", ".status.replicas", "Pods that exist", type="integer"),
    _column("Ready", _condition("Ready", "status"), "Whether the URL answers"),
    _column("Reason", _condition("Ready", "reason"), "Why it is ready or not"),
    _column("Age", ".metadata.creationTimestamp", "Time since creation", type="date"),
    _column("Available", ".status.readyReplicas", "Pods that answer", type="integer", priority=1),
    _column("URL", ".status.url", "OpenAI base URL inside the cluster", priority=1),
    _column("Repository", ".status.plan.repository", "Repository of the model's files", priority=1),
    _column("Message", _condition("Ready", "message"), "Why, in a sentence", priority=1),
)


def object_schema() -> Schema:
    """The structural schema of a whole LlamaDeployment."""
    status = structural_schema(LlamaDeploymentStatus)
    # Without a status, tools that wait (kstatus) take a fresh object for a finished one.
    status["default"] = {"observedGeneration": LlamaDeploymentStatus().observed_generation}
    return {
        "description": LlamaDeployment.__doc__,
        "type": "object",
        "required": ["spec"],
        "properties": {
            "apiVersion": {
                "description": f"Version of the API, e.g. {GROUP}/{VERSION}.",
                "type": "string",
            },
            "kind": {"description": f"Kind of the object, e.g. {KIND}.", "type": "string"},
            # Declared only so that the rule on the name may point at it.
            "metadata": {"type": "object", "properties": {"name": {"type": "string"}}},
            "spec": structural_schema(LlamaDeploymentSpec),
            "status": status,
        },
        _VALIDATIONS: [rule.as_schema() for rule in LlamaDeployment.rules],
    }


def custom_resource_definition() -> Schema:
    """The CustomResourceDefinition of LlamaDeployment, with all that kubectl shows of it."""
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": f"{PLURAL}.{GROUP}"},
        "spec": {
            "group": GROUP,
            "names": {
                "kind": KIND,
                "listKind": f"{KIND}List",
                "plural": PLURAL,
                "singular": KIND.lower(),
                "shortNames": [SHORT_NAME],
                "categories": [CATEGORY],
            },
            "scope": "Namespaced",
            "versions": [
                {
                    "name": VERSION,
                    "served": True,
                    "storage": True,
                    "additionalPrinterColumns": list(PRINTER_COLUMNS),
                    "subresources": {
                        "status": {},
                        "scale": {
                            "specReplicasPath": ".spec.replicas",
                            "statusReplicasPath": ".status.replicas",
                            "labelSelectorPath": ".status.selector",
                        },
                    },
                    "schema": {"openAPIV3Schema": object_schema()},
                }
            ],
        },
    }
