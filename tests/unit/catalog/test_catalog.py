from dataclasses import replace

import pytest

from llama_operator.api.reasons import Reason
from llama_operator.catalog.catalog import Catalog
from llama_operator.errors import CatalogError, SpecError
from llama_operator.units import GIB

CATALOG = Catalog.load()
INSTRUCT = "llama-3.1-instruct"


@pytest.mark.parametrize(
    ("model", "size", "format_name", "hub", "quantization"),
    [
        pytest.param(INSTRUCT, "8b", "pytorch", "HuggingFace", "none", id="16 bit of pytorch"),
        pytest.param(INSTRUCT, "70b", "ggufv2", "HuggingFace", "Q4_K_M", id="the usual GGUF type"),
        pytest.param(INSTRUCT, "8b", "ggufv2", "ModelScope", "Q4_K_M", id="GGUF on ModelScope"),
        pytest.param(INSTRUCT, "8b", "awq", "HuggingFace", "Int4", id="the only one of AWQ"),
        pytest.param(INSTRUCT, "8b", "gptq", "HuggingFace", "Int4", id="GPTQ: not w4a16"),
        pytest.param(INSTRUCT, "70b", "fp8", "HuggingFace", "FP8-dynamic", id="FP8 of 70B"),
        pytest.param(INSTRUCT, "405b", "fp8", "HuggingFace", "FP8", id="FP8 of 405B: Meta's"),
        pytest.param(INSTRUCT, "8b", "mlx", "HuggingFace", "4-bit", id="MLX"),
        pytest.param("llama-3.1", "8b", "ggufv2", "HuggingFace", "Q4_K_M", id="GGUF of the base"),
    ],
)
def test_a_format_alone_takes_the_recommended_quantization(
    model: str, size: str, format_name: str, hub: str, quantization: str
) -> None:
    assert CATALOG.resolve(model, size, format_name, None, hub).quantization == quantization


@pytest.mark.parametrize("spelling", ["Int4", "int4", "INT4"])
def test_case_of_the_quantization_does_not_matter(spelling: str) -> None:
    row = CATALOG.resolve(INSTRUCT, "70b", "awq", spelling, "HuggingFace")
    assert row.repository == "hugging-quants/Meta-Llama-3.1-70B-Instruct-AWQ-INT4"


@pytest.mark.parametrize(
    ("arguments", "reason", "field", "parts"),
    [
        pytest.param(
            ("llama-9", "8b", "awq", None, "HuggingFace"),
            Reason.UNKNOWN_MODEL,
            "spec.model",
            ["'llama-9'", "llama-3.1-instruct, llama-3.2-instruct, llama-guard-3"],
            id="an unknown model names those that exist",
        ),
        pytest.param(
            (INSTRUCT, "13b", "awq", None, "HuggingFace"),
            Reason.UNKNOWN_MODEL,
            "spec.size",
            ["'13b'", "8b, 70b, 405b"],
            id="an unknown size names those that exist",
        ),
        pytest.param(
            ("prompt-guard", "86m", "pytorch", None, "HuggingFace"),
            Reason.MODEL_NOT_SERVABLE,
            "spec.model",
            ["classifier", "Text Embeddings Inference", "llama-guard-3"],
            id="a classifier cannot be served, and what to do",
        ),
        pytest.param(
            ("llama-guard-3", "8b", "awq", None, "HuggingFace"),
            Reason.NOT_PUBLISHED,
            "spec.format",
            ["awq", "write pytorch"],
            id="a format that does not exist",
        ),
        pytest.param(
            (INSTRUCT, "70b", "awq", "Int8", "HuggingFace"),
            Reason.NOT_PUBLISHED,
            "spec.quantization",
            ["'Int8'", "write Int4"],
            id="a quantization that does not exist",
        ),
        pytest.param(
            (INSTRUCT, "8b", "ggufv2", "IQ4_XS", "ModelScope"),
            Reason.NOT_PUBLISHED,
            "spec.hub",
            [
                "IQ4_XS",
                "HuggingFace has it",
                "ModelScope has Q3_K_L, Q4_K_M, Q5_K_M, Q6_K, Q8_0",
            ],
            id="a hole of ModelScope names the hub that has it",
        ),
        pytest.param(
            (INSTRUCT, "70b", "ggufv2", None, "ModelScope"),
            Reason.NOT_PUBLISHED,
            "spec.hub",
            ["ggufv2 of llama-3.1-instruct 70b is not on ModelScope; HuggingFace has it"],
            id="a format that another hub has",
        ),
    ],
)
def test_refusals_name_the_field_and_what_exists(
    arguments: tuple[str, str, str, str | None, str], reason: Reason, field: str, parts: list[str]
) -> None:
    with pytest.raises(SpecError) as caught:
        CATALOG.resolve(*arguments)
    assert (caught.value.reason, caught.value.field) == (reason, field)
    for part in parts:
        assert part in caught.value.message


@pytest.mark.parametrize(
    ("model", "size", "hub", "expected"),
    [
        pytest.param(
            INSTRUCT,
            "70b",
            "HuggingFace",
            ["pytorch none", "fp8 FP8-dynamic", "awq Int4", "gptq Int4"],
            id="best quality first",
        ),
        pytest.param(
            INSTRUCT,
            "405b",
            "HuggingFace",
            ["pytorch none", "fp8 FP8", "awq Int4", "gptq Int4"],
            id="neither NF4 nor what is quantized at load",
        ),
        pytest.param(
            INSTRUCT,
            "8b",
            "ModelScope",
            ["pytorch none", "awq Int4", "gptq Int4"],
            id="what ModelScope has",
        ),
        pytest.param("llama-3.1", "8b", "HuggingFace", ["pytorch none"], id="never GGUF"),
    ],
)
def test_auto_candidates(model: str, size: str, hub: str, expected: list[str]) -> None:
    rows = CATALOG.auto_candidates(model, size, hub)
    assert [f"{row.format} {row.quantization}" for row in rows] == expected
    assert [row.auto_rank for row in rows] == sorted(row.auto_rank for row in rows)
    assert all(CATALOG.scheme(row.scheme).bits >= 4 for row in rows)


def test_auto_refuses_what_cannot_be_served() -> None:
    with pytest.raises(SpecError) as caught:
        CATALOG.auto_candidates("prompt-guard", "86m", "HuggingFace")
    assert caught.value.reason == Reason.MODEL_NOT_SERVABLE


def test_auto_names_the_hub_that_has_something() -> None:
    tables = CATALOG.tables
    only_hf = tuple(
        row for row in tables.publications if (row.model, row.hub) != ("llama-3.1", "ModelScope")
    )
    catalog = Catalog(replace(tables, publications=only_hf))
    with pytest.raises(SpecError) as caught:
        catalog.auto_candidates("llama-3.1", "8b", "ModelScope")
    assert caught.value.field == "spec.hub"
    assert "write hub: HuggingFace" in caught.value.message


def test_formats_come_best_quality_first() -> None:
    assert CATALOG.formats(INSTRUCT, "8b") == ("pytorch", "fp8", "awq", "gptq", "ggufv2", "mlx")
    assert CATALOG.formats(INSTRUCT, "70b", "ModelScope") == ("pytorch", "awq", "gptq")


def test_the_default_engine_is_the_newest() -> None:
    engine = CATALOG.engine("vllm")
    assert (engine.version, engine.numbers) == ("0.33.0", (0, 33))
    assert (CATALOG.engine("TGI").version, CATALOG.engine("tgi", "2.2.0").version) == (
        "3.3.7",
        "2.2.0",
    )


@pytest.mark.parametrize(
    ("name", "version", "field", "part"),
    [
        pytest.param("Ollama", None, "spec.engine.type", "it has vLLM", id="engine"),
        pytest.param("vLLM", "0.1", "spec.engine.version", "it has 0.33.0", id="version"),
    ],
)
def test_unknown_engines(name: str, version: str | None, field: str, part: str) -> None:
    with pytest.raises(SpecError) as caught:
        CATALOG.engine(name, version)
    assert caught.value.field == field
    assert part in caught.value.message


def test_host_needs_of_vllm() -> None:
    host = CATALOG.host("vllm")
    assert (host.cpu_millicores_base, host.cpu_millicores_per_rank) == (2000, 1000)
    assert (host.shm_bytes_one_rank, host.shm_bytes_many_ranks) == (1 * GIB, 8 * GIB)
    assert "estimate" in host.source


@pytest.mark.parametrize(
    "lookup",
    [
        pytest.param(lambda: CATALOG.scheme("int3"), id="scheme"),
        pytest.param(lambda: CATALOG.host("Ollama"), id="host"),
    ],
)
def test_names_that_no_table_has(lookup: object) -> None:
    assert callable(lookup)
    with pytest.raises(CatalogError, match=r"\.csv has no"):
        lookup()


def test_the_digest_tells_catalogs_apart() -> None:
    same = Catalog(CATALOG.tables)
    other = Catalog(replace(CATALOG.tables, gpus=CATALOG.tables.gpus[1:]))
    assert same.digest == CATALOG.digest
    assert len({CATALOG.digest, other.digest}) == 2
