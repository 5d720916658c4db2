"""Replicas on several nodes, on a real API server with the real CRD of LeaderWorkerSet."""

import gzip
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from cluster.kstatus import kstatus
from cluster.world import World, gpu_node
from controlplane import ControlPlane, wait_until
from doubles.leader_worker_set import CRD_NAME, GROUP, LeaderWorkerSets
from llama_operator.render.objects import render
from unit.engines.engine_plans import deployment
from unit.render.several_nodes import PLANS
from workstation import OperatorProcess
from workstation.install import OPERATOR_USER

pytestmark = pytest.mark.cluster

CRD = Path(__file__).parents[1] / f"data/crds/{GROUP}_leaderworkersets.yaml.gz"
H100 = "NVIDIA-H100-80GB-HBM3"
LARGE = {"size": "405b", "format": "pytorch", "tokenSecretRef": {"name": "hf-token"}}
"""755.96 GiB of weights: more than the 8 x 79.19 GiB of a node, less than those of two."""
SMALL = {**LARGE, "size": "8b", "format": "awq"}


def install_sets(plane: ControlPlane) -> None:
    text = gzip.decompress(CRD.read_bytes()).decode()
    plane.kubectl("apply", "--server-side", "-f", "-", input=text)
    wait_until(
        "it is served",
        lambda: plane.kubectl("get", "leaderworkersets", "-A", check=False).returncode == 0,
    )


def remove_sets(plane: ControlPlane) -> None:
    plane.kubectl("delete", "crd", CRD_NAME, "--ignore-not-found", "--timeout=60s")


@pytest.fixture
def sets(world: World) -> Iterator[LeaderWorkerSets]:
    """Two nodes of eight GPUs, and LeaderWorkerSet."""
    world.add_nodes(*(gpu_node(f"{world.namespace}-h{n}", H100, 8) for n in range(2)))
    install_sets(world.plane)
    yield LeaderWorkerSets(world)
    world.kubectl("delete", "llamadeployments", "--all")
    made = LeaderWorkerSets(world)
    world.wait("all sets are gone", lambda: not made.all(), timeout=120)
    remove_sets(world.plane)


def sets_asked(world: World, since: int) -> set[str]:
    """Verbs that the operator used on LeaderWorkerSets."""
    return {
        event.verb
        for event in world.plane.audit_events(OPERATOR_USER, since=since)
        if event.resource == "leaderworkersets"
    }


def wait_serving(world: World, sets: LeaderWorkerSets, name: str) -> dict[str, Any]:
    def is_ready() -> bool:
        sets.step()
        return world.conditions(name).get("Ready", ("",))[0] == "True"

    world.wait(f"{name} serves", is_ready, timeout=120)
    return world.wait_ready(name)


def endpoints(world: World, service: str) -> set[str]:
    listed = world.kubectl(
        "get", "endpointslices", "-l", f"kubernetes.io/service-name={service}", "-o", "json"
    )
    return {
        endpoint["targetRef"]["name"]
        for item in json.loads(listed)["items"]
        for endpoint in item["endpoints"] or ()
    }


def test_a_cluster_without_the_crd_is_told_what_is_missing_and_asked_for_nothing(
    world: World, operator: OperatorProcess
) -> None:
    position = world.plane.audit_position()
    world.add_nodes(*(gpu_node(f"{world.namespace}-h{n}", H100, 8) for n in range(2)))
    world.apply("large", LARGE)
    message = world.wait_condition("large", "Stalled", "True", "MultiNodeUnavailable")
    assert "2 nodes of 8x NVIDIA-H100-80GB-HBM3 hold it" in message
    assert "LeaderWorkerSet" in message
    assert kstatus(world.llama("large")) == "Failed"
    assert not any(world.children()[kind] for kind in ("statefulsets", "services", "pods"))
    world.apply("asked", {**LARGE, "hardware": [{"gpu": H100, "count": 8, "nodes": 2}]})
    told = world.wait_condition("asked", "Stalled", "True", "MultiNodeUnavailable")
    assert "spec.hardware asks for 2 nodes" in told
    assert sets_asked(world, position) == set()


def test_two_nodes_serve_one_replica(sets: LeaderWorkerSets, world: World,
    operator: OperatorProcess,
) -> None:  # fmt: skip
    world.apply("large", LARGE)
    world.wait("its set is made", sets.all)
    world.wait_condition("large", "Ready", "False", "Starting")
    plan = world.llama("large")["status"]["plan"]
    assert (plan["gpus"], plan["nodes"]) == (f"2 nodes of 8x {H100}", 2)
    assert (plan["tensorParallelSize"], plan["pipelineParallelSize"]) == (8, 2)
    assert not world.owned("statefulsets")
    wait_serving(world, sets, "large")
    llama = world.llama("large")
    assert (llama["status"]["replicas"], llama["status"]["readyReplicas"]) == (1, 1)
    assert "app.kubernetes.io/component=leader" in llama["status"]["selector"]
    assert kstatus(llama) == "Current"
    pods = {pod["metadata"]["name"]: pod for pod in world.pods("large")}
    assert set(pods) == {"large-lws-0", "large-lws-0-1"}
    assert len({pod["spec"]["nodeName"] for pod in pods.values()}) == 2
    world.wait("the leader alone answers", lambda: endpoints(world, "large") == {"large-lws-0"})
    leader = pods["large-lws-0"]["spec"]["containers"][0]
    worker = pods["large-lws-0-1"]["spec"]["containers"][0]
    assert leader["args"][-3:] == [
        "--nnodes=2", "--node-rank=0", "--master-addr=$(LWS_LEADER_ADDRESS)",
    ]  # fmt: skip
    assert worker["args"][-4:] == [
        "--nnodes=2", "--node-rank=$(LWS_WORKER_INDEX)",
        "--master-addr=$(LWS_LEADER_ADDRESS)", "--headless",
    ]  # fmt: skip
    assert "readinessProbe" in leader
    assert "readinessProbe" not in worker

    world.kubectl(
        "patch", "leaderworkerset", "large-lws", "--type=merge",
        "-p", json.dumps({"spec": {"leaderWorkerTemplate": {"size": 3}}}),
    )  # fmt: skip
    world.wait(
        "its size is put right",
        lambda: [one["spec"]["leaderWorkerTemplate"]["size"] for one in sets.all()] == [2],
    )
    world.apply("large", {**LARGE, "suspend": True})
    world.wait("it has no replicas", lambda: [one["spec"]["replicas"] for one in sets.all()] == [0])
    sets.step()
    world.wait("its pods are gone", lambda: not world.pods("large"))
    world.wait_condition("large", "Ready", "False", "Suspended")


def test_an_edit_changes_the_kind_and_asks_for_no_gpus_twice(
    sets: LeaderWorkerSets, world: World, operator: OperatorProcess
) -> None:
    world.apply("llama", SMALL)
    world.wait_ready("llama")
    [before] = world.pods("llama")
    world.apply("llama", LARGE)
    world.wait("a set takes its place", sets.all)
    assert not world.owned("statefulsets")
    assert before["metadata"]["uid"] not in world.pod_uids("llama")
    wait_serving(world, sets, "llama")
    world.wait("its Service finds it", lambda: endpoints(world, "llama") == {"llama-lws-0"})
    world.apply("llama", SMALL)
    world.wait("a StatefulSet takes its place", lambda: world.owned("statefulsets"), timeout=120)
    assert not sets.all()
    world.wait_ready("llama", timeout=120)
    assert [pod["metadata"]["name"] for pod in world.pods("llama")] == ["llama-a-0"]
    world.wait("its Service finds it", lambda: endpoints(world, "llama") == {"llama-a-0"})


def test_the_crd_may_come_and_go_while_the_operator_runs(
    sets: LeaderWorkerSets, world: World, operator: OperatorProcess
) -> None:
    remove_sets(world.plane)
    world.apply("large", LARGE)
    world.wait_condition("large", "Stalled", "True", "MultiNodeUnavailable")
    install_sets(world.plane)
    wait_serving(world, sets, "large")
    remove_sets(world.plane)
    message = world.wait_condition("large", "Stalled", "True", "MultiNodeUnavailable")
    assert "the plan takes 2 nodes" in message
    install_sets(world.plane)
    wait_serving(world, sets, "large")


def test_a_set_of_somebody_else_is_left_alone(
    sets: LeaderWorkerSets, world: World, operator: OperatorProcess
) -> None:
    pod = {"spec": {"containers": [{"name": "main", "image": "example.com/main:1"}]}}
    body = {
        "apiVersion": f"{GROUP}/v1",
        "kind": "LeaderWorkerSet",
        "metadata": {"name": "large-lws"},
        "spec": {"replicas": 0, "leaderWorkerTemplate": {"size": 1, "workerTemplate": pod}},
    }
    world.kubectl("create", "-f", "-", stdin=json.dumps(body))
    world.apply("large", LARGE)
    message = world.wait_condition("large", "Stalled", "True", "NameConflict")
    assert "LeaderWorkerSet large-lws exists and belongs to somebody else" in message
    [left] = sets.all()
    assert left["spec"]["replicas"] == 0
    world.kubectl("delete", "leaderworkerset", "large-lws")


@pytest.mark.parametrize("name", sorted(PLANS))
def test_the_api_server_takes_every_field_of_the_set(
    sets: LeaderWorkerSets, world: World, name: str
) -> None:
    body = render(PLANS[name], deployment(), replicas=1, revision="llama-r1").workload
    body["metadata"].pop("namespace")
    said = world.kubectl(
        "create", "--dry-run=server", "--validate=strict", "-f", "-", stdin=json.dumps(body)
    )
    assert "created (server dry run)" in said


def test_what_the_operator_may_do_with_sets_it_needs(installed: ControlPlane) -> None:
    granted = installed.kubectl("auth", "can-i", "--list", f"--as={OPERATOR_USER}").stdout
    [line] = [line for line in granted.splitlines() if line.startswith("leaderworkersets.")]
    assert "[get list watch create patch delete]" in line
    assert CRD_NAME in granted
