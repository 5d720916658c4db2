"""Objects at the edges: odd texts, and words of a newer version."""

import json
from collections.abc import Iterator
from typing import Any

import pytest

from cluster.kstatus import kstatus
from cluster.world import GROUP_PATH, World, gpu_node
from workstation import OperatorProcess

pytestmark = pytest.mark.cluster

A100 = "NVIDIA-A100-SXM4-80GB"
CRD = "llamadeployments.llama-operator.io"
ENGINES = "/spec/versions/0/schema/openAPIV3Schema/properties/spec/properties/engine/properties"


@pytest.fixture
def a100(world: World) -> World:
    world.add_nodes(gpu_node("a100-0", A100, 8))
    return world


def create(world: World, name: str, spec: dict[str, Any]) -> None:
    """Create without kubectl, whose annotation would double the size."""
    body = {
        "apiVersion": "llama-operator.io/v1alpha1",
        "kind": "LlamaDeployment",
        "metadata": {"name": name},
        "spec": spec,
    }
    world.api.create(f"{GROUP_PATH}/namespaces/{world.namespace}/llamadeployments", body)


ODD = (
    *("🦙", "é", "\u0085", "\u2028", "\ufeff", "\t", "\n", " ", "~", "{}", "- a", "a: b", "'", '"'),
    *("\\", "\\ud83e", "%", "#", "&a", "*a", "!!str 1", "null", "0x10", "{{ 1 }}", "$(A)", "$$"),
)
"""Texts that mean something else in JSON, in YAML (as which applied objects are read) or later."""


def test_odd_texts_arrive_whole_by_a_create_and_by_an_edit(
    a100: World, operator: OperatorProcess
) -> None:
    def engine(mark: str) -> dict[str, Any]:
        return {
            "extraArgs": [f"{mark}{text}" for text in ODD],
            "env": [{"name": f"V{n}", "value": f"{mark}{text}"} for n, text in enumerate(ODD)],
        }

    create(a100, "odd", {"size": "8b", "format": "awq", "engine": engine("a")})
    for mark in ("a", "b"):
        patch = json.dumps({"spec": {"engine": engine(mark)}})
        a100.kubectl("patch", "llama", "odd", "--type=merge", "-p", patch)
        a100.wait_ready("odd")
        [pod] = a100.pods("odd")
        container = pod["spec"]["containers"][0]
        # The kubelet makes one dollar of two.
        told = [f"{mark}{text}".replace("$", "$$") for text in ODD]
        assert container["args"][-len(ODD) :] == told
        values = {entry["name"]: entry.get("value") for entry in container["env"]}
        assert [values[f"V{n}"] for n in range(len(ODD))] == told


@pytest.fixture
def newer_crd(a100: World) -> Iterator[World]:
    """The CRD of a version that knows one more engine."""
    patch = [{"op": "add", "path": f"{ENGINES}/type/enum/-", "value": "LMDeploy"}]
    a100.kubectl("patch", "crd", CRD, "--type=json", "-p", json.dumps(patch))
    spec = {"size": "8b", "format": "awq", "engine": {"type": "LMDeploy"}}
    dry = ("create", "--dry-run=server", "-f", "-")
    probe = a100.manifest("probe", spec)
    a100.wait("it is served", lambda: "created" in a100.kubectl(*dry, stdin=probe, check=False))
    yield a100
    older(a100)


def older(world: World) -> None:
    """Back to the CRD of this version; harmless to repeat."""
    enum = world.api.get(f"/apis/apiextensions.k8s.io/v1/customresourcedefinitions/{CRD}")
    for part in f"{ENGINES}/type/enum".strip("/").split("/"):
        enum = enum[int(part) if part.isdigit() else part]
    if "LMDeploy" in enum:
        patch = [{"op": "remove", "path": f"{ENGINES}/type/enum/{enum.index('LMDeploy')}"}]
        world.kubectl("patch", "crd", CRD, "--type=json", "-p", json.dumps(patch))
    spec = {"size": "8b", "format": "awq", "engine": {"type": "LMDeploy"}}
    dry = ("create", "--dry-run=server", "-f", "-")
    probe = world.manifest("probe", spec)
    world.wait(
        "it is served", lambda: "created" not in world.kubectl(*dry, stdin=probe, check=False)
    )


def test_a_word_of_a_newer_version_is_told_and_an_edit_mends_it(
    newer_crd: World, operator: OperatorProcess
) -> None:
    world = newer_crd
    create(world, "new", {"size": "8b", "format": "awq", "engine": {"type": "LMDeploy"}})
    message = world.wait_condition("new", "Stalled", "True", "InvalidSpec")
    assert "spec.engine.type" in message
    assert "vLLM" in message
    assert world.conditions("new")["Ready"][:2] == ("False", "InvalidSpec")
    assert kstatus(world.llama("new")) == "Failed"
    assert not any(world.children().values())
    older(world)
    world.kubectl("annotate", "llama", "new", "look=again")
    world.wait_condition("new", "Stalled", "True", "InvalidSpec")
    patch = {"spec": {"engine": {"type": "vLLM"}}}
    world.kubectl("patch", "llama", "new", "--type=merge", "-p", json.dumps(patch))
    world.wait_ready("new")


def test_an_edit_for_a_newer_version_leaves_what_runs_alone(
    newer_crd: World, operator: OperatorProcess
) -> None:
    world = newer_crd
    create(world, "small", {"size": "8b", "format": "awq"})
    plan = world.wait_ready("small")["status"]["plan"]
    before, children = world.pod_uids("small"), world.children()
    patch = {"spec": {"engine": {"type": "LMDeploy"}}}
    world.kubectl("patch", "llama", "small", "--type=merge", "-p", json.dumps(patch))
    world.wait_condition("small", "Stalled", "True", "InvalidSpec")
    assert world.conditions("small")["Ready"][:2] == ("True", "Serving")
    assert world.llama("small")["status"]["plan"] == plan
    assert (world.pod_uids("small"), world.children()) == (before, children)
    # A drift is not repaired meanwhile, and nothing is taken away either.
    world.kubectl("delete", "pod", "small-a-0")
    world.wait("another pod answers", lambda: world.pod_uids("small") not in (before, set()))
    world.wait_condition("small", "Ready", "True", "Serving")
