"""Reading a LlamaDeployment from an object: what is accepted and how a refusal names the field."""

from typing import Any

import pytest

from llama_operator.api.deployment import LlamaDeployment
from llama_operator.api.enums import EngineType, ModelFormat
from llama_operator.errors import SpecError


def body(spec: Any, name: str = "llama", **more: Any) -> dict[str, Any]:
    """An object with this spec."""
    return {"metadata": {"name": name}, "spec": spec, **more}


def test_a_size_is_all_that_is_needed() -> None:
    deployment = LlamaDeployment.parse(body({"size": "70b"}))
    assert deployment.spec.model == "llama-3.1-instruct"
    assert deployment.spec.format is ModelFormat.AUTO
    assert deployment.spec.engine.type is EngineType.AUTO
    assert deployment.spec.context.concurrency == 2
    assert deployment.spec.replicas == 1
    assert deployment.status.observed_generation == -1


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        pytest.param({}, "spec.size: size is required", id="no size"),
        pytest.param(None, "spec: Field required", id="spec is null, which is no spec"),
        pytest.param({"size": None}, "spec.size: size is required", id="size is null"),
        pytest.param({"size": 8}, "spec.size: Input should be a valid string", id="a number"),
        pytest.param({"size": "70B"}, "spec.size: write the size as", id="an upper-case B"),
        pytest.param(
            {"size": "8b", "format": "gguf"},
            "spec.format: Input should be 'Auto', 'pytorch', 'fp8', 'awq', 'gptq', 'ggufv2' or",
            id="a format that is spelt otherwise",
        ),
        pytest.param(
            {"size": "8b", "replicas": "2"},
            "spec.replicas: Input should be a valid integer",
            id="a string is no number",
        ),
        pytest.param(
            {"size": "8b", "replicas": True},
            "spec.replicas: Input should be a valid integer",
            id="true is not one",
        ),
        pytest.param(
            {"size": "8b", "replicas": 1.5},
            "spec.replicas: Input should be a valid integer",
            id="a fraction",
        ),
        pytest.param(
            {"size": "8b", "replicas": float("nan")},
            "spec.replicas: Input should be a valid integer",
            id="not a number",
        ),
        pytest.param(
            {"size": "8b", "replicas": 1e308},
            "spec.replicas: Input should be less than or equal to 1000",
            id="a number far too large",
        ),
        pytest.param(
            {"size": "8b", "suspend": 1},
            "spec.suspend: Input should be a valid boolean",
            id="one is not true",
        ),
        pytest.param(
            {"size": "8b", "engine": {"env": [{"name": "A"}, {"name": "A"}]}},
            "spec.engine.env: name A stands twice in the list",
            id="a variable twice",
        ),
        pytest.param(
            {"size": "8b", "engine": {"env": [{"name": "HF_TOKEN"}]}},
            "spec.engine.env[0].name: the operator sets this variable itself",
            id="a reserved variable: the rule's own field is named",
        ),
        pytest.param(
            {"size": "8b", "memory": {"maxNumSeqs": 32, "maxNumBatchedTokens": 31}},
            "spec.memory.maxNumBatchedTokens: maxNumBatchedTokens must be at least maxNumSeqs",
            id="a rule over two fields",
        ),
        pytest.param(
            {"size": "8b", "hardware": [None]},
            "spec.hardware[0]: Input should be an object",
            id="null in a list is not skipped",
        ),
    ],
)
def test_a_refusal_names_the_field_and_what_is_allowed(spec: Any, message: str) -> None:
    with pytest.raises(SpecError) as refusal:
        LlamaDeployment.parse(body(spec))
    assert message in str(refusal.value)
    assert refusal.value.reason == "InvalidSpec"
    assert refusal.value.field == message.split(":")[0]


@pytest.mark.parametrize(
    ("name", "accepted"),
    [
        pytest.param("a", True, id="one letter"),
        pytest.param("llama-70b-awq", True, id="letters, digits and dashes"),
        pytest.param("a" * 63, True, id="63 characters"),
        pytest.param("a" * 64, False, id="64 characters"),
        pytest.param("70b", False, id="begins with a digit, which a Service must not"),
        pytest.param("llama-3.1", False, id="a dot"),
        pytest.param("llama-", False, id="ends with a dash"),
        pytest.param("Llama", False, id="upper case"),
        pytest.param("llama\n", False, id="ends with a line break"),
    ],
)
def test_names(name: str, accepted: bool) -> None:
    if accepted:
        assert LlamaDeployment.parse(body({"size": "8b"}, name)).metadata.name == name
        return
    with pytest.raises(SpecError, match=r"^metadata\.name: must be a DNS-1035 label"):
        LlamaDeployment.parse(body({"size": "8b"}, name))


def test_null_and_whole_floats_are_read_as_the_api_server_stores_them() -> None:
    spec: dict[str, Any] = {
        "size": "8b",
        "format": None,
        "replicas": 2.0,
        "engine": None,
        "context": {},
    }
    deployment = LlamaDeployment.parse(body(spec))
    assert deployment.spec.replicas == 2
    assert deployment.spec.format is ModelFormat.AUTO
    assert deployment.spec.engine.type is EngineType.AUTO
    assert deployment.spec.context.concurrency == 2


def test_unknown_fields_are_ignored_so_that_a_downgrade_works() -> None:
    spec = {"size": "8b", "fromTheFuture": {"a": [1]}, "engine": {"warp": 9}}
    assert LlamaDeployment.parse(body(spec)).spec.size == "8b"


def test_a_field_is_not_known_by_its_python_name() -> None:
    deployment = LlamaDeployment.parse(body({"size": "8b", "context": {"max_model_len": 4096}}))
    assert deployment.spec.context.max_model_len is None


@pytest.mark.parametrize(
    "status",
    [
        pytest.param({"plan": {"from": "another version"}}, id="a plan with other fields"),
        pytest.param({"replicas": -1}, id="a value out of bounds"),
        pytest.param(None, id="null"),
    ],
)
def test_a_status_that_cannot_be_read_is_taken_for_none(status: Any) -> None:
    deployment = LlamaDeployment.parse(body({"size": "8b"}, status=status))
    assert deployment.status.observed_generation == -1
    assert deployment.status.plan is None


def test_a_bad_status_does_not_hide_a_bad_name() -> None:
    with pytest.raises(SpecError, match=r"^metadata\.name: "):
        LlamaDeployment.parse(body({"size": "8b"}, "Llama", status={"replicas": -1}))


def test_a_lone_surrogate_is_replaced_and_does_not_stop_the_reading() -> None:
    deployment = LlamaDeployment.parse(body({"size": "8b", "engine": {"extraArgs": ["a\ud800"]}}))
    assert deployment.spec.engine.extra_args == ["a?"]


def test_what_was_read_and_written_reads_the_same_again() -> None:
    spec = {
        "size": "8b",
        "format": "awq",
        "quantization": "Int4",
        "tokenSecretRef": {"name": "hf-token"},
        "engine": {"type": "vLLM", "extraArgs": ["--seed=1"], "env": [{"name": "A", "value": "1"}]},
        "context": {"maxModelLen": 4096},
        "memory": {"kvCacheDType": "fp8", "maxNumSeqs": 8},
        "hardware": [{"gpu": "NVIDIA-L40S", "count": 2}],
    }
    deployment = LlamaDeployment.parse(body(spec))
    again = LlamaDeployment.parse(body(deployment.spec.to_object()))
    assert again.spec == deployment.spec
    assert deployment.spec.to_object()["memory"]["kvCacheDType"] == "fp8"
