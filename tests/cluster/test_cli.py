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
