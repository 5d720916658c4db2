"""The supervisor, with `sleep` for a component: nothing is left behind, whatever happens."""

import os
import signal
import socket
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from controlplane import folders, processes
from controlplane.errors import SupervisorError
from controlplane.folders import RunFolder
from controlplane.startup import end
from controlplane.supervision import SupervisorClient, launch, reserve_ports
from controlplane.waiting import wait_until

SLEEP = ["sleep", "600"]


class Run:
    """A supervisor in a temporary run folder."""

    def __init__(self, folder: RunFolder) -> None:
        self.path = folder.path
        self.logs = folder.logs
        self.process = launch(folder, [])
        self.client = SupervisorClient(folder.path)

    def start(self, name: str, *arguments: str) -> int:
        self.client.start(name, arguments or SLEEP, self.logs / f"{name}.log")
        return self.client.status()[name].pid


@pytest.fixture
def run(own_temporary_folder: Path) -> Iterator[Run]:
    folder = folders.create_temporary()
    folder.make_folders()
    started = Run(folder)
    yield started
    end(started.path, started.process, remove=True)


def is_gone(pid: int) -> Callable[[], bool]:
    return lambda: not Path(f"/proc/{pid}").exists() or state_of(pid) == "Z"


def state_of(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return "gone"


def test_output_goes_to_the_log(run: Run) -> None:
    run.start("talker", "echo", "hello")
    wait_until("output", lambda: (run.logs / "talker.log").read_text() == "hello\n", timeout=5)


def test_a_component_that_ends_by_itself_is_told_from_one_that_was_stopped(run: Run) -> None:
    run.start("crashing", "sh", "-c", "exit 3")
    run.start("stopped")
    run.client.stop("stopped", kill=False, seconds=5)
    wait_until("end", lambda: run.client.status()["crashing"].state == "ended", timeout=5)
    states = run.client.status()
    assert states["crashing"].exit_code == 3
    assert (states["stopped"].state, states["stopped"].exit_code) == ("stopped", -signal.SIGTERM)


def test_a_paused_component_stands_still_and_goes_on(run: Run) -> None:
    pid = run.start("one")
    run.client.pause("one")
    wait_until("pause", lambda: state_of(pid) == "T", timeout=5)
    assert run.client.status()["one"].state == "paused"
    run.client.resume("one")
    wait_until("resume", lambda: state_of(pid) == "S", timeout=5)
    assert run.client.status()["one"].state == "running"


def test_a_paused_component_can_be_stopped_politely(run: Run) -> None:
    run.start("one")
    run.client.pause("one")
    run.client.stop("one", kill=False, seconds=5)
    assert run.client.status()["one"].exit_code == -signal.SIGTERM


def test_a_component_that_ignores_sigterm_is_killed(run: Run) -> None:
    run.start("stubborn", "sh", "-c", "trap '' TERM; echo ready; while :; do sleep 600; done")
    wait_until("trap", lambda: (run.logs / "stubborn.log").read_text() == "ready\n", timeout=5)
    run.client.stop("stubborn", kill=False, seconds=0.1)
    assert run.client.status()["stubborn"].exit_code == -signal.SIGKILL


@pytest.mark.parametrize(
    ("operation", "complaint"),
    [
        pytest.param(lambda run: run.start("one"), "one is running", id="started twice"),
        pytest.param(lambda run: run.start("two", "/no/such"), "No such file", id="no program"),
        pytest.param(lambda run: run.client.pause("three"), "'three' is not known", id="unknown"),
    ],
)
def test_a_request_that_makes_no_sense_is_refused(
    run: Run, operation: Callable[[Run], object], complaint: str
) -> None:
    run.start("one")
    with pytest.raises(SupervisorError, match=complaint):
        operation(run)
    assert run.client.status()["one"].state == "running"


def test_shutdown_ends_the_components_and_removes_the_folder(run: Run) -> None:
    pid = run.start("one")
    run.client.shutdown(remove=True)
    assert run.process.wait(10) == 0
    assert is_gone(pid)()
    assert not run.path.exists()


def test_shutdown_may_leave_the_folder_with_its_logs(run: Run) -> None:
    run.start("one")
    run.client.shutdown(remove=False)
    assert run.process.wait(10) == 0
    assert (run.logs / "one.log").exists()


def test_when_the_owner_is_gone_everything_goes(run: Run) -> None:
    pid = run.start("one")
    assert run.process.stdin is not None
    run.process.stdin.close()  # what the kernel does for a process that ends
    assert run.process.wait(10) == 0
    assert is_gone(pid)()
    assert not run.path.exists()


def test_a_detached_run_stays_when_its_owner_is_gone(run: Run) -> None:
    pid = run.start("one")
    run.client.detach()
    assert run.process.stdin is not None
    run.process.stdin.close()
    # By the second answer it has seen the end of the pipe, too.
    assert run.client.status()["one"].pid == pid
    assert run.client.status()["one"].pid == pid
    assert run.process.poll() is None


def test_sigterm_to_the_supervisor_ends_the_run_in_order(run: Run) -> None:
    pid = run.start("one")
    run.process.terminate()
    assert run.process.wait(10) == 0
    assert is_gone(pid)()
    assert not run.path.exists()


def test_a_killed_supervisor_takes_its_components_with_it(run: Run) -> None:
    pid = run.start("one")
    run.process.kill()
    run.process.wait()
    wait_until("end of the component", is_gone(pid), timeout=5)
    with pytest.raises(SupervisorError, match="does not answer"):
        run.client.status()


def test_the_next_start_removes_the_folder_of_a_killed_supervisor(run: Run) -> None:
    run.start("one")
    run.process.kill()
    run.process.wait()
    assert run.path.exists()
    following = folders.create_temporary()
    following.unlock()
    assert not run.path.exists()


def test_the_next_start_leaves_the_folder_of_a_living_supervisor(run: Run) -> None:
    following = folders.create_temporary()
    following.unlock()
    assert run.client.status() == {}


def test_components_get_no_descriptor_of_the_supervisor(run: Run) -> None:
    pid = run.start("one")
    # While it starts it has its libraries open too.
    wait_until(
        "standard descriptors alone",
        lambda: {entry.name for entry in Path(f"/proc/{pid}/fd").iterdir()} == {"0", "1", "2"},
        timeout=5,
    )


def test_reserved_ports_are_given_to_nobody_but_can_be_listened_on() -> None:
    ports, reserved = reserve_ports(["a", "b"])
    try:
        assert len(set(ports.values())) == 2
        with socket.create_server(("127.0.0.1", ports["a"])) as server:
            assert server.getsockname()[1] == ports["a"]
        others, more = reserve_ports([str(number) for number in range(200)])
        for one in more:
            one.close()
        assert not set(ports.values()) & set(others.values())
    finally:
        for one in reserved:
            one.close()


def test_only_processes_of_the_folder_are_ended(tmp_path: Path) -> None:
    mine, other = tmp_path / "mine", tmp_path / "other"
    sleepers = [
        subprocess.Popen(SLEEP, env=os.environ | {processes.MARKER: str(folder)})
        for folder in (mine, mine, other)
    ]
    try:
        wait_until("start", lambda: len(processes.marked().get(mine, [])) == 2, timeout=5)
        # A killed child of this process stays as a zombie, which has no environment any more.
        assert processes.end(mine) == sorted(sleeper.pid for sleeper in sleepers[:2])
        assert processes.marked()[other] == [sleepers[2].pid]
        assert processes.end(mine) == []
    finally:
        for sleeper in sleepers:
            sleeper.kill()
            sleeper.wait()
