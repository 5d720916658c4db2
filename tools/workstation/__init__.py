"""The operator of this checkout on the embedded control plane: for tests, demo and benchmark."""

from workstation.install import NAMESPACE, SERVICE_ACCOUNT, install
from workstation.operator_process import OperatorProcess

__all__ = ["NAMESPACE", "SERVICE_ACCOUNT", "OperatorProcess", "install"]
