"""Readers of the tables about models: cells are checked here, references in `checks`."""

from typing import Final

from llama_operator.api.enums import MODEL_TOKENS_LIMIT, Hub, ModelFormat
from llama_operator.catalog.rows import Architecture, FormatRule, Model, Publication, Scheme
from llama_operator.catalog.tables import Row, columns_of, read_table

FORMATS: Final = tuple(item.value for item in ModelFormat if item is not ModelFormat.AUTO)
HUBS: Final = tuple(item.value for item in Hub)
ENGINES: Final = ("vLLM", "SGLang", "TGI", "LlamaCpp", "Transformers", "MLX")
ABILITIES: Final = ("chat", "tools", "generate", "classify")
DTYPES: Final = ("bfloat16", "float16", "float32")
COUNT_LIMIT: Final = 10**7
"""Bound of counts of elements, far above any published model."""
PARTS_LIMIT: Final = 999
FILE_BYTES_LIMIT: Final = 10**14


def read_architectures() -> tuple[Architecture, ...]:
    """Rows of architectures.csv.

    Raises:
        CatalogError: a cell is wrong.
    """

    def read(row: Row) -> Architecture:
        def count(column: str) -> int:
            return row.integer(column, least=1, most=COUNT_LIMIT)

        return Architecture(
            name=row.text("name"),
            model_type=row.text("model_type"),
            hidden_size=count("hidden_size"),
            intermediate_size=count("intermediate_size"),
            num_hidden_layers=count("num_hidden_layers"),
            num_attention_heads=count("num_attention_heads"),
            num_key_value_heads=count("num_key_value_heads"),
            head_dim=count("head_dim"),
            vocab_size=count("vocab_size"),
            max_position_embeddings=row.integer(
                "max_position_embeddings", least=1, most=MODEL_TOKENS_LIMIT
            ),
            tie_word_embeddings=row.flag("tie_word_embeddings"),
            source=row.text("source"),
        )

    return tuple(map(read, read_table("architectures.csv", columns_of(Architecture))))


def read_models(architectures: tuple[Architecture, ...]) -> tuple[Model, ...]:
    """Rows of models.csv.

    Raises:
        CatalogError: a cell is wrong, or a model names an architecture that does not exist.
    """
    by_name = {architecture.name: architecture for architecture in architectures}

    def read(row: Row) -> Model:
        name = row.optional_text("architecture")
        if name and name not in by_name:
            raise row.error("architecture", f"{name!r} is none of {', '.join(by_name)}")
        for ability in row.words("abilities"):
            if ability not in ABILITIES:
                raise row.error("abilities", f"{ability!r} is none of {', '.join(ABILITIES)}")
        return Model(
            name=row.text("name"),
            size=row.text("size"),
            architecture=by_name[name] if name else None,
            context_length=row.integer("context_length", least=1, most=MODEL_TOKENS_LIMIT),
            languages=row.words("languages"),
            abilities=row.words("abilities"),
            licence=row.text("licence"),
            description=row.text("description"),
            not_servable=row.optional_text("not_servable"),
            source=row.text("source"),
        )

    return tuple(map(read, read_table("models.csv", columns_of(Model))))


def read_publications() -> tuple[Publication, ...]:
    """Rows of publications.csv, with `auto_rank` still 0.

    Raises:
        CatalogError: a cell is wrong.
    """

    def read(row: Row) -> Publication:
        engines = row.words("engines")
        for engine in engines:
            if engine not in ENGINES:
                raise row.error("engines", f"{engine!r} is none of {', '.join(ENGINES)}")
        return Publication(
            model=row.text("model"),
            size=row.text("size"),
            format=row.one_of("format", FORMATS),
            quantization=row.text("quantization"),
            hub=row.one_of("hub", HUBS),
            repository=row.text("repository"),
            files=row.optional_text("files"),
            parts=row.integer("parts", least=1, most=999),
            scheme=row.text("scheme"),
            engines=engines,
            gated=row.flag("gated"),
            quantize_at_load=row.flag("quantize_at_load"),
            recommended=row.flag("recommended"),
            file_bytes=row.integer("file_bytes", least=1, most=10**14)
            if row.optional_text("file_bytes")
            else None,
            source=row.text("source"),
            publisher_rank=row.integer("publisher_rank", least=1, most=9),
        )

    return tuple(map(read, read_table("publications.csv", columns_of(Publication) - {"auto_rank"})))


def read_formats() -> tuple[FormatRule, ...]:
    """Rows of formats.csv.

    Raises:
        CatalogError: a cell is wrong.
    """
    return tuple(
        FormatRule(
            name=row.one_of("name", FORMATS),
            families=row.words("families"),
            auto_rank=row.integer("auto_rank", least=0, most=99),
            source=row.text("source"),
        )
        for row in read_table("formats.csv", columns_of(FormatRule))
    )


def read_schemes() -> tuple[Scheme, ...]:
    """Rows of schemes.csv.

    Raises:
        CatalogError: a cell is wrong.
    """
    return tuple(
        Scheme(
            name=row.text("name"),
            family=row.text("family"),
            bits=row.integer("bits", least=1, most=32),
            group_size=row.integer("group_size", least=0, most=4096),
            min_compute_capability=row.compute_capability("min_compute_capability"),
            dtype=row.one_of("dtype", DTYPES),
            source=row.text("source"),
        )
        for row in read_table("schemes.csv", columns_of(Scheme))
    )
