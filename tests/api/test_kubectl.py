"""What people see of the kind with kubectl: explain, columns, short name, category and scale."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from api.constraints import largest
from api.server import NAMESPACE, Server
from controlplane import ControlPlane, KubectlError
from llama_operator.api.crd import object_schema
from llama_operator.api.v1alpha1 import API_VERSION, KIND

pytestmark = pytest.mark.cluster

NAME = "llama-70b-awq"
PLAN = {
    "model": "llama-3.1-instruct",
    "size": "70b",
    "format": "awq",
    "quantization": "Int4",
    "scheme": "awq-int4-g128",
    "hub": "HuggingFace",
    "repository": "hugging-quants/Meta-Llama-3.1-70B-Instruct-AWQ-INT4",
    "gated": False,
    "engine": "vLLM",
    "gpus": "1x NVIDIA-A100-SXM4-80GB",
    "maxModelLen": 32768,
}


@pytest.fixture(scope="module")
def deployment(crd: ControlPlane, server: Server) -> Iterator[ControlPlane]:
    """A deployment, as an operator would have planned it."""
    assert server.request("GET", f"/api/v1/namespaces/{NAMESPACE}").accepted
    manifest = {
        "apiVersion": API_VERSION,
        "kind": KIND,
        "metadata": {"name": NAME, "namespace": NAMESPACE},
        "spec": {"size": "70b", "format": "awq"},
    }
    crd.apply(manifest)
    yield crd
    crd.kubectl("delete", "llama", NAME, "-n", NAMESPACE)


def required_plan() -> dict[str, Any]:
    """A plan in which every required field is set."""
    plan = largest(object_schema()["properties"]["status"]["properties"]["plan"])
    return {**plan, **PLAN}


def lines(plane: ControlPlane, *arguments: str) -> list[list[str]]:
    """The words of each line of `kubectl get`."""
    printed = plane.kubectl("get", *arguments, "-n", NAMESPACE).stdout
    return [line.split() for line in printed.splitlines()]


def test_explain_tells_every_field_of_the_spec(crd: ControlPlane) -> None:
    printed = crd.kubectl("explain", "llama.spec", "--recursive").stdout
    for field in ("context", "extraArgs", "tokenSecretRef", "utilizationPercent", "hardware"):
        assert f"{field}\t" in printed
    assert "enum: Auto, vLLM" in printed


def test_explain_tells_meaning_and_example_of_a_field(crd: ControlPlane) -> None:
    printed = " ".join(crd.kubectl("explain", "llama.spec.context.maxModelLen").stdout.split())
    assert "Longest request (prompt and answer) in tokens, e.g. 32768." in printed


def test_columns_of_a_fresh_deployment(deployment: ControlPlane) -> None:
    header, row = lines(deployment, "llama")
    assert header == [
        "NAME",
        "MODEL",
        "SIZE",
        "FORMAT",
        "ENGINE",
        "GPUS",
        "CONTEXT",
        "REPLICAS",
        "READY",
        "REASON",
        "AGE",
    ]
    assert row[:3] == [NAME, "llama-3.1-instruct", "70b"]


def test_columns_of_a_ready_deployment(deployment: ControlPlane, tmp_path: Path) -> None:
    ready = {
        "type": "Ready",
        "status": "True",
        "reason": "Serving",
        "message": "The URL answers.",
        "lastTransitionTime": "2026-01-02T03:04:05Z",
        "observedGeneration": 1,
    }
    status = {
        "conditions": [ready],
        "plan": required_plan(),
        "replicas": 2,
        "readyReplicas": 1,
        "url": "http://llama-70b-awq.ml.svc:8000/v1",
    }
    patch = tmp_path / "patch.json"
    patch.write_text(json.dumps({"status": status}, ensure_ascii=False), encoding="utf-8")
    command = ("patch", "llama", NAME, "-n", NAMESPACE, "--subresource=status", "--type=merge")
    deployment.kubectl(*command, f"--patch-file={patch}")
    _, row = lines(deployment, "llama")
    assert row[:-1] == [
        NAME,
        "llama-3.1-instruct",
        "70b",
        "awq",
        "vLLM",
        "1x",
        "NVIDIA-A100-SXM4-80GB",
        "32768",
        "2",
        "True",
        "Serving",
    ]
    header, wide = lines(deployment, "llama", "-o", "wide")
    assert header[-4:] == ["AVAILABLE", "URL", "REPOSITORY", "MESSAGE"]
    assert wide[-6:] == [
        "1",
        "http://llama-70b-awq.ml.svc:8000/v1",
        "hugging-quants/Meta-Llama-3.1-70B-Instruct-AWQ-INT4",
        "The",
        "URL",
        "answers.",
    ]


@pytest.mark.parametrize(
    "word",
    ["llama", "llamadeployments", "llamadeployment", "llm", "llamadeployments.llama-operator.io"],
)
def test_words_for_the_kind(deployment: ControlPlane, word: str) -> None:
    assert lines(deployment, word)[1][0].removeprefix("llamadeployment.llama-operator.io/") == NAME


def test_all_does_not_list_it(deployment: ControlPlane) -> None:
    assert NAME not in deployment.kubectl("get", "all", "-n", NAMESPACE).stdout


def test_scale_reads_and_writes_the_replicas(deployment: ControlPlane) -> None:
    deployment.kubectl("scale", "llama", NAME, "-n", NAMESPACE, "--replicas=3")
    get = ("get", "llama", NAME, "-n", NAMESPACE, "-o", "jsonpath={.spec.replicas}")
    assert deployment.kubectl(*get).stdout == "3"


def test_scale_keeps_the_bounds(deployment: ControlPlane) -> None:
    with pytest.raises(KubectlError, match="less than or equal to 1000"):
        deployment.kubectl("scale", "llama", NAME, "-n", NAMESPACE, "--replicas=1001")


def test_apply_refuses_a_slip_with_the_path_of_the_field(crd: ControlPlane) -> None:
    manifest = (
        f"apiVersion: {API_VERSION}\nkind: {KIND}\nmetadata: {{name: a, namespace: {NAMESPACE}}}\n"
        "spec: {size: 8b, contxt: {maxModelLen: 4096}}\n"
    )
    with pytest.raises(KubectlError, match=r'unknown field "spec\.contxt"'):
        crd.kubectl("apply", "-f", "-", input=manifest)
