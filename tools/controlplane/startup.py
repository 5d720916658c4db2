"""Bringing a control plane up, from an empty folder to one that takes pods."""

import json
import subprocess
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from controlplane import components, credentials, folders, processes
from controlplane.binaries import CONTROL_PLANE, PKI, STAGES, Binaries
from controlplane.components import Component
from controlplane.errors import FolderError, SupervisorError
from controlplane.folders import RunFolder
from controlplane.nodes import GpuNode
from controlplane.progress import Progress
from controlplane.readiness import Readiness
from controlplane.rest import ApiClient
from controlplane.supervision import SupervisorClient, launch, reserve_ports
from controlplane.waiting import wait_until

_END_SECONDS = 15.0
_NODE_WRITERS = 4


@dataclass(frozen=True)
class State:
    """What another process needs in order to use a running control plane.

    Attributes:
        server: URL of the API server.
        admin_token: token of a member of system:masters.
        components: by name, with their command lines.
    """

    server: str
    admin_token: str
    components: dict[str, Component]

    def save(self, path: Path) -> None:
        """Write the state in one step, readable by its owner only."""
        unfinished = path.with_name(f".{path.name}")
        credentials.write_private(unfinished, json.dumps(asdict(self), indent=2) + "\n")
        unfinished.replace(path)

    @classmethod
    def load(cls, path: Path) -> "State":
        """Read the state of a running control plane.

        Raises:
            FolderError: there is none.
        """
        try:
            content: dict[str, Any] = json.loads(path.read_text())
        except FileNotFoundError as error:
            raise FolderError(f"no control plane was started in {path.parent}") from error
        listed = {
            name: Component(one["name"], tuple(one["arguments"]), one["health"])
            for name, one in content["components"].items()
        }
        return cls(content["server"], content["admin_token"], listed)


def begin(
    binaries: Binaries,
    progress: Progress,
    *,
    directory: Path | None,
    kwok: bool,
    stages: Path | None,
    timeout: float,
    api_server_flags: Sequence[str] = (),
) -> tuple[RunFolder, State, "subprocess.Popen[bytes]"]:
    """Start all components and wait until the control plane does its work.

    When that fails everything is ended, and the folder is left with its logs; the next start
    removes it.

    Raises:
        FolderError: the folder is in use or not ours.
        StartError: a component ended or did not become ready.
    """
    binaries.ensure((*CONTROL_PLANE, PKI, STAGES))
    folder = folders.take_over(directory) if directory else folders.create_temporary()
    folder.make_folders()
    ports, reserved = reserve_ports(components.PORTS)
    server = f"https://127.0.0.1:{ports[components.API_SERVER]}"
    supervisor = launch(folder, reserved)
    try:
        issued = credentials.issue(binaries.pki, folder, server)
        listed = components.describe(
            binaries,
            folder,
            issued,
            ports,
            (stages or binaries.stages) if kwok else None,
            api_server_flags,
        )
        state = State(server, issued.tokens[credentials.ADMIN], listed)
        state.save(folder.state)
        _start_all(folder, state, issued.ca_file, progress, timeout)
    except BaseException:
        end(folder.path, supervisor, remove=False)
        raise
    return folder, state, supervisor


def _start_all(
    folder: RunFolder, state: State, ca_file: Path, progress: Progress, timeout: float
) -> None:
    client = SupervisorClient(folder.path)
    readiness = Readiness(client, folder.logs, ca_file, timeout)
    first = [components.ETCD, components.API_SERVER]
    rest = [name for name in state.components if name not in first]
    with progress.step(f"start {' and '.join(first)}", 1, 3):
        for name in first:
            start_component(client, folder, state.components[name])
        readiness.wait_healthy(state.components[components.API_SERVER])
    with progress.step(f"start {', '.join(rest)}", 2, 3):
        for name in rest:
            start_component(client, folder, state.components[name])
        for name in rest:
            readiness.wait_healthy(state.components[name])
    with (
        progress.step("wait for roles and service accounts", 3, 3),
        ApiClient(state.server, ca_file, state.admin_token) as api,
    ):
        readiness.wait_bootstrapped(api)


def start_component(client: SupervisorClient, folder: RunFolder, component: Component) -> None:
    """Start one component with its log in the run folder."""
    client.start(component.name, component.arguments, folder.logs / f"{component.name}.log")


def end(run_folder: Path, supervisor: "subprocess.Popen[bytes] | None", *, remove: bool) -> None:
    """End the control plane of a run folder, whether or not its supervisor still answers.

    Args:
        run_folder: the folder.
        supervisor: its supervisor where this process is the owner.
        remove: whether the folder goes too.
    """
    with suppress(SupervisorError, TimeoutError, subprocess.TimeoutExpired):
        SupervisorClient(run_folder).shutdown(remove=remove)
        if supervisor is not None:
            supervisor.wait(_END_SECONDS)
        else:
            wait_until(
                f"end of {run_folder}",
                lambda: not folders.is_locked(run_folder),
                timeout=_END_SECONDS,
            )
    processes.end(run_folder)
    if supervisor is not None:
        supervisor.wait()
        if supervisor.stdin is not None:
            supervisor.stdin.close()
    if remove:
        folders.remove(run_folder)


def create_nodes(state: State, ca_file: Path, nodes: Iterable[GpuNode]) -> None:
    """Create Node objects, several at a time.

    Raises:
        ApiError: the API server refused one, for instance because it exists.
    """
    bodies = [node.manifest() for node in nodes]

    def write(share: list[dict[str, Any]]) -> None:
        with ApiClient(state.server, ca_file, state.admin_token) as api:
            for body in share:
                api.create("/api/v1/nodes", body)

    shares = [bodies[start::_NODE_WRITERS] for start in range(_NODE_WRITERS)]
    with ThreadPoolExecutor(_NODE_WRITERS) as writers:
        list(writers.map(write, [share for share in shares if share]))
