"""The API server is away: nothing ends, nothing is written by guess, and all goes on by itself."""

import re
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest

from cluster.world import World, gpu_node
from controlplane import wait_until
from faultproxy import Answer, FaultProxy, Rule
from faults.conftest import StartOperator
from faults.oracle import Oracle, memory_mib
from faults.replicas import SMALL, StartReplica, elapsed, terms
from workstation import OperatorProcess

pytestmark = pytest.mark.cluster

A100 = "NVIDIA-A100-SXM4-80GB"
API_SERVER = "kube-apiserver"
CONTROLLERS = "kube-controller-manager"
DISCOVERY = "/apis/llama-operator.io/v1alpha1"
NAMES = ("one", "two", "three")
BACKOFF_CAP_SECONDS = 30
RECOVERY_SECONDS = 3 * 45
"""Three times the longest pause and what a restarted API server and its watches take."""
MEMORY_MIB = 20

Record = Callable[[str, object], None]


@contextmanager
def away(world: World, seconds: float) -> Iterator[float]:
    """Kill the API server, and start it again once it was away so long and the body is done.

    The controller manager ends too, as it does when it cannot renew its own lease: else it would
    take the nodes for lost, and simulated pods never become ready again by themselves.
    """
    world.plane.stop_component(API_SERVER, kill=True)
    world.plane.stop_component(CONTROLLERS, kill=True)
    killed = time.monotonic()
    try:
        yield killed
        wait_until(
            "the API server was away long enough", elapsed(killed, seconds), timeout=seconds + 30
        )
    finally:
        world.plane.start_component(API_SERVER)
        world.plane.start_component(CONTROLLERS, wait=False)


def prepare(world: World) -> None:
    world.add_nodes(gpu_node("a100-0", A100, 8))
    for name in NAMES:
        world.apply(name, SMALL)


def edit_and_time(world: World) -> float:
    """Edit, add and delete right away; gives the seconds until all of it was handled."""
    began = time.monotonic()
    world.kubectl("scale", "llama", "one", "--replicas=2")
    world.apply("four", SMALL)
    world.kubectl("delete", "llama", "three", "--wait=false")
    world.wait("the edit is handled", lambda: len(world.pods("one")) == 2, timeout=RECOVERY_SECONDS)
    world.wait_condition("four", "Ready", "True", "Serving", timeout=RECOVERY_SECONDS)
    return time.monotonic() - began


def watched(proxy: FaultProxy) -> set[str]:
    return {call.resource for call in proxy.watches()}


def wait_watching(proxy: FaultProxy, resources: set[str]) -> None:
    wait_until(
        "all watches are open again",
        lambda: watched(proxy) == resources,
        timeout=RECOVERY_SECONDS,
    )


def pauses(operator: OperatorProcess) -> list[float]:
    """Pauses in seconds that the process announced in its log."""
    found = (re.search(r"again in ([0-9.]+) s", line["message"]) for line in operator.lines())
    return [float(match[1]) for match in found if match]


@pytest.mark.fault(5)
def test_an_api_server_that_restarts_has_its_leader_back_and_no_second_one(
    world: World, start_replica: StartReplica, oracle: Oracle, record_property: Record
) -> None:
    prepare(world)
    first = start_replica("first")
    first.process.wait_ready(60)
    oracle.check(first.process)
    pods = world.pod_uids("two")
    second = start_replica("second")
    wait_until("the second is ready", lambda: second.process.get("/readyz")[0] == 200, timeout=60)
    watches = [(replica, watched(replica.proxy)) for replica in (first, second)]
    with away(world, 10):
        assert {r.process.get("/healthz")[0] for r in (first, second)} == {200}
    seconds = edit_and_time(world)
    record_property("figure.seconds-from-api-server-back-to-edits-done", round(seconds, 2))
    for replica, resources in watches:
        wait_watching(replica.proxy, resources)
    oracle.check(first.process, second.process, within=RECOVERY_SECONDS)
    assert pods == world.pod_uids("two")
    assert len(terms((first, second))) <= 2
    assert sum(replica.process.is_leader() for replica in (first, second)) == 1


@pytest.mark.fault(6)
@pytest.mark.soak
def test_a_long_outage_costs_neither_memory_nor_the_process(
    world: World,
    operator: OperatorProcess,
    oracle: Oracle,
    proxy: FaultProxy,
    soak: bool,
    record_property: Record,
) -> None:
    prepare(world)
    oracle.check(operator)
    pods = {name: world.pod_uids(name) for name in NAMES}
    before, position = memory_mib(operator), proxy.position()
    watches = watched(proxy)
    seconds = 600 if soak else 60
    with away(world, seconds) as killed:
        wait_until("it stands by", lambda: not operator.is_leader(), timeout=60)
        wait_until("it was away for long", elapsed(killed, seconds - 5), timeout=seconds)
        assert operator.get("/healthz") == (200, "ok")
        record_property("figure.outage-memory-growth-mib", round(memory_mib(operator) - before, 1))
        assert memory_mib(operator) - before < MEMORY_MIB
        calls = proxy.calls(position)
        fenced = [call for call in calls if call.is_write and call.at - killed > 15]
        assert not [call for call in fenced if call.resource != "leases"]
        asked = [call for call in calls if call.resource != "leases" and call.at - killed > 15]
        # Each of eleven watches tries again after at most 30 s, at least after half of its pause;
        # aiohttp tries each GET a second time, on a new connection, when the first one is cut.
        assert len(asked) < 2 * 11 * (5 + seconds / (BACKOFF_CAP_SECONDS / 2))
    record_property("figure.seconds-from-outage-to-edits-done", round(edit_and_time(world), 2))
    assert pauses(operator)
    assert max(pauses(operator)) <= BACKOFF_CAP_SECONDS
    wait_watching(proxy, watches)
    oracle.check(operator, within=RECOVERY_SECONDS)
    assert pods["two"] == world.pod_uids("two")
    assert pods["one"] < world.pod_uids("one")
    assert operator.is_leader()


@pytest.mark.parametrize(
    "rule",
    [
        pytest.param(
            Rule(Answer(404, "NotFound"), resources={DISCOVERY}), id="the API is not found"
        ),
        pytest.param(Rule(Answer(500), resources={DISCOVERY}), id="discovery fails"),
        pytest.param(
            Rule(
                Answer(200, body=b'{"kind":"APIResourceList","resources":[]}'),
                resources={DISCOVERY},
            ),
            id="the API server does not know the kind yet",
        ),
    ],
)
def test_a_discovery_that_fails_at_the_start_is_tried_again(
    world: World, start_operator: StartOperator, oracle: Oracle, proxy: FaultProxy, rule: Rule
) -> None:
    """kopf itself would go on without any watch, for good."""
    proxy.add(rule)
    operator = start_operator(wait=False)
    wait_until("it was struck", lambda: rule.struck >= 2, timeout=120)
    assert operator.get("/readyz")[0] == 503
    assert operator.get("/healthz")[0] == 200
    proxy.remove(rule)
    operator.wait_ready(RECOVERY_SECONDS)
    prepare(world)
    oracle.check(operator)


def test_a_watch_of_deployments_that_ends_for_good_is_begun_again_with_the_caches_kept(
    world: World, operator: OperatorProcess, oracle: Oracle, proxy: FaultProxy
) -> None:
    prepare(world)
    oracle.check(operator)
    kept, position = oracle.picture(), proxy.position()
    gone = Rule(Answer(404, "NotFound"), resources={"llamadeployments"})
    proxy.add(gone)
    assert proxy.streams(lambda stream: stream.close(), "llamadeployments") == 1
    wait_until("kopf was begun again", lambda: gone.struck >= 3, timeout=60)
    world.kubectl("scale", "llama", "one", "--replicas=2")
    world.kubectl("scale", "llama", "one", "--replicas=1")
    world.kubectl("annotate", "llama", "two", "llama-operator.io/replan=now")
    proxy.remove(gone)
    oracle.check(operator, kept=kept)
    listed = {call.resource for call in proxy.calls(position) if call.verb == "list"}
    assert "llamadeployments" in listed
    assert not listed & {"nodes", "pods", "configmaps"}
    text = operator.get("/metrics")[1]
    assert re.search(
        r'llama_operator_watch_restarts_total{resource="llamadeployments"} [1-9]', text
    )
