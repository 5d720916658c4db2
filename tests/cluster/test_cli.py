"""The command line against a live cluster: plan, render, and what they refuse."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from cluster.world import World, gpu_node
from workstation import OperatorProcess

pytestmark = pytest.mark.cluster

A100 = "NVIDIA-A100-SXM4-80GB"


def llama_operator(
    world: World, *arguments: str, stdin: str = ""
) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "llama_operator", *arguments],
        env={**os.environ, "KUBECONFIG": str(world.plane.kubeconfig), "COLUMNS": "100"},
        input=stdin,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )


def test_plan_reads_the_live_nodes_and_what_deployments_hold(
    world: World, operator: OperatorProcess
) -> None:
    world.add_nodes(gpu_node("a100-0", A100, 1))
    manifest = world.manifest("big", {"size": "70b", "format": "awq"})
    before = llama_operator(world, "plan", "-f", "-", "-o", "json", stdin=manifest)
    assert before.returncode == 0, before.stderr
    [outcome] = json.loads(before.stdout)
    assert outcome["fitsNow"] is True
    world.apply("big", {"size": "70b", "format": "awq"})
    applied = world.wait_ready("big")["status"]["plan"]
    assert outcome["plan"] == applied
    after = llama_operator(world, "plan", "-f", "-", "-o", "json", stdin=manifest)
    assert after.returncode == 0
    assert json.loads(after.stdout)[0]["fitsNow"] is False
    giant = world.manifest("giant", {"size": "405b", "format": "awq"})
    assert llama_operator(world, "plan", "-f", "-", stdin=giant).returncode == 3


def test_what_render_prints_passes_a_strict_dry_run_and_equals_what_runs(
    world: World, operator: OperatorProcess
) -> None:
    world.add_nodes(gpu_node("a100-0", A100, 2))
    spec = {"size": "8b", "format": "awq", "replicas": 2}
    manifest = world.manifest("small", spec, namespace=world.namespace)
    printed = llama_operator(world, "render", "-f", "-", stdin=manifest)
    assert printed.returncode == 0, printed.stderr
    world.kubectl("apply", "--dry-run=server", "--validate=strict", "-f", "-", stdin=printed.stdout)
    world.apply("small", spec)
    world.wait_ready("small")
    [live] = world.owned("statefulsets")
    [ours] = [item for item in yaml.safe_load_all(printed.stdout) if item["kind"] == "StatefulSet"]
    container = ours["spec"]["template"]["spec"]["containers"][0]
    running = live["spec"]["template"]["spec"]["containers"][0]
    assert running["args"] == container["args"]
    assert running["env"] == container["env"]


def test_without_a_cluster_the_error_says_what_to_do(world: World, tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "llama_operator", "plan", "-f", "-"],
        env={**os.environ, "KUBECONFIG": str(tmp_path / "none")},
        input=world.manifest("small", {"size": "8b"}),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 2
    assert "--nodes" in done.stderr


def in_namespace(world: World, command: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    return llama_operator(world, command, "-n", world.namespace, *arguments)


def test_status_shows_what_runs_and_what_does_not(world: World, operator: OperatorProcess) -> None:
    world.add_nodes(gpu_node("a100-0", A100, 1))
    world.apply("big", {"size": "70b", "format": "awq"})
    world.apply("giant", {"size": "405b", "format": "awq"})
    live = world.wait_ready("big")
    world.wait_condition("giant", "Stalled", "True", "WeightsTooLarge")
    done = in_namespace(world, "status", "big")
    assert done.returncode == 0, done.stderr
    first, *lines = done.stdout.splitlines()
    assert first == f"{world.namespace}/big  Serving"
    told = {line.split()[0]: line.split(maxsplit=1)[1] for line in lines if len(line.split()) > 1}
    assert told["replicas"] == "1 of 1 ready"
    assert told["url"] == f"http://big.{world.namespace}.svc:8000/v1"
    assert told["GPUs"] == f"1x {A100}, tensor parallel size 1"
    assert json.loads(in_namespace(world, "status", "big", "-o", "json").stdout) == live["status"]
    refused = in_namespace(world, "status", "giant")
    assert refused.returncode == 3
    assert refused.stdout.startswith(f"{world.namespace}/giant  WeightsTooLarge")
    missing = in_namespace(world, "status", "bog")
    assert missing.returncode == 2
    assert f"bog is not in namespace {world.namespace}; there: big, giant" in missing.stderr


def test_top_counts_the_gpus_of_all_replicas(world: World, operator: OperatorProcess) -> None:
    assert "No LlamaDeployments here" in in_namespace(world, "top").stdout
    world.add_nodes(gpu_node("a100-0", A100, 3))
    world.apply("big", {"size": "70b", "format": "awq"})
    world.apply("small", {"size": "8b", "format": "awq", "replicas": 2})
    world.wait_ready("big")
    world.wait_ready("small")
    done = in_namespace(world, "top")
    assert done.returncode == 0, done.stderr
    _, small, big, last = done.stdout.splitlines()
    assert small.split()[:5] == [f"{world.namespace}/small", "Serving", "2/2", "2", A100]
    assert big.split()[:5] == [f"{world.namespace}/big", "Serving", "1/1", "1", A100]
    assert last.startswith("3 GPUs in all")
    rows = json.loads(llama_operator(world, "top", "-A", "-o", "json").stdout)
    assert {(row["name"], row["gpus"]) for row in rows} >= {("small", 2), ("big", 1)}


def test_replan_by_kubectl_has_a_deployment_planned_anew(
    world: World, operator: OperatorProcess
) -> None:
    world.add_nodes(gpu_node("a100-0", A100, 1))
    world.apply("small", {"size": "8b", "format": "awq"})
    before = world.wait_ready("small")
    uids = world.pod_uids("small")

    def kubectl_llama(*arguments: str) -> str:
        path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
        done = subprocess.run(
            [world.plane.binaries.kubectl, "llama", *arguments, "-n", world.namespace],
            env={**os.environ, "PATH": path, "KUBECONFIG": str(world.plane.kubeconfig)},
            capture_output=True,
            text=True,
            check=True,
            timeout=60,
        )
        return done.stdout

    assert "recommends nothing else" in kubectl_llama("replan", "small", "--dry-run")
    assert (
        world.llama("small")["metadata"]["resourceVersion"]
        == (before["metadata"]["resourceVersion"])
    )
    assert "is planned anew" in kubectl_llama("replan", "small")
    world.wait("a new revision", lambda: len(world.owned("controllerrevisions")) == 2)
    world.wait_ready("small")
    assert world.pod_uids("small") == uids


def test_explain_reads_the_deployment_and_leaves_its_own_pods_out(
    world: World, operator: OperatorProcess
) -> None:
    world.add_nodes(gpu_node("a100-0", A100, 2), gpu_node("a10g-0", "NVIDIA-A10G", 4))
    world.apply("big", {"size": "70b", "format": "awq"})
    plan = world.wait_ready("big")["status"]["plan"]
    assert plan["usdPerHour"] == "3.4309"
    assert "Usd Per Hour:" in world.kubectl("describe", "llama", "big")
    where = ("-n", world.namespace)
    done = llama_operator(world, "explain", "big", *where, "-o", "json", stdin="")
    assert done.returncode == 0, done.stderr
    [chosen] = [row for row in json.loads(done.stdout)["candidates"] if row["verdict"] == "Chosen"]
    assert (chosen["product"], chosen["count"], chosen["fitsNow"]) == (A100, 1, True)
    shown = llama_operator(world, "explain", "big", *where, stdin="")
    assert "costs 4.024 instead of 3.4309 USD" in " ".join(shown.stdout.split())
    gone = llama_operator(world, "explain", "small", *where, stdin="")
    assert gone.returncode == 2
    assert f"namespace {world.namespace} has no LlamaDeployment small" in gone.stderr


def test_an_edit_is_told_with_what_was_before(world: World, operator: OperatorProcess) -> None:
    world.add_nodes(gpu_node("a100-0", A100, 4))
    world.apply("big", {"size": "70b", "format": "awq"})
    world.wait_ready("big")
    world.apply("big", {"size": "70b", "format": "awq", "context": {"maxModelLen": 131072}})

    def notes() -> list[str]:
        events = json.loads(world.kubectl("get", "events.events.k8s.io", "-o", "json"))["items"]
        return [event["note"] for event in events if event["reason"] == "Planned"]

    world.wait("the second plan", lambda: len(notes()) == 2)
    assert any(
        note.startswith(f"GPUs 1x {A100} -> 2x {A100}; context 54,224 -> 131,072; ")
        for note in notes()
    )
