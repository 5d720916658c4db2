"""Facts survive being written and read."""

import copy
import json
from typing import Any

import pytest

from llama_operator.download.facts import ModelFacts
from llama_operator.download.records import from_record, to_record
from unit.download.facts_made import gguf_facts, model_facts_made, safetensors_facts

FULL = model_facts_made(
    quantization_config={"quantization": {"quant_algo": "FP8"}},
    safetensors=safetensors_facts(100, None),
    gguf=(gguf_facts(40),),
    from_cache=True,
)


@pytest.mark.parametrize(
    "facts",
    [
        pytest.param(FULL, id="with everything"),
        pytest.param(
            model_facts_made(
                hub="ModelScope",
                gated=None,
                private=None,
                config=None,
                safetensors=None,
                files=(),
                from_cache=True,
            ),
            id="with nothing",
        ),
    ],
)
def test_facts_come_back_as_they_were(facts: ModelFacts) -> None:
    assert from_record(json.loads(json.dumps(to_record(facts)))) == facts


def changed(*path: str | int, to: object) -> Any:
    record = json.loads(json.dumps(to_record(FULL)))
    inner = record
    for step in path[:-1]:
        inner = inner[step]
    inner[path[-1]] = to
    return record


@pytest.mark.parametrize(
    "record",
    [
        pytest.param(None, id="null"),
        pytest.param([], id="a list"),
        pytest.param({}, id="empty"),
        pytest.param(changed("version", to=0), id="another version"),
        pytest.param(changed("hub", to="Elsewhere"), id="an unknown hub"),
        pytest.param(changed("commit", to=None), id="no commit"),
        pytest.param(changed("files", to=[{"path": 1}]), id="a file without name"),
        pytest.param(changed("files", 0, "size_bytes", to="2"), id="a size in words"),
        pytest.param(changed("config", to=[]), id="a configuration that is a list"),
        pytest.param(changed("safetensors", to={}), id="safetensors without files"),
        pytest.param(changed("gguf", 0, "header", "tensors", to=[{}]), id="a tensor of nothing"),
        pytest.param(changed("gguf", to=3), id="GGUF models that are a number"),
    ],
)
def test_another_form_is_refused(record: object) -> None:
    with pytest.raises(ValueError, match=r"no record|is no"):
        from_record(copy.deepcopy(record))
