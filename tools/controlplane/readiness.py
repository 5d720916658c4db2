"""When a control plane counts as started, and why it did not."""

import http.client
import ssl
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from controlplane.components import Component
from controlplane.errors import ApiError, StartError
from controlplane.rest import ApiClient
from controlplane.supervision import SupervisorClient
from controlplane.waiting import wait_until

_SHOWN_LOG_LINES = 15
# The API server calls itself ready before the roles of the controllers exist, and pods are refused
# until their namespace has its service account.
_BOOTSTRAPPED = (
    "/apis/rbac.authorization.k8s.io/v1/clusterroles/system:controller:statefulset-controller",
    "/api/v1/namespaces/default/serviceaccounts/default",
)
_NOT_READY = "node.kubernetes.io/not-ready"


class Readiness:
    """Waits for components and for what they set up, and fails as soon as one of them ends.

    Args:
        supervisor: tells which components live.
        logs: folder of `NAME.log` files.
        ca_file: certificate that serving certificates are checked against.
        timeout: seconds for each wait.
    """

    def __init__(
        self, supervisor: SupervisorClient, logs: Path, ca_file: Path, timeout: float
    ) -> None:
        self._supervisor = supervisor
        self._logs = logs
        self._timeout = timeout
        self._tls = ssl.create_default_context(cafile=str(ca_file))

    def wait_healthy(self, component: Component) -> None:
        """Wait until a component says that it is up.

        Raises:
            StartError: a component ended, or time is over; with the last lines of its log.
        """
        self._wait(component.name, lambda: self._answers_200(component.health))

    def wait_bootstrapped(self, api: ApiClient) -> None:
        """Wait until roles and the first service account exist.

        Raises:
            StartError: a component ended, or time is over.
        """
        self._wait(
            "kube-controller-manager", lambda: all(exists(api, path) for path in _BOOTSTRAPPED)
        )

    def wait_nodes(self, api: ApiClient, names: set[str]) -> None:
        """Wait until these nodes are Ready and take pods.

        Raises:
            StartError: a component ended, or time is over.
        """
        self._wait("kwok", lambda: names <= ready_nodes(api))

    def _wait(self, name: str, condition: Callable[[], bool]) -> None:
        def checked() -> bool:
            self._raise_for_ended()
            return condition()

        try:
            wait_until(name, checked, timeout=self._timeout, interval=0.03, pending=(ApiError,))
        except TimeoutError as error:
            raise StartError(f"{error}\n{self._log_of(name)}") from error

    def _raise_for_ended(self) -> None:
        for name, state in self._supervisor.status().items():
            if state.state == "ended":
                raise StartError(
                    f"{name} ended with exit code {state.exit_code}\n{self._log_of(name)}"
                )

    def _log_of(self, name: str) -> str:
        log = self._logs / f"{name}.log"
        lines = log.read_text(errors="replace").splitlines() if log.exists() else []
        shown = "\n".join(f"  {line}" for line in lines[-_SHOWN_LOG_LINES:])
        return f"last lines of {log}:\n{shown or '  (empty)'}"

    def _answers_200(self, url: str) -> bool:
        parts = urlsplit(url)
        assert parts.hostname is not None
        connection = (
            http.client.HTTPSConnection(parts.hostname, parts.port, timeout=5, context=self._tls)
            if parts.scheme == "https"
            else http.client.HTTPConnection(parts.hostname, parts.port, timeout=5)
        )
        try:
            connection.request("GET", parts.path)
            return connection.getresponse().status == http.client.OK
        except (OSError, http.client.HTTPException):
            return False
        finally:
            connection.close()


def exists(api: ApiClient, path: str) -> bool:
    """Whether an object exists.

    Raises:
        ApiError: another error than 404.
    """
    try:
        api.get(path)
    except ApiError as error:
        if error.code == http.client.NOT_FOUND:
            return False
        raise
    return True


def ready_nodes(api: ApiClient) -> set[str]:
    """Names of the nodes that are Ready and no longer tainted as not ready."""
    return {node["metadata"]["name"] for node in api.get("/api/v1/nodes")["items"] if _ready(node)}


def _ready(node: dict[str, Any]) -> bool:
    conditions = node["status"].get("conditions", [])
    taints = node["spec"].get("taints", [])
    return any(one["type"] == "Ready" and one["status"] == "True" for one in conditions) and all(
        taint["key"] != _NOT_READY for taint in taints
    )
