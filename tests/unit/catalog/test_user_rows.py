"""Users' rows: what can be read, what is refused with which words, and that nothing is raised."""

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from llama_operator.catalog.user_rows import RowError, read_user_rows
from llama_operator.catalog.user_schema import UserGpu, UserModel
from unit.catalog.rows_of_users import (
    CATALOG,
    PLAIN,
    SHAPE,
    data,
    gpu,
    model,
    price,
    publication,
    read,
    shaped,
)


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
            "c, model.yaml: unknown key; allowed: models.yaml, gpus.yaml, prices.yaml",
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


@pytest.mark.parametrize(
    ("row", "field", "message"),
    [
        pytest.param(7, "", "must be a mapping; allowed keys: product, usd_per", id="a number"),
        pytest.param(price(product="a b"), ".product", "as the node label", id="a blank"),
        pytest.param(
            price(usd_per_gpu_hour=0.5), ".usd_per_gpu_hour", "valid string", id="a number's price"
        ),
        pytest.param(
            price(usd_per_gpu_hour="$1"), ".usd_per_gpu_hour", 'such as "2.50"', id="a sign"
        ),
        pytest.param(
            price(usd_per_gpu_hour="-1"), ".usd_per_gpu_hour", 'such as "2.50"', id="below zero"
        ),
        pytest.param(
            price(usd_per_gpu_hour="0.1234567"), ".usd_per_gpu_hour", "six digits", id="too fine"
        ),
        pytest.param(price(eur="1"), ".eur", "allowed: product, usd_per_gpu_hour", id="a key"),
        pytest.param({"product": "X"}, ".usd_per_gpu_hour", "is required", id="no price"),
    ],
)
def test_a_wrong_price_names_the_field_and_what_is_allowed(
    row: Any, field: str, message: str
) -> None:
    rows, errors = read_user_rows("c", data(prices=[price(), row]))
    assert [item.row for item in rows] == [0]
    assert str(errors[0]).startswith(f"ConfigMap c, prices.yaml[1]{field}: ")
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


@given(
    st.dictionaries(
        st.sampled_from(["models.yaml", "gpus.yaml", "prices.yaml", "x"]), st.text(max_size=80)
    )
)
def test_any_text_is_answered(values: dict[str, str]) -> None:
    rows, errors = read_user_rows("c", values)
    assert all(isinstance(error, RowError) for error in errors)
    assert rows == ()
