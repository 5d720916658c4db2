"""Series of the GPUs of the cluster, made from the caches when they are asked for."""

from collections.abc import Callable, Iterator
from typing import Final

from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector

from llama_operator.planning.survey import Survey

UNKNOWN_MEMORY: Final = "unknown memory"


class InventoryMetrics(Collector):
    """GPUs by product and resource, and the nodes that plans may not use.

    Attributes:
        survey: gives the GPUs as they are now; nothing until the caches are there.
    """

    def __init__(self) -> None:
        self.survey: Callable[[], Survey] = lambda: Survey(())

    def collect(self) -> Iterator[GaugeMetricFamily]:
        """The families with their series, for the registry."""
        usable = GaugeMetricFamily(
            "llama_operator_gpu_usable",
            "GPUs or MIG slices that plans may use, each card once however many share it.",
            labels=("product", "resource"),
        )
        free = GaugeMetricFamily(
            "llama_operator_gpu_free",
            "Usable GPUs that no deployment holds and no plan waits for.",
            labels=("product", "resource"),
        )
        left_out = GaugeMetricFamily(
            "llama_operator_gpu_nodes_left_out",
            "Nodes with GPUs that plans may not use, by cause.",
            labels=("cause",),
        )
        surveyed = self.survey()
        for pool in surveyed.pools:
            usable.add_metric((pool.product, pool.resource), pool.cards)
            free.add_metric((pool.product, pool.resource), pool.free_cards)
        for cause, nodes in surveyed.closed.items():
            left_out.add_metric((cause,), nodes)
        if surveyed.unknown_memory_nodes:
            left_out.add_metric((UNKNOWN_MEMORY,), surveyed.unknown_memory_nodes)
        for resource, nodes in surveyed.unserved.items():
            left_out.add_metric((f"no engine serves {resource}",), nodes)
        yield from (usable, free, left_out)
