"""Users' rows in the catalog: what they add, what they may not change."""

from itertools import permutations
from typing import Any

import pytest

from llama_operator.catalog.catalog import Catalog
from llama_operator.units import GIB, MIB
from unit.catalog.rows_of_users import (
    CATALOG,
    PLAIN,
    added,
    added_gpus,
    data,
    gpu,
    model,
    publication,
    read,
    shaped,
)


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
