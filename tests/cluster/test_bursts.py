"""Many at once: edits, deployments and too few cards."""

import json

import pytest

from cluster.world import GROUP_PATH, World, gpu_node
from cluster.writes import operator_writes, told
from workstation import OperatorProcess

pytestmark = pytest.mark.cluster

A100 = "NVIDIA-A100-SXM4-80GB"
SMALL = {"size": "8b", "format": "awq"}


def test_edits_in_quick_succession_end_at_the_last(world: World, operator: OperatorProcess) -> None:
    world.add_nodes(gpu_node("a100-0", A100, 8))
    world.apply("small", SMALL)
    path = f"{GROUP_PATH}/namespaces/{world.namespace}/llamadeployments/small"
    for length in range(1024, 1024 * 21, 1024):
        patch = {"spec": {"context": {"maxModelLen": length}}}
        world.api.request("PATCH", path, patch, "application/merge-patch+json")
    body = world.wait_ready("small")
    assert body["status"]["plan"]["maxModelLen"] == 20480
    assert body["status"]["observedGeneration"] == body["metadata"]["generation"] == 21
    [pod] = world.pods("small")
    assert "--max-model-len=20480" in pod["spec"]["containers"][0]["args"]
    assert len(world.owned("controllerrevisions")) <= 5


def test_twenty_deployments_at_once_become_ready_with_six_writes_and_one_event_each(
    world: World, operator: OperatorProcess
) -> None:
    world.add_nodes(*(gpu_node(f"a100-{number}", A100, 8) for number in range(3)))
    names = [f"model-{number}" for number in range(20)]
    position = world.plane.audit_position()
    world.apply_text("---\n".join(world.manifest(name, SMALL) for name in names))
    for name in names:
        world.wait_ready(name)
    events = json.loads(world.kubectl("get", "events.events.k8s.io", "-o", "json"))["items"]
    writes = operator_writes(world, position)
    for name in names:
        mine = [event for event in writes if event.name.split("-plan-")[0] in (
            name, f"{name}-a", f"{name}-pods")]  # fmt: skip
        counted = told(mine)
        # One status less where the first one is written when the pods answer already.
        assert counted.pop("patch llamadeployments/status") <= 2
        assert counted == {
            "create controllerrevisions": 1,
            "create services": 2,
            "create statefulsets": 1,
        }, name
        about = [
            event["reason"]
            for event in events
            if (event["regarding"]["kind"], event["regarding"]["name"]) == ("LlamaDeployment", name)
        ]
        assert about == ["Planned"]
    assert all(event.code < 300 for event in writes)


def test_a_rollout_on_the_last_card_does_not_wait_for_itself(
    world: World, operator: OperatorProcess
) -> None:
    world.add_nodes(gpu_node("a100-0", A100, 1))
    world.apply("small", {**SMALL, "context": {"maxModelLen": 8192}})
    world.wait_ready("small")
    for length in (16384, 32768):
        world.apply("small", {**SMALL, "context": {"maxModelLen": length}})
        body = world.wait_ready("small")
        assert body["status"]["plan"]["maxModelLen"] == length
    assert "WaitingForGPUs" not in world.kubectl("get", "events")


def test_ten_deployments_on_four_free_cards_four_serve_and_six_wait(
    world: World, operator: OperatorProcess
) -> None:
    world.add_nodes(gpu_node("a100-0", A100, 4))
    names = [f"model-{number}" for number in range(10)]
    world.apply_text("---\n".join(world.manifest(name, SMALL) for name in names))

    def reasons() -> list[str]:
        return sorted(world.conditions(name).get("Ready", ("", "", ""))[1] for name in names)

    settled = ["Serving"] * 4 + ["WaitingForGPUs"] * 6
    world.wait("four serve and six wait", lambda: reasons() == settled)
    bound = [pod for name in names for pod in world.pods(name) if pod["spec"].get("nodeName")]
    assert len(bound) == 4
    serving = [name for name in names if world.conditions(name)["Ready"][1] == "Serving"]
    world.kubectl("delete", "llama", *serving[:2])
    rest = [name for name in names if name not in serving[:2]]
    world.wait(
        "two more serve",
        lambda: (
            [world.conditions(name).get("Ready", ("", "", ""))[1] for name in rest].count("Serving")
            == 4
        ),
    )
