"""The tables that ship: counts and literal contents, compared with what publishers say."""

import re
from collections import Counter

import pytest
from pydantic import TypeAdapter

from llama_operator.api.fields import GpuProduct, ModelName, ModelSize, QuantizationName
from llama_operator.catalog.catalog import Catalog
from llama_operator.catalog.rows import Publication
from llama_operator.catalog.table_set import Tables

CATALOG = Catalog.load()
TABLES = CATALOG.tables
INSTRUCT = "llama-3.1-instruct"


def repositories(**wanted: object) -> list[str]:
    return [
        row.repository
        for row in TABLES.publications
        if all(getattr(row, key) == value for key, value in wanted.items())
    ]


def test_every_table_passes_its_checks() -> None:
    assert Tables.read() == TABLES


def test_the_tables_have_their_rows() -> None:
    assert {
        "architectures": len(TABLES.architectures),
        "models": len(TABLES.models),
        "publications": len(TABLES.publications),
        "formats": len(TABLES.formats),
        "schemes": len(TABLES.schemes),
        "gpus": len(TABLES.gpus),
        "engines": len(TABLES.engines),
    } == {
        "architectures": 4,
        "models": 9,
        "publications": 111,
        "formats": 6,
        "schemes": 56,
        "gpus": 36,
        "engines": 7,
    }


def test_loading_twice_reads_once() -> None:
    assert Catalog.load() is Catalog.load()


SPECIFICATIONS = {
    1: ("ggufv2", "8b", "Q3_K_L IQ4_XS Q4_K_M Q5_K_M Q6_K Q8_0", "HuggingFace ModelScope"),
    2: ("pytorch", "8b", "none", "HuggingFace ModelScope"),
    3: ("pytorch", "8b", "4-bit", "HuggingFace ModelScope"),
    4: ("gptq", "8b", "Int4", "HuggingFace ModelScope"),
    5: ("awq", "8b", "Int4", "HuggingFace ModelScope"),
    6: ("ggufv2", "70b", "IQ2_M IQ4_XS Q2_K Q3_K_S Q4_K_M Q5_K_M Q6_K Q8_0", "HuggingFace"),
    7: ("pytorch", "70b", "none", "HuggingFace ModelScope"),
    8: ("pytorch", "70b", "4-bit", "HuggingFace ModelScope"),
    9: ("gptq", "70b", "Int4", "HuggingFace ModelScope"),
    10: ("awq", "70b", "Int4", "HuggingFace ModelScope"),
    11: ("mlx", "8b", "4-bit", "HuggingFace"),
    12: ("mlx", "8b", "8-bit", "HuggingFace"),
    13: ("mlx", "8b", "none", "HuggingFace"),
    14: ("mlx", "70b", "4-bit", "HuggingFace"),
    15: ("mlx", "70b", "8-bit", "HuggingFace"),
    16: ("mlx", "70b", "none", "HuggingFace"),
    17: ("pytorch", "405b", "4-bit 8-bit none", "HuggingFace ModelScope"),
    18: ("gptq", "405b", "Int4", "HuggingFace ModelScope"),
    19: ("awq", "405b", "Int4", "HuggingFace ModelScope"),
}
"""The specifications of llama-3.1-instruct in Xinference's model catalog."""


@pytest.mark.parametrize("number", SPECIFICATIONS, ids="specification {} is whole".format)
def test_specification(number: int) -> None:
    format_name, size, quantizations, hubs = SPECIFICATIONS[number]
    rows = [row for row in TABLES.publications if re.search(rf"spec {number}\b", row.source)]
    expected = {
        (INSTRUCT, size, format_name, quantization, hub)
        for quantization in quantizations.split()
        for hub in hubs.split()
        # the one hole: ModelScope's 8B GGUF repository has no IQ4_XS
        if not (number == 1 and quantization == "IQ4_XS" and hub == "ModelScope")
    }
    found = [(row.model, row.size, row.format, row.quantization, row.hub) for row in rows]
    assert sorted(found) == sorted(expected)
    for row in rows:
        assert CATALOG.resolve(row.model, row.size, row.format, row.quantization, row.hub) == row


@pytest.mark.parametrize(
    ("size", "format_name", "quantization", "hub", "repository", "scheme"),
    [
        pytest.param(
            "8b",
            "ggufv2",
            "Q4_K_M",
            "HuggingFace",
            "lmstudio-community/Meta-Llama-3.1-8B-Instruct-GGUF",
            "Q4_K_M",
            id="8B GGUF",
        ),
        pytest.param(
            "8b",
            "pytorch",
            "4-bit",
            "HuggingFace",
            "unsloth/Meta-Llama-3.1-8B-Instruct-bnb-4bit",
            "bnb-nf4-dq",
            id="8B quantized by bitsandbytes beforehand",
        ),
        pytest.param(
            "70b",
            "gptq",
            "Int4",
            "ModelScope",
            "LLM-Research/Meta-Llama-3.1-70B-Instruct-GPTQ-INT4",
            "gptq-int4-g128",
            id="70B GPTQ on ModelScope",
        ),
        pytest.param(
            "70b",
            "awq",
            "Int4",
            "HuggingFace",
            "hugging-quants/Meta-Llama-3.1-70B-Instruct-AWQ-INT4",
            "awq-int4-g128",
            id="70B AWQ",
        ),
        pytest.param(
            "70b",
            "mlx",
            "none",
            "HuggingFace",
            "mlx-community/Meta-Llama-3.1-70B-Instruct-bf16",
            "none",
            id="70B MLX in 16 bit",
        ),
        pytest.param(
            "70b",
            "ggufv2",
            "Q6_K_L",
            "HuggingFace",
            "bartowski/Meta-Llama-3.1-70B-Instruct-GGUF",
            "Q6_K_L",
            id="70B GGUF that only bartowski has",
        ),
        pytest.param(
            "405b",
            "fp8",
            "FP8",
            "HuggingFace",
            "meta-llama/Meta-Llama-3.1-405B-Instruct-FP8",
            "fbgemm-fp8",
            id="405B FP8 is Meta's own",
        ),
        pytest.param(
            "405b",
            "pytorch",
            "8-bit",
            "HuggingFace",
            "meta-llama/Meta-Llama-3.1-405B-Instruct",
            "bnb-int8",
            id="405B in 8 bit, quantized at load",
        ),
        pytest.param(
            "405b",
            "pytorch",
            "nf4",
            "HuggingFace",
            "hugging-quants/Meta-Llama-3.1-405B-Instruct-BNB-NF4",
            "bnb-nf4-dq",
            id="405B NF4",
        ),
    ],
)
def test_publication(
    size: str, format_name: str, quantization: str, hub: str, repository: str, scheme: str
) -> None:
    row = CATALOG.resolve(INSTRUCT, size, format_name, quantization, hub)
    assert (row.repository, row.scheme) == (repository, scheme)


BARTOWSKI_GB = {
    "Q8_0": ("74.98", True),
    "Q6_K_L": ("58.40", True),
    "Q6_K": ("57.89", True),
    "Q5_K_L": ("50.60", True),
    "Q5_K_M": ("49.95", True),
    "Q5_K_S": ("48.66", False),
    "Q4_K_L": ("43.30", False),
    "Q4_K_M": ("42.52", False),
    "Q4_K_S": ("40.35", False),
    "Q3_K_XL": ("38.06", False),
    "IQ4_XS": ("37.90", False),
    "Q3_K_L": ("37.14", False),
    "Q3_K_M": ("34.27", False),
    "IQ3_M": ("31.94", False),
    "Q3_K_S": ("30.91", False),
    "IQ3_XS": ("29.31", False),
    "Q2_K_L": ("27.40", False),
    "Q2_K": ("26.38", False),
    "IQ2_M": ("24.12", False),
}
"""Sizes and splits as the card of bartowski/Meta-Llama-3.1-70B-Instruct-GGUF gives them."""


def test_bartowski_has_the_19_files_of_the_card() -> None:
    rows = [
        row
        for row in TABLES.publications
        if row.repository == "bartowski/Meta-Llama-3.1-70B-Instruct-GGUF"
    ]
    assert {row.quantization: (row.file_bytes, row.parts > 1) for row in rows} == {
        name: (int(gigabytes.replace(".", "")) * 10**7, split)
        for name, (gigabytes, split) in BARTOWSKI_GB.items()
    }
    assert len(rows) == 19


@pytest.mark.parametrize(
    ("size", "quantization", "hub", "publisher", "files", "parts"),
    [
        pytest.param(
            "70b",
            "Q8_0",
            "HuggingFace",
            "bartowski",
            "Meta-Llama-3.1-70B-Instruct-{quantization}/"
            "Meta-Llama-3.1-70B-Instruct-{quantization}-{part}-of-{parts}.gguf",
            2,
            id="split in a folder of its own",
        ),
        pytest.param(
            "70b",
            "Q4_K_M",
            "HuggingFace",
            "bartowski",
            "Meta-Llama-3.1-70B-Instruct-{quantization}.gguf",
            1,
            id="one file",
        ),
        pytest.param(
            "70b",
            "Q6_K",
            "HuggingFace",
            "lmstudio-community",
            "Meta-Llama-3.1-70B-Instruct-{quantization}-{part}-of-{parts}.gguf",
            2,
            id="split beside each other",
        ),
        pytest.param(
            "8b",
            "Q3_K_L",
            "ModelScope",
            "LLM-Research",
            "Meta-Llama-3.1-8B-Instruct-{quantization}.gguf",
            1,
            id="one file on ModelScope",
        ),
    ],
)
def test_file_names(
    size: str, quantization: str, hub: str, publisher: str, files: str, parts: int
) -> None:
    rows = [
        row
        for row in CATALOG.publications(INSTRUCT, size)
        if (row.quantization, row.hub, row.repository.split("/")[0])
        == (quantization, hub, publisher)
    ]
    assert [(row.files, row.parts) for row in rows] == [(files, parts)]


def test_a_whole_repository_has_no_file_names() -> None:
    assert CATALOG.resolve(INSTRUCT, "8b", "awq", None, "HuggingFace").files == ""


def test_only_meta_gates_its_repositories() -> None:
    gated = {row.repository.split("/")[0] for row in TABLES.publications if row.gated}
    free = {row.repository.split("/")[0] for row in TABLES.publications if not row.gated}
    assert gated == {"meta-llama"}
    assert "meta-llama" not in free
    assert not any(row.gated for row in TABLES.publications if row.hub == "ModelScope")


def test_quantized_at_load_are_those_whose_repository_is_the_16_bit_one() -> None:
    at_load = [row for row in TABLES.publications if row.quantize_at_load]
    assert Counter((row.size, row.quantization, row.hub) for row in at_load) == {
        ("8b", "4-bit", "ModelScope"): 1,
        ("70b", "4-bit", "ModelScope"): 1,
        ("405b", "4-bit", "HuggingFace"): 1,
        ("405b", "4-bit", "ModelScope"): 1,
        ("405b", "8-bit", "HuggingFace"): 1,
        ("405b", "8-bit", "ModelScope"): 1,
    }
    for row in at_load:
        assert repositories(size=row.size, hub=row.hub, quantization="none", model=INSTRUCT)[0] == (
            row.repository
        )


@pytest.mark.parametrize("size", ["8b", "70b", "405b"])
def test_shapes_give_the_published_parameter_counts(size: str) -> None:
    shape = CATALOG.model(INSTRUCT, size).architecture
    assert shape is not None
    embeddings = 2 * shape.vocab_size * shape.hidden_size
    attention = 2 * shape.hidden_size * shape.num_attention_heads * shape.head_dim
    attention += 2 * shape.hidden_size * shape.num_key_value_heads * shape.head_dim
    feed_forward = 3 * shape.hidden_size * shape.intermediate_size
    layer = attention + feed_forward + 2 * shape.hidden_size
    total = embeddings + shape.num_hidden_layers * layer + shape.hidden_size
    assert total == {"8b": 8_030_261_248, "70b": 70_553_706_496, "405b": 405_853_388_800}[size]


@pytest.mark.parametrize(
    ("name", "size", "abilities"),
    [
        pytest.param(INSTRUCT, "70b", ("chat", "tools"), id="instruct chats and calls tools"),
        pytest.param("llama-3.1", "405b", ("generate",), id="base completes text"),
        pytest.param("llama-guard-3", "8b", ("chat",), id="Llama Guard answers by chat"),
    ],
)
def test_models(name: str, size: str, abilities: tuple[str, ...]) -> None:
    model = CATALOG.model(name, size)
    assert (model.abilities, model.licence, model.context_length) == (
        abilities,
        "llama3.1",
        131_072,
    )
    assert model.languages == ("en", "de", "fr", "it", "pt", "hi", "es", "th")


def test_every_name_is_what_the_api_accepts() -> None:
    for model in TABLES.models:
        TypeAdapter(ModelName).validate_python(model.name)
        TypeAdapter(ModelSize).validate_python(model.size)
    for row in TABLES.publications:
        TypeAdapter(QuantizationName).validate_python(row.quantization)
    for gpu in TABLES.gpus:
        for name in (gpu.product, *gpu.aliases):
            TypeAdapter(GpuProduct).validate_python(name)


def test_every_choice_resolves_to_one_publication_and_all_rows_stay_listed() -> None:
    choices: dict[tuple[str, str, str, str, str], list[Publication]] = {}
    for row in TABLES.publications:
        key = (row.model, row.size, row.format, row.quantization, row.hub)
        choices.setdefault(key, []).append(row)
        assert row in CATALOG.publications(row.model, row.size)
    # bartowski repeats the eight 70B files of lmstudio-community, Red Hat one name of Meta's
    assert Counter(map(len, choices.values())) == {1: 93, 2: 9}
    for (model, size, format_name, quantization, hub), rows in choices.items():
        if model == "prompt-guard":
            continue
        assert CATALOG.resolve(model, size, format_name, quantization, hub) == min(
            rows, key=lambda row: row.publisher_rank
        )
