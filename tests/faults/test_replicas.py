"""Several copies of the operator: never two of them write, and one takes over in time."""

import os
import signal
import time
from collections.abc import Callable

import pytest

from cluster.world import World, gpu_node
from controlplane import wait_until
from faultproxy import Answer, Call, Hang, Notify, Rule
from faults.oracle import Oracle
from faults.replicas import SMALL, Edits, Replica, StartReplica, elapsed, terms

pytestmark = pytest.mark.cluster

A100 = "NVIDIA-A100-SXM4-80GB"
NAMES = ("one", "two", "three")
KILLED_SECONDS = 60.0
"""Three times the figure that the takeover of a killed leader may take."""
ENDED_SECONDS = 9.0
"""Three times the figure that the takeover of a leader that ends in order may take."""
STOPPED_SECONDS = 60.0
EXPIRY_SECONDS = 15.0

Record = Callable[[str, object], None]


@pytest.fixture
def busy(world: World) -> World:
    world.add_nodes(gpu_node("a100-0", A100, 8))
    for name in NAMES:
        world.apply(name, SMALL)
    return world


def start(start_replica: StartReplica, name: str) -> Replica:
    replica = start_replica(name)
    wait_until(f"{name} is ready", lambda: replica.process.get("/readyz")[0] == 200, timeout=60)
    return replica


def wait_leading(replica: Replica, timeout: float = KILLED_SECONDS) -> None:
    wait_until(f"{replica.name} leads", replica.process.is_leader, timeout=timeout)


def takeover_seconds(replica: Replica, since: float, within: float) -> float:
    return wait_until(f"{replica.name} writes", replica.first_write_after(since), timeout=within)


@pytest.mark.fault(19)
@pytest.mark.fault(46)
def test_no_two_write_when_leaders_are_stopped_cut_off_killed_and_ended(
    busy: World, start_replica: StartReplica, oracle: Oracle, record_property: Record
) -> None:
    first = start(start_replica, "first")
    oracle.check(first.process)
    second = start(start_replica, "second")
    third = start(start_replica, "third")
    everyone = (first, second, third)
    pods = {name: busy.pod_uids(name) for name in NAMES}
    with Edits(busy, NAMES):
        third.process.process.send_signal(signal.SIGSTOP)  # so that the second is the next
        stopped = stop_within_a_write(first)
        seconds = takeover_seconds(second, stopped, KILLED_SECONDS)
        record_property("figure.takeover-after-sigstop-seconds", round(seconds, 2))
        third.process.process.send_signal(signal.SIGCONT)

        cut_off = time.monotonic()
        blocked = Rule(Answer(503), verbs={"update"}, resources={"leases"})
        second.proxy.add(blocked)
        takeover_seconds(third, cut_off, KILLED_SECONDS)
        [last] = [call.at for call in second.writes()[-1:]]
        assert last - cut_off < EXPIRY_SECONDS
        assert not second.process.is_leader()
        second.proxy.remove(blocked)

        killed = time.monotonic()
        third.process.kill()
        seconds = takeover_seconds(second, killed, KILLED_SECONDS)
        record_property("figure.takeover-after-sigkill-seconds", round(seconds, 2))

        wait_until("the first was away long enough", elapsed(stopped, STOPPED_SECONDS), timeout=90)
        position = first.proxy.position()
        first.process.process.send_signal(signal.SIGCONT)
        wait_until(
            "the first reads the Lease",
            lambda: any(call.resource == "leases" for call in first.proxy.calls(position)),
            timeout=30,
        )
        wait_until("the first stands by", lambda: not first.process.is_leader())
        wait_until("its caches are fresh", lambda: first.process.get("/readyz")[0] == 200)

        ended = time.monotonic()
        assert first.proxy.calls(position)
        assert not [call for call in first.proxy.calls(position) if call.is_write]
        assert second.process.stop() == 0
        seconds = takeover_seconds(first, ended, ENDED_SECONDS)
        record_property("figure.takeover-after-sigterm-seconds", round(seconds, 2))
    assert terms(everyone) == ["first", "second", "third", "second", "first"]
    for name in NAMES:
        busy.kubectl("scale", "llama", name, "--replicas=1")
    oracle.check(first.process)
    assert pods == {name: busy.pod_uids(name) for name in NAMES}


def stop_within_a_write(replica: Replica) -> float:
    """Stop a process while one of its writes is at the proxy; gives the moment."""
    moments: list[float] = []

    def stop(_: Call) -> None:
        os.kill(replica.process.process.pid, signal.SIGSTOP)
        moments.append(time.monotonic())

    replica.proxy.add(Rule(Notify(stop, before=True), verbs={"patch"}, first=1))
    wait_until(f"{replica.name} writes", lambda: moments, timeout=30)
    return moments[0]


def test_a_write_that_hangs_when_the_leader_ends_is_waited_for_by_the_next_one(
    busy: World, start_replica: StartReplica, oracle: Oracle
) -> None:
    """The Lease is not released while a write of the old leader may still be stored."""
    first = start(start_replica, "first")
    oracle.check(first.process)
    second = start(start_replica, "second")
    first.proxy.add(Rule(Hang(), verbs={"patch"}))
    busy.kubectl("scale", "llama", "one", "--replicas=2")
    wait_until("a write hangs", lambda: [c for c in first.writes() if c.fault == "Hang"])
    hanging = max(call.at for call in first.writes())
    first.process.process.send_signal(signal.SIGTERM)
    seconds = takeover_seconds(second, hanging, KILLED_SECONDS)
    assert seconds > 5
    wait_until("the first has ended", lambda: first.process.process.poll() is not None)
    assert first.process.process.returncode == 0
    assert terms((first, second)) == ["first", "second"]
    oracle.check(second.process)
