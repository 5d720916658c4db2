import pytest

from llama_operator.catalog.rows import EngineHost
from llama_operator.sizing.host import disk_bytes, host_needs
from llama_operator.sizing.startup import startup_seconds
from llama_operator.units import GIB, Bytes
from unit.sizing.budget.settings import LLAMA_70B, setting

HOST = EngineHost(
    engine="vLLM",
    cpu_millicores_base=2000,
    cpu_millicores_per_rank=1000,
    memory_bytes_base=Bytes(8 * GIB),
    memory_bytes_per_rank=Bytes(4 * GIB),
    shm_bytes_one_rank=Bytes(GIB),
    shm_bytes_many_ranks=Bytes(8 * GIB),
    source="made by hand",
)


@pytest.mark.parametrize(
    ("ranks", "cpu_millicores", "memory_gib", "shm_gib"),
    [
        pytest.param(1, 3_000, 8 + 4 + 1, 1, id="one rank"),
        pytest.param(2, 4_000, 8 + 8 + 8, 8, id="two ranks talk through shared memory"),
        pytest.param(8, 10_000, 8 + 32 + 8, 8, id="eight ranks"),
    ],
)
def test_host_needs_grow_with_the_ranks(
    ranks: int, cpu_millicores: int, memory_gib: int, shm_gib: int
) -> None:
    found = host_needs(setting(LLAMA_70B, tp=ranks), HOST, download_bytes=100)
    assert found.cpu_millicores == cpu_millicores
    assert found.memory_bytes == memory_gib * GIB
    assert found.shm_bytes == shm_gib * GIB


def test_disk_holds_the_download_and_a_margin() -> None:
    # 5 percent and 1 GiB
    assert disk_bytes(100_000_000_000) == 105_000_000_000 + 1_073_741_824


@pytest.mark.parametrize(
    ("download_bytes", "cuda_graphs", "expected"),
    [
        # download at 50 MB/s + load at 500 MB/s + 300 s (60 s without graphs), whole minutes
        pytest.param(16_060_522_496, True, 660, id="8B in bf16: 322 + 33 + 300"),
        pytest.param(16_060_522_496, False, 420, id="8B without graphs: 322 + 33 + 60"),
        pytest.param(811_706_777_600, True, 18_180, id="405B in bf16: 16,235 + 1,624 + 300"),
    ],
)
def test_startup_is_a_generous_budget(
    download_bytes: int, cuda_graphs: bool, expected: int
) -> None:
    assert startup_seconds("vLLM", download_bytes, cuda_graphs=cuda_graphs) == expected


def test_engines_that_capture_no_graphs_start_the_sooner() -> None:
    """5 GB: 100 s of download, 10 s of loading, 60 s to start, in whole minutes."""
    assert startup_seconds("LlamaCpp", 5 * 10**9, cuda_graphs=True) == 180
    assert startup_seconds("LlamaCpp", 5 * 10**9, cuda_graphs=False) == 180
    assert startup_seconds("SGLang", 5 * 10**9, cuda_graphs=True) == 420
