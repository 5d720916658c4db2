"""Lines in which engines tell of their memory: each row reads its own example, and is checked."""

import re
from collections.abc import Iterator, Set
from importlib import resources

import pytest

from llama_operator.catalog import engine_memory_lines as module
from llama_operator.catalog.catalog import Catalog
from llama_operator.catalog.engine_memory_lines import (
    PARTS,
    EngineMemoryLine,
    engine_memory_lines,
    read_engine_memory_lines,
)
from llama_operator.catalog.tables import Row, read_rows
from llama_operator.errors import CatalogError

TABLE = "engine_memory_lines.csv"
TEXT = (resources.files("llama_operator.catalog") / "data" / TABLE).read_text("utf-8")


@pytest.fixture(autouse=True)
def fresh() -> Iterator[None]:
    yield
    module.read_engine_memory_lines.cache_clear()
    module.engine_memory_lines.cache_clear()


def _title(line: EngineMemoryLine) -> str:
    return f"{line.engine} {line.kind} {line.part}"


@pytest.mark.parametrize("line", read_engine_memory_lines(), ids=_title)
def test_a_line_is_found_once_in_its_example_with_all_digits(line: EngineMemoryLine) -> None:
    logger = "(a pid=1) INFO 9 " if line.kind == "log" else ""
    [match] = line.compiled().finditer(f"{logger}{line.example}".encode())
    value = match.groupdict()[b"value"]
    assert value is not None
    assert re.search(rf"(?<![0-9.]){value.decode()}(?![0-9.]*[0-9])", line.example)


def test_engines_that_tell_something_tell_it_in_the_versions_that_are_deployed() -> None:
    told = {
        version.engine: {line.part for line in engine_memory_lines(version.engine, version.numbers)}
        for version in Catalog.load().tables.engines
        if version.default
    }
    vllm = "weights weights-and-non-torch activation non-torch cuda-graphs kv-cache kv-tokens"
    llama_cpp = "weights repacked-weights kv-cache activation output-buffer kv-tokens"
    assert told == {
        "vLLM": {*vllm.split(), "load-time"},
        "SGLang": {"weights", "cuda-graphs", "kv-cache", "kv-tokens", "load-time"},
        "TGI": {"kv-tokens"},
        "LlamaCpp": set(llama_cpp.split()),
        "Transformers": set(),
        "MLX": set(),
    }
    assert set.union(*told.values()) == set(PARTS)


@pytest.mark.parametrize(
    ("version", "count"),
    [
        pytest.param((0, 10), 5, id="the last with the line of worker.py"),
        pytest.param((0, 11), 0, id="the first without"),
    ],
)
def test_lines_are_those_of_the_version(version: tuple[int, ...], count: int) -> None:
    lines = engine_memory_lines("vLLM", version)
    assert sum(line.below_version == (0, 11) for line in lines) == count


BLOCKS = '"KV-cache blocks: <value>, size: <block>",'


@pytest.mark.parametrize(
    ("before", "after", "message"),
    [
        pytest.param(
            "TGI,,,log,kv-tokens,blocks", "TGI,,,log,kv-tokens,GiB",
            "column unit: 'GiB' is none of tokens, blocks", id="tokens in GiB",
        ),
        pytest.param(
            BLOCKS, "KV-cache blocks: [0-9]+,",
            "column pattern: <value> is missing", id="no value",
        ),
        pytest.param(
            BLOCKS, "KV-cache blocks: (<value>,",
            "column pattern: no regular expression of RE2: missing )", id="no expression",
        ),
        pytest.param(
            BLOCKS, "KV-cache blocks: (?=<value>),",
            "column pattern: no regular expression of RE2: invalid perl operator",
            id="an expression that looks ahead",
        ),
        pytest.param(
            BLOCKS, "Blocks: <value>,",
            "column example: the pattern does not match it", id="another example",
        ),
        pytest.param(
            "TGI,,,log,kv-tokens", "TGI,,,letter,kv-tokens",
            "column kind: 'letter' is none of log, metric", id="no kind",
        ),
        pytest.param(
            'size: 1",format', 'size: 1",rumour',
            "column evidence: 'rumour' is none of captured, public log, format", id="no evidence",
        ),
    ],
)  # fmt: skip
def test_a_wrong_cell_is_named(
    before: str, after: str, message: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    changed = TEXT.replace(before, after, 1)
    assert changed != TEXT

    def read(table: str, columns: Set[str]) -> Iterator[Row]:
        return read_rows(table, changed, columns)

    monkeypatch.setattr(module, "read_table", read)
    module.read_engine_memory_lines.cache_clear()
    with pytest.raises(CatalogError) as error:
        read_engine_memory_lines()
    assert message in str(error.value)
    assert str(error.value).startswith(f"{TABLE} line ")
