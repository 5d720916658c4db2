"""How long a replica may take to start: the budget of its startup probe."""

from typing import Final

from llama_operator.units import ceil_div, ceil_to

DOWNLOAD_BYTES_PER_SECOND: Final = 50_000_000
"""A hub over a link of 400 Mbit/s."""
LOAD_BYTES_PER_SECOND: Final = 500_000_000
"""The slow end of reading weights from disk into GPUs, 0.5 to 2 GB/s."""
COMPILE_SECONDS: Final = 300
"""The slow end of torch.compile and capturing CUDA graphs, 1 to 5 minutes."""
EAGER_SECONDS: Final = 60
"""The same without graphs: starting processes and profiling."""
ROUND_SECONDS: Final = 60
FETCH_RETRIES: Final = 6
"""Failed tries of a download after the first: `backoffLimit` of a Job by default."""
FETCH_BACKOFF_SECONDS: Final = 10 * (2**FETCH_RETRIES - 1)
"""Pauses of a Job before these: 10 s, doubled each time (Kubernetes, Jobs, backoff policy)."""


def startup_seconds(download_bytes: int, *, cuda_graphs: bool) -> int:
    """Seconds that a cold replica may take until it answers, in whole minutes.

    Download, load and compile one after the other, each at the slow end of what was seen (a cold
    405B takes more than an hour). It is a limit, not a forecast: a probe that gives up too early
    ends a load that would have succeeded, and begins it anew for ever (kserve/kserve#5062,
    vllm-project/aibrix#772).

    Args:
        download_bytes: weights that are downloaded.
        cuda_graphs: whether graphs are captured.
    """
    seconds = (
        ceil_div(download_bytes, DOWNLOAD_BYTES_PER_SECOND)
        + ceil_div(download_bytes, LOAD_BYTES_PER_SECOND)
        + (COMPILE_SECONDS if cuda_graphs else EAGER_SECONDS)
    )
    return ceil_to(seconds, ROUND_SECONDS)


def fetch_seconds(model_bytes: int) -> int:
    """Seconds after which a download to a volume is given up, in whole minutes.

    What is there stays, so no try begins anew: once all of it at the slow end, and every pause.

    Args:
        model_bytes: room that the model takes.
    """
    seconds = ceil_div(model_bytes, DOWNLOAD_BYTES_PER_SECOND) + FETCH_BACKOFF_SECONDS
    return ceil_to(seconds, ROUND_SECONDS)
