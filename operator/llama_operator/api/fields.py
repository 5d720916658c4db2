"""Types of single fields with their bounds, and the rules that explain a refusal."""

import re
from typing import Annotated, Final

from pydantic import Field

from llama_operator.api.cel import Rule, ruled

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


ModelName = Annotated[
    str,
    Field(min_length=1, max_length=63),
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
    Field(min_length=1, max_length=8),
    ruled(
        text_rule(
            "^[0-9]{1,4}([.][0-9])?[bm]$",
            "write the size as a number and a lower-case b or m, such as 8b, 70b or 405b",
        )
    ),
]
QuantizationName = Annotated[
    str,
    Field(min_length=1, max_length=32),
    ruled(
        text_rule(
            "^[A-Za-z0-9]([A-Za-z0-9_.-]*[A-Za-z0-9])?$",
            "write the quantization as the catalog spells it, such as none, Int4, 4-bit or Q4_K_M",
        )
    ),
]
ObjectName = Annotated[
    str,
    Field(min_length=1, max_length=253),
    ruled(
        text_rule(
            "^[a-z0-9]([-a-z0-9.]*[a-z0-9])?$",
            "write the name of a Kubernetes object: lower-case letters, digits, dots and dashes",
        )
    ),
]
SecretKey = Annotated[
    str,
    Field(min_length=1, max_length=253),
    ruled(
        text_rule(
            "^[-._a-zA-Z0-9]+$",
            "write a key of the Secret: letters, digits, dots, dashes and underscores",
        )
    ),
]
ImageReference = Annotated[
    str,
    Field(min_length=1, max_length=512),
    ruled(
        text_rule(
            "^[a-zA-Z0-9][a-zA-Z0-9._:/@-]*$",
            "write an image with its tag or digest, such as vllm/vllm-openai:v0.33.0",
        )
    ),
]
ServedModelName = Annotated[
    str,
    Field(min_length=1, max_length=128),
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
    Field(min_length=1, max_length=128),
    ruled(
        text_rule(
            "^[A-Za-z_][A-Za-z0-9_]*$",
            "write an environment variable's name: letters, digits and underscores, "
            "not beginning with a digit",
        )
    ),
]
PrintableText = Annotated[
    str,
    Field(max_length=512),
    ruled(
        text_rule(
            "^[^\\x00-\\x08\\x0b-\\x1f\\x7f]*$",
            "control characters are not allowed; write printable text",
        )
    ),
]
GpuProduct = Annotated[
    str,
    Field(min_length=1, max_length=63),
    ruled(
        text_rule(
            "^[A-Za-z0-9]([A-Za-z0-9_.-]*[A-Za-z0-9])?$",
            "write the GPU as the node label nvidia.com/gpu.product gives it, "
            "such as NVIDIA-A100-SXM4-80GB; `llama-operator gpus` lists them",
        )
    ),
]
