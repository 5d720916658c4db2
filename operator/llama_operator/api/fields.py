"""Types of single fields with their bounds, and the rules that explain a refusal."""

import re
from dataclasses import dataclass
from typing import Annotated, Final

from pydantic import BaseModel, Field, GetCoreSchemaHandler, GetJsonSchemaHandler, JsonValue
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema, core_schema

from llama_operator.api.cel import Rule, ruled

ATOMIC: Final[dict[str, JsonValue]] = {"x-kubernetes-map-type": "atomic"}
"""Of an object that one manager writes as a whole.

Server-side apply makes null of one that it merges and takes the last field away from, which the
schema refuses; so an object that may be written empty is atomic, or has a default.
"""
NAME_PATTERN: Final = "^[a-z]([-a-z0-9]*[a-z0-9])?$"


def text_rule(pattern: str, message: str) -> Rule:
    """A rule that a string matches an anchored RE2 pattern; quotes must not occur in it."""
    compiled = re.compile(pattern.removesuffix("$") + r"\Z")
    escaped = pattern.replace("\\", "\\\\")
    return Rule(
        expression=f"self.matches('{escaped}')",
        message=message,
        holds=lambda value: compiled.match(value) is not None,
    )


@dataclass(frozen=True)
class KeyedBy:
    """Annotation of a list of objects that one of their fields tells apart."""

    field: str

    def __get_pydantic_core_schema__(
        self, source: object, handler: GetCoreSchemaHandler
    ) -> CoreSchema:
        """Refuse a list in which two objects have the same key."""

        def check(items: list[BaseModel]) -> list[BaseModel]:
            keys = [getattr(item, self.field) for item in items]
            for index, key in enumerate(keys):
                if key in keys[:index]:
                    msg = f"{self.field} {key} stands twice in the list; write it once"
                    raise ValueError(msg)
            return items

        return core_schema.no_info_after_validator_function(check, handler(source))

    def __get_pydantic_json_schema__(
        self, schema: CoreSchema, handler: GetJsonSchemaHandler
    ) -> JsonSchemaValue:
        """Tell the API server, which then refuses and merges by this key."""
        result = handler(schema)
        result["x-kubernetes-list-type"] = "map"
        result["x-kubernetes-list-map-keys"] = [self.field]
        return result


def keyed_by(field: str) -> KeyedBy:
    """Annotation of a list whose objects differ in this field."""
    return KeyedBy(field)


ModelName = Annotated[
    str,
    Field(max_length=63),
    ruled(
        text_rule(
            "^[a-z0-9]([-a-z0-9.]*[a-z0-9])?$",
            "write the name of a catalog row in lower case, such as llama-3.1-instruct; "
            "`llama-operator models` lists them",
        )
    ),
]
ModelSize = Annotated[
    str,
    Field(max_length=32),
    ruled(
        text_rule(
            "^[0-9]{1,4}([.][0-9])?[bm]$",
            "write the size as a number and a lower-case b or m, such as 8b, 70b or 405b",
        )
    ),
]
QuantizationName = Annotated[
    str,
    Field(max_length=32),
    ruled(
        text_rule(
            "^[A-Za-z0-9]([A-Za-z0-9_.-]*[A-Za-z0-9])?$",
            "write the quantization as the catalog spells it, such as none, Int4, 4-bit or Q4_K_M",
        )
    ),
]
ObjectName = Annotated[
    str,
    Field(max_length=253),
    ruled(
        text_rule(
            "^[a-z0-9]([-a-z0-9]*[a-z0-9])?([.][a-z0-9]([-a-z0-9]*[a-z0-9])?)*$",
            "write the name of a Kubernetes object: lower-case letters, digits, dots and dashes",
        )
    ),
]
DATA_KEY_PATTERN: Final = "^[.]?[-_a-zA-Z0-9][-._a-zA-Z0-9]*$"
SecretKey = Annotated[
    str,
    Field(max_length=253),
    ruled(
        text_rule(
            DATA_KEY_PATTERN,
            "write a key of the Secret: letters, digits, dots, dashes and underscores, "
            "not beginning with two dots",
        )
    ),
]
ConfigMapKey = Annotated[
    str,
    Field(max_length=253),
    ruled(
        text_rule(
            DATA_KEY_PATTERN,
            "write a key of the ConfigMap: letters, digits, dots, dashes and underscores, "
            "not beginning with two dots",
        )
    ),
]
EngineVersionName = Annotated[
    str,
    Field(max_length=27),
    ruled(
        text_rule(
            "^[0-9]{1,6}([.][0-9]{1,6}){0,3}$",
            "write the version of the engine as numbers, such as 0.33.0",
        )
    ),
]
ImageReference = Annotated[
    str,
    Field(max_length=512),
    ruled(
        text_rule(
            # host with port, path, then a tag, a digest or both
            "^[A-Za-z0-9][A-Za-z0-9._-]*(:[0-9]{1,5})?(/[a-z0-9][a-z0-9._-]*)*"
            "(:[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}|(:[A-Za-z0-9_][A-Za-z0-9_.-]{0,127})?"
            "@sha256:[0-9a-f]{64})$",
            "write an image with its tag or digest, such as vllm/vllm-openai:v0.33.0",
        )
    ),
]
ServedModelName = Annotated[
    str,
    Field(max_length=128),
    ruled(
        text_rule(
            "^[A-Za-z0-9][A-Za-z0-9._:/-]*$",
            "write a model name as clients will send it: letters, digits and . _ : / -, "
            "beginning with a letter or digit",
        )
    ),
]
EnvironmentName = Annotated[
    str,
    Field(max_length=128),
    ruled(
        text_rule(
            "^[A-Za-z_][A-Za-z0-9_]*$",
            "write an environment variable's name: letters, digits and underscores, "
            "not beginning with a digit",
        )
    ),
]
PRINTABLE: Final = text_rule(
    "^[^\\x00-\\x08\\x0b-\\x1f\\x7f]*$",
    "control characters are not allowed; write printable text",
)
PrintableText = Annotated[str, Field(max_length=512), ruled(PRINTABLE)]
GpuProduct = Annotated[
    str,
    Field(max_length=63),
    ruled(
        text_rule(
            "^[A-Za-z0-9]([A-Za-z0-9_.-]*[A-Za-z0-9])?$",
            "write the GPU as the node label nvidia.com/gpu.product gives it, "
            "such as NVIDIA-A100-SXM4-80GB; `llama-operator gpus` lists them",
        )
    ),
]
