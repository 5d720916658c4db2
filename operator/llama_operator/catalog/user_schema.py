"""What a user may write into the keys of a ConfigMap with rows. Names are those of the tables."""

from typing import Annotated, Any, Final, Self

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Discriminator,
    Field,
    Tag,
    model_validator,
)

from llama_operator.api.cel import ruled
from llama_operator.api.enums import MODEL_TOKENS_LIMIT
from llama_operator.api.fields import (
    GpuProduct,
    ModelName,
    ModelSize,
    PrintableText,
    QuantizationName,
    text_rule,
)
from llama_operator.catalog.checks import file_template_error
from llama_operator.catalog.machine_tables import VENDORS
from llama_operator.catalog.model_tables import (
    ABILITIES,
    ENGINES,
    FILE_BYTES_LIMIT,
    FORMATS,
    HUBS,
    PARTS_LIMIT,
)
from llama_operator.units import MIB

MODEL_TYPES: Final = ("llama",)
"""Model types whose shape `Architecture` describes wholly: gated MLP, no biases, RMS norms."""


def _word_of(allowed: tuple[str, ...]) -> AfterValidator:
    def check(word: str) -> str:
        if word not in allowed:
            msg = f"write one of {', '.join(allowed)}"
            raise ValueError(msg)
        return word

    return AfterValidator(check)


def _count(most: int) -> Any:  # noqa: ANN401 - the value of Field has no public type
    return Field(ge=1, le=most)


Word = Annotated[
    str,
    Field(min_length=1, max_length=63),
    ruled(
        text_rule("^[A-Za-z0-9][A-Za-z0-9 ._+-]*$", "write letters, digits, blanks and . _ + -"),
    ),
]
Repository = Annotated[
    str,
    Field(min_length=3, max_length=128),
    ruled(
        text_rule(
            "^[A-Za-z0-9][A-Za-z0-9_.-]*/[A-Za-z0-9][A-Za-z0-9_.-]*$",
            "write the repository as the hub names it, such as NousResearch/Hermes-3-Llama-3.1-8B",
        )
    ),
]
ComputeCapability = Annotated[
    str,
    Field(max_length=5),
    ruled(text_rule("^[0-9]{1,2}[.][0-9]$", 'write it as text, such as "8.9"')),
]


Usd = Annotated[
    str,
    Field(max_length=13),
    ruled(
        text_rule(
            "^[0-9]{1,6}([.][0-9]{1,6})?$",
            'write US dollars as text, with at most six digits after the point, such as "2.50"',
        )
    ),
]


class UserRowModel(BaseModel):
    """Base of users' rows: nothing is converted, unknown keys are errors."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)


class UserArchitecture(UserRowModel):
    """Shape of a model, with the keys of its `config.json`."""

    model_type: Annotated[str, Field(max_length=32), _word_of(MODEL_TYPES)] = "llama"
    hidden_size: Annotated[int, _count(2**20)]
    intermediate_size: Annotated[int, _count(2**22)]
    num_hidden_layers: Annotated[int, _count(4096)]
    num_attention_heads: Annotated[int, _count(4096)]
    num_key_value_heads: Annotated[int, _count(4096)] | None = None
    head_dim: Annotated[int, _count(4096)] | None = None
    vocab_size: Annotated[int, _count(2**24)]
    max_position_embeddings: Annotated[int, _count(MODEL_TOKENS_LIMIT)]
    tie_word_embeddings: bool = False

    @model_validator(mode="after")
    def _heads_share_out(self) -> Self:
        if self.num_attention_heads % (self.num_key_value_heads or 1):
            msg = "num_key_value_heads must divide num_attention_heads"
            raise ValueError(msg)
        if self.head_dim is None and self.hidden_size % self.num_attention_heads:
            msg = "num_attention_heads must divide hidden_size, or write head_dim"
            raise ValueError(msg)
        return self


class UserPublication(UserRowModel):
    """One published format and quantization of a user's model.

    `scheme` may be left out when built-in rows of the same format and quantization all have one.
    `recommended` is the one taken when only the format is given; the first one listed unless said.
    """

    format: Annotated[str, Field(max_length=32), _word_of(FORMATS)]
    quantization: QuantizationName
    hub: Annotated[str, Field(max_length=32), _word_of(HUBS)] = "HuggingFace"
    repository: Repository
    files: Annotated[str, Field(max_length=253)] = ""
    parts: Annotated[int, _count(PARTS_LIMIT)] = 1
    scheme: Word | None = None
    engines: Annotated[
        list[Annotated[Word, _word_of(ENGINES)]], Field(max_length=len(ENGINES))
    ] = []
    gated: bool = False
    quantize_at_load: bool = False
    recommended: bool | None = None
    file_bytes: Annotated[int, _count(FILE_BYTES_LIMIT)] | None = None
    source: PrintableText | None = None

    @model_validator(mode="after")
    def _files_are_named(self) -> Self:
        if (wrong := file_template_error(self.format, self.files, self.parts)) is not None:
            msg = f"files: {wrong}"
            raise ValueError(msg)
        return self


def _kind_of_architecture(value: object) -> str | None:
    if isinstance(value, str):
        return "name"
    return "shape" if isinstance(value, dict | UserArchitecture) else None


ARCHITECTURE_TAGS: Final = ("name", "shape")


class UserModel(UserRowModel):
    """A model of the user's, or publications added to a model that exists.

    `architecture` is the name of a row of architectures.csv or a shape; it is left out, like
    everything but `publications`, to add publications to a model that exists.
    """

    name: ModelName
    size: ModelSize
    architecture: (
        Annotated[
            Annotated[Word, Tag("name")] | Annotated[UserArchitecture, Tag("shape")],
            Discriminator(
                _kind_of_architecture,
                custom_error_type="architecture",
                custom_error_message="write the name of an architecture or its shape as a mapping",
            ),
        ]
        | None
    ) = None
    context_length: Annotated[int, _count(MODEL_TOKENS_LIMIT)] | None = None
    languages: Annotated[list[Word], Field(max_length=64)] | None = None
    abilities: (
        Annotated[list[Annotated[Word, _word_of(ABILITIES)]], Field(max_length=len(ABILITIES))]
        | None
    ) = None
    licence: Word | None = None
    description: PrintableText | None = None
    source: PrintableText | None = None
    publications: Annotated[list[UserPublication], Field(min_length=1, max_length=64)]

    def facts_given(self) -> tuple[str, ...]:
        """Keys beyond name, size and publications that were written."""
        return tuple(sorted(self.model_fields_set - {"name", "size", "publications"}))


class UserGpu(UserRowModel):
    """A GPU of the user's, or figures that replace those of a built-in row.

    Keys left out keep the figure of the row that is replaced; a new product needs `label_mib`,
    and NVIDIA ones `compute_capability`.
    """

    product: GpuProduct
    aliases: Annotated[list[GpuProduct], Field(max_length=16)] | None = None
    vendor: Annotated[str, Field(max_length=32), _word_of(VENDORS)] | None = None
    marketed_gb: Annotated[int, _count(4096)] | None = None
    label_mib: Annotated[int, _count(4 * MIB)] | None = None
    total_bytes: Annotated[int, _count(4 * MIB * MIB)] | None = None
    reserved_at_start_bytes: Annotated[int, Field(ge=0, le=4 * MIB * MIB)] | None = None
    compute_capability: ComputeCapability | None = None
    bandwidth_bytes_per_second: Annotated[int, Field(ge=0, le=10**15)] | None = None
    nvlink_gb_per_second: Annotated[int, Field(ge=0, le=10**5)] | None = None
    instances: PrintableText | None = None
    source: PrintableText | None = None


class UserPrice(UserRowModel):
    """What an hour of one GPU of a product costs, instead of the price in the table."""

    product: GpuProduct
    usd_per_gpu_hour: Usd
    source: PrintableText | None = None
