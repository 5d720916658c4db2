"""Revisions on the API server: going back, pruning, and one that lost its labels."""

from functools import partial

import pytest

from cluster.world import Json, World, gpu_node
from llama_operator.reconcile.revision import HISTORY_LIMIT
from workstation import OperatorProcess

pytestmark = pytest.mark.cluster

A100 = "NVIDIA-A100-SXM4-80GB"


def spec(tokens: int) -> Json:
    return {"size": "8b", "format": "awq", "context": {"maxModelLen": tokens}}


def revisions(world: World) -> dict[str, int]:
    """Numbers by name."""
    return {
        item["metadata"]["name"]: item["revision"] for item in world.owned("controllerrevisions")
    }


def recorded(world: World, number: int) -> bool:
    return number in revisions(world).values()


def image_args(world: World) -> list[str]:
    [stateful_set] = world.owned("statefulsets")
    args: list[str] = stateful_set["spec"]["template"]["spec"]["containers"][0]["args"]
    return args


@pytest.fixture
def a100(world: World) -> World:
    world.add_nodes(gpu_node("a100-0", A100, 8))
    world.apply("small", spec(8192))
    world.wait_ready("small")
    return world


def test_a_spec_that_goes_back_finds_its_revision_again(
    a100: World, operator: OperatorProcess
) -> None:
    first, args = revisions(a100), image_args(a100)
    a100.apply("small", spec(16384))
    a100.wait_ready("small")
    both = revisions(a100)
    assert len(both) == 2
    a100.apply("small", spec(8192))
    a100.wait_ready("small")
    again = revisions(a100)
    assert set(again) == set(both)
    assert max(again, key=again.__getitem__) in first
    assert image_args(a100) == args


def test_only_the_newest_revisions_are_kept(a100: World, operator: OperatorProcess) -> None:
    for number in range(2, HISTORY_LIMIT + 3):
        a100.apply("small", spec(7168 + 1024 * number))
        a100.wait(f"edit {number} is recorded", partial(recorded, a100, number))
    a100.wait_ready("small")
    a100.wait("old ones are gone", lambda: len(revisions(a100)) == HISTORY_LIMIT)
    assert min(revisions(a100).values()) == 3
    assert f"--max-model-len={9216 + 1024 * HISTORY_LIMIT}" in image_args(a100)


def test_a_revision_that_lost_its_labels_gets_them_back(
    a100: World, operator: OperatorProcess
) -> None:
    before, pods = a100.children(), a100.pod_uids("small")
    [name] = before["controllerrevisions"]
    labels = ("app.kubernetes.io/instance-", "app.kubernetes.io/managed-by-")
    a100.kubectl("label", "controllerrevision", name, *labels)
    a100.wait("it is ours again", lambda: a100.children() == before)
    a100.wait_ready("small")
    assert a100.pod_uids("small") == pods
