from collections.abc import Callable, Iterator, Set
from importlib import resources

import pytest

from llama_operator.catalog import host_tables as module
from llama_operator.catalog.catalog import Catalog
from llama_operator.catalog.host_tables import (
    disk_margin,
    engine_loading,
    read_disk_margins,
    read_engine_loading,
)
from llama_operator.catalog.model_tables import ENGINES
from llama_operator.catalog.tables import Row, read_rows
from llama_operator.errors import CatalogError
from llama_operator.units import GIB, MIB


def test_every_engine_has_its_rows() -> None:
    assert {row.engine for row in read_engine_loading()} == set(ENGINES)
    assert {row.engine for row in Catalog.load().tables.hosts} == set(ENGINES)


def test_the_row_of_llama_cpp() -> None:
    row = engine_loading("llamacpp")
    assert (row.maps_files, row.per_rank, row.unit, row.units_in_flight) == (
        True,
        False,
        "tensor",
        1,
    )
    assert row.staging_bytes == 256 * MIB
    assert row.prompt_cache_bytes == 8192 * MIB


def test_the_margin_of_a_repository() -> None:
    margin = disk_margin("repository")
    assert (margin.percent, margin.fixed_bytes) == (5, GIB)
    assert "estimate" in margin.source


@pytest.mark.parametrize(
    ("lookup", "message"),
    [
        (lambda: engine_loading("Ollama"), "engine_loading.csv has no row for Ollama"),
        (lambda: disk_margin("tar"), "disk_margins.csv has no row for 'tar'; it has repository"),
    ],
)
def test_what_is_not_in_a_table_is_named(lookup: Callable[[], object], message: str) -> None:
    with pytest.raises(CatalogError, match=message):
        lookup()


@pytest.mark.parametrize(
    ("before", "after", "read", "message"),
    [
        ("vLLM,true,true,file", "vLLM,true,true,shard", read_engine_loading, "'shard' is none of"),
        ("\nSGLang,", "\nvLLM,", read_engine_loading, "'vllm' occurs 2 times"),
        ("gguf,1,0.25", "gguf,101,0.25", read_disk_margins, "no whole number from 0 to 100"),
        ("gguf,1,0.25", "repository,1,0.25", read_disk_margins, "'repository' occurs 2 times"),
    ],
)
def test_a_wrong_cell_is_named(
    before: str,
    after: str,
    read: Callable[[], object],
    message: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def with_change(name: str, columns: Set[str]) -> Iterator[Row]:
        text = (resources.files("llama_operator.catalog") / "data" / name).read_text("utf-8")
        assert before in text
        return read_rows(name, text.replace(before, after, 1), columns)

    monkeypatch.setattr(module, "read_table", with_change)
    uncached = read.__wrapped__  # type: ignore[attr-defined]
    with pytest.raises(CatalogError, match=message):
        uncached()
