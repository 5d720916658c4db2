"""Readers of the shipped tables, with one cell made wrong."""

from collections.abc import Callable, Iterator, Set
from importlib import resources

import pytest

from llama_operator.catalog import machine_tables, model_tables
from llama_operator.catalog.tables import Row, read_rows
from llama_operator.errors import CatalogError


def read_models() -> object:
    return model_tables.read_models(model_tables.read_architectures())


@pytest.mark.parametrize(
    ("table", "before", "after", "read", "message"),
    [
        pytest.param(
            "models.csv",
            "8b,llama-3.1-8b,131072",
            "8b,llama-9-8b,131072",
            read_models,
            "models.csv line 2, column architecture: 'llama-9-8b' is none of llama-3.1-8b,",
            id="an unknown architecture",
        ),
        pytest.param(
            "models.csv",
            "chat tools",
            "chat sing",
            read_models,
            "models.csv line 2, column abilities: 'sing' is none of chat, tools,",
            id="an unknown ability",
        ),
        pytest.param(
            "publications.csv",
            ",Transformers,",
            ",Ollama,",
            model_tables.read_publications,
            "publications.csv line 45, column engines: 'Ollama' is none of vLLM,",
            id="an unknown engine",
        ),
        pytest.param(
            "publications.csv",
            ",ggufv2,",
            ",gguf,",
            model_tables.read_publications,
            "publications.csv line 2, column format: 'gguf' is none of pytorch,",
            id="an unknown format",
        ),
        pytest.param(
            "gpus.csv",
            "15360,14.58",
            "15360,15.01",
            machine_tables.read_gpus,
            "gpus.csv line 2, column total_gib: must be above 0 and at most the label",
            id="more memory than the label",
        ),
        pytest.param(
            "gpus.csv",
            "0.5,7.5,320",
            "0.5,,320",
            machine_tables.read_gpus,
            "gpus.csv line 2, column compute_capability: NVIDIA GPUs have one, others none",
            id="an NVIDIA GPU without compute capability",
        ),
        pytest.param(
            "schemes.csv",
            "bfloat16",
            "float8",
            model_tables.read_schemes,
            "schemes.csv line 2, column dtype: 'float8' is none of bfloat16,",
            id="an unknown dtype",
        ),
        pytest.param(
            "formats.csv",
            "pytorch,",
            "safetensors,",
            model_tables.read_formats,
            "formats.csv line 2, column name: 'safetensors' is none of pytorch,",
            id="a format that the API lacks",
        ),
    ],
)
def test_a_wrong_cell_is_named(
    table: str,
    before: str,
    after: str,
    read: Callable[[], object],
    message: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def with_change(name: str, columns: Set[str]) -> Iterator[Row]:
        text = (resources.files("llama_operator.catalog") / "data" / name).read_text("utf-8")
        assert name != table or before in text
        return read_rows(name, text.replace(before, after, 1) if name == table else text, columns)

    monkeypatch.setattr(model_tables, "read_table", with_change)
    monkeypatch.setattr(machine_tables, "read_table", with_change)
    with pytest.raises(CatalogError) as caught:
        read()
    assert str(caught.value).startswith(message)
