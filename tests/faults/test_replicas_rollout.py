"""The rolling update of the operator's own Deployment: it ends, and one leads all the time."""

import itertools
import json
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from chart.conftest import ROOT, Helm, Objects, kustomize
from chart.test_rendering import named
from cluster.world import Json, World, gpu_node
from controlplane import Binaries, wait_until
from faults.kubelet import NODE, Kubelet, wait_schedulable
from faults.oracle import Oracle
from faults.replicas import SMALL, Edits, StartReplica, terms
from llama_operator.cluster.fence import ANSWER_SECONDS
from llama_operator.cluster.lease import REQUEST_SECONDS
from llama_operator.controller.framework import STOP_SECONDS
from llama_operator.controller.settings import Settings
from workstation.install import NAMESPACE

pytestmark = pytest.mark.cluster

A100 = "NVIDIA-A100-SXM4-80GB"
NAMES = ("one", "two", "three")
GAP_SECONDS = 15.0
"""Less than the Lease's duration: it is given away, not left to expire."""
ROLLOUT_SECONDS = 180

Record = Callable[[str, object], None]


@pytest.fixture
def chart(world: World, tmp_path: Path) -> Objects:
    """The chart as it is, its pods on the node of this test; nothing else is changed."""
    values = {"nodeSelector": {"kubernetes.io/hostname": NODE}}
    return Helm(world.plane.binaries, tmp_path).objects(values)


@pytest.fixture
def kubelet(world: World, chart: Objects, start_replica: StartReplica) -> Iterator[Kubelet]:
    world.add_nodes(gpu_node("a100-0", A100, 8))
    with Kubelet(world, start_replica).running() as playing:
        wait_schedulable(world)
        world.plane.apply([named(chart, "PodDisruptionBudget"), named(chart, "Deployment")])
        yield playing
        names = ("deployment/llama-operator", "poddisruptionbudget/llama-operator")
        world.plane.kubectl("delete", "-n", NAMESPACE, "--ignore-not-found", *names)
        wait_until("the pods have ended", lambda: not pods(world), timeout=60)


@pytest.mark.parametrize("source", ["chart", "base"])
def test_nothing_in_the_manifests_can_hold_up_a_rolling_update_or_a_drain(
    source: str, tmp_path: Path
) -> None:
    binaries = Binaries()
    helm = Helm(binaries, tmp_path)
    objects = helm.objects() if source == "chart" else kustomize(binaries, ROOT / "manifests")
    deployment = named(objects, "Deployment")["spec"]
    pod = deployment["template"]["spec"]
    [container] = pod["containers"]
    assert deployment["replicas"] == 2
    assert deployment["strategy"] == {
        "type": "RollingUpdate",
        "rollingUpdate": {"maxSurge": 1, "maxUnavailable": 0},
    }
    # One more pod must find a place beside the old ones, even on the only node.
    assert "affinity" not in pod
    assert not pod.get("hostNetwork")
    assert not [port for port in container["ports"] if "hostPort" in port]
    assert {rule["whenUnsatisfiable"] for rule in pod["topologySpreadConstraints"]} == {
        "ScheduleAnyway"
    }
    assert [volume for volume in pod["volumes"] if "emptyDir" not in volume] == []
    longest_end = Settings().grace_seconds + ANSWER_SECONDS + REQUEST_SECONDS + STOP_SECONDS
    assert longest_end < pod["terminationGracePeriodSeconds"] == 30
    assert container["readinessProbe"]["httpGet"]["path"] == "/readyz"
    assert container["livenessProbe"]["httpGet"]["path"] == "/healthz"
    budget = named(objects, "PodDisruptionBudget")["spec"]
    assert budget["minAvailable"] < deployment["replicas"]
    assert budget["unhealthyPodEvictionPolicy"] == "AlwaysAllow"


def test_the_chart_refuses_a_budget_that_lets_no_node_be_drained(tmp_path: Path) -> None:
    values = {"replicas": 2, "podDisruptionBudget": {"minAvailable": 2}}
    helm = Helm(Binaries(), tmp_path)
    done = helm.attempt("template", "x", str(ROOT / "charts" / "llama-operator"), values=values)
    assert done.returncode != 0
    assert "must be less than replicas" in done.stderr


def pods(world: World) -> list[Json]:
    listed = world.plane.kubectl(
        "get", "pods", "-n", NAMESPACE, "-l", "app.kubernetes.io/name=llama-operator", "-o", "json"
    ).stdout
    found: list[Json] = json.loads(listed)["items"]
    return found


def wait_rolled_out(world: World) -> None:
    world.plane.kubectl(
        "rollout",
        "status",
        "deployment/llama-operator",
        "-n",
        NAMESPACE,
        f"--timeout={ROLLOUT_SECONDS}s",
        timeout=ROLLOUT_SECONDS + 30,
    )


def test_a_rolling_update_ends_and_one_leads_all_the_time(
    world: World, chart: Objects, kubelet: Kubelet, oracle: Oracle, record_property: Record
) -> None:
    wait_rolled_out(world)
    for name in NAMES:
        world.apply(name, SMALL)
    oracle.check(*(replica.process for replica in kubelet.replicas()))
    uids = {name: world.pod_uids(name) for name in NAMES}
    old = set(kubelet.containers)
    assert len(old) == named(chart, "Deployment")["spec"]["replicas"] == 2
    began = time.monotonic()
    with Edits(world, NAMES) as edits:
        world.plane.kubectl("rollout", "restart", "deployment/llama-operator", "-n", NAMESPACE)
        wait_rolled_out(world)
        wait_until("the old ones have ended", lambda: len(pods(world)) == 2, timeout=60)
        made = edits.made
        wait_until("edits go on", lambda: edits.made > made + len(NAMES), timeout=30)
    new = set(kubelet.containers) - old
    assert {pod["metadata"]["name"] for pod in pods(world)} == new
    assert len(new) == 2

    order = terms(kubelet.replicas())
    assert len(order) == len(set(order)), "one that had given the lead away wrote again"
    assert order[0] in old
    assert order[-1] in new
    writes = [call.at for replica in kubelet.replicas() for call in replica.writes()]
    moments = sorted(moment for moment in writes if moment > began)
    gap = max(later - earlier for earlier, later in itertools.pairwise(moments))
    record_property("figure.longest-gap-in-a-rolling-update-seconds", round(gap, 2))
    assert gap < GAP_SECONDS

    grace = named(chart, "Deployment")["spec"]["template"]["spec"]["terminationGracePeriodSeconds"]
    for name in old:
        ended = kubelet.containers[name]
        assert ended.replica.process.process.returncode == 0
        assert ended.ended_after is not None
        assert ended.ended_after < grace
    assert not [sick for container in kubelet.containers.values() for sick in container.sick]

    for name in NAMES:
        world.kubectl("scale", "llama", name, "--replicas=1")
    oracle.check(*(kubelet.containers[name].replica.process for name in new))
    assert uids == {name: world.pod_uids(name) for name in NAMES}
    [leader] = [name for name in new if kubelet.containers[name].replica.process.is_leader()]
    evict(world, leader)


def evict(world: World, name: str) -> None:
    """Evict the leader as a drain does: the budget lets it go, and the other one leads."""
    eviction = {
        "apiVersion": "policy/v1",
        "kind": "Eviction",
        "metadata": {"name": name, "namespace": NAMESPACE},
    }
    path = f"/api/v1/namespaces/{NAMESPACE}/pods/{name}/eviction"
    with world.plane.api_client() as api:
        api.create(path, eviction)
    wait_until(
        "the evicted one is replaced",
        lambda: (
            name not in {pod["metadata"]["name"] for pod in pods(world)} and len(pods(world)) == 2
        ),
        timeout=60,
    )
    wait_rolled_out(world)
