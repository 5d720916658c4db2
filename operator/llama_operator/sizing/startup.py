"""How long a replica may take to start: the budget of its startup probe."""

from typing import Final

from llama_operator.catalog.host_tables import engine_start
from llama_operator.units import ceil_div, ceil_to

DOWNLOAD_BYTES_PER_SECOND: Final = 50_000_000
"""A hub over a link of 400 Mbit/s."""
ROUND_SECONDS: Final = 60
FETCH_RETRIES: Final = 6
"""Failed tries of a download after the first: `backoffLimit` of a Job by default."""
FETCH_BACKOFF_SECONDS: Final = 10 * (2**FETCH_RETRIES - 1)
"""Pauses of a Job before these: 10 s, doubled each time (Kubernetes, Jobs, backoff policy)."""


def startup_seconds(engine: str, download_bytes: int, *, cuda_graphs: bool) -> int:
    """Seconds that a cold replica may take until it answers, in whole minutes.

    Download, load, start and graphs one after the other, each at the slow end of what was seen
    (engine_starts.csv; a cold 405B takes more than an hour). It is a limit, not a forecast: a probe
    that gives up too early ends a load that would have succeeded, and begins it anew for ever
    (kserve/kserve#5062, vllm-project/aibrix#772).

    Args:
        engine: name in the catalog.
        download_bytes: weights that are downloaded.
        cuda_graphs: whether graphs are captured.

    Raises:
        CatalogError: nothing is known of the engine.
    """
    start = engine_start(engine)
    seconds = (
        ceil_div(download_bytes, DOWNLOAD_BYTES_PER_SECOND)
        + ceil_div(download_bytes, start.load_bytes_per_second)
        + start.start_seconds
        + (start.graphs_seconds if cuda_graphs else 0)
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
