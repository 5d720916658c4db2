"""Kustomize overlays and Helm releases of several deployments; least privilege by the audit log."""

import subprocess
from pathlib import Path

import pytest
import yaml

from cluster.world import World, gpu_node
from verification.rights import Right, asked, compare, of_rule
from workstation import OperatorProcess
from workstation.install import OPERATOR_USER

pytestmark = pytest.mark.cluster

ROOT = Path(__file__).resolve().parents[2]
A100 = "NVIDIA-A100-SXM4-80GB"


def test_a_kustomize_overlay_of_several_deployments_works(
    world: World, operator: OperatorProcess
) -> None:
    world.add_nodes(gpu_node("a100-0", A100, 8))
    base, overlay = world.directory / "base", world.directory / "overlay"
    base.mkdir()
    overlay.mkdir()
    for name, spec in (("chat", {"size": "8b", "format": "awq"}), ("code", {"size": "8b"})):
        (base / f"{name}.yaml").write_text(world.manifest(name, spec))
    (base / "kustomization.yaml").write_text("resources: [chat.yaml, code.yaml]\n")
    (overlay / "kustomization.yaml").write_text(
        yaml.safe_dump(
            {
                "namespace": world.namespace,
                "namePrefix": "prod-",
                "labels": [{"pairs": {"team": "ml"}}],
                "resources": ["../base"],
                "patches": [
                    {
                        "target": {"kind": "LlamaDeployment", "name": "code"},
                        "patch": "- {op: add, path: /spec/format, value: gptq}",
                    }
                ],
            }
        )
    )
    world.kubectl("apply", "-k", str(overlay))
    for name, format_name in (("prod-chat", "awq"), ("prod-code", "gptq")):
        assert world.wait_ready(name)["status"]["plan"]["format"] == format_name
    again = world.kubectl("apply", "-k", str(overlay))
    assert again.count("unchanged") == 2


def test_a_helm_release_of_several_deployments_upgrades_and_uninstalls(
    world: World, operator: OperatorProcess
) -> None:
    world.add_nodes(gpu_node("a100-0", A100, 8))
    chart = world.directory / "models"
    (chart / "templates").mkdir(parents=True)
    (chart / "Chart.yaml").write_text("{apiVersion: v2, name: models, version: 1.0.0}\n")
    (chart / "values.yaml").write_text("context: 8192\n")
    for name in ("one", "two"):
        spec = {"size": "8b", "format": "awq", "context": {"maxModelLen": "CONTEXT"}}
        text = world.manifest(name, spec).replace("CONTEXT", "{{ .Values.context }}")
        (chart / "templates" / f"{name}.yaml").write_text(text)

    def helm(*arguments: str) -> None:
        subprocess.run(
            [
                str(world.plane.binaries.helm), *arguments,
                "--namespace", world.namespace, "--kubeconfig", str(world.plane.kubeconfig),
            ],
            check=True,
            capture_output=True,
        )  # fmt: skip

    helm("install", "models", str(chart))
    for name in ("one", "two"):
        assert world.wait_ready(name)["status"]["plan"]["maxModelLen"] == 8192
    helm("upgrade", "models", str(chart), "--set", "context=16384")
    for name in ("one", "two"):
        assert world.wait_ready(name)["status"]["plan"]["maxModelLen"] == 16384
    helm("uninstall", "models", "--wait")
    world.wait("all children are gone", lambda: not any(world.children().values()))


def test_the_operator_asks_for_nothing_it_has_no_right_to(
    world: World, operator: OperatorProcess
) -> None:
    """By the roles as they are installed; tests/run.py also finds rights that no test uses."""
    world.add_nodes(gpu_node("a100-0", A100, 8))
    world.apply("small", {"size": "8b", "format": "awq", "replicas": 2})
    world.wait_ready("small")
    world.apply("small", {"size": "8b", "format": "awq", "replicas": 1})
    world.wait("the budget is gone", lambda: not world.children()["poddisruptionbudgets"])
    granted: set[Right] = set()
    for kind in ("clusterrole", "role -n llama-operator-system"):
        answer = world.plane.kubectl("get", *kind.split(), "llama-operator", "-o", "yaml").stdout
        granted |= {right for rule in yaml.safe_load(answer)["rules"] for right in of_rule(rule)}
    used = asked(world.plane.audit_events(OPERATOR_USER))
    assert len(used) > 20
    assert compare(frozenset(granted), used).ungranted == ()
    assert not any("*" in part for right in granted for part in right)
    assert not any(right.resource in ("secrets", "pods/log") for right in granted)
