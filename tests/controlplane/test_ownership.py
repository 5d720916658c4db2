"""Nothing outlives its owner, and nothing but its own processes is ended."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from controlplane import ControlPlane, folders, processes
from controlplane.errors import FolderError, StartError
from controlplane.waiting import wait_until

pytestmark = pytest.mark.cluster

TOOLS = Path(__file__).resolve().parents[2] / "tools"
OWNER = """
import signal
from controlplane import ControlPlane
with ControlPlane.start() as plane:
    print(plane.directory, flush=True)
    signal.pause()
"""


class Owner:
    """Another process that holds a control plane."""

    def __init__(self) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-c", OWNER],
            env=os.environ | {"PYTHONPATH": str(TOOLS)},
            stdout=subprocess.PIPE,
            text=True,
        )
        assert self.process.stdout is not None
        self.directory = Path(self.process.stdout.readline().strip())

    def processes(self) -> list[int]:
        return processes.marked().get(self.directory, [])

    def supervisor(self) -> int:
        (found,) = (
            pid
            for pid in self.processes()
            if b"controlplane.supervisor" in Path(f"/proc/{pid}/cmdline").read_bytes()
        )
        return found


@pytest.fixture
def owner(own_temporary_folder: Path) -> Iterator[Owner]:
    started = Owner()
    yield started
    started.process.kill()
    started.process.communicate()
    processes.end(started.directory)


def command(*arguments: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [sys.executable, str(TOOLS / "controlplane"), *arguments],
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )


def test_a_killed_owner_leaves_no_process_and_no_folder(owner: Owner) -> None:
    assert len(owner.processes()) == 6
    owner.process.kill()
    wait_until("end of all processes", lambda: not owner.processes())
    wait_until("end of the folder", lambda: not owner.directory.exists())


def test_when_owner_and_supervisor_are_killed_the_next_start_removes_the_folder(
    owner: Owner,
) -> None:
    supervisor = owner.supervisor()
    os.kill(supervisor, signal.SIGSTOP)  # else it would clean up before it is killed itself
    owner.process.kill()
    owner.process.wait()
    os.kill(supervisor, signal.SIGKILL)
    wait_until("end of all processes", lambda: not owner.processes())
    assert owner.directory.exists()
    with ControlPlane.start(kwok=False):
        assert not owner.directory.exists()


def test_two_control_planes_live_side_by_side(owner: Owner, plane: ControlPlane) -> None:
    with ControlPlane.attach(owner.directory) as other:
        assert other.server != plane.server
        other.kubectl("create", "namespace", "only-there")
        assert plane.kubectl("get", "namespace", "only-there", check=False).returncode == 1
    assert not owner.processes()
    assert plane.api.get("/readyz") == "ok"


def test_leaving_the_context_ends_all_and_removes_the_folder(own_temporary_folder: Path) -> None:
    with ControlPlane.start(kwok=False) as plane:
        assert set(plane.components()) == {
            "etcd",
            "kube-apiserver",
            "kube-controller-manager",
            "kube-scheduler",
        }
    assert plane.directory not in processes.marked()
    assert not plane.directory.exists()
    plane.stop()


def test_a_detached_control_plane_stays_until_down(tmp_path: Path) -> None:
    nodes = tmp_path / "nodes.yaml"
    nodes.write_text("nodes: [{name: cpu}]")
    directory = tmp_path / "run"
    up = command("up", "--directory", str(directory), "--nodes", str(nodes), "--detach")
    try:
        assert up.returncode == 0, up.stderr
        plane = ControlPlane.attach(directory)
        assert up.stdout == f"{plane.kubeconfig}\n"
        assert plane.kubectl("get", "nodes", "-o", "name").stdout == "node/cpu\n"
        status = command("status", "--directory", str(directory))
        assert status.returncode == 0
        assert status.stdout.count("running") == 5
        with pytest.raises(FolderError, match="end it with `down` first"):
            folders.take_over(directory, patience=0.1)
    finally:
        down = command("down", "--directory", str(directory))
    assert (down.returncode, down.stderr) == (0, f"ended {directory}\n")
    assert not directory.exists()
    assert directory not in processes.marked()
    assert command("status", "--directory", str(directory)).returncode == 1
    again = command("down", "--directory", str(directory))
    assert (again.returncode, again.stderr) == (0, f"nothing ran in {directory}\n")


def test_up_ends_what_a_killed_supervisor_left(tmp_path: Path) -> None:
    stale = folders.take_over(tmp_path)
    stale.make_folders()
    left_over = subprocess.Popen(
        ["sleep", "600"], env=os.environ | {processes.MARKER: str(tmp_path)}
    )
    bystander = subprocess.Popen(["sleep", "600"], cwd=tmp_path)
    stale.unlock()
    try:
        with ControlPlane.start(directory=tmp_path, kwok=False):
            assert left_over.wait(5) == -signal.SIGKILL
            assert bystander.poll() is None
    finally:
        for process in (left_over, bystander):
            process.kill()
            process.wait()


def test_a_component_that_dies_at_start_is_named_with_its_log(tmp_path: Path) -> None:
    broken = tmp_path / "stages.yaml"
    broken.write_text("apiVersion: kwok.x-k8s.io/v1alpha1\nkind: Stage\n")
    directory = tmp_path / "run"
    with pytest.raises(StartError) as raised:
        ControlPlane.start(directory=directory, stages=broken)
    text = str(raised.value)
    assert text.startswith("kwok ended with exit code 1")
    assert f"last lines of {directory}/logs/kwok.log:\n  " in text
    assert (directory / "logs" / "kwok.log").exists()
    assert directory not in processes.marked()


@pytest.mark.parametrize(
    ("arguments", "code", "complaint"),
    [
        pytest.param(["build", "kubelet"], 2, "kubelet is not one of", id="unknown program"),
        pytest.param(["up"], 2, "--directory", id="no directory"),
        pytest.param(
            ["up", "--directory", "{tmp}/run", "--nodes", "{tmp}/none"], 2, "No such", id="no nodes"
        ),
        pytest.param(["up", "--directory", "{tmp}"], 2, "it holds file", id="a foreign folder"),
    ],
)
def test_wrong_use_is_explained(
    tmp_path: Path, arguments: list[str], code: int, complaint: str
) -> None:
    (tmp_path / "file").touch()
    done = command(*(one.format(tmp=tmp_path) for one in arguments))
    assert done.returncode == code
    assert complaint in done.stderr
    assert "Traceback" not in done.stderr
