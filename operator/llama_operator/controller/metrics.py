"""Metrics of the operator. Series of a deployment vanish with it."""

from typing import Final

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, Info
from prometheus_client.gc_collector import GCCollector
from prometheus_client.platform_collector import PlatformCollector
from prometheus_client.process_collector import ProcessCollector

from llama_operator import __version__
from llama_operator.controller.deployment_metrics import DeploymentMetrics
from llama_operator.controller.inventory_metrics import InventoryMetrics

_SECONDS: Final = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30)


class Metrics:
    """All metrics, in a registry of their own."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        registry = self.registry
        ProcessCollector(registry=registry)
        PlatformCollector(registry=registry)
        GCCollector(registry=registry)
        Info("llama_operator_build", "Version of the operator.", registry=registry).info(
            {"version": __version__}
        )
        self.reconcile_total = Counter(
            "llama_operator_reconcile",
            "Passes over a deployment by result: changed, unchanged, gone, error.",
            ["result"],
            registry=registry,
        )
        self.reconcile_seconds = Histogram(
            "llama_operator_reconcile_duration_seconds",
            "Time of one pass over a deployment, in seconds.",
            buckets=_SECONDS,
            registry=registry,
        )
        self.reconcile_errors = Counter(
            "llama_operator_reconcile_errors",
            "Passes that ended in an error, by the exception's class.",
            ["reason"],
            registry=registry,
        )
        self.plan_seconds = Histogram(
            "llama_operator_plan_duration_seconds",
            "Time of one planning, in seconds.",
            buckets=_SECONDS,
            registry=registry,
        )
        self.queue_depth = Gauge(
            "llama_operator_workqueue_depth",
            "Deployments that wait and are due.",
            registry=registry,
        )
        self.queue_latency = Histogram(
            "llama_operator_workqueue_latency_seconds",
            "Time from due to begun, in seconds.",
            buckets=_SECONDS,
            registry=registry,
        )
        self.queue_longest = Gauge(
            "llama_operator_workqueue_longest_running_seconds",
            "Age of the oldest pass that still runs, in seconds.",
            registry=registry,
        )
        self.api_requests = Counter(
            "llama_operator_api_requests",
            "Requests to the API server by verb, resource and status code (0: no answer).",
            ["verb", "resource", "code"],
            registry=registry,
        )
        self.api_seconds = Histogram(
            "llama_operator_api_request_duration_seconds",
            "Time of a request to the API server by verb, watches excluded, in seconds.",
            ["verb"],
            buckets=_SECONDS,
            registry=registry,
        )
        self.watch_restarts = Counter(
            "llama_operator_watch_restarts",
            "Watches opened again, by resource.",
            ["resource"],
            registry=registry,
        )
        self.watch_silence = Gauge(
            "llama_operator_watch_silence_seconds",
            "Time since a watch last brought an event or bookmark, by resource, in seconds.",
            ["resource"],
            registry=registry,
        )
        self.loop_lag = Gauge(
            "llama_operator_event_loop_lag_seconds",
            "How late the event loop was at the last measurement, in seconds.",
            registry=registry,
        )
        self.leader = Gauge(
            "llama_operator_leader", "1 while this process leads, 0 in standby.", registry=registry
        )
        self.deployments = DeploymentMetrics()
        registry.register(self.deployments)
        self.inventory = InventoryMetrics()
        registry.register(self.inventory)

    def observe_request(self, verb: str, resource: str, code: int, seconds: float) -> None:
        """Count a request to the API server."""
        self.api_requests.labels(verb, resource, str(code)).inc()
        if verb != "watch":
            self.api_seconds.labels(verb).observe(seconds)
