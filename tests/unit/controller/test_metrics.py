import re
from datetime import UTC, datetime
from typing import NamedTuple

import pytest
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.metrics import MetricWrapperBase

from llama_operator import __version__
from llama_operator.api.status import Condition, LlamaDeploymentStatus
from llama_operator.controller.metrics import Metrics
from llama_operator.planning.inventory import Inventory
from llama_operator.planning.survey import survey
from support.deployments import A100, plan
from unit.planning.cluster import A100 as GPU_A100
from unit.planning.cluster import CATALOG, node

PREFIX = "llama_operator_"
FOREIGN = ("process_", "python_")
"""What prometheus-client itself collects of the process."""
UNITS = ("_seconds", "_bytes")
GIB_PARTS = {"weights": 6e9, "adapters": 0, "activation": 6e8, "non_torch": 3e8, "cuda_graphs": 1e9,
             "kv_cache": 70.1e9, "headroom": 7e9}  # fmt: skip
"""Memory of the plan in tests/support."""


def condition(kind: str, status: str, reason: str) -> Condition:
    return Condition(
        type=kind,
        status=status,
        reason=reason,
        message="",
        last_transition_time=datetime(2026, 1, 2, tzinfo=UTC).isoformat(),
        observed_generation=1,
    )


def status(
    *conditions: Condition, planned: bool = True, replicas: int = 2
) -> LlamaDeploymentStatus:
    return LlamaDeploymentStatus(
        conditions=list(conditions),
        plan=plan() if planned else None,
        replicas=replicas if planned else None,
        ready_replicas=1 if planned else None,
    )


READY = condition("Ready", "True", "Serving")
ROLLING = condition("Reconciling", "True", "RollingOut")
REFUSED = condition("Ready", "False", "WeightsTooLarge")


def series(registry: CollectorRegistry, namespace: str) -> dict[tuple[str, ...], float]:
    """Values of the series of a namespace, by name and the labels that are its own."""
    return {
        (sample.name, *(value for key, value in sorted(sample.labels.items()) if key not in
                        ("namespace", "name"))): sample.value
        for family in registry.collect()
        for sample in family.samples
        if sample.labels.get("namespace") == namespace
    }  # fmt: skip


def test_a_status_becomes_series() -> None:
    metrics = Metrics()
    metrics.deployments.show("ml", "llama", status(READY, ROLLING))
    expected: dict[tuple[str, ...], float] = {
        ("llama_operator_deployment_condition", "Serving", "True", "Ready"): 1,
        ("llama_operator_deployment_condition", "RollingOut", "True", "Reconciling"): 1,
        ("llama_operator_deployment_replicas", "desired"): 2,
        ("llama_operator_deployment_replicas", "ready"): 1,
        # one GPU of two replicas each
        ("llama_operator_gpu_requested", A100): 2,
        **{
            ("llama_operator_memory_estimated_bytes", part): value
            for part, value in GIB_PARTS.items()
        },
    }
    assert series(metrics.registry, "ml") == expected


def test_the_weights_of_a_draft_model_are_a_part_of_their_own() -> None:
    metrics = Metrics()
    drafted = plan()
    memory = drafted.memory_per_gpu.model_copy(update={"draft_weights_bytes": 2_489_454_592})
    drafted = drafted.model_copy(update={"memory_per_gpu": memory})
    metrics.deployments.show("ml", "a", status(READY).model_copy(update={"plan": drafted}))
    found = series(metrics.registry, "ml")
    assert found["llama_operator_memory_estimated_bytes", "draft_weights"] == 2_489_454_592


def test_a_new_status_replaces_the_series_of_the_old_one() -> None:
    metrics = Metrics()
    metrics.deployments.show("ml", "llama", status(READY, ROLLING))
    metrics.deployments.show("ml", "llama", status(REFUSED, planned=False))
    assert series(metrics.registry, "ml") == {
        ("llama_operator_deployment_condition", "WeightsTooLarge", "False", "Ready"): 1,
        ("llama_operator_deployment_replicas", "desired"): 0,
        ("llama_operator_deployment_replicas", "ready"): 0,
    }


def test_no_series_is_left_of_deployments_that_are_gone() -> None:
    metrics = Metrics()
    before = generate_latest(metrics.registry).decode().count("deployment_condition{")
    for number in range(1000):
        metrics.deployments.show("ml", f"llama-{number}", status(READY))
    for number in range(1000):
        metrics.deployments.drop("ml", f"llama-{number}")
    assert series(metrics.registry, "ml") == {}
    assert generate_latest(metrics.registry).decode().count("deployment_condition{") == before


def test_dropping_one_deployment_keeps_those_of_the_same_name_elsewhere() -> None:
    metrics = Metrics()
    for namespace in ("ml", "prod"):
        metrics.deployments.show(namespace, "llama", status(READY))
    metrics.deployments.drop("ml", "llama")
    metrics.deployments.drop("ml", "never-seen")
    assert series(metrics.registry, "ml") == {}
    assert ("llama_operator_deployment_replicas", "ready") in series(metrics.registry, "prod")


def test_gpus_are_shown_by_product_and_resource() -> None:
    metrics = Metrics()
    slices = ("NVIDIA-A100-SXM4-80GB-MIG-3g.40gb", 40_192)
    nodes = (
        node("a", GPU_A100, 8),
        node("a", slices, 2, resource="nvidia.com/mig-3g.40gb", further=True),
        node("b", GPU_A100, 4, usable=False),
        node("c", ("NVIDIA-X1", None)),
        node("d", ("", None), resource="habana.ai/gaudi"),
    )
    found = survey(Inventory(nodes, {("a", "nvidia.com/gpu"): 3}), CATALOG)
    metrics.inventory.survey = lambda: found
    values = {
        (sample.name, *sample.labels.values()): sample.value
        for family in metrics.inventory.collect()
        for sample in family.samples
    }
    assert values == {
        ("llama_operator_gpu_usable", A100, "nvidia.com/gpu"): 8,
        ("llama_operator_gpu_free", A100, "nvidia.com/gpu"): 5,
        ("llama_operator_gpu_usable", slices[0], "nvidia.com/mig-3g.40gb"): 2,
        ("llama_operator_gpu_free", slices[0], "nvidia.com/mig-3g.40gb"): 2,
        ("llama_operator_gpu_nodes_left_out", "cordoned"): 1,
        ("llama_operator_gpu_nodes_left_out", "unknown memory"): 1,
        ("llama_operator_gpu_nodes_left_out", "no engine serves habana.ai/gaudi"): 1,
    }


def test_requests_are_counted_and_watches_are_not_timed() -> None:
    metrics = Metrics()
    metrics.observe_request("patch", "services", 200, 0.004)
    metrics.observe_request("watch", "nodes", 200, 300.0)
    value = metrics.registry.get_sample_value
    name = "llama_operator_api_requests_total"
    assert value(name, {"verb": "patch", "resource": "services", "code": "200"}) == 1
    assert value(name, {"verb": "watch", "resource": "nodes", "code": "200"}) == 1
    timed = "llama_operator_api_request_duration_seconds_count"
    assert value(timed, {"verb": "patch"}) == 1
    assert value(timed, {"verb": "watch"}) is None


class Family(NamedTuple):
    """One family of series as it is declared."""

    name: str
    documentation: str
    labels: tuple[str, ...]
    type: str


def own() -> list[Family]:
    metrics = Metrics()
    kept = [value for value in vars(metrics).values() if isinstance(value, MetricWrapperBase)]
    return [
        Family(one._name, one._documentation, tuple(one._labelnames), one._type) for one in kept
    ] + [
        Family(one.name, one.documentation, tuple(one._labelnames), one.type)
        for made in (metrics.deployments, metrics.inventory)
        for one in made.collect()
    ]


@pytest.mark.parametrize("metric", own(), ids=lambda metric: metric.name)
def test_a_metric_has_the_prefix_a_help_text_and_bounded_labels(metric: Family) -> None:
    assert metric.name.startswith(PREFIX)
    assert re.fullmatch(r"[A-Z0-9].{10,}\.", metric.documentation)
    assert len(metric.labels) <= 5
    assert not {"uid", "pod", "node", "message"} & set(metric.labels)
    if metric.type == "histogram":
        assert metric.name.endswith(UNITS)
    for unit in UNITS:
        if metric.name.endswith(unit):
            assert unit.removeprefix("_") in metric.documentation


def test_every_family_has_the_prefix_or_is_of_the_process() -> None:
    families = {family.name: family for family in Metrics().registry.collect()}
    assert all(name.startswith((PREFIX, *FOREIGN)) for name in families)
    assert all(family.documentation for family in families.values())
    assert sum(name.startswith(PREFIX) for name in families) == len(own()) + 1  # build


def test_the_version_is_a_metric() -> None:
    value = Metrics().registry.get_sample_value(
        "llama_operator_build_info", {"version": __version__}
    )
    assert value == 1


def test_counters_end_in_total_when_scraped() -> None:
    metrics = Metrics()
    metrics.reconcile_total.labels("changed").inc()
    metrics.watch_restarts.labels("nodes").inc()
    text = generate_latest(metrics.registry).decode()
    assert 'llama_operator_reconcile_total{result="changed"} 1.0' in text
    assert 'llama_operator_watch_restarts_total{resource="nodes"} 1.0' in text
