"""Killed at its k-th write, before or after it is stored: the next operator ends what was begun."""

import itertools
import signal
import time
from collections.abc import Callable

import pytest

from cluster.world import World
from controlplane import ControlPlane
from faultproxy import WRITES, Delay, FaultProxy, Hang, Notify, Rule
from faults.conftest import StartOperator
from faults.crashes import (
    PATHS,
    SMALL,
    Case,
    Path,
    bring_up,
    create,
    farm,
    is_settled,
    judge,
    listed,
    owned_uids,
)
from faults.oracle import Oracle
from workstation.install import NAMESPACE

pytestmark = pytest.mark.cluster

GRACE_SECONDS = 20
"""What `Settings.grace_seconds` promises; the chart gives the pod ten more."""


SHORT_RUN = ("create", "replan")
"""Paths whose writes are killed one by one without `--soak` too; `test_crash_everywhere.py` has all
of them, and all at once."""


@pytest.mark.fault(1)
@pytest.mark.fault(2)
@pytest.mark.parametrize(
    ("path", "before"),
    [
        pytest.param(PATHS["create"], True, id="creating, before the write is stored"),
        *(
            pytest.param(
                path,
                False,
                id=f"{path.name}, after the write is stored",
                marks=() if path.name in SHORT_RUN else pytest.mark.soak(only=True),
            )
            for path in PATHS.values()
        ),
    ],
)
def test_killed_at_any_write_the_next_one_ends_what_was_begun(
    path: Path,
    before: bool,
    world: World,
    oracle: Oracle,
    proxy: FaultProxy,
    start_operator: StartOperator,
) -> None:
    farm(world, 64)
    since = world.plane.audit_position()
    operator = start_operator()
    done: list[Case] = []
    left: dict[tuple[str, str], dict[tuple[str, str], str]] = {}
    for number in itertools.count(1):
        case = Case(path, (number,))
        if path.before:
            bring_up(world, [case])
        strike = Rule(
            Notify(lambda _, victim=operator: victim.process.kill(), before=before, cut=before),
            verbs=WRITES,
            besides=("leases",),
            family=case.name,
            nth=number,
        )
        proxy.add(strike)
        path.act(world, case.name)
        done.append(case)
        world.wait(
            "a write strikes, or the path has ended",
            lambda case=case, strike=strike: strike.struck or is_settled(case, listed(world)),
            timeout=120,
        )
        proxy.remove(strike)
        if not strike.struck:
            break
        assert operator.process.wait(30) == -signal.SIGKILL
        left.update({key: uids for key, uids in owned_uids(world).items() if key[0] == case.name})
        operator = start_operator()
        if path.reason:
            oracle.wait_truth(case.name, path.reason, 120, stalled=path.refused)
    assert len(done) > path.writes - 1
    judge(world, oracle, operator, done, left, since)


def holder(plane: ControlPlane) -> str:
    lease = plane.api.get(
        f"/apis/coordination.k8s.io/v1/namespaces/{NAMESPACE}/leases/llama-operator"
    )
    return str(lease["spec"]["holderIdentity"])


@pytest.mark.fault(4)
@pytest.mark.parametrize(
    ("resource", "fault"),
    [
        pytest.param("controllerrevisions", Delay(2), id="the record is slow"),
        pytest.param("statefulsets", Delay(2), id="the StatefulSet is slow"),
        pytest.param("llamadeployments/status", Delay(2), id="the status is slow"),
        pytest.param("statefulsets", Hang(), id="the StatefulSet hangs"),
    ],
)
def test_stopped_in_the_middle_it_tells_nothing_that_is_not_done(
    resource: str,
    fault: Delay | Hang,
    world: World,
    oracle: Oracle,
    proxy: FaultProxy,
    start_operator: StartOperator,
    record_property: Callable[[str, object], None],
) -> None:
    farm(world, 8)
    operator = start_operator()
    rule = Rule(fault, verbs=WRITES, resources=(resource,), first=1)
    proxy.add(rule)
    create(world, "small", SMALL)
    world.wait("the write is under way", lambda: rule.struck, timeout=30)
    started = time.monotonic()
    operator.process.send_signal(signal.SIGTERM)
    assert operator.process.wait(GRACE_SECONDS) == 0
    record_property(f"figure.seconds-to-stop-with-{resource}", round(time.monotonic() - started, 1))
    assert not any("traceback" in line for line in operator.lines())
    assert holder(world.plane) == ""
    if world.llama("small")["status"]["observedGeneration"] >= 0:
        assert {"small-a"} == world.children()["statefulsets"].keys()
    if isinstance(fault, Delay):
        assert world.llama("small")["status"]["observedGeneration"] == 1
    left = world.children()
    proxy.clear()
    operator = start_operator(identity="next")
    oracle.check(operator)
    now = world.children()
    for plural in ("controllerrevisions", "services", "statefulsets"):
        assert left[plural].items() <= now[plural].items()
