"""LoRA adapters beside the model: `spec.lora`."""

from typing import Annotated, Final

from pydantic import Field

from llama_operator.api.cel import Rule, ruled
from llama_operator.api.fields import keyed_by, text_rule
from llama_operator.api.model import ApiModel

RANKS: Final = (1, 8, 16, 32, 64, 128, 256, 320, 512)
"""What `--max-lora-rank` of vLLM 0.33.0 takes (tests/captures)."""
ADAPTERS_LIMIT: Final = 16

AdapterName = Annotated[
    str,
    Field(max_length=128),
    ruled(
        text_rule(
            "^[A-Za-z0-9][A-Za-z0-9._-]*$",
            "write the name of an adapter as clients will send it: letters, digits and . _ -, "
            "beginning with a letter or digit",
        )
    ),
]
AdapterRepository = Annotated[
    str,
    Field(max_length=193),
    ruled(
        text_rule(
            "^[A-Za-z0-9_]+([.-][A-Za-z0-9_]+)*/[A-Za-z0-9_]+([.-][A-Za-z0-9_]+)*$",
            "write a repository of the hub with its owner, such as org/llama-3.1-8b-sql-lora",
        )
    ),
]
AdapterFile = Annotated[
    str,
    Field(max_length=253),
    ruled(
        text_rule(
            "^([A-Za-z0-9_][A-Za-z0-9._-]*/)*[A-Za-z0-9_][A-Za-z0-9._-]*[.]gguf$",
            "write the path of a GGUF file in the repository, such as sql-lora-f16.gguf",
        )
    ),
]


class LoraAdapter(ApiModel):
    """An adapter that was trained for the model."""

    name: AdapterName = Field(description="Name that clients send as `model`, e.g. sql.")
    repository: AdapterRepository = Field(
        description="Repository on spec.hub, e.g. org/llama-3.1-8b-sql-lora."
    )
    file: AdapterFile | None = Field(
        default=None,
        description="GGUF file of the repository, for LlamaCpp, e.g. sql-lora-f16.gguf. "
        "Unset: the repository has the form of PEFT, or of mlx-lm for MLX.",
    )


class LoraSpec(ApiModel):
    """Adapters that are served beside the model, all of them loaded at once."""

    rank: Annotated[int, Field(ge=1, le=512)] = Field(
        default=16,
        description="Highest rank of the adapters, which decides their bytes on a GPU, e.g. 16.",
    )
    adapters: Annotated[list[LoraAdapter], keyed_by("name")] = Field(
        min_length=1,
        max_length=ADAPTERS_LIMIT,
        description="Adapters by name, e.g. name sql, repository org/llama-3.1-8b-sql-lora.",
    )

    rules = (
        Rule(
            expression=f"self.rank in {list(RANKS)}",
            message=f"rank must be one of {', '.join(map(str, RANKS))}: the next one above the "
            "highest rank of the adapters",
            holds=lambda lora: lora.rank in RANKS,
            field=".rank",
        ),
    )
