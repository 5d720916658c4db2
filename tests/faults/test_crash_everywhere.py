"""Killed after every write of every path, once and twice in a row: it ends as if undisturbed.

A process that is killed after its k-th write leaves what one leaves whose later writes never
arrive: so writes after the k-th hang in the proxy, for each deployment at its own k, and one kill
ends them all. `test_crash.py` kills at the write itself, one deployment at a time.
"""

import random
from collections import defaultdict
from collections.abc import Callable, Sequence

import pytest

from cluster.world import World
from faultproxy import WRITES, FaultProxy, Hang, Rule
from faults.conftest import StartOperator
from faults.crashes import (
    PATHS,
    Case,
    bring_up,
    describe,
    farm,
    is_settled,
    judge,
    listed,
    owned_uids,
)
from faults.oracle import Oracle
from workstation import OperatorProcess

pytestmark = [pytest.mark.cluster, pytest.mark.fault(1), pytest.mark.fault(2)]

WORKERS = "--workers=64"
"""Each deployment that hangs takes one."""
ALL = 1_000_000


def hang_after(case: Case, writes: int) -> Rule:
    return Rule(
        Hang(),
        verbs=WRITES,
        besides=("leases",),
        family=case.name,
        nth=range(writes + 1, ALL),
    )


def kill_when_all_hang(
    world: World,
    proxy: FaultProxy,
    operator: OperatorProcess,
    rules: dict[str, Rule],
    cases: Sequence[Case],
) -> None:
    def going_on() -> list[str]:
        found = listed(world)
        return [c.name for c in cases if not (rules[c.name].struck or is_settled(c, found))]

    try:
        world.wait("every path hangs or has ended", lambda: not going_on(), timeout=240)
    except TimeoutError as error:
        told = [describe(world, name) for name in going_on()]
        raise AssertionError("; ".join([str(error), *told])) from None
    operator.kill()
    proxy.clear()


def run(
    world: World,
    oracle: Oracle,
    proxy: FaultProxy,
    start_operator: StartOperator,
    cases: Sequence[Case],
) -> dict[str, list[Rule]]:
    """Bring all cases up, act, kill as often as they say, and judge; gives the rules of each."""
    since = world.plane.audit_position()
    operator = start_operator(WORKERS)
    if any(case.path.before for case in cases):
        bring_up(world, cases)
    history: dict[str, list[Rule]] = defaultdict(list)
    for turn in range(len(cases[0].kills)):
        rules = {case.name: hang_after(case, case.kills[turn]) for case in cases}
        for case in cases:
            history[case.name].append(rules[case.name])
        proxy.add(*rules.values())
        if turn == 0:
            for case in cases:
                case.path.act(world, case.name)
        else:
            operator = start_operator(WORKERS, wait=False)
        kill_when_all_hang(world, proxy, operator, rules, cases)
    left = owned_uids(world)
    judge(world, oracle, start_operator(WORKERS), cases, left, since)
    return history


@pytest.mark.parametrize(
    "names",
    [
        pytest.param(
            ("create", "refusal", "refusededit", "delete", "createagain"),
            id="creating, refusing and deleting",
        ),
        pytest.param(("replan", "retemplate", "goback"), id="editing"),
        pytest.param(("scaleup", "scaledown", "rollout"), id="scaling and rolling out"),
        pytest.param(("fetch", "refetch"), id="downloading"),
    ],
)
def test_killed_after_any_write_it_ends_as_if_undisturbed(
    names: Sequence[str],
    world: World,
    oracle: Oracle,
    proxy: FaultProxy,
    start_operator: StartOperator,
    record_property: Callable[[str, object], None],
) -> None:
    farm(world, 160)
    cases = [
        Case(PATHS[name], (number,))
        for name in names
        for number in range(1, PATHS[name].beyond + 1)
    ]
    history = run(world, oracle, proxy, start_operator, cases)
    for name in names:
        beyond = PATHS[name].beyond
        struck = [bool(history[f"{name}x{number}"][0].struck) for number in range(1, beyond + 1)]
        writes = history[f"{name}x{beyond}"][0].matched
        assert not struck[-1], f"{name} takes {beyond} writes or more"
        assert sum(struck) >= PATHS[name].writes - 1
        record_property(f"figure.writes-of-{name}", writes)


@pytest.mark.soak
def test_killed_twice_in_a_row_it_ends_as_if_undisturbed(
    world: World,
    oracle: Oracle,
    proxy: FaultProxy,
    start_operator: StartOperator,
    soak: bool,
) -> None:
    farm(world, 160)
    paths = [path for path in PATHS.values() if path.writes > 1]
    pairs = [
        Case(path, (first, second))
        for path in paths
        for first in range(1, path.writes + 1)
        for second in range(1, path.writes + 1)
    ]
    if not soak:
        pairs = random.Random(20).sample(pairs, 20)
    for start in range(0, len(pairs), 40):
        history = run(world, oracle, proxy, start_operator, pairs[start : start + 40])
        assert any(second.struck for _, second in history.values())
        world.kubectl("delete", "llama", "--all")
        world.wait("the namespace is empty", lambda: not any(world.children().values()), 120)
