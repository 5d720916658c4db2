"""What a spec may not ask of an engine: fields it cannot follow, and what the plan decides."""

from typing import Any

import pytest

from llama_operator.catalog.catalog import Catalog
from llama_operator.catalog.engine_tables import FIELDS, engine_limits, read_engine_limits
from llama_operator.catalog.rows import EngineVersion
from llama_operator.engines.arguments import asked_fields, check_engine
from llama_operator.engines.registry import ENGINES
from llama_operator.errors import SpecError
from unit.engines.engine_plans import deployment

CATALOG = Catalog.load()
VERSIONS = CATALOG.tables.engines
ALL = [pytest.param(one, id=f"{one.engine} {one.version}") for one in VERSIONS]
CLAIM = {"cache": {"claim": {}}}
DRAFTED = {
    "speculative": {"draftModel": {"model": "llama-3.1", "size": "8b", "format": "awq"}},
    **CLAIM,
}
ADAPTER_FIELD = "spec.lora.adapters.file"


def lora(beside: dict[str, Any], *names: str, **more: str) -> dict[str, Any]:
    """A spec with adapters."""
    adapters = [{"name": name, "repository": "org/a", **more} for name in names or ("a",)]
    return {"lora": {"adapters": adapters}, **beside}


ASKED: dict[str, tuple[dict[str, Any], str]] = {
    "spec.auth": ({"auth": {"apiKeySecretRef": {"name": "key"}}}, "spec.auth"),
    "spec.chatTemplate": (
        {"chatTemplate": {"configMapKeyRef": {"name": "templates"}}},
        "spec.chatTemplate",
    ),
    "spec.context.concurrency>256": ({"context": {"concurrency": 257}}, "spec.context.concurrency"),
    "spec.hardware[].nodes": ({"hardware": [{"gpu": "NVIDIA-L4", "nodes": 2}]}, "spec.hardware"),
    "spec.hub=ModelScope": ({"hub": "ModelScope"}, "spec.hub"),
    "spec.lora": (lora(CLAIM), ADAPTER_FIELD),
    "spec.lora.adapters.file": (lora(CLAIM, file="a.gguf"), ADAPTER_FIELD),
    "spec.lora.adapters.file=none": (lora(CLAIM), ADAPTER_FIELD),
    "spec.lora.adapters=ModelScope": (lora({"hub": "ModelScope"}), ADAPTER_FIELD),
    "spec.lora.adapters=drafted": (
        lora(DRAFTED, file="a.gguf"),
        f"{ADAPTER_FIELD} spec.speculative.draftModel",
    ),
    "spec.lora.adapters=uncached": (lora({}, file="a.gguf"), ADAPTER_FIELD),
    "spec.lora.adapters[1]": (lora(CLAIM, "a", "b", file="a.gguf"), ADAPTER_FIELD),
    "spec.memory.cudaGraphs=Disabled": (
        {"memory": {"cudaGraphs": "Disabled"}},
        "spec.memory.cudaGraphs",
    ),
    "spec.memory.gpuLayers": ({"memory": {"gpuLayers": 1}}, "spec.memory.gpuLayers"),
    "spec.memory.kvCacheDType=fp8": (
        {"memory": {"kvCacheDType": "fp8"}},
        "spec.memory.kvCacheDType",
    ),
    "spec.memory.kvCacheDType=q8_0": (
        {"memory": {"kvCacheDType": "q8_0"}},
        "spec.memory.kvCacheDType",
    ),
    "spec.memory.maxNumBatchedTokens": (
        {"memory": {"maxNumBatchedTokens": 16}},
        "spec.memory.maxNumBatchedTokens",
    ),
    "spec.memory.maxNumSeqs": ({"memory": {"maxNumSeqs": 1}}, "spec.memory.maxNumSeqs"),
    "spec.memory.maxNumSeqs>256": ({"memory": {"maxNumSeqs": 257}}, "spec.memory.maxNumSeqs"),
    "spec.memory.prefixCaching=Disabled": (
        {"memory": {"prefixCaching": "Disabled"}},
        "spec.memory.prefixCaching",
    ),
    "spec.memory.prefixCaching=Enabled": (
        {"memory": {"prefixCaching": "Enabled"}},
        "spec.memory.prefixCaching",
    ),
    "spec.memory.utilizationPercent": (
        {"memory": {"utilizationPercent": 90}},
        "spec.memory.utilizationPercent",
    ),
    "spec.servedModelNames": ({"servedModelNames": ["a"]}, "spec.servedModelNames"),
    "spec.servedModelNames[1]": ({"servedModelNames": ["a", "b"]}, "spec.servedModelNames"),
    "spec.speculative.draftModel": (
        {
            "speculative": {
                "draftModel": {"model": "llama-3.2-instruct", "size": "1b", "format": "pytorch"}
            }
        },
        "spec.speculative.draftModel",
    ),
    "spec.speculative.ngram": ({"speculative": {"ngram": {}}}, "spec.speculative.ngram"),
    "spec.speculative.ngram.lookupTokens": (
        {"speculative": {"ngram": {"lookupTokens": 2}}},
        "spec.speculative.ngram.lookupTokens",
    ),
    "spec.tls": ({"tls": {"secretName": "tls"}}, "spec.tls"),
}
"""By the word of engine_limits.csv: a spec that asks for it, and the field of the refusal, which an
engine that cannot follow even a part of it names by its beginning."""


def engine_version(name: str) -> EngineVersion:
    engine, _, version = name.partition(" ")
    return CATALOG.engine(engine, version or None)


def refusal(version: EngineVersion, **spec: Any) -> SpecError | None:
    try:
        check_engine(deployment(**spec).spec, version)
    except SpecError as error:
        return error
    return None


def test_every_word_of_the_limits_is_tried() -> None:
    assert tuple(ASKED) == FIELDS
    assert {row.field for row in read_engine_limits()} <= set(FIELDS)
    for word, (spec, _) in ASKED.items():
        assert word in asked_fields(deployment(**spec).spec)
    assert not {*ASKED} & set(asked_fields(deployment().spec)), "a plain spec asks for none"


@pytest.mark.parametrize("word", FIELDS)
@pytest.mark.parametrize("version", ALL)
def test_a_field_that_an_engine_cannot_follow_is_refused_and_no_other(
    version: EngineVersion, word: str
) -> None:
    limits = engine_limits(version.engine, version.numbers)
    spec, field = ASKED[word]
    asked = [limits[one] for one in asked_fields(deployment(**spec).spec) if one in limits]

    error = refusal(version, **spec)

    if not asked:
        assert error is None
    else:
        assert error is not None
        assert any(one.startswith(error.field) for one in field.split())
        name = f"{version.engine} {version.version}"
        assert str(error) == f"{error.field}: {name} cannot follow it: {asked[0]}"


LAST_THAT_IS_TAKEN = [
    pytest.param({"context": {"concurrency": 256}}, id="256 requests"),
    pytest.param({"memory": {"maxNumSeqs": 256}}, id="256 sequences"),
    pytest.param({"memory": {"kvCacheDType": "q8_0"}}, id="q8_0"),
    pytest.param({"servedModelNames": ["a", "b"]}, id="two names"),
]


@pytest.mark.parametrize("spec", LAST_THAT_IS_TAKEN)
def test_llama_cpp_takes(spec: dict[str, Any]) -> None:
    assert refusal(engine_version("LlamaCpp"), **spec) is None


@pytest.mark.parametrize(
    ("engine", "argument", "message"),
    [
        pytest.param(
            "vLLM",
            "--dtype=half",
            "--dtype: the plan sets --dtype of vLLM",
            id="vLLM: what nothing stands for instead",
        ),
        pytest.param(
            "vLLM",
            "--no-enforce-eager",
            "--no-enforce-eager: the plan sets --no-enforce-eager of vLLM; "
            "use spec.memory.cudaGraphs instead",
            id="vLLM: the opposite of a switch",
        ),
        pytest.param(
            "vLLM",
            "--max_model_len=9",
            "--max_model_len: the plan sets --max-model-len of vLLM; "
            "use spec.context.maxModelLen instead",
            id="vLLM: underscores",
        ),
        pytest.param(
            "vLLM",
            "--gpu-memory-util=0.9",
            "--gpu-memory-util: the plan sets --gpu-memory-utilization of vLLM; "
            "use spec.memory.utilizationPercent instead",
            id="vLLM: a name cut short",
        ),
        pytest.param(
            "vLLM",
            "--tensor-parallel-size",
            "--tensor-parallel-size: the plan sets --tensor-parallel-size of vLLM; "
            "use spec.hardware[].count instead",
            id="vLLM: without its value",
        ),
        pytest.param(
            "vLLM",
            "--hf-token=hf_abc",
            "--hf-token: the plan sets --hf-token of vLLM; use spec.tokenSecretRef instead",
            id="vLLM: a token",
        ),
        pytest.param(
            "SGLang",
            "--device=cpu",
            "--device: the plan sets --device of SGLang; use spec.hardware[].count instead",
            id="SGLang: the device",
        ),
        pytest.param(
            "SGLang",
            "--context-len=9",
            "--context-len: the plan sets --context-length of SGLang; "
            "use spec.context.maxModelLen instead",
            id="SGLang: a name cut short",
        ),
        pytest.param(
            "SGLang",
            "--tp",
            "--tp: the plan sets --tp-size of SGLang; use spec.hardware[].count instead",
            id="SGLang: the shortest that is usual",
        ),
        pytest.param(
            "SGLang",
            "--tensor-parallel-size=2",
            "--tensor-parallel-size: the plan sets --tensor-parallel-size of SGLang; "
            "use spec.hardware[].count instead",
            id="SGLang: another name",
        ),
        pytest.param(
            "TGI 3.3.7",
            "--max-total-tokens=9",
            "--max-total-tokens: the plan sets MAX_TOTAL_TOKENS of TGI; "
            "use spec.context.maxModelLen instead",
            id="TGI: the flag of a variable",
        ),
        pytest.param(
            "TGI 2.2.0",
            "--max-input-tokens",
            "--max-input-tokens: the plan sets MAX_INPUT_TOKENS of TGI; "
            "use spec.context.maxModelLen instead",
            id="TGI 2: the flag of a variable",
        ),
        pytest.param(
            "LlamaCpp",
            "--ctx-size",
            "--ctx-size: the plan sets --ctx-size of LlamaCpp; "
            "use spec.context.maxModelLen instead",
            id="llama.cpp: a flag without its value",
        ),
        pytest.param(
            "LlamaCpp",
            "--seed=7",
            "LlamaCpp takes a flag and its value as two items: --seed and 7",
            id="llama.cpp: an equals sign",
        ),
        pytest.param(
            "TGI 3.3.7",
            "--json-output --max-total-tokens 9",
            "the image of TGI hands arguments on unquoted, so write none with blanks or "
            "* ? [ \\; each is a variable too, for spec.engine.env",
            id="TGI: several in one",
        ),
        pytest.param(
            "MLX",
            "--decode-conc=1",
            "--decode-conc: the plan sets --decode-concurrency of MLX; "
            "use spec.memory.maxNumSeqs instead",
            id="MLX: a name cut short",
        ),
        pytest.param(
            "Transformers",
            "--device=cpu",
            "--device: the plan sets --device of Transformers; use spec.hardware[].count instead",
            id="Transformers: the device",
        ),
    ],
)
def test_arguments_that_are_refused(engine: str, argument: str, message: str) -> None:
    error = refusal(engine_version(engine), engine={"extraArgs": ["7", argument]})

    assert str(error) == f"spec.engine.extraArgs[1]: {message}"


@pytest.mark.parametrize("name", ["--", "-", "--=x"])
@pytest.mark.parametrize("version", ALL)
def test_nothing_ends_the_options(version: EngineVersion, name: str) -> None:
    error = refusal(version, engine={"extraArgs": [name]})
    assert error is not None
    assert error.field == "spec.engine.extraArgs[0]"


TAKEN = {
    "vLLM": [
        *("--seed=7", "--max-logprobs=16", "--enable-prompt-tokens-details"),
        *("--trust-remote-code", "--model-impl=vllm", "a word"),
    ],
    "SGLang": ["--trust-remote-code", "--log-level=info"],
    "TGI": ["--json-output", "--max-concurrent-requests=8", "--cors-allow-origin=a.b", "8"],
    "LlamaCpp": [
        "--no-host",
        "--seed",
        "7",
        "--control-vector",
        "a=b",
        "--threads-http",
        "4",
        "--jinja",
    ],
    "Transformers": ["--continuous-batching", "--attn-implementation=sdpa", "--trust-remote-code"],
    "MLX": ["--temp=0.5", "--max-tokens=64", "--top-p=0.5", "--trust-remote-code"],
}


def test_every_engine_has_arguments_that_are_taken() -> None:
    assert set(TAKEN) == set(ENGINES)


@pytest.mark.parametrize("version", ALL)
def test_arguments_that_are_taken(version: EngineVersion) -> None:
    assert refusal(version, engine={"extraArgs": TAKEN[version.engine]}) is None


@pytest.mark.parametrize(
    ("engine", "name", "message"),
    [
        pytest.param(
            "TGI 3.3.7",
            "MAX_TOTAL_TOKENS",
            "the plan sets MAX_TOTAL_TOKENS of TGI; use spec.context.maxModelLen instead",
            id="TGI: what the plan sets",
        ),
        pytest.param(
            "TGI 3.3.7",
            "MAX_INPUT_LENGTH",
            "the plan sets MAX_INPUT_LENGTH of TGI; use spec.context.maxModelLen instead",
            id="TGI: the other name of what it sets",
        ),
        pytest.param(
            "LlamaCpp",
            "LLAMA_ARG_MODEL_URL",
            "the plan sets LLAMA_ARG_MODEL_URL of LlamaCpp; use spec.model and spec.size instead",
            id="llama.cpp: the variable of a flag",
        ),
        pytest.param(
            "LlamaCpp",
            "LLAMA_ARG_NO_KV_OFFLOAD",
            "the plan sets LLAMA_ARG_NO_KV_OFFLOAD of LlamaCpp; use spec.memory.gpuLayers instead",
            id="llama.cpp: the variable of its opposite",
        ),
    ],
)
def test_variables_that_are_refused(engine: str, name: str, message: str) -> None:
    env = [{"name": "A"}, {"name": name, "value": "1"}]

    error = refusal(engine_version(engine), engine={"env": env})

    assert str(error) == f"spec.engine.env[1].name: {name}: {message}"


@pytest.mark.parametrize("version", ALL)
def test_variables_that_are_taken(version: EngineVersion) -> None:
    names = ("NCCL_DEBUG", "HF_ENDPOINT", "MODEL_ENDPOINT", "HF_HUB_ENABLE_HF_TRANSFER")
    env = [{"name": name, "value": "1"} for name in names]
    assert refusal(version, engine={"env": env}) is None
