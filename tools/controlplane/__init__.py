"""An embedded Kubernetes control plane with simulated GPU nodes, without containers."""

from controlplane.audit import AuditEvent
from controlplane.binaries import Binaries
from controlplane.errors import ApiError, ControlPlaneError, KubectlError, NodesFileError
from controlplane.nodes import GpuNode, Taint
from controlplane.nodes_file import load_nodes
from controlplane.plane import ControlPlane
from controlplane.rest import ApiClient
from controlplane.waiting import wait_until

__all__ = [
    "ApiClient",
    "ApiError",
    "AuditEvent",
    "Binaries",
    "ControlPlane",
    "ControlPlaneError",
    "GpuNode",
    "KubectlError",
    "NodesFileError",
    "Taint",
    "load_nodes",
    "wait_until",
]
