from collections import Counter
from collections.abc import Callable, Iterator, Set
from importlib import resources

import pytest

from llama_operator.catalog import engine_tables as module
from llama_operator.catalog.catalog import Catalog
from llama_operator.catalog.engine_tables import (
    ANY_SCHEME,
    argument_names,
    engine_arguments,
    engine_images,
    engine_limits,
    engine_load,
    read_engine_arguments,
    read_engine_images,
    read_engine_limits,
    read_engine_loads,
    speaks_of,
)
from llama_operator.catalog.rows import EngineVersion
from llama_operator.catalog.tables import Row, read_rows
from llama_operator.errors import CatalogError

CATALOG = Catalog.load()


@pytest.mark.parametrize("version", CATALOG.tables.engines, ids=lambda one: one.engine)
def test_a_setting_has_one_name_in_a_version(version: EngineVersion) -> None:
    rows = engine_arguments(version.engine, version.numbers)
    assert max(Counter(row.setting for row in rows if row.setting).values()) == 1


def test_every_scheme_of_the_loads_is_one() -> None:
    known = {scheme.name for scheme in CATALOG.tables.schemes}
    assert {row.scheme for row in read_engine_loads()} <= known | {ANY_SCHEME}


def test_every_version_has_an_image_and_every_image_a_version() -> None:
    versions = {(one.engine, one.version) for one in CATALOG.tables.engines}
    assert {(row.engine, row.version) for row in read_engine_images()} == versions


def test_images_of_a_vendor_ask_for_older_drivers_one_after_the_other() -> None:
    found = [(row.vendor, row.min_driver) for row in engine_images("vLLM", "0.33.0")]
    assert found == [("NVIDIA", 580), ("NVIDIA", 525)]
    found = [(row.vendor, row.min_driver) for row in engine_images("LlamaCpp", "11434")]
    assert found == [("NVIDIA", 525), ("AMD", 0)]


def test_an_unknown_version_has_no_image() -> None:
    with pytest.raises(CatalogError, match=r"engine_images.csv has no row for vLLM 0.1.0"):
        engine_images("vLLM", "0.1.0")


@pytest.mark.parametrize(
    ("version", "expected"),
    [
        pytest.param((2, 9), "MAX_INPUT_LENGTH", id="the last below"),
        pytest.param((3,), "MAX_INPUT_TOKENS", id="the first from"),
        pytest.param((3, 3, 7), "MAX_INPUT_TOKENS", id="later"),
    ],
)
def test_names_are_those_of_the_version(version: tuple[int, ...], expected: str) -> None:
    assert argument_names("TGI", version)["max_input_tokens"] == expected


def test_limits_are_those_of_the_version() -> None:
    field = "spec.memory.kvCacheDType=fp8"
    assert engine_limits("TGI", (2, 2, 0))[field] == "version 2 has no data type of the KV cache"
    assert field not in engine_limits("TGI", (3, 3, 7))


@pytest.mark.parametrize(
    ("engine", "version", "scheme", "format_name", "expected"),
    [
        pytest.param("TGI", (3, 3, 7), "fp8-dynamic", "fp8", (8, 0), id="from a version on"),
        pytest.param("TGI", (2, 2, 0), "fp8-dynamic", "fp8", None, id="below it"),
        pytest.param("LlamaCpp", (11434,), "Q4_K_M", "ggufv2", (5, 0), id="any of a format"),
        pytest.param("vLLM", (0, 33, 0), "Q4_K_M", "ggufv2", None, id="none of a format"),
        pytest.param("MLX", (0, 32, 2), "none", "mlx", (7, 5), id="16 bit of a format"),
    ],
)
def test_the_row_of_a_scheme(
    engine: str,
    version: tuple[int, ...],
    scheme: str,
    format_name: str,
    expected: tuple[int, int] | None,
) -> None:
    row = engine_load(engine, version, scheme, format_name)
    assert row is not None
    assert row.min_compute_capability == expected
    assert bool(row.not_loaded) is (expected is None)


@pytest.mark.parametrize(
    ("engine", "scheme", "format_name"),
    [
        pytest.param("LlamaCpp", "none", "pytorch", id="16 bit for llama.cpp"),
        pytest.param("MLX", "none", "pytorch", id="16 bit of another format"),
        pytest.param("LlamaCpp", "Q4_K_M", "", id="any of a format, with the format left open"),
        pytest.param("Ollama", "none", "pytorch", id="an engine that is none"),
    ],
)
def test_nothing_is_known(engine: str, scheme: str, format_name: str) -> None:
    assert engine_load(engine, (99,), scheme, format_name) is None


def test_a_range_begins_with_its_version_and_ends_before_another() -> None:
    row = next(row for row in read_engine_arguments() if row.below_version == (3,))
    assert [speaks_of(row, version) for version in ((2, 9, 9), (3,), (3, 0))] == [
        True,
        False,
        False,
    ]


NOT_LOADED = "vLLM,,,bnb-int8,,0,,"
LOADED = "vLLM,,,mxfp4,,1,8.0,,,,"


@pytest.mark.parametrize(
    ("before", "after", "read", "message"),
    [
        pytest.param(
            NOT_LOADED, "vLLM,,,bnb-int8,,3,,", read_engine_loads,
            "column auto_rank: must be 0 where the scheme is not loaded", id="a rank for nothing",
        ),
        pytest.param(
            NOT_LOADED, "vLLM,,,bnb-int8,,0,8.0,", read_engine_loads,
            "column not_loaded: write either this or min_compute_capability", id="both",
        ),
        pytest.param(
            LOADED, "vLLM,,,mxfp4,,1,,,,,", read_engine_loads,
            "column not_loaded: write either this or min_compute_capability", id="neither",
        ),
        pytest.param(
            LOADED, "vLLM,,,mxfp4,,1,8.0,-q,,,", read_engine_loads,
            "column arguments: every word must be --flag, --flag=value or NAME=value", id="-q",
        ),
        pytest.param(
            LOADED, "vLLM,,,mxfp4,,1,8.0,,fp8,,", read_engine_loads,
            "column at_load_arguments: every word must be", id="a word that is no argument",
        ),
        pytest.param(
            "TGI,3,,int8-w8a8", "TGI,2,,int8-w8a8", read_engine_loads,
            "engine_loads.csv: TGI int8-w8a8 has two rows for one version", id="versions overlap",
        ),
        pytest.param(
            "vLLM,,,nvfp4,", "vLLM,,,mxfp4,", read_engine_loads,
            "engine_loads.csv: vLLM mxfp4 has two rows for one version", id="a scheme twice",
        ),
        pytest.param(
            "vLLM,,,none,pytorch,", "vLLM,,,none,torch,", read_engine_loads,
            "engine_loads.csv line 2, column format: 'torch' is none of", id="no format",
        ),
        pytest.param(
            "vLLM,0.33.0,NVIDIA,580", "vLLM,0.33.0,Nvidia,580", read_engine_images,
            "engine_images.csv line 2, column vendor: 'Nvidia' is none of", id="no vendor",
        ),
        pytest.param(
            "vLLM,0.33.0,NVIDIA,580", "vLLM,0.33.0,NVIDIA,0", read_engine_images,
            "column min_driver: '0' is no whole number from 1", id="no driver",
        ),
        pytest.param(
            "vLLM,,,model,", "vllm,,,model,", read_engine_arguments,
            "engine_arguments.csv line 2, column engine: 'vllm' is none of vLLM,", id="no engine",
        ),
        pytest.param(
            "vLLM,,,spec.memory.gpuLayers,", "vLLM,,,spec.memory.layers,", read_engine_limits,
            "engine_limits.csv line 2, column field: 'spec.memory.layers' is none of",
            id="no field",
        ),
    ],
)  # fmt: skip
def test_a_wrong_row_is_named(
    monkeypatch: pytest.MonkeyPatch,
    before: str,
    after: str,
    read: Callable[[], object],
    message: str,
) -> None:
    changed = []

    def read_changed(name: str, columns: Set[str]) -> Iterator[Row]:
        data = resources.files("llama_operator.catalog").joinpath("data", name)
        text = data.read_text(encoding="utf-8")
        changed.append(before in text)
        return read_rows(name, text.replace(before, after, 1), frozenset(columns))

    monkeypatch.setattr(module, "read_table", read_changed)

    with pytest.raises(CatalogError) as caught:
        read.__wrapped__()  # type: ignore[attr-defined]  # past the cache

    assert changed == [True]
    assert message in str(caught.value)
