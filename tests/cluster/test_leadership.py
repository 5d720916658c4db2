"""One leads, one stands by; the process ends in order; probes and metrics tell the truth."""

import signal
from pathlib import Path

import pytest

from cluster.world import World, gpu_node
from controlplane import ControlPlane, wait_until
from workstation import NAMESPACE, OperatorProcess

pytestmark = pytest.mark.cluster

TAKEOVER_SECONDS = 20


def holder(plane: ControlPlane) -> str:
    return plane.kubectl(
        "get", "lease", "llama-operator", "-n", NAMESPACE, "-o", "jsonpath={.spec.holderIdentity}"
    ).stdout


@pytest.fixture
def standby(world: World, operator: OperatorProcess, tmp_path: Path) -> OperatorProcess:
    process = OperatorProcess(world.plane, tmp_path)
    wait_until("the standby is ready", lambda: process.get("/readyz")[0] == 200)
    return process


def test_a_standby_is_ready_but_leads_only_when_the_leader_is_gone(
    world: World, shared_operator: list[OperatorProcess], standby: OperatorProcess
) -> None:
    first = holder(world.plane)
    assert not standby.is_leader()
    assert "llama_operator_leader 0.0" in standby.get("/metrics")[1]
    assert shared_operator[0].stop() == 0
    standby.wait_ready(TAKEOVER_SECONDS)
    assert holder(world.plane) not in ("", first)
    assert "llama_operator_leader 1.0" in standby.get("/metrics")[1]
    shared_operator[0] = standby


def test_a_killed_leader_is_replaced_and_the_standby_serves(
    world: World, shared_operator: list[OperatorProcess], standby: OperatorProcess
) -> None:
    world.add_nodes(gpu_node("a100-0", "NVIDIA-A100-SXM4-80GB", 2))
    world.apply("small", {"size": "8b", "format": "awq"})
    world.wait_ready("small")
    before = world.pod_uids("small")
    shared_operator[0].kill()
    standby.wait_ready(TAKEOVER_SECONDS * 3)
    world.apply("other", {"size": "8b", "format": "awq"})
    world.wait_ready("other")
    assert world.pod_uids("small") == before
    shared_operator[0] = standby


def test_a_process_that_lost_the_lease_stands_by_and_leads_again_when_it_may(
    world: World, shared_operator: list[OperatorProcess], standby: OperatorProcess
) -> None:
    leader = shared_operator[0]
    leader.process.send_signal(signal.SIGSTOP)
    standby.wait_ready(TAKEOVER_SECONDS * 3)
    leader.process.send_signal(signal.SIGCONT)
    wait_until("the old leader stands by", lambda: not leader.is_leader(), timeout=60)
    assert leader.get("/readyz") == (200, "ok")
    assert standby.stop() == 0
    leader.wait_ready(TAKEOVER_SECONDS)


def test_health_readiness_and_metrics(world: World, operator: OperatorProcess) -> None:
    world.add_nodes(gpu_node("a100-0", "NVIDIA-A100-SXM4-80GB", 1))
    world.apply("small", {"size": "8b", "format": "awq"})
    world.wait_ready("small")
    assert operator.get("/healthz") == (200, "ok")
    assert operator.get("/readyz") == (200, "ok")
    text = operator.get("/metrics")[1]
    labels = f'name="small",namespace="{world.namespace}"'
    assert f'llama_operator_deployment_replicas{{{labels},state="ready"}} 1.0' in text
    gpu = '{product="NVIDIA-A100-SXM4-80GB",resource="nvidia.com/gpu"}'
    assert f"llama_operator_gpu_usable{gpu} 1.0" in text
    assert f"llama_operator_gpu_free{gpu} 0.0" in text
    assert 'llama_operator_api_requests_total{code="201",resource="statefulsets"' in text
    for watched in ("nodes", "pods", "statefulsets", "configmaps", "llamadeployments"):
        assert f'llama_operator_watch_silence_seconds{{resource="{watched}"}}' in text
    world.kubectl("delete", "llama", "small")
    wait_until(
        "the series are gone",
        lambda: f'namespace="{world.namespace}"' not in operator.get("/metrics")[1],
    )


def test_every_log_line_is_json_with_the_object(world: World, operator: OperatorProcess) -> None:
    world.add_nodes(gpu_node("a100-0", "NVIDIA-A100-SXM4-80GB", 1))
    world.apply("small", {"size": "8b", "format": "awq"})
    world.wait_ready("small")
    lines = [
        line
        for line in operator.lines()
        if line.get("object", {}).get("namespace") == world.namespace
    ]
    assert any(line["message"].startswith("create StatefulSet/small-a") for line in lines)
    assert all({"time", "level", "logger", "message"} <= line.keys() for line in lines)
    uid = world.llama("small")["metadata"]["uid"]
    assert {line["object"]["uid"] for line in lines} == {uid}
