"""A control plane with the CRD and a namespace for cases."""

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from api.server import NAMESPACE, Server
from controlplane import ControlPlane, wait_until
from llama_operator.api.v1alpha1 import GROUP, PLURAL

CRD = Path(__file__).parents[2] / "crds" / f"{PLURAL}.{GROUP}.yaml"


@pytest.fixture(scope="session")
def crd(control_plane: ControlPlane) -> ControlPlane:
    """The control plane with the CRD of this checkout."""
    control_plane.kubectl("apply", "--server-side", "--force-conflicts", "-f", str(CRD))
    name = f"{PLURAL}.{GROUP}"
    control_plane.kubectl("wait", "--for=condition=Established", f"crd/{name}", "--timeout=30s")
    # Established does not mean that it is served already, nor that its schema is published.
    explain = ("explain", "llama.spec.size")
    wait_until(
        "kubectl knows the kind",
        lambda: control_plane.kubectl(*explain, check=False).returncode == 0,
    )
    return control_plane


@pytest.fixture(scope="session")
def server(crd: ControlPlane) -> Iterator[Server]:
    """The API server with a namespace for cases."""
    namespace = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": NAMESPACE}}
    with closing(Server(crd)) as server:
        server.request("POST", "/api/v1/namespaces", namespace)
        yield server
        server.request("DELETE", f"/api/v1/namespaces/{NAMESPACE}")
