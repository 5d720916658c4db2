"""The control plane as an object: what tests, demo and benchmark use."""

import json
import os
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from controlplane import audit, components, credentials, startup
from controlplane.audit import AuditEvent
from controlplane.binaries import Binaries
from controlplane.components import Component
from controlplane.errors import ApiError, ControlPlaneError, KubectlError
from controlplane.folders import RunFolder
from controlplane.nodes import GpuNode
from controlplane.nodes_file import load_nodes
from controlplane.progress import Progress, SilentProgress
from controlplane.readiness import Readiness
from controlplane.rest import ApiClient
from controlplane.startup import State
from controlplane.supervision import ComponentState, SupervisorClient

START_SECONDS = 120.0
_NODE_LEASES = "/apis/coordination.k8s.io/v1/namespaces/kube-node-lease/leases"
_TOKEN_DURATION = "8760h"  # noqa: S105 - a duration, not a secret


class ControlPlane:
    """A running control plane; `start` makes one, `attach` finds one that runs already.

    As a context manager it ends on leaving. It also ends, with its folder, when the process that
    started it ends in any way.

    Attributes:
        directory: the run folder.
        server: URL of the API server, on the loopback interface.
        ca_file: certificate that the API server's is checked against.
        kubeconfig: kubeconfig of the admin, a member of system:masters.
        admin_token: bearer token of the admin.
        audit_log: JSON lines, one per answered request.
        binaries: the programs, with kubectl and helm of the pinned versions.
    """

    def __init__(
        self,
        folder: RunFolder,
        state: State,
        binaries: Binaries,
        supervisor: "subprocess.Popen[bytes] | None" = None,
    ) -> None:
        self.directory = folder.path
        self.server = state.server
        self.ca_file = folder.pki / "ca.crt"
        self.kubeconfig = folder.kubeconfigs / f"{credentials.ADMIN}.kubeconfig"
        self.admin_token = state.admin_token
        self.audit_log = components.audit_log(folder)
        self.binaries = binaries
        self._folder = folder
        self._state = state
        self._process = supervisor
        self._supervisor = SupervisorClient(folder.path)
        self._readiness = Readiness(self._supervisor, folder.logs, self.ca_file, START_SECONDS)
        self._api = self.api_client()

    @classmethod
    def start(
        cls,
        nodes: Path | Sequence[GpuNode] | None = None,
        *,
        kwok: bool = True,
        directory: Path | None = None,
        progress: Progress | None = None,
        stages: Path | None = None,
        api_server_flags: Sequence[str] = (),
    ) -> Self:
        """Start a control plane and wait until it takes pods.

        Args:
            nodes: simulated nodes, or a nodes file.
            kwok: whether KWOK plays the kubelets; without it no node becomes ready.
            directory: run folder; None makes a temporary one.
            progress: hears of builds and of the steps of the start.
            stages: KWOK stages that replace the fast ones.
            api_server_flags: more flags of the API server, such as admission plugins.

        Raises:
            ControlPlaneError: it could not start; the text says why.
        """
        listed = load_nodes(nodes) if isinstance(nodes, Path) else list(nodes or ())
        progress = progress or SilentProgress()
        binaries = Binaries(progress)
        folder, state, supervisor = startup.begin(
            binaries,
            progress,
            directory=directory,
            kwok=kwok,
            stages=stages,
            timeout=START_SECONDS,
            api_server_flags=api_server_flags,
        )
        plane = cls(folder, state, binaries, supervisor)
        try:
            audit.keep(plane.audit_log)
            plane.add_nodes(listed, wait=kwok)
        except BaseException:
            plane.stop(remove=False)
            raise
        return plane

    @classmethod
    def attach(cls, directory: Path) -> Self:
        """Use a control plane that another process has started in `directory`.

        Raises:
            FolderError: none was started there.
        """
        folder = RunFolder(directory.resolve())
        return cls(folder, State.load(folder.state), Binaries())

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.stop()

    def stop(self, *, remove: bool = True) -> None:
        """End every process, and remove the run folder unless told otherwise; safe to repeat."""
        self._api.close()
        startup.end(self.directory, self._process, remove=remove)

    def detach(self) -> None:
        """Let the control plane outlive this process; `attach` and `stop` end it later."""
        self._supervisor.detach()

    def kubectl(
        self,
        *args: str,
        input: str | None = None,
        check: bool = True,
        timeout: float = 60.0,
    ) -> "subprocess.CompletedProcess[str]":
        """Run kubectl as the admin, or as whom a `--kubeconfig` among the arguments names.

        Raises:
            KubectlError: it failed and `check` is true, or it took longer than `timeout` seconds.
        """
        environment = os.environ | {
            "KUBECONFIG": str(self.kubeconfig),
            "HOME": str(self._folder.home),  # no settings of the user, no cache in their home
        }
        try:
            done = subprocess.run(
                [self.binaries.kubectl, *args],
                env=environment,
                input=input or "",
                capture_output=True,
                text=True,
                check=False,
                timeout=timeout,
            )
        except subprocess.TimeoutExpired as error:
            raise KubectlError(args, -1, "", f"no end after {timeout:g} s") from error
        if check and done.returncode != 0:
            raise KubectlError(args, done.returncode, done.stdout, done.stderr)
        return done

    def apply(
        self,
        manifest: str | Mapping[str, Any] | Sequence[Mapping[str, Any]],
        *,
        server_side: bool = False,
    ) -> str:
        """Apply YAML text, an object or a list of objects; gives what kubectl printed."""
        if isinstance(manifest, Mapping):
            manifest = json.dumps(manifest)
        elif not isinstance(manifest, str):
            manifest = json.dumps({"apiVersion": "v1", "kind": "List", "items": list(manifest)})
        how = ("--server-side",) if server_side else ()
        return self.kubectl("apply", *how, "-f", "-", input=manifest).stdout

    @property
    def api(self) -> ApiClient:
        """REST client of the admin for quick polling from one thread."""
        return self._api

    def api_client(self, token: str | None = None, timeout: float = 30.0) -> ApiClient:
        """Make a REST client, of the admin or of whom the token belongs to."""
        return ApiClient(self.server, self.ca_file, token or self.admin_token, timeout)

    def add_nodes(self, nodes: Sequence[GpuNode], *, wait: bool = True) -> None:
        """Create simulated nodes.

        Args:
            nodes: nodes that do not exist yet.
            wait: return only when all are Ready and take pods.

        Raises:
            ApiError: a node was refused.
            StartError: they did not become ready.
        """
        if not nodes:
            return
        startup.create_nodes(self._state, self.ca_file, nodes)
        if wait:
            self._readiness.wait_nodes(self._api, {node.name for node in nodes})

    def remove_nodes(self, names: Sequence[str]) -> None:
        """Delete nodes; their pods go when the pod garbage collector finds them orphaned.

        Raises:
            ApiError: a node does not exist.
        """
        for name in names:
            self._api.delete(f"/api/v1/nodes/{name}")

    def service_account_kubeconfig(
        self, namespace: str, name: str, user_dir: Path | None = None
    ) -> Path:
        """Write a kubeconfig of an existing service account.

        Args:
            namespace: its namespace, and the default one of the kubeconfig.
            name: its name.
            user_dir: folder for the file; None means the run folder.
        """
        account = ("--namespace", namespace, name)
        token = self.kubectl("create", "token", f"--duration={_TOKEN_DURATION}", *account).stdout
        path = (user_dir or self._folder.kubeconfigs) / f"{namespace}-{name}.kubeconfig"
        credentials.write_kubeconfig(
            path, self.server, self.ca_file, name, token.strip(), namespace
        )
        return path

    def audit_position(self) -> int:
        """Mark the present end of the audit log, for `audit_events`."""
        return audit.position(self.audit_log)

    def audit_events(self, user: str | None = None, since: int = 0) -> Iterator[AuditEvent]:
        """Give the audit events of one user, or of everybody, after a position."""
        return audit.read(self.audit_log, user, since)

    def components(self) -> dict[str, ComponentState]:
        """State of every component."""
        return self._supervisor.status()

    def stop_component(self, name: str, *, kill: bool = False, seconds: float = 20.0) -> None:
        """End one component and leave the others alone.

        Args:
            name: such as kube-apiserver.
            kill: SIGKILL at once instead of SIGTERM; etcd takes some seconds to end politely.
            seconds: how long SIGTERM has before SIGKILL follows.
        """
        self._supervisor.stop(self._component(name).name, kill=kill, seconds=seconds)

    def start_component(self, name: str, *, wait: bool = True) -> None:
        """Start a stopped component again, on the same port and with the same data.

        Raises:
            StartError: it did not become healthy.
        """
        component = self._component(name)
        if name == components.KWOK:
            # Each KWOK process has a name of its own, and would wait until the leases that its
            # predecessor holds expire.
            with suppress(ApiError):
                self._api.delete(_NODE_LEASES)
        startup.start_component(self._supervisor, self._folder, component)
        if not wait:
            return
        self._readiness.wait_healthy(component)
        api_server = self.components()[components.API_SERVER]
        if name == components.ETCD and api_server.state == "running":
            # It takes some seconds until it tries etcd again.
            self._readiness.wait_healthy(self._component(components.API_SERVER))

    def pause(self, name: str) -> None:
        """Freeze one component: its connections stay open and nothing is answered."""
        self._supervisor.pause(self._component(name).name)

    def resume(self, name: str) -> None:
        """Let a frozen component go on."""
        self._supervisor.resume(self._component(name).name)

    def log(self, name: str) -> Path:
        """Log file of one component."""
        return self._folder.logs / f"{self._component(name).name}.log"

    def _component(self, name: str) -> Component:
        if name not in self._state.components:
            known = ", ".join(self._state.components)
            raise ControlPlaneError(f"no component {name} runs here; there are {known}")
        return self._state.components[name]
