"""What the kernel tells of a process: CPU time and memory."""

import os
import time
from pathlib import Path

_TICKS = os.sysconf("SC_CLK_TCK")


def cpu_seconds(pid: int) -> float:
    """CPU time that a process has used, in user and kernel mode."""
    text = Path(f"/proc/{pid}/stat").read_text()
    fields = text.rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / _TICKS


def memory_mib(pid: int) -> dict[str, float]:
    """Resident memory of a process, now and at its highest, in MiB."""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    kib = {line.split(":")[0]: line.split()[1] for line in lines if line.startswith("Vm")}
    return {"rss": round(int(kib["VmRSS"]) / 1024, 1), "high": round(int(kib["VmHWM"]) / 1024, 1)}


def settle(pid: int, seconds: float = 60.0, still: float = 5.0) -> None:
    """Wait until a process has used next to no CPU time for a while, `seconds` at most.

    Next to none is 4 % of a core: an operator at rest renews its Lease and reads heartbeats.
    """
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        before = cpu_seconds(pid)
        time.sleep(still)
        if cpu_seconds(pid) - before <= 0.04 * still:
            return
