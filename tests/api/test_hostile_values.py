"""Hostile strings and numbers in every field: refused with the field's name, or known to be inert.

The fields come from the schema, so that a new field is tried as well.
"""

from typing import Any

import pytest

from api.constraints import breaks, constraints, generic, replace_at, values_at, walk
from api.server import Server
from llama_operator.api.crd import object_schema
from llama_operator.api.deployment import LlamaDeployment
from llama_operator.api.v1alpha1 import API_VERSION, KIND
from llama_operator.errors import SpecError

SCHEMA = object_schema()
PARTS = {**SCHEMA, "properties": {key: SCHEMA["properties"][key] for key in ("metadata", "spec")}}
FULL: dict[str, Any] = {
    "apiVersion": API_VERSION,
    "kind": KIND,
    "metadata": {"name": "llama"},
    "spec": {
        "model": "llama-3.1-instruct",
        "size": "8b",
        "format": "awq",
        "quantization": "Int4",
        "hub": "HuggingFace",
        "tokenSecretRef": {"name": "hf-token", "key": "token"},
        "engine": {
            "type": "vLLM",
            "version": "0.33.0",
            "image": "vllm/vllm-openai:v0.33.0",
            "extraArgs": ["--seed=1"],
            "env": [{"name": "NCCL_DEBUG", "value": "WARN"}],
        },
        "context": {"maxModelLen": 8192, "concurrency": 2},
        "memory": {
            "utilizationPercent": 90,
            "kvCacheDType": "Auto",
            "gpuLayers": 8,
            "maxNumSeqs": 16,
            "maxNumBatchedTokens": 65536,
            "cudaGraphs": "Enabled",
            "prefixCaching": "Enabled",
        },
        "hardware": [{"gpu": "NVIDIA-L40S", "count": 1, "nodes": 1}],
        "cache": {"claim": {"name": "shared-models", "accessMode": "ReadWriteOnce"}},
        "servedModelNames": ["llama"],
        "auth": {"apiKeySecretRef": {"name": "llama-key", "key": "key"}},
        "tls": {"secretName": "llama-tls"},
        "lora": {
            "rank": 16,
            "adapters": [{"name": "sql", "repository": "org/sql-lora", "file": "sql.gguf"}],
        },
        "speculative": {"ngram": {"numTokens": 4, "lookupTokens": 4}},
        "chatTemplate": {"configMapKeyRef": {"name": "templates", "key": "a.jinja"}},
        "template": {
            "metadata": {"labels": {"team": "search"}, "annotations": {"note": "ours"}},
            "spec": {
                "serviceAccountName": "models",
                "priorityClassName": "production",
                "runtimeClassName": "nvidia",
                "schedulerName": "volcano",
                "imagePullSecrets": [{"name": "registry"}],
                "resources": {"cpu": "8", "memory": "96Gi"},
            },
        },
        "replicas": 1,
        "suspend": False,
    },
}
"""A valid object in which every field is set, but for those that exclude others."""
INSTEAD: dict[str, Any] = {
    "spec.cache.claim.storageClassName": {"claim": {"storageClassName": "fast"}},
    "spec.cache.hostPath": {"hostPath": "/mnt/models"},
    "spec.cache.image": {"image": "registry.example.com/llama:1"},
}
"""What stands in `spec.cache` where one of these is set."""
DRAFT_FIELD = "spec.speculative.draftModel"
DRAFT: dict[str, Any] = {
    "draftModel": {
        "model": "llama-3.2-instruct",
        "size": "1b",
        "format": "pytorch",
        "quantization": "none",
        "numTokens": 4,
    }
}
"""What stands in `spec.speculative` where a field of a draft model is set."""


def full(field: str) -> dict[str, Any]:
    """A valid object in which a field is set, and all others that it does not exclude."""
    if field.startswith(DRAFT_FIELD):
        return {**FULL, "spec": {**FULL["spec"], "speculative": DRAFT}}
    if field not in INSTEAD:
        return FULL
    return {**FULL, "spec": {**FULL["spec"], "cache": INSTEAD[field]}}


STRINGS = {
    "a command in backquotes": "`touch /tmp/pwned`",
    "a command substitution": "$(touch /tmp/pwned)",
    "a shell variable": "${HF_TOKEN}",
    "a variable that the kubelet would expand": "$(HF_TOKEN)",
    "a second shell command": "a; touch /tmp/pwned #",
    "a pipe and a redirection": "a | tee > /etc/passwd",
    "quotes that end a string": "a'; touch x; '\"; touch y; \"",
    "a YAML list": "a\n- b: c",
    "a YAML key of its own": 'a"\nhostNetwork: true\nx: "',
    "a YAML tag": "!!python/object/apply:os.system [id]",
    "a YAML anchor and alias": "&a [*a, *a]",
    "a jinja expression": "{{ 7 * 7 }}",
    "a jinja statement": "{% for x in ().__class__.__mro__ %}x{% endfor %}",
    "a jinja comment": "{# a #}",
    "a Go template": '{{ .Values | toYaml }}{{ env "HOME" }}',
    "NUL": "a\x00b",
    "terminal escapes": "\x1b[2J\x1b]0;title\x07",
    "a carriage return": "a\r\nX-Header: b",
    "a line break at the end": "a\n",
    "10,000 characters": "a" * 10_000,
    "right-to-left override": "a\u202egnp.exe",
    "full-width letters": "ｌｌａｍａ",  # noqa: RUF001 - what this is about
    "an emoji": "🦙",
    "a zero-width space": "lla\u200bma",
    "combining characters": "a" + "\u0301" * 30,
    "an argument of the engine": "--trust-remote-code",
    "an argument with a value": "--api-key=x",
    "two arguments in one": "--seed 1 --trust-remote-code",
    "a path out of the folder": "../../../etc/shadow",
    "an absolute path": "/etc/shadow",
    "a URL": "file:///etc/shadow",
    "the empty string": "",
    "a space": " ",
    "a percent format": "%s%n%x",
    "a Python format": "{0.__class__}",
    "a SQL comment": "' OR 1=1 --",
    "markup": "<script>alert(1)</script>",
}

ANY_TEXT = (
    "one element of argv or one environment value: no shell reads it, rendering quotes it for YAML "
    "and doubles its dollar signs, so that the kubelet expands nothing",
    frozenset(STRINGS) - {"NUL", "terminal escapes", "a carriage return", "10,000 characters"},
)
INERT: dict[str, tuple[str, frozenset[str]]] = {
    "spec.engine.extraArgs[]": ANY_TEXT,
    "spec.engine.env[].value": ANY_TEXT,
    "spec.servedModelNames[]": (
        "a name that requests are compared with; nobody opens it",
        frozenset({"a URL"}),
    ),
    "spec.template.metadata.annotations.*": (
        "an annotation: text that stands in the pod's metadata, quoted for YAML",
        ANY_TEXT[1],
    ),
    "spec.template.metadata.labels.*": (
        "Kubernetes allows labels without a value",
        frozenset({"the empty string"}),
    ),
    "spec.cache.hostPath": (
        "it is no file, and only an operator that was told to mounts folders of nodes",
        frozenset({"an absolute path"}),
    ),
    "spec.tokenSecretRef.key": (
        "Kubernetes allows such keys; it only stands in a secretKeyRef",
        frozenset({"an argument of the engine"}),
    ),
    "spec.auth.apiKeySecretRef.key": (
        "Kubernetes allows such keys; it only stands in a secretKeyRef",
        frozenset({"an argument of the engine"}),
    ),
    "spec.chatTemplate.configMapKeyRef.key": (
        "Kubernetes allows such keys; it only stands among the items of a volume, whose file has "
        "a name of ours",
        frozenset({"an argument of the engine"}),
    ),
}
"""What is accepted although it looks hostile: by field, the reason and the names of the values."""

NUMBERS: dict[str, float] = {
    "zero": 0,
    "minus one": -1,
    "the largest 64-bit integer": 2**63 - 1,
    "the smallest 64-bit integer": -(2**63),
    "beyond 64 bits": 2**64,
    "1e308": 1e308,
    "a half": 0.5,
}

FIELDS = {field: schema for field, schema in walk(PARTS, "") if field}
TEXTS = sorted(field for field, schema in FIELDS.items() if schema["type"] == "string")
INTEGERS = sorted(field for field, schema in FIELDS.items() if schema["type"] == "integer")
WRONG_TYPES: dict[str, dict[str, Any]] = {
    "string": {"a number": 7, "true": True, "a list": ["a"]},
    "integer": {"text": "7", "true": True, "a list": [7]},
    "boolean": {"text": "true", "a number": 1, "a list": [True]},
    "array": {"text": "a", "a number": 7},
    "object": {"text": "a", "a number": 7, "a list": [{}]},
}
TYPED = [
    pytest.param(field, value, id=f"{field} is {what}")
    for field, schema in FIELDS.items()
    if field.startswith("spec")
    for what, value in WRONG_TYPES[schema["type"]].items()
]


def read(manifest: dict[str, Any]) -> SpecError | None:
    """The refusal of a manifest when it is read from a file."""
    try:
        LlamaDeployment.parse(manifest)
    except SpecError as refusal:
        return refusal
    return None


def spellings(field: str) -> tuple[str, ...]:
    """A field of FULL as a refusal names it; of a map's key the schema and rules differ."""
    indexed = field.replace("[]", "[0]")
    if not indexed.endswith(".*"):
        return (indexed,)
    parent = indexed.removesuffix(".*")
    [held] = values_at(FULL, parent)
    return tuple(f"{parent}{form}" for key in held for form in (f".{key}", f"[{key}]"))


def test_every_field_is_tried() -> None:
    for field in FIELDS:
        assert list(values_at(full(field), field)), f"{field} is not set in FULL"
        LlamaDeployment.parse(full(field))


@pytest.mark.cluster
def test_the_full_object_is_accepted(server: Server) -> None:
    answer = server.create(FULL)
    assert answer.accepted, answer.message


@pytest.mark.cluster
@pytest.mark.parametrize("field", TEXTS)
def test_strings(server: Server, field: str) -> None:
    reason, inert = INERT.get(field, ("", frozenset()))
    accepted = set()
    for what, value in STRINGS.items():
        manifest = replace_at(full(field), field, value)
        answer = server.create(manifest)
        refusal = read(manifest)
        assert answer.accepted == (refusal is None), f"{what}: {answer.message or refusal}"
        if refusal is None:
            accepted.add(what)
            assert list(values_at(answer.body, field)) == [value], f"{what} was changed"
            continue
        told = any(f"{name}: " in answer.message for name in spellings(field))
        assert told, f"{what}: {answer.message}"
        assert generic(refusal.field) == field, f"{what}: {refusal}"
    assert accepted == inert, reason


@pytest.mark.cluster
@pytest.mark.parametrize("field", INTEGERS)
def test_numbers(server: Server, field: str) -> None:
    bounds = [one for one in constraints(FIELDS[field], field) if one.keyword != "rule"]
    for what, value in NUMBERS.items():
        manifest = replace_at(full(field), field, value)
        answer = server.create(manifest)
        refusal = read(manifest)
        expected = isinstance(value, int) and not any(breaks(one, manifest) for one in bounds)
        assert answer.accepted == expected, f"{what}: {answer.message}"
        assert (refusal is None) == expected, f"{what}: {refusal}"
        if refusal is not None:
            assert answer.names(field.replace("[]", "[0]")), f"{what}: {answer.message}"
            assert generic(refusal.field) == field, f"{what}: {refusal}"


@pytest.mark.cluster
@pytest.mark.parametrize(("field", "value"), TYPED)
def test_types(server: Server, field: str, value: Any) -> None:
    manifest = replace_at(full(field), field, value)
    answer = server.create(manifest)
    refusal = read(manifest)
    assert not answer.accepted
    told = any(answer.names(name, "must be of type") for name in spellings(field))
    assert told, answer.message
    assert refusal is not None
    assert generic(refusal.field) == field


@pytest.mark.cluster
def test_the_same_field_twice_is_refused(server: Server) -> None:
    body = (
        b'{"apiVersion":"llama-operator.io/v1alpha1","kind":"LlamaDeployment",'
        b'"metadata":{"name":"llama"},"spec":{"size":"8b","size":"70b"}}'
    )
    answer = server.create(body)
    assert answer.code == 400
    assert 'duplicate field "spec.size"' in answer.message
