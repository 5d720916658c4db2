"""Engines and their libraries send no usage statistics, unless a user asks for it."""

from typing import Any

import pytest

from llama_operator.catalog.catalog import Catalog
from llama_operator.catalog.engine_telemetry import read_engine_telemetry
from llama_operator.engines.registry import engine
from unit.engines.engine_plans import BASE, deployment

OFF = {
    "vLLM 0.33.0": {"VLLM_NO_USAGE_STATS": "1", "DO_NOT_TRACK": "1"},
    "SGLang 0.5.23": {"HF_HUB_DISABLE_TELEMETRY": "1"},
    "TGI 3.3.7": {"USAGE_STATS": "off", "HF_HUB_DISABLE_TELEMETRY": "1"},
    "TGI 2.2.0": {"DISABLE_USAGE_STATS": "true", "HF_HUB_DISABLE_TELEMETRY": "1"},
    "LlamaCpp 11434": {},
    "Transformers 5.23.0": {"HF_HUB_DISABLE_TELEMETRY": "1"},
    "MLX 0.32.2": {"HF_HUB_DISABLE_TELEMETRY": "1"},
}
NAMES = {row.name for row in read_engine_telemetry()}


def variables(version: str, **spec: Any) -> dict[str, str]:
    """What is rendered of all variables that turn telemetry off."""
    name, _, number = version.partition(" ")
    plan = BASE.model_copy(update={"engine": name, "engine_version": number})
    container = engine(name).container(plan, deployment(**spec))
    return {one.name: one.value for one in container.env if one.name in NAMES}


def test_every_engine_version_is_here() -> None:
    versions = Catalog.load().tables.engines
    assert set(OFF) == {f"{one.engine} {one.version}" for one in versions}


@pytest.mark.parametrize("version", OFF)
def test_it_is_off(version: str) -> None:
    assert variables(version) == OFF[version]


@pytest.mark.parametrize("version", [one for one, off in OFF.items() if off])
def test_the_value_of_a_user_is_taken(version: str) -> None:
    name = next(iter(OFF[version]))
    asked = variables(version, engine={"env": [{"name": name, "value": "mine"}]})
    assert asked == {**OFF[version], name: "mine"}
