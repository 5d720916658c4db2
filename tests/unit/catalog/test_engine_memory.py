"""Facts and shares of engines by version: complete, without overlaps, and checked cell by cell."""

from collections.abc import Iterator, Set
from importlib import resources

import pytest

from llama_operator.catalog import engine_memory as module
from llama_operator.catalog.engine_memory import NEWEST, engine_memory, engine_share
from llama_operator.catalog.model_tables import ENGINES
from llama_operator.catalog.tables import Row, read_rows
from llama_operator.errors import CatalogError

DATA = resources.files("llama_operator.catalog") / "data"
VERSIONS = [(), *((0, minor) for minor in range(41)), (1, 0), (3472, 0), NEWEST]


def look_up() -> None:
    for engine, version in (("vLLM", (0, 16)), ("SGLang", (0, 4))):
        engine_memory(engine, version)
        engine_share(engine, version, 79.0, 1)


@pytest.fixture(autouse=True)
def fresh() -> Iterator[None]:
    yield
    for cached in (
        module.read_engine_facts,
        module.read_engine_shares,
        engine_memory,
        engine_share,
    ):
        cached.cache_clear()


@pytest.mark.parametrize("version", VERSIONS, ids=str)
@pytest.mark.parametrize("engine", [*ENGINES, "vLLM-CPU"])
def test_every_version_of_every_engine_has_one_of_each_fact(
    engine: str, version: tuple[int, ...]
) -> None:
    facts = engine_memory(engine, version)
    assert facts.block_tokens > 0
    assert facts.latent_multiple > 0
    for gpu_gib in (1.0, 34.9, 35.0, 79.0, 200.0):
        for size in (1, 2, 16):
            assert 0 < engine_share(engine.removesuffix("-CPU"), version, gpu_gib, size).share <= 1


def test_cpus_differ_from_gpus_where_they_have_a_row_of_their_own() -> None:
    on_gpu, on_cpu = engine_memory("vLLM", (0, 19)), engine_memory("vLLM-CPU", (0, 19))
    assert (on_gpu.block_tokens, on_cpu.block_tokens) == (16, 128)
    assert on_gpu.sampler_alpha == on_cpu.sampler_alpha == 3.65


@pytest.mark.parametrize(
    ("table", "before", "after", "message"),
    [
        pytest.param(
            "engine_memory.csv",
            "vLLM,block_tokens",
            "vLLM,block_size",
            "engine_memory.csv line 2, column fact: 'block_size' is none of block_tokens,",
            id="an unknown fact",
        ),
        pytest.param(
            "engine_memory.csv",
            "vLLM,block_tokens,,,16",
            "vLLM,block_tokens,,,16.5",
            "engine_memory.csv line 2, column value: must be a whole number",
            id="half a token",
        ),
        pytest.param(
            "engine_memory.csv",
            "vLLM,captures_graphs,,,1",
            "vLLM,captures_graphs,,,2",
            "column value: must be 0 or 1",
            id="a flag of 2",
        ),
        pytest.param(
            "engine_memory.csv",
            "vLLM,sampler_alpha,0.17",
            "vLLM,sampler_alpha,0.16",
            "engine_memory.csv: vLLM sampler_alpha has 2 rows for one version",
            id="ranges that overlap",
        ),
        pytest.param(
            "engine_memory.csv",
            "*,captures_graphs,,",
            "*,captures_graphs,1,",
            "engine_memory.csv: SGLang 0.4 has no row for captures_graphs",
            id="a fact that is missing",
        ),
        pytest.param(
            "engine_shares.csv",
            "SGLang,,0.5,0,1,0.88",
            "SGLang,,0.5,0,2,0.88",
            "engine_shares.csv has no row for SGLang 0.4",
            id="a share that is missing",
        ),
        pytest.param(
            "engine_shares.csv",
            "TGI,,,0,1,1,",
            "TGI,,,0,1,1.5,",
            "column share: '1.5' is no number from 0 to 1",
            id="more than all",
        ),
    ],
)
def test_a_wrong_cell_is_named(
    table: str, before: str, after: str, message: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def read(name: str, columns: Set[str]) -> Iterator[Row]:
        text = (DATA / name).read_text("utf-8")
        if name == table:
            assert before in text
            text = text.replace(before, after, 1)
        return read_rows(name, text, columns)

    monkeypatch.setattr(module, "read_table", read)
    for cached in (
        module.read_engine_facts,
        module.read_engine_shares,
        engine_memory,
        engine_share,
    ):
        cached.cache_clear()
    with pytest.raises(CatalogError) as caught:
        look_up()
    assert message in str(caught.value)
