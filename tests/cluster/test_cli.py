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


def llama_operator(world: World, *arguments: str, stdin: str) -> subprocess.CompletedProcess[str]:
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
