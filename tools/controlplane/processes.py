"""Finding and ending exactly the processes of one run folder.

Every process of a control plane carries the path of its run folder in its environment. Reading
that from /proc finds all of them and no others, also when whoever started them is gone: there is
no list of process ids that could be out of date or point to a reused id.
"""

import ctypes
import os
import signal
import time
from pathlib import Path

from controlplane.waiting import wait_until

MARKER = "LLAMA_OPERATOR_CONTROLPLANE"

_PR_SET_PDEATHSIG = 1
_LIBC = ctypes.CDLL(None, use_errno=True)


def marked() -> dict[Path, list[int]]:
    """Process ids of all control planes of this user, by run folder."""
    found: dict[Path, list[int]] = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            folder = _folder_of(int(entry.name))
            if folder is not None:
                found.setdefault(folder, []).append(int(entry.name))
    return found


def end(folder: Path, timeout: float = 10.0) -> list[int]:
    """Kill every process of a run folder and wait until they are gone.

    Returns:
        The ids of the processes that were killed.

    Raises:
        TimeoutError: some were still there after `timeout` seconds.
    """
    killed: set[int] = set()
    deadline = time.monotonic() + timeout
    while pids := marked().get(folder, []):
        if time.monotonic() > deadline:
            raise TimeoutError(f"processes {pids} of {folder} do not end")
        for pid in pids:
            if _kill(pid, folder):
                killed.add(pid)
        time.sleep(0.01)
    return sorted(killed)


def wait_frozen(pid: int, timeout: float = 10.0) -> None:
    """Wait until every thread of a process that was sent SIGSTOP stands still, or has ended.

    The signal returns before that: on busy cores a thread may run on for a moment.

    Raises:
        TimeoutError: one still runs.
    """
    wait_until("all threads stand still", lambda: not _runs(pid), timeout=timeout, interval=0.005)


def die_with_parent(parent: int) -> None:
    """Ask the kernel to kill this process when the thread that made it ends, as `preexec_fn`.

    Args:
        parent: that made it; this process ends at once if it has ended before.
    """
    _LIBC.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:
        os._exit(1)


def _runs(pid: int) -> bool:
    try:
        stats = [task.read_text() for task in Path(f"/proc/{pid}/task").glob("*/stat")]
    except OSError:
        return False  # it ended
    # The state follows the name, which stands in brackets and may hold anything.
    return any(stat.rpartition(")")[2].split()[0] not in "TtZX" for stat in stats)


def _folder_of(pid: int) -> Path | None:
    try:
        environment = Path(f"/proc/{pid}/environ").read_bytes()
    except OSError:  # ended meanwhile, or another user's
        return None
    for variable in environment.split(b"\0"):
        name, _, value = variable.partition(b"=")
        if name == MARKER.encode():
            return Path(os.fsdecode(value))
    return None


def _kill(pid: int, folder: Path) -> bool:
    try:
        handle = os.pidfd_open(pid)
    except ProcessLookupError:
        return False
    try:
        # The handle stays with this process even when the id is reused, so what is checked here
        # is what gets the signal.
        if _folder_of(pid) != folder:
            return False
        signal.pidfd_send_signal(handle, signal.SIGKILL)
    except ProcessLookupError:
        return False
    finally:
        os.close(handle)
    return True
