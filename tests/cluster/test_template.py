"""What the spec adds to the pods, and engine images from a registry of one's own."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from cluster.world import Json, World, gpu_node
from workstation import OperatorProcess

pytestmark = pytest.mark.cluster

A100 = "NVIDIA-A100-SXM4-80GB"
SMALL: Json = {"size": "8b", "format": "awq"}
OWN_IMAGE = "vllm/vllm-openai:v0.33.0"
REGISTRY = "registry.example.com:5000/mirror"


def image_of(world: World, name: str) -> str:
    [pod] = world.pods(name)
    return str(pod["spec"]["containers"][0]["image"])


def with_template(**pod: object) -> Json:
    return {**SMALL, "template": {"spec": pod}}


def test_pods_carry_what_the_spec_adds(world: World, operator: OperatorProcess) -> None:
    world.add_nodes(gpu_node("a100-0", A100, 1))
    template = {
        "metadata": {"labels": {"team": "search"}, "annotations": {"example.com/note": "ours"}},
        "spec": {
            "priorityClassName": "system-cluster-critical",
            "imagePullSecrets": [{"name": "registry"}],
            "resources": {"cpu": "2500m", "memory": "20Gi"},
        },
    }
    world.apply("small", {**SMALL, "template": template})
    plan = world.wait_ready("small")["status"]["plan"]
    [pod] = world.pods("small")
    assert pod["metadata"]["labels"]["team"] == "search"
    assert pod["metadata"]["annotations"]["example.com/note"] == "ours"
    assert pod["spec"]["priorityClassName"] == "system-cluster-critical"
    assert pod["spec"]["imagePullSecrets"] == [{"name": "registry"}]
    requests = pod["spec"]["containers"][0]["resources"]["requests"]
    assert (requests["cpu"], requests["memory"]) == ("2500m", "20Gi")
    assert plan["host"]["cpuMillicores"] == 2500
    assert plan["host"]["memoryBytes"] == 20 * 2**30


@pytest.mark.parametrize("field", ["priorityClassName", "runtimeClassName", "serviceAccountName"])
def test_a_name_of_nothing_is_told_and_mended_by_an_edit(
    world: World, operator: OperatorProcess, field: str
) -> None:
    world.add_nodes(gpu_node("a100-0", A100, 1))
    world.apply("small", with_template(**{field: "not-there"}))
    assert "not-there" in world.wait_condition("small", "Ready", "False", "PodsRejected")
    world.apply("small", SMALL)
    world.wait_ready("small")


@pytest.fixture
def restart(world: World, shared_operator: list[OperatorProcess], tmp_path: Path) -> Iterator[None]:
    """The operator with a registry instead of the shared one, which comes back at the end."""

    def replace(*arguments: str) -> None:
        assert shared_operator[0].stop() == 0
        shared_operator[0] = OperatorProcess(world.plane, tmp_path, arguments=arguments)
        shared_operator[0].wait_ready()

    world.add_nodes(gpu_node("a100-0", A100, 4))
    world.apply("old", SMALL)
    world.wait_ready("old")
    replace(f"--image-registry={REGISTRY}")
    yield
    replace()


@pytest.mark.usefixtures("restart")
def test_a_registry_is_for_new_plans_and_moves_nothing_that_runs(world: World) -> None:
    before = world.pod_uids("old")
    world.apply("new", SMALL)
    world.wait_ready("new")
    assert image_of(world, "new") == f"{REGISTRY}/{OWN_IMAGE}"
    assert world.llama("new")["status"]["plan"]["image"] == f"{REGISTRY}/{OWN_IMAGE}"
    assert world.pod_uids("old") == before
    world.apply("old", {**SMALL, "servedModelNames": ["llama"]})
    world.wait("the pod is another", lambda: world.pods("old") and world.pod_uids("old") != before)
    world.wait_ready("old")
    assert image_of(world, "old") == OWN_IMAGE
