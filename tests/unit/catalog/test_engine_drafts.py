"""What engines make of draft models: a row for each that takes one, a limit for each other."""

import pytest

from llama_operator.catalog import engine_drafts as module
from llama_operator.catalog.catalog import Catalog
from llama_operator.catalog.engine_drafts import engine_draft, read_engine_drafts
from llama_operator.catalog.engine_tables import engine_limits
from llama_operator.catalog.rows import EngineVersion
from llama_operator.catalog.tables import Row, read_rows
from llama_operator.errors import CatalogError

FIELD = "spec.speculative.draftModel"
COLUMNS = (
    "engine",
    "min_version",
    "below_version",
    "vocabulary_difference",
    "counts_model_layers",
    "slots",
    "source",
)


@pytest.mark.parametrize(
    ("engine", "version", "difference", "counts_model_layers", "slots"),
    [
        pytest.param("vLLM", (0, 33, 0), 0, False, 1, id="vLLM"),
        pytest.param("SGLang", (0, 5, 23), 0, True, 0, id="SGLang"),
        pytest.param("LlamaCpp", (11434,), 128, False, 0, id="llama.cpp"),
        pytest.param("MLX", (0, 32, 2), 0, False, 0, id="MLX"),
    ],
)
def test_the_rows(
    engine: str,
    version: tuple[int, ...],
    difference: int,
    counts_model_layers: bool,
    slots: int,
) -> None:
    row = engine_draft(engine, version)
    found = (row.vocabulary_difference, row.counts_model_layers, row.slots)
    assert found == (difference, counts_model_layers, slots)
    assert row.source


@pytest.mark.parametrize("version", Catalog.load().tables.engines, ids=lambda one: one.engine)
def test_an_engine_has_a_row_or_a_limit(version: EngineVersion) -> None:
    if FIELD in engine_limits(version.engine, version.numbers):
        with pytest.raises(CatalogError, match=f"no row for {version.engine}"):
            engine_draft(version.engine, version.numbers)
    else:
        assert engine_draft(version.engine, version.numbers).engine == version.engine


def test_a_vllm_that_is_too_old_is_limited_and_has_no_row() -> None:
    assert FIELD in engine_limits("vLLM", (0, 14, 1))
    with pytest.raises(CatalogError, match=r"no row for vLLM 0\.14\.1"):
        engine_draft("vLLM", (0, 14, 1))


@pytest.mark.parametrize(
    ("cells", "message"),
    [
        pytest.param("Ollama,,,0,false,0,a", "engine", id="no engine of the catalog"),
        pytest.param("MLX,,,-1,false,0,a", "vocabulary_difference", id="a difference below 0"),
        pytest.param("MLX,,,0,perhaps,0,a", "counts_model_layers", id="neither true nor false"),
        pytest.param("MLX,,,0,false,65,a", "slots", id="more slots than tokens are drafted"),
        pytest.param("MLX,,,0,false,0,", "source", id="no source"),
    ],
)
def test_a_wrong_cell_is_named(cells: str, message: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def read(table: str, columns: frozenset[str]) -> list[Row]:
        return list(read_rows(table, f"{','.join(COLUMNS)}\n{cells}\n", columns))

    monkeypatch.setattr(module, "read_table", read)
    with pytest.raises(CatalogError, match=rf"engine_drafts\.csv.*{message}"):
        read_engine_drafts.__wrapped__()
