"""The status table: what cannot run is refused with a reason, what must wait says for what."""

import json

import pytest

from cluster.kstatus import kstatus
from cluster.world import World, gpu_node
from workstation import OperatorProcess
from workstation.install import OPERATOR_USER

pytestmark = pytest.mark.cluster

A100 = "NVIDIA-A100-SXM4-80GB"
A10G = "NVIDIA-A10G"
FORMATS = {"awq", "gptq"}


def test_405b_in_16_bit_on_a10g_nodes_is_refused_with_one_reason_and_the_bytes(
    world: World, operator: OperatorProcess
) -> None:
    world.add_nodes(*(gpu_node(f"a10g-{number}", A10G, 4) for number in range(3)))
    world.apply("giant", {"size": "405b", "format": "pytorch"})
    message = world.wait_condition("giant", "Stalled", "True", "WeightsTooLarge")
    ready = world.conditions("giant")["Ready"]
    assert ready[:2] == ("False", "WeightsTooLarge")
    assert set(world.conditions("giant")) == {"Ready", "Stalled"}
    # 811,706,777,600 bytes over 4 GPUs are 188.99 GiB each, before padding (memory model, 9).
    assert "GiB" in message
    assert A10G in message
    assert not any(world.children().values())
    assert kstatus(world.llama("giant")) == "Failed"


def test_70b_in_16_bit_on_one_a100_is_refused_with_awq_and_gptq_that_fit(
    world: World, operator: OperatorProcess
) -> None:
    world.add_nodes(gpu_node("a100-0", A100, 1))
    world.apply("big", {"size": "70b", "format": "pytorch"})
    message = world.wait_condition("big", "Stalled", "True", "WeightsTooLarge")
    assert "awq" in message
    assert "gptq" in message
    alternatives = world.llama("big")["status"]["recommendation"]["alternatives"]
    patches = [json.loads(item["patch"]) for item in alternatives]
    assert {patch["spec"].get("format") for patch in patches} >= FORMATS
    assert all("GiB" in item["summary"] for item in alternatives)
    events = world.kubectl("get", "events", "-o", "json")
    warnings = [
        event for event in json.loads(events)["items"] if event["reason"] == "WeightsTooLarge"
    ]
    assert len(warnings) == 1
    first = next(item for item in alternatives if '"awq"' in item["patch"])
    world.kubectl("patch", "llama", "big", "--type=merge", "-p", first["patch"])
    world.wait_ready("big")


def test_a_refused_deployment_is_planned_without_an_edit_when_nodes_join(
    world: World, operator: OperatorProcess
) -> None:
    world.add_nodes(gpu_node("a10g-0", A10G, 4))
    token = {"name": "hf-token"}
    world.apply("big", {"size": "70b", "format": "pytorch", "tokenSecretRef": token})
    world.wait_condition("big", "Stalled", "True", "WeightsTooLarge")
    generation = world.llama("big")["metadata"]["generation"]
    world.add_nodes(gpu_node("a100-0", A100, 8))
    body = world.wait_ready("big")
    assert body["metadata"]["generation"] == generation
    assert body["status"]["plan"]["gpu"]["product"] == A100
    assert "recommendation" not in body["status"]


def test_without_gpus_the_reason_says_so(world: World, operator: OperatorProcess) -> None:
    world.apply("small", {"size": "8b", "format": "awq"})
    world.wait_condition("small", "Stalled", "True", "NoGPUs")


def test_two_deployments_that_want_the_last_card_one_waits_with_its_reason(
    world: World, operator: OperatorProcess
) -> None:
    world.add_nodes(gpu_node("a100-0", A100, 1))
    for name in ("first", "second"):
        world.apply(name, {"size": "70b", "format": "awq"})

    def states() -> list[tuple[str, str]]:
        return sorted(
            world.conditions(name).get("Ready", ("", "", ""))[:2] for name in ("first", "second")
        )

    world.wait(
        "one serves and one waits",
        lambda: states() == [("False", "WaitingForGPUs"), ("True", "Serving")],
    )
    waiting = next(
        name for name in ("first", "second") if world.conditions(name)["Ready"][0] == "False"
    )
    conditions = world.conditions(waiting)
    assert conditions["Reconciling"][:2] == ("True", "WaitingForGPUs")
    assert "Stalled" not in conditions
    assert A100 in conditions["Ready"][2]
    assert kstatus(world.llama(waiting)) == "InProgress"
    serving = {"first": "second", "second": "first"}[waiting]
    world.kubectl("delete", "llama", serving)
    world.wait_ready(waiting)


def test_an_object_applied_while_the_operator_is_down_is_not_taken_for_healthy(
    world: World, shared_operator: list[OperatorProcess], installed: object
) -> None:
    world.add_nodes(gpu_node("a100-0", A100, 2))
    log = shared_operator[0].log.parent
    assert shared_operator[0].stop() == 0
    try:
        world.apply("small", {"size": "8b", "format": "awq"})
        body = world.llama("small")
        assert body["status"] == {"observedGeneration": -1}
        assert kstatus(body) == "InProgress"
    finally:
        shared_operator[0] = OperatorProcess(world.plane, log)
        shared_operator[0].wait_ready()
    body = world.wait_ready("small")
    assert kstatus(body) == "Current"


def test_deleting_works_with_the_operator_stopped(
    world: World, shared_operator: list[OperatorProcess]
) -> None:
    world.add_nodes(gpu_node("a100-0", A100, 2))
    world.apply("small", {"size": "8b", "format": "awq", "replicas": 2})
    world.wait_ready("small")
    log = shared_operator[0].log.parent
    assert shared_operator[0].stop() == 0
    try:
        world.kubectl("delete", "llama", "small")
        world.wait("all children are gone", lambda: not any(world.children().values()))
    finally:
        shared_operator[0] = OperatorProcess(world.plane, log)
        shared_operator[0].wait_ready()


def test_a_restart_of_the_operator_writes_nothing(
    world: World, shared_operator: list[OperatorProcess]
) -> None:
    world.add_nodes(gpu_node("a100-0", A100, 4))
    world.apply("small", {"size": "8b", "format": "awq", "replicas": 2})
    world.wait_ready("small")
    log = shared_operator[0].log.parent
    before = world.pod_uids("small")
    assert shared_operator[0].stop() == 0
    position = world.plane.audit_position()
    shared_operator[0] = OperatorProcess(world.plane, log)
    shared_operator[0].wait_ready()
    world.apply("marker", {"size": "8b", "format": "awq"})
    world.wait_ready("marker")
    writes = [
        event
        for event in world.plane.audit_events(OPERATOR_USER, since=position)
        if event.is_write
        and event.namespace == world.namespace
        and "marker" not in event.name
        and event.verb != "create"
    ]
    assert writes == []
    assert world.pod_uids("small") == before


def test_a_refused_edit_leaves_the_last_good_revision_serving(
    world: World, operator: OperatorProcess
) -> None:
    world.add_nodes(gpu_node("a10g-0", A10G, 1))
    world.apply("small", {"size": "8b", "format": "awq"})
    world.wait_ready("small")
    before = world.pod_uids("small")
    world.apply("small", {"size": "70b", "format": "awq"})
    world.wait_condition("small", "Stalled", "True", "WeightsTooLarge")
    assert world.conditions("small")["Ready"][:2] == ("True", "Serving")
    assert world.pod_uids("small") == before
    world.apply("small", {"size": "8b", "format": "awq"})
    world.wait_ready("small")
    assert world.pod_uids("small") == before


def test_changed_node_labels_and_catalog_restart_nothing(
    world: World, operator: OperatorProcess
) -> None:
    world.add_nodes(gpu_node("a100-0", A100, 2))
    world.apply("small", {"size": "8b", "format": "awq"})
    plan = world.wait_ready("small")["status"]["plan"]
    before, revisions = world.pod_uids("small"), world.children()["controllerrevisions"]
    world.plane.kubectl("label", "node", "a100-0", "--overwrite", "nvidia.com/gpu.memory=99999")
    world.plane.kubectl("label", "node", "a100-0", "nvidia.com/gpu.product=Changed", "--overwrite")
    world.kubectl("create", "configmap", "rows", "--from-literal=gpus.yaml=[]")
    world.kubectl("label", "configmap", "rows", "llama-operator.io/catalog=true")
    world.apply("other", {"size": "8b", "format": "gptq"})
    world.wait("the other was looked at", lambda: world.conditions("other"))
    assert world.llama("small")["status"]["plan"] == plan
    assert world.pod_uids("small") == before
    assert world.children()["controllerrevisions"].items() >= revisions.items()


def test_a_bad_row_of_a_users_catalog_is_a_condition_and_an_event(
    world: World, operator: OperatorProcess
) -> None:
    world.add_nodes(gpu_node("a100-0", A100, 1))
    world.kubectl("create", "configmap", "rows", "--from-literal=models.yaml=- {name: 7}")
    world.kubectl("label", "configmap", "rows", "llama-operator.io/catalog=true")
    world.apply("small", {"size": "8b", "format": "awq"})
    message = world.wait_condition("small", "CatalogDegraded", "True", "CatalogRowsInvalid")
    assert "models.yaml[0]" in message
    world.wait_condition("small", "Ready", "True", "Serving")
    world.wait(
        "the ConfigMap has an event",
        lambda: "CatalogRowsInvalid" in world.kubectl("get", "events"),
    )
    world.kubectl("delete", "configmap", "rows")
    world.wait_ready("small")
