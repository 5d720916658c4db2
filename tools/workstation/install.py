"""Installs what the operator needs besides its process: CRD, namespace, identity and rights."""

import subprocess
from pathlib import Path
from typing import Final

import yaml

from controlplane import ControlPlane, wait_until

ROOT: Final = Path(__file__).resolve().parents[2]
BASE: Final = ROOT / "manifests"
NAMESPACE: Final = "llama-operator-system"
SERVICE_ACCOUNT: Final = "llama-operator"
OPERATOR_USER: Final = f"system:serviceaccount:{NAMESPACE}:{SERVICE_ACCOUNT}"
_KINDS: Final = frozenset(
    {
        "Namespace",
        "CustomResourceDefinition",
        "ServiceAccount",
        "ClusterRole",
        "ClusterRoleBinding",
        "Role",
        "RoleBinding",
    }
)
"""The Deployment and what belongs to it are left out: the process runs on this machine."""


def install(control_plane: ControlPlane) -> None:
    """Apply the kustomize base without its workload, and wait until the CRD is served."""
    text = subprocess.run(
        [str(control_plane.binaries.kubectl), "kustomize", str(BASE)],
        check=True,
        capture_output=True,
        text=True,
    ).stdout
    objects = [
        item for item in yaml.safe_load_all(text) if item is not None and item["kind"] in _KINDS
    ]
    control_plane.apply([item for item in objects if item["kind"] == "Namespace"])
    control_plane.apply([item for item in objects if item["kind"] != "Namespace"], server_side=True)
    control_plane.kubectl(
        "wait",
        "--for=condition=Established",
        "crd/llamadeployments.llama-operator.io",
        "--timeout=30s",
    )
    wait_until(
        "LlamaDeployments are served",
        lambda: control_plane.kubectl("get", "llama", "-A", check=False).returncode == 0,
        timeout=30,
    )
