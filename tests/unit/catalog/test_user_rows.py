"""Users' rows: what can be read, what is refused with which words, and that nothing is raised."""

import json
from collections.abc import Mapping
from itertools import permutations
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from llama_operator.catalog.catalog import Catalog
from llama_operator.catalog.user_rows import RowError, UserRows, read_user_rows
from llama_operator.catalog.user_schema import MODEL_TYPES, UserGpu, UserModel
from llama_operator.sizing.linears import SUPPORTED_MODEL_TYPES
from llama_operator.units import GIB, MIB

CATALOG = Catalog.load()
SHAPE = {
    "hidden_size": 3072,
    "intermediate_size": 8192,
    "num_hidden_layers": 28,
    "num_attention_heads": 24,
    "num_key_value_heads": 8,
    "head_dim": 128,
    "vocab_size": 128256,
    "max_position_embeddings": 131072,
    "tie_word_embeddings": True,
}
PLAIN = {"format": "pytorch", "quantization": "none", "repository": "o/r"}


def model(**changes: Any) -> dict[str, Any]:
    row = {
        "name": "hermes-3",
        "size": "8b",
        "architecture": "llama-3.1-8b",
        "publications": [PLAIN],
        **changes,
    }
    return {key: value for key, value in row.items() if value is not None}


def publication(**changes: Any) -> dict[str, Any]:
    return model(publications=[{**PLAIN, **changes}])


def shaped(**changes: Any) -> dict[str, Any]:
    return model(architecture={key: v for key, v in {**SHAPE, **changes}.items() if v is not None})


def gpu(**changes: Any) -> dict[str, Any]:
    row = {"product": "NVIDIA-X", "label_mib": 16376, "compute_capability": "8.9", **changes}
    return {key: value for key, value in row.items() if value is not None}


def data(models: list[Any] | None = None, gpus: list[Any] | None = None) -> dict[str, str]:
    texts = {"models.yaml": models, "gpus.yaml": gpus}
    return {key: json.dumps(rows) for key, rows in texts.items() if rows is not None}


def read(values: Mapping[str, str], name: str = "ns/ours") -> UserRows:
    rows, errors = read_user_rows(name, values)
    assert errors == ()
    return rows


def added(*models: Any) -> tuple[Catalog, list[str]]:
    catalog, errors = CATALOG.with_user_rows(read(data(models=list(models))))
    catalog.tables.check()
    return catalog, list(map(str, errors))


def added_gpus(*gpus: Any) -> tuple[Catalog, list[str]]:
    catalog, errors = CATALOG.with_user_rows(read(data(gpus=list(gpus))))
    catalog.tables.check()
    return catalog, list(map(str, errors))


def test_rows_are_read_in_order_and_know_their_place() -> None:
    rows = read(data(models=[model(), model(size="9b")], gpus=[gpu()]))
    assert [(row.configmap, row.key, row.row, type(row.value)) for row in rows] == [
        ("ns/ours", "gpus.yaml", 0, UserGpu),
        ("ns/ours", "models.yaml", 0, UserModel),
        ("ns/ours", "models.yaml", 1, UserModel),
    ]


@pytest.mark.parametrize("text", ["", "# nothing yet\n", "[]", "null"])
def test_an_empty_key_has_no_rows(text: str) -> None:
    assert read_user_rows("c", {"models.yaml": text}) == ((), ())


@pytest.mark.parametrize(
    ("values", "message"),
    [
        pytest.param(
            {"model.yaml": ""},
            "c, model.yaml: unknown key; allowed: models.yaml, gpus.yaml",
            id="an unknown key",
        ),
        pytest.param(
            {"models.yaml": "a: 1"}, "c, models.yaml: must be a YAML list", id="a mapping"
        ),
        pytest.param({"models.yaml": "text"}, "c, models.yaml: must be a YAML list", id="text"),
        pytest.param({"models.yaml": "[]\n---\n[]"}, "several YAML documents", id="documents"),
        pytest.param(
            {"gpus.yaml": "- 1\n" * 257}, "c, gpus.yaml: has 257 rows; at most 256", id="many rows"
        ),
        pytest.param({"gpus.yaml": "&a [*a]"}, "c, gpus.yaml: anchors and aliases", id="an alias"),
        pytest.param({"gpus.yaml": "a\x00"}, "c, gpus.yaml: is no YAML", id="a NUL"),
        pytest.param({"gpus.yaml": 7}, "c, gpus.yaml: must be text", id="no text"),
        pytest.param(
            {"a\nb" * 200: ""}, "a\N{REPLACEMENT CHARACTER}b", id="a long key with breaks"
        ),
    ],
)
def test_a_wrong_key_is_told(values: dict[str, Any], message: str) -> None:
    rows, (error,) = read_user_rows("c", values)
    assert rows == ()
    assert message in str(error)
    assert len(str(error)) < 500
    assert "\n" not in str(error)


@pytest.mark.parametrize(
    ("row", "field", "message"),
    [
        pytest.param(7, "", "must be a mapping; allowed keys: name, size, arch", id="a number"),
        pytest.param(None, "", "must be a mapping", id="null"),
        pytest.param(model(nmae="x"), ".nmae", "unknown key; allowed: name, size", id="a typo"),
        pytest.param(model(name=None), ".name", "is required", id="no name"),
        pytest.param(model(name="Hermes"), ".name", "in lower case", id="an upper-case name"),
        pytest.param(model(name=7), ".name", "valid string", id="a number as name"),
        pytest.param(model(name="x" * 10_000), ".name", "at most 63 characters", id="a long name"),
        pytest.param(model(size="8"), ".size", "such as 8b", id="a size without a unit"),
        pytest.param(model(size=8), ".size", "valid string", id="a number as size"),
        pytest.param(
            model(publications=[]), ".publications", "at least 1 item", id="no publication"
        ),
        pytest.param(model(publications=PLAIN), ".publications", "valid list", id="no list"),
        pytest.param(model(abilities=["sing"]), ".abilities[0]", "chat, tools", id="an ability"),
        pytest.param(model(licence="a\nb"), ".licence", "letters, digits", id="a break"),
        pytest.param(model(languages=["\x00"]), ".languages[0]", "letters, digits", id="a NUL"),
        pytest.param(model(description="a\x01b"), ".description", "printable", id="control text"),
        pytest.param(model(context_length=0), ".context_length", "greater than", id="no context"),
        pytest.param(model(architecture=[1]), ".architecture", "name of an arch", id="a list"),
        pytest.param(
            shaped(hidden_size="4096"),
            ".architecture.hidden_size",
            "valid integer",
            id="text for a number",
        ),
        pytest.param(
            shaped(hidden_size=None), ".architecture.hidden_size", "is required", id="no width"
        ),
        pytest.param(
            shaped(rope_theta=1),
            ".architecture.rope_theta",
            "allowed: model_type, hidden",
            id="a key of no use",
        ),
        pytest.param(
            shaped(num_key_value_heads=7), ".architecture", "must divide num_att", id="heads"
        ),
        pytest.param(
            shaped(head_dim=None, hidden_size=3073), ".architecture", "write head_dim", id="width"
        ),
        pytest.param(
            shaped(model_type="mamba"),
            ".architecture.model_type",
            "write one of llama",
            id="a type",
        ),
        pytest.param(
            shaped(num_hidden_layers=10**9),
            ".architecture.num_hidden_layers",
            "less than",
            id="layers",
        ),
        pytest.param(
            publication(format="gguf"),
            ".publications[0].format",
            "write one of pytorch, fp8",
            id="gguf",
        ),
        pytest.param(
            publication(hub="S3"), ".publications[0].hub", "HuggingFace, ModelScope", id="a hub"
        ),
        pytest.param(
            publication(repository="repo"),
            ".publications[0].repository",
            "as the hub names it",
            id="no owner",
        ),
        pytest.param(
            publication(repository="../../etc"),
            ".publications[0].repository",
            "as the hub names it",
            id="a path",
        ),
        pytest.param(
            publication(engines=["Ollama"]),
            ".publications[0].engines[0]",
            "vLLM, SGLang",
            id="an engine",
        ),
        pytest.param(
            publication(gated="yes"),
            ".publications[0].gated",
            "valid boolean",
            id="text for a flag",
        ),
        pytest.param(
            publication(file_bytes=-1), ".publications[0].file_bytes", "greater than", id="bytes"
        ),
        pytest.param(
            publication(files="x"), ".publications[0]", "files: pytorch is loaded as", id="files"
        ),
        pytest.param(
            publication(revision="x"),
            ".publications[0].revision",
            "allowed: format, quant",
            id="a key",
        ),
    ],
)
def test_a_wrong_model_names_the_field_and_what_is_allowed(
    row: Any, field: str, message: str
) -> None:
    rows, errors = read_user_rows("c", data(models=[row, model()]))
    assert [item.row for item in rows] == [1]
    assert errors[0].row == 0
    assert str(errors[0]).startswith(f"ConfigMap c, models.yaml[0]{field}: ")
    assert message in errors[0].message


@pytest.mark.parametrize(
    ("row", "field", "message"),
    [
        pytest.param("NVIDIA-X", "", "must be a mapping; allowed keys: product, al", id="text"),
        pytest.param(gpu(product="a b"), ".product", "as the node label", id="a blank"),
        pytest.param(gpu(memory=1), ".memory", "unknown key; allowed: product", id="a key"),
        pytest.param(gpu(label_mib=16.5), ".label_mib", "valid integer", id="a fraction"),
        pytest.param(gpu(label_mib=True), ".label_mib", "valid integer", id="a flag"),
        pytest.param(gpu(label_mib=2**40), ".label_mib", "less than", id="too much memory"),
        pytest.param(gpu(compute_capability=8.9), ".compute_capability", "valid string", id="8.9"),
        pytest.param(gpu(compute_capability="sm_89"), ".compute_capability", '"8.9"', id="sm_89"),
        pytest.param(gpu(vendor="Nvidia"), ".vendor", "NVIDIA, AMD, Intel", id="a vendor"),
        pytest.param(gpu(aliases="X"), ".aliases", "valid list", id="one alias"),
    ],
)
def test_a_wrong_gpu_names_the_field_and_what_is_allowed(
    row: Any, field: str, message: str
) -> None:
    rows, errors = read_user_rows("c", data(gpus=[gpu(), row]))
    assert [item.row for item in rows] == [0]
    assert str(errors[0]).startswith(f"ConfigMap c, gpus.yaml[1]{field}: ")
    assert message in errors[0].message


def test_errors_are_bounded() -> None:
    rows, errors = read_user_rows("c", data(models=[{"x": 1}] * 256, gpus=["y" * 10_000] * 4))
    assert rows == ()
    assert len(errors) == 65
    assert "more errors" in errors[-1].message
    assert max(len(str(error)) for error in errors) < 500


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=9), inner, max_size=3)
    ),
    max_leaves=6,
)
some_keys = st.sampled_from(
    sorted({*UserModel.model_fields, *UserGpu.model_fields, *SHAPE, *PLAIN})
)


@settings(max_examples=150, deadline=None)
@given(
    st.lists(
        json_values
        | st.builds(lambda k, v: model(**{k: v}), some_keys, json_values)
        | st.builds(lambda k, v: publication(**{k: v}), some_keys, json_values)
        | st.builds(lambda k, v: shaped(**{k: v}), some_keys, json_values),
        max_size=3,
    ),
    st.lists(
        json_values | st.builds(lambda k, v: gpu(**{k: v}), some_keys, json_values), max_size=3
    ),
)
def test_whatever_a_configmap_holds_the_catalog_stays_whole(
    models: list[Any], gpus: list[Any]
) -> None:
    rows, _ = read_user_rows("c", data(models=models, gpus=gpus))
    catalog, _ = CATALOG.with_user_rows(rows)
    catalog.tables.check()
    assert set(CATALOG.tables.publications) <= set(catalog.tables.publications)
    assert set(CATALOG.tables.models) <= set(catalog.tables.models)
    assert len(catalog.digest) == 64


@given(st.dictionaries(st.sampled_from(["models.yaml", "gpus.yaml", "x"]), st.text(max_size=80)))
def test_any_text_is_answered(values: dict[str, str]) -> None:
    rows, errors = read_user_rows("c", values)
    assert all(isinstance(error, RowError) for error in errors)
    assert rows == ()


def test_a_model_of_the_users_is_found_like_any_other() -> None:
    catalog, errors = added(model(description="Hermes 3", abilities=["chat", "tools"]))
    assert errors == []
    found = catalog.model("hermes-3", "8b")
    assert found.architecture == CATALOG.model("llama-3.1", "8b").architecture
    assert (found.context_length, found.abilities) == (131072, ("chat", "tools"))
    assert found.source == "ConfigMap ns/ours"
    row = catalog.resolve("hermes-3", "8b", "pytorch", None, "HuggingFace")
    assert (row.repository, row.scheme, row.recommended, row.auto_rank) == ("o/r", "none", True, 1)
    assert catalog.auto_candidates("hermes-3", "8b", "HuggingFace") == (row,)


def test_the_packaged_catalog_does_not_change() -> None:
    before = CATALOG.digest
    catalog, _ = added(model())
    assert catalog.digest != before
    assert Catalog(CATALOG.tables).digest == before


def test_a_shape_is_taken_as_written() -> None:
    catalog, errors = added(shaped(num_key_value_heads=None, head_dim=None))
    assert errors == []
    shape = catalog.model("hermes-3", "8b").architecture
    assert shape is not None
    # without key-value heads there are as many as heads; 3,072 / 24 = 128
    assert (shape.num_key_value_heads, shape.head_dim) == (24, 128)
    assert (shape.name, shape.model_type, shape.tie_word_embeddings) == (
        "hermes-3-8b",
        "llama",
        True,
    )


@pytest.mark.parametrize(
    ("item", "scheme"),
    [
        pytest.param({"format": "awq", "quantization": "int4"}, "awq-int4-g128", id="AWQ"),
        pytest.param({"format": "pytorch", "quantization": "none"}, "none", id="16 bit"),
        pytest.param(
            {"format": "ggufv2", "quantization": "q4_k_m", "files": "{quantization}.gguf"},
            "Q4_K_M",
            id="a GGUF type",
        ),
        pytest.param(
            {"format": "fp8", "quantization": "x", "scheme": "FP8-Block"}, "fp8-block", id="given"
        ),
    ],
)
def test_schemes_follow_from_what_is_usual(item: dict[str, str], scheme: str) -> None:
    catalog, errors = added(publication(**item))
    assert errors == []
    assert catalog.publications("hermes-3", "8b")[0].scheme == scheme


def test_publications_may_be_added_to_a_model_that_exists() -> None:
    rows = [{"format": "awq", "quantization": "Int4", "repository": "us/guard-awq"}]
    catalog, errors = added({"name": "llama-guard-3", "size": "8b", "publications": rows})
    assert errors == []
    row = catalog.resolve("llama-guard-3", "8b", "awq", None, "HuggingFace")
    assert row.repository == "us/guard-awq"
    assert catalog.model("llama-guard-3", "8b") is CATALOG.model("llama-guard-3", "8b")


def test_the_first_publication_of_a_format_is_recommended_unless_one_says_so() -> None:
    items = [
        {**PLAIN, "format": "gptq", "quantization": "Int4"},
        {**PLAIN, "format": "gptq", "quantization": "w4a16", "recommended": True},
        {**PLAIN, "format": "fp8", "quantization": "a", "scheme": "fp8"},
        {**PLAIN, "format": "fp8", "quantization": "b", "scheme": "fp8"},
    ]
    catalog, errors = added(model(publications=items))
    assert errors == []
    assert catalog.resolve("hermes-3", "8b", "gptq", None, "HuggingFace").quantization == "w4a16"
    assert catalog.resolve("hermes-3", "8b", "fp8", None, "HuggingFace").quantization == "a"


INSTRUCT = {"name": "llama-3.1-instruct", "size": "70b"}
AWQ = {"format": "awq", "quantization": "INT4", "repository": "o/r"}


@pytest.mark.parametrize(
    ("row", "message"),
    [
        pytest.param(
            {**INSTRUCT, "publications": [AWQ]},
            "models.yaml[0].publications[0]: awq INT4 on HuggingFace is published by "
            "hugging-quants/Meta-Llama-3.1-70B-Instruct-AWQ-INT4 already",
            id="what is published stays",
        ),
        pytest.param(
            {
                **INSTRUCT,
                "publications": [
                    {**AWQ, "quantization": "x", "scheme": "awq-int4-g128", "recommended": True}
                ],
            },
            "publications[0].recommended: awq on HuggingFace has a recommended quant",
            id="what is recommended stays",
        ),
        pytest.param(
            {**INSTRUCT, "context_length": 9, "publications": [AWQ]},
            "models.yaml[0].context_length: llama-3.1-instruct 70b exists; only publications",
            id="facts of a model stay",
        ),
        pytest.param(
            model(architecture=None),
            "architecture: is required for a new model: one of llama-3.1-8b",
            id="a new model without a shape",
        ),
        pytest.param(
            model(architecture="llama-4"),
            "architecture: no architecture has this name; write llama-3.1-8b",
            id="an unknown architecture",
        ),
        pytest.param(
            model(context_length=200_000),
            "context_length: is above max_position_embeddings, 131072",
            id="a context beyond the architecture",
        ),
        pytest.param(
            publication(format="fp8", quantization="FP8"),
            "publications[0].scheme: is required: fp8 FP8 names no single scheme; write fp8,",
            id="a scheme that does not follow",
        ),
        pytest.param(
            publication(scheme="awq-int4-g128"),
            "publications[0].scheme: is no scheme of pytorch; write none, int8-w8a8",
            id="a scheme of another format",
        ),
        pytest.param(
            publication(recommended=False),
            "publications: one of pytorch on HuggingFace must be recommended",
            id="nothing recommended",
        ),
        pytest.param(
            model(publications=[PLAIN, PLAIN]),
            "publications[1]: pytorch none on HuggingFace is published by o/r already",
            id="a publication twice",
        ),
    ],
)
def test_a_row_that_cannot_be_added_is_told_and_changes_nothing(
    row: dict[str, Any], message: str
) -> None:
    catalog, errors = added(row)
    assert len(errors) == 1
    assert message in errors[0]
    assert catalog.digest == CATALOG.digest


def test_users_models_are_of_types_whose_memory_is_known() -> None:
    assert set(MODEL_TYPES) == SUPPORTED_MODEL_TYPES


def test_new_gpus_follow_from_their_label() -> None:
    catalog, errors = added_gpus(gpu(aliases=["NVIDIA-Y"]))
    assert errors == []
    found = catalog.gpu("nvidia-y-SHARED")
    assert found is not None
    assert (found.product, found.compute_capability) == ("NVIDIA-X", (8, 9))
    assert found.label_bytes == 16376 * MIB
    assert found.total_bytes == 16376 * MIB - int(0.45 * GIB)


def test_a_gpu_that_exists_keeps_what_is_left_out() -> None:
    catalog, errors = added_gpus({"product": "nvidia-l4", "total_bytes": 23_600_000_000})
    assert errors == []
    before, after = CATALOG.gpu("NVIDIA-L4"), catalog.gpu("NVIDIA-L4")
    assert before is not None
    assert after is not None
    assert after.total_bytes == 23_600_000_000
    assert (after.label_bytes, after.bandwidth_bytes_per_second, after.compute_capability) == (
        before.label_bytes,
        before.bandwidth_bytes_per_second,
        before.compute_capability,
    )
    assert len(catalog.tables.gpus) == len(CATALOG.tables.gpus)


def test_another_label_moves_the_total_with_it() -> None:
    catalog, _ = added_gpus({"product": "NVIDIA-L4", "label_mib": 23033})
    before, after = CATALOG.gpu("NVIDIA-L4"), catalog.gpu("NVIDIA-L4")
    assert before is not None
    assert after is not None
    assert before.total_bytes - after.total_bytes == MIB


def test_an_alias_may_get_a_row_of_its_own() -> None:
    catalog, errors = added_gpus({"product": "NVIDIA-H100-SXM5-80GB", "nvlink_gb_per_second": 0})
    assert errors == []
    own, old = catalog.gpu("NVIDIA-H100-SXM5-80GB"), catalog.gpu("NVIDIA-H100-80GB-HBM3")
    assert own is not None
    assert old is not None
    assert (own.nvlink_gb_per_second, old.nvlink_gb_per_second) == (0, 900)
    assert own.total_bytes == old.total_bytes
    assert old.aliases == ()


@pytest.mark.parametrize(
    ("row", "message"),
    [
        pytest.param(
            gpu(label_mib=None), "label_mib: is required for a new product", id="no label"
        ),
        pytest.param(
            gpu(compute_capability=None), "compute_capability: NVIDIA GPUs need", id="none"
        ),
        pytest.param(gpu(vendor="AMD"), "others have none", id="a capability of AMD"),
        pytest.param(
            gpu(total_bytes=2**40), "total_bytes: must be above 0 and at most", id="total"
        ),
        pytest.param(gpu(aliases=["nvidia-x"]), "aliases: NVIDIA-X is the product", id="itself"),
        pytest.param(gpu(aliases=["NVIDIA-L4"]), "nvidia-l4 belongs to NVIDIA-L4", id="another's"),
        pytest.param(gpu(product="NVIDIA-X-SHARED"), "write it without -SHARED", id="shared"),
    ],
)
def test_a_gpu_that_cannot_be_added_is_told(row: dict[str, Any], message: str) -> None:
    catalog, errors = added_gpus(row)
    assert len(errors) == 1
    assert message in errors[0]
    assert catalog.digest == CATALOG.digest


def test_amd_gpus_keep_nothing_of_their_label() -> None:
    catalog, errors = added_gpus({"product": "AMD_Instinct_MI210", "label_mib": 65520})
    assert errors == []
    found = catalog.gpu("AMD_Instinct_MI210")
    assert found is not None
    assert (found.vendor, found.total_bytes) == ("AMD", 65520 * MIB)


def test_the_order_of_configmaps_does_not_matter() -> None:
    first = read(data(models=[publication(repository="a/a")], gpus=[gpu(label_mib=1000)]), "a")
    second = read(data(models=[publication(repository="b/b")], gpus=[gpu(label_mib=2000)]), "b")
    third = read(
        data(models=[model(architecture=None, publications=[{**PLAIN, "hub": "ModelScope"}])]), "0"
    )
    results = [
        CATALOG.with_user_rows(tuple(row for rows in order for row in rows))
        for order in permutations([first, second, third])
    ]
    assert len({catalog.digest for catalog, _ in results}) == 1
    assert len({errors for _, errors in results}) == 1
    catalog, errors = results[0]
    assert [str(error).split(":")[0] for error in errors] == [
        "ConfigMap b, gpus.yaml[0].product",
        "ConfigMap b, models.yaml[0].architecture",
    ]
    assert catalog.resolve("hermes-3", "8b", "pytorch", None, "HuggingFace").repository == "a/a"
    assert catalog.resolve("hermes-3", "8b", "pytorch", None, "ModelScope").source == "ConfigMap 0"
