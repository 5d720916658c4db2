"""The main path: apply, become ready, look, scale, edit, delete."""

import json
from collections import Counter
from pathlib import Path

import pytest
import yaml

from cluster.kstatus import kstatus
from cluster.world import World, gpu_node
from workstation import OperatorProcess
from workstation.install import OPERATOR_USER

pytestmark = pytest.mark.cluster

SAMPLES = Path(__file__).resolve().parents[2] / "manifests" / "samples"
A100 = "NVIDIA-A100-SXM4-80GB"
SMALL = {"size": "8b", "format": "awq"}


@pytest.fixture
def a100(world: World) -> World:
    world.add_nodes(gpu_node("a100-0", A100, 8), gpu_node("a10g-0", "NVIDIA-A10G", 4))
    return world


def test_the_sample_of_the_design_becomes_ready_on_the_planned_product(
    a100: World, operator: OperatorProcess
) -> None:
    a100.kubectl("apply", "-f", str(SAMPLES / "llama-70b-awq.yaml"))
    body = a100.wait_ready("llama-70b-awq")
    plan = body["status"]["plan"]
    assert plan["gpus"] == f"1x {A100}"
    assert (plan["format"], plan["quantization"], plan["engine"]) == ("awq", "Int4", "vLLM")
    assert plan["repository"] == "hugging-quants/Meta-Llama-3.1-70B-Instruct-AWQ-INT4"
    memory = plan["memoryPerGPU"] if "memoryPerGPU" in plan else plan["memoryPerGpu"]
    # 37.16 GiB: the weights of the 70B AWQ card on one GPU (docs/explanation/sizing.md).
    assert 37.1 < memory["weightsBytes"] / 2**30 < 37.2
    [pod] = a100.pods("llama-70b-awq")
    assert pod["spec"]["nodeName"] == "a100-0"
    assert pod["metadata"]["name"] == "llama-70b-awq-a-0"
    assert body["status"]["url"] == f"http://llama-70b-awq.{a100.namespace}.svc:8000/v1"
    assert kstatus(body) == "Current"


def test_kubectl_get_shows_the_plan_in_columns(a100: World, operator: OperatorProcess) -> None:
    a100.apply("small", SMALL)
    a100.wait_ready("small")
    header, row = a100.kubectl("get", "llama").splitlines()
    assert header.split() == [
        "NAME", "MODEL", "SIZE", "FORMAT", "ENGINE", "GPUS", "CONTEXT", "REPLICAS", "READY",
        "REASON", "AGE",
    ]  # fmt: skip
    assert row.startswith("small")
    assert "awq" in row
    assert "vLLM" in row
    assert "True" in row
    assert "Serving" in row
    assert "small" in a100.kubectl("get", "llm")
    assert "small" in a100.kubectl("get", "llamadeployments.llama-operator.io")


def test_kubectl_wait_explain_and_describe_work(a100: World, operator: OperatorProcess) -> None:
    a100.apply("small", SMALL)
    a100.kubectl("wait", "--for=condition=Ready", "llama/small", "--timeout=60s")
    assert "e.g. 32768" in a100.kubectl("explain", "llama.spec.context.maxModelLen")
    description = a100.kubectl("describe", "llama", "small")
    assert "Weights Bytes" in description
    assert "Planned" in description


def test_a_deployment_costs_five_writes_one_event_and_one_status_more(
    a100: World, operator: OperatorProcess
) -> None:
    position = a100.plane.audit_position()
    a100.apply("small", SMALL)
    a100.wait_ready("small")
    writes = [
        event
        for event in a100.plane.audit_events(OPERATOR_USER, since=position)
        if event.is_write and event.namespace == a100.namespace
    ]
    told = Counter(
        (event.verb, event.resource + (f"/{event.subresource}" if event.subresource else ""))
        for event in writes
        if event.resource != "events"
    )
    # Starting and Serving; the first is left out when the pods were ready before it was written.
    statuses = told.pop(("patch", "llamadeployments/status"))
    assert statuses in (1, 2)
    assert told == {
        ("create", "controllerrevisions"): 1,
        ("create", "services"): 2,
        ("create", "statefulsets"): 1,
    }
    assert sum(event.resource == "events" for event in writes) == 1
    assert all(event.code < 300 for event in writes)


def test_the_children_are_what_the_design_says(a100: World, operator: OperatorProcess) -> None:
    a100.apply("small", {**SMALL, "replicas": 2})
    a100.wait_ready("small")
    children = a100.children()
    assert set(children["statefulsets"]) == {"small-a"}
    assert set(children["services"]) == {"small", "small-pods"}
    assert len(children["poddisruptionbudgets"]) == 1
    assert len(children["controllerrevisions"]) == 1
    assert len(children["pods"]) == 2
    [stateful_set] = a100.owned("statefulsets")
    owner = stateful_set["metadata"]["ownerReferences"][0]
    assert owner["uid"] == a100.llama("small")["metadata"]["uid"]
    assert owner["controller"] is True


def test_scaling_changes_no_running_pod_and_the_scale_subresource_works(
    a100: World, operator: OperatorProcess
) -> None:
    a100.apply("small", SMALL)
    a100.wait_ready("small")
    before = a100.pod_uids("small")
    a100.kubectl("scale", "llama", "small", "--replicas=2")
    a100.wait("two pods are ready", lambda: a100.llama("small")["status"]["readyReplicas"] == 2)
    assert before < a100.pod_uids("small")
    scale = json.loads(
        a100.kubectl(
            "get",
            "--raw",
            f"/apis/llama-operator.io/v1alpha1/namespaces/{a100.namespace}"
            "/llamadeployments/small/scale",
        )
    )
    assert scale["spec"]["replicas"] == 2
    assert scale["status"]["replicas"] == 2
    assert "app.kubernetes.io/instance=small" in scale["status"]["selector"]
    a100.kubectl("scale", "llama", "small", "--replicas=0")
    a100.wait_condition("small", "Ready", "False", "ScaledToZero")
    a100.wait("no pod is left", lambda: not a100.pods("small"))
    a100.wait("no budget is left", lambda: not a100.children()["poddisruptionbudgets"])
    assert set(a100.conditions("small")) == {"Ready"}


def test_suspending_releases_the_gpus_and_keeps_the_plan(
    a100: World, operator: OperatorProcess
) -> None:
    a100.apply("small", SMALL)
    plan = a100.wait_ready("small")["status"]["plan"]
    a100.apply("small", {**SMALL, "suspend": True})
    a100.wait_condition("small", "Ready", "False", "Suspended")
    a100.wait("no pod is left", lambda: not a100.pods("small"))
    assert set(a100.conditions("small")) == {"Ready"}
    assert a100.llama("small")["status"]["plan"] == plan
    a100.apply("small", SMALL)
    assert a100.wait_ready("small")["status"]["plan"] == plan


def test_an_edit_of_the_context_causes_one_rollout(a100: World, operator: OperatorProcess) -> None:
    a100.apply("small", {**SMALL, "context": {"maxModelLen": 8192}})
    a100.wait_ready("small")
    before = a100.pod_uids("small")
    position = a100.plane.audit_position()
    a100.apply("small", {**SMALL, "context": {"maxModelLen": 16384}})
    body = a100.wait_ready("small")
    after = a100.pod_uids("small")
    assert body["status"]["plan"]["maxModelLen"] == 16384
    assert len(after) == 1
    assert not before & after
    [pod] = a100.pods("small")
    assert "--max-model-len=16384" in pod["spec"]["containers"][0]["args"]
    assert len(a100.owned("controllerrevisions")) == 2
    applied = [
        event
        for event in a100.plane.audit_events(OPERATOR_USER, since=position)
        if event.is_write and event.resource == "statefulsets"
    ]
    assert len(applied) <= 2  # field ownership once, and the apply
    revisions = [
        item
        for item in a100.api.get(f"/apis/apps/v1/namespaces/{a100.namespace}/controllerrevisions")[
            "items"
        ]
        if item["metadata"]["ownerReferences"][0]["kind"] == "StatefulSet"
    ]
    assert len(revisions) == 2  # one rollout: the first template and the second


def test_an_edit_of_labels_or_replicas_causes_no_rollout(
    a100: World, operator: OperatorProcess
) -> None:
    a100.apply("small", SMALL)
    a100.wait_ready("small")
    before = a100.pod_uids("small")
    a100.apply("small", {**SMALL, "replicas": 2}, labels={"team": "ml"}, annotations={"a": "b"})
    a100.wait("two pods are ready", lambda: a100.llama("small")["status"]["readyReplicas"] == 2)
    assert before < a100.pod_uids("small")
    assert len(a100.owned("controllerrevisions")) == 1


def test_a_removed_extra_argument_disappears_from_the_pods(
    a100: World, operator: OperatorProcess
) -> None:
    env = [{"name": "NCCL_DEBUG", "value": "WARN"}, {"name": "OTHER", "value": "1"}]
    a100.apply("small", {**SMALL, "engine": {"extraArgs": ["--seed=7"], "env": env}})
    plan = a100.wait_ready("small")["status"]["plan"]
    a100.apply("small", {**SMALL, "engine": {"env": env[1:]}})
    after = a100.wait_ready("small")["status"]["plan"]
    [stateful_set] = a100.owned("statefulsets")
    container = stateful_set["spec"]["template"]["spec"]["containers"][0]
    assert "--seed=7" not in container["args"]
    names = {entry["name"] for entry in container["env"]}
    assert "NCCL_DEBUG" not in names
    assert "OTHER" in names
    assert after == plan


def test_an_argument_that_the_plan_sets_is_told_and_what_runs_goes_on(
    a100: World, operator: OperatorProcess
) -> None:
    a100.apply("small", SMALL)
    a100.wait_ready("small")
    before = a100.pod_uids("small")
    a100.apply("small", {**SMALL, "engine": {"extraArgs": ["--max-model-len=9"]}})
    message = a100.wait_condition("small", "Stalled", "True", "InvalidSpec")
    assert "spec.engine.extraArgs[0]" in message
    assert "spec.context.maxModelLen" in message
    assert a100.conditions("small")["Ready"][:2] == ("True", "Serving")
    [stateful_set] = a100.owned("statefulsets")
    container = stateful_set["spec"]["template"]["spec"]["containers"][0]
    assert "--max-model-len=9" not in container["args"]
    assert a100.pod_uids("small") == before


def test_kubectl_rollout_restart_is_left_alone(a100: World, operator: OperatorProcess) -> None:
    a100.apply("small", SMALL)
    a100.wait_ready("small")
    before = a100.pod_uids("small")
    a100.kubectl("rollout", "restart", "statefulset/small-a")
    a100.kubectl("rollout", "status", "statefulset/small-a", "--timeout=60s")
    a100.wait_ready("small")
    assert not before & a100.pod_uids("small")
    [stateful_set] = a100.owned("statefulsets")
    annotations = stateful_set["spec"]["template"]["metadata"]["annotations"]
    assert "kubectl.kubernetes.io/restartedAt" in annotations


def test_the_object_stays_as_it_was_applied(a100: World, operator: OperatorProcess) -> None:
    """GitOps: nothing is added to metadata or spec beyond the schema's defaults."""
    text = a100.manifest("small", SMALL, labels={"app": "x"}, annotations={"note": "kept"})
    a100.apply_text(text)
    a100.wait_ready("small")
    live, applied = a100.llama("small"), yaml.safe_load(text)
    metadata = live["metadata"]
    assert metadata["labels"] == {"app": "x"}
    assert set(metadata["annotations"]) == {
        "note", "kubectl.kubernetes.io/last-applied-configuration",
    }  # fmt: skip
    assert "finalizers" not in metadata
    dry = json.loads(
        a100.kubectl(
            "create",
            "--dry-run=server",
            "-o",
            "json",
            "-f",
            "-",
            stdin=text.replace("name: small", "name: small-defaults"),
        )
    )
    assert live["spec"] == dry["spec"]
    assert applied["spec"].items() <= live["spec"].items()
    assert "unchanged" in a100.apply_text(text)
    assert a100.llama("small")["metadata"]["generation"] == metadata["generation"]


def test_deleting_removes_every_child(a100: World, operator: OperatorProcess) -> None:
    a100.apply("small", {**SMALL, "replicas": 2})
    a100.wait_ready("small")
    a100.kubectl("delete", "llama", "small")
    a100.wait("all children are gone", lambda: not any(a100.children().values()))


def test_deleted_and_created_at_once_it_ends_right(a100: World, operator: OperatorProcess) -> None:
    a100.apply("small", SMALL)
    old = a100.wait_ready("small")
    children = a100.children()
    a100.kubectl("delete", "llama", "small", "--wait=false")
    a100.wait("the object is gone", lambda: a100.try_llama("small") is None)
    a100.apply("small", SMALL)
    new = a100.wait_ready("small")
    assert new["metadata"]["uid"] != old["metadata"]["uid"]
    [stateful_set] = a100.owned("statefulsets")
    assert stateful_set["metadata"]["ownerReferences"][0]["uid"] == new["metadata"]["uid"]
    assert stateful_set["metadata"]["uid"] != children["statefulsets"]["small-a"]


def test_every_child_that_is_deleted_or_edited_by_hand_comes_back(
    a100: World, operator: OperatorProcess
) -> None:
    a100.apply("small", {**SMALL, "replicas": 2})
    a100.wait_ready("small")
    before = a100.children()
    for plural in ("services", "poddisruptionbudgets", "controllerrevisions"):
        for name in before[plural]:
            a100.kubectl("delete", plural, name)
    a100.wait(
        "what was deleted is back",
        lambda: all(
            set(a100.children()[plural]) == set(before[plural])
            for plural in ("services", "poddisruptionbudgets", "controllerrevisions")
        ),
    )
    a100.kubectl("scale", "statefulset", "small-a", "--replicas=1")
    a100.wait(
        "the edit is reverted",
        lambda: (
            a100.owned("statefulsets")[0]["spec"]["replicas"] == 2 and len(a100.pods("small")) == 2
        ),
    )
    a100.wait_ready("small")
    assert len(a100.owned("controllerrevisions")) == 1
