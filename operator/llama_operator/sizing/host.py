"""What a replica needs of its node besides GPU memory: CPU, memory, /dev/shm and disk."""

from dataclasses import dataclass
from typing import Final

from llama_operator.catalog.rows import EngineHost
from llama_operator.units import GIB

DISK_MARGIN_PERCENT: Final = 5
"""Tokenizers, configurations and whatever a repository adds to its weights."""
DISK_MARGIN_BYTES: Final = GIB


@dataclass(frozen=True, slots=True)
class HostNeeds:
    """What one replica asks of its node. `memory_bytes` includes `shm_bytes`."""

    cpu_millicores: int
    memory_bytes: int
    shm_bytes: int
    disk_bytes: int


def disk_bytes(download_bytes: int) -> int:
    """Disk that a downloaded repository takes: its weights, 5 percent and 1 GiB.

    Engines skip the second copy of the weights that some repositories hold (`original/`), and a
    download is written once. The margin is an estimate on the safe side.
    """
    return download_bytes + download_bytes * DISK_MARGIN_PERCENT // 100 + DISK_MARGIN_BYTES


def host_needs(host: EngineHost, *, ranks: int, download_bytes: int) -> HostNeeds:
    """What a replica of an engine asks of its node.

    Pages of /dev/shm are charged to the pod, so its memory includes them. Weights pass through the
    page cache, which the kernel takes back, and are not counted.

    Args:
        host: row of the engine.
        ranks: GPU worker processes on this node.
        download_bytes: weights that are downloaded.
    """
    shm = host.shm_bytes_one_rank if ranks == 1 else host.shm_bytes_many_ranks
    return HostNeeds(
        cpu_millicores=host.cpu_millicores_base + ranks * host.cpu_millicores_per_rank,
        memory_bytes=host.memory_bytes_base + ranks * host.memory_bytes_per_rank + shm,
        shm_bytes=shm,
        disk_bytes=disk_bytes(download_bytes),
    )
