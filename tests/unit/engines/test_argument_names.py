"""The names in the tables are those of the engines, in every version that they speak of."""

from collections.abc import Iterable, Sequence
from typing import Final

import pytest

from llama_operator.catalog.catalog import Catalog
from llama_operator.catalog.engine_tables import (
    engine_arguments,
    read_engine_arguments,
    read_engine_loads,
    speaks_of,
)
from llama_operator.catalog.rows import EngineVersion
from llama_operator.engines.arguments import check_engine
from llama_operator.errors import SpecError
from support.captured_parser import capture
from unit.engines.engine_plans import deployment, llama_server

FILES: Final = {
    "vLLM 0.33.0": "vllm-0.33.0.flags.json",
    "SGLang 0.5.23": "sglang-0.5.23.flags.json",
    "Transformers 5.23.0": "transformers-5.23.0.serve.json",
    "MLX 0.32.2": "mlx-lm-0.32.2.flags.json",
}
VERSIONS: Final = Catalog.load().tables.engines
ALL: Final = [pytest.param(one, id=f"{one.engine} {one.version}") for one in VERSIONS]
NAMED_ELSEWHERE: Final = frozenset(["VLLM_API_KEY", "LLAMA_OPERATOR_API_KEY"])
"""Variables that are no option's: vLLM's source reads the first, the second is ours."""
OPPOSITES: Final = (
    *("LLAMA_ARG_NO_KV_OFFLOAD", "LLAMA_ARG_NO_KV_UNIFIED"),
    "LLAMA_ARG_NO_CACHE_PROMPT",
)
"""Variables that llama-server's help does not have: `get_value_from_env` of common/arg.cpp."""


def options(version: EngineVersion) -> list[Sequence[str]]:
    """All names of each captured option, variables among them."""
    if version.engine == "TGI":
        content = capture(f"text-generation-launcher-{version.version}.options.json")
        found = [(option["environment"], option["name"]) for option in content["options"]]
        return [tuple(name for name in names if name) for names in found]
    if version.engine == "LlamaCpp":
        return [
            (*option.names, *([option.environment] if option.environment else []))
            for option in llama_server().options
        ]
    flags = capture(FILES[f"{version.engine} {version.version}"])["flags"]
    return [flag["flags"] for flag in flags]


def names(version: EngineVersion) -> set[str]:
    return {name for option in options(version) for name in option} | set(OPPOSITES)


def refused(version: EngineVersion, argument: str) -> str | None:
    try:
        check_engine(deployment(engine={"extraArgs": [argument]}).spec, version)
    except SpecError as error:
        return str(error)
    return None


@pytest.mark.parametrize("version", ALL)
def test_every_name_of_the_tables_is_captured(version: EngineVersion) -> None:
    found = names(version)
    rows = engine_arguments(version.engine, version.numbers)
    assert rows
    assert {row.name for row in rows} - NAMED_ELSEWHERE <= found
    assert len({row.name for row in rows}) == len(rows), "a name stands once for a version"
    for load in read_engine_loads():
        if load.engine == version.engine and speaks_of(load, version.numbers):
            for word in (*load.arguments, *load.at_load_arguments):
                assert word.partition("=")[0] in found, word


def test_every_row_speaks_of_a_version_of_the_catalog() -> None:
    for row in read_engine_arguments():
        assert any(row.engine == one.engine and speaks_of(row, one.numbers) for one in VERSIONS), (
            row
        )


@pytest.mark.parametrize("version", ALL)
def test_every_name_of_an_option_of_the_tables_is_kept_from_users(version: EngineVersion) -> None:
    own = {row.name for row in engine_arguments(version.engine, version.numbers)}
    for option in options(version):
        if own & set(option):
            for name in long(option):
                assert refused(version, name), name
            for name in variables(option):
                assert name in own, name


@pytest.mark.parametrize("version", ALL)
def test_no_other_option_is_kept_from_users(version: EngineVersion) -> None:
    own = {row.name for row in engine_arguments(version.engine, version.numbers)}
    for option in options(version):
        if not own & set(option):
            for name in long(option):
                assert refused(version, name) is None, name


def long(option: Iterable[str]) -> list[str]:
    """Flags; the API refuses short ones."""
    return [name for name in option if name.startswith("--")]


def variables(option: Iterable[str]) -> list[str]:
    return [name for name in option if not name.startswith("-")]
