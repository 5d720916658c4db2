import pytest

from llama_operator.api.enums import EngineType
from llama_operator.engines.registry import ENGINES, engine
from llama_operator.errors import SpecError


def test_every_engine_type_but_auto_has_an_engine_of_its_name() -> None:
    assert set(ENGINES) == {kind.value for kind in EngineType} - {EngineType.AUTO.value}
    for name in ENGINES:
        assert engine(name).name == name


def test_an_unknown_engine_is_refused_with_what_is_allowed() -> None:
    with pytest.raises(SpecError, match=r"spec.engine.type: 'vllm' is no engine; .* vLLM"):
        engine("vllm")
