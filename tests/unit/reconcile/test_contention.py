"""How often a child that others change is put right, by a clock of numbers."""

from dataclasses import replace

import pytest

from llama_operator.reconcile.actions import Apply
from llama_operator.reconcile.contention import Memory, Settlement, settle
from llama_operator.reconcile.decide import Decision
from llama_operator.reconcile.observed import Child

CHILD = Child(
    "StatefulSet", "llama-a", "s", "1", "llama", "u1", False, None, {}, last_manager="gitops"
)
MEND = Decision(((Apply({"kind": "StatefulSet"}, CHILD, "it differs from the plan"),),))
HOLDS = Decision()


def after(memory: Memory, decision: Decision, now: float, child: Child = CHILD) -> Settlement:
    return settle(decision, (child,), "r1/1", memory, now)


def held() -> Memory:
    return after(Memory(), HOLDS, 0.0).memory


def test_a_first_apply_is_no_repair() -> None:
    settled = after(Memory(), MEND, 1.0)
    assert settled.decision == MEND
    assert settled.repairs == ()


def test_an_apply_of_another_intent_is_no_repair() -> None:
    settled = settle(MEND, (CHILD,), "r2/1", held(), 1.0)
    assert settled.decision == MEND
    assert settled.repairs == ()


def test_a_change_by_others_is_put_right_at_once() -> None:
    settled = after(held(), MEND, 1.0)
    assert settled.decision == MEND
    assert [action.name for action in settled.repairs] == ["llama-a"]
    assert settled.contested == ()
    assert settled.again_seconds is None


@pytest.mark.parametrize(
    ("seconds", "repaired_at"),
    [
        pytest.param(4, [1, 2, 3], id="three times at once"),
        pytest.param(40, [1, 2, 3, 8, 18, 38], id="then after 5, 10 and 20 seconds"),
        pytest.param(130, [1, 2, 3, 8, 18, 38, 68, 98, 128], id="and every 30 in the end"),
    ],
)
def test_a_change_each_second_is_put_right_ever_more_rarely(
    seconds: int, repaired_at: list[int]
) -> None:
    memory, found, begun = held(), [], 0
    for now in range(1, seconds + 1):
        settled = after(memory, MEND, float(now))
        memory = settled.memory
        begun += len(settled.begun)
        if settled.repairs:
            found.append(now)
            memory = after(memory, HOLDS, now + 0.5).memory
        assert bool(settled.repairs) == (settled.decision == MEND)
        assert bool(settled.contested) == (now > 3)
    assert found == repaired_at
    assert begun == 1 * (seconds > 3)


def test_all_is_forgotten_a_minute_after_the_last_change() -> None:
    memory = held()
    for now in (1.0, 2.0, 3.0, 4.0, 8.0):
        settled = after(memory, MEND, now)
        memory = settled.memory
    calm = after(memory, HOLDS, 30.0)
    assert calm.contested != ()
    assert calm.again_seconds == pytest.approx(38.0)
    over = after(calm.memory, HOLDS, 68.0)
    assert over.contested == ()
    assert over.again_seconds is None
    assert after(over.memory, MEND, 69.0).contested == ()


def test_all_who_fight_are_named_in_order() -> None:
    memory = held()
    for now, manager in enumerate(["helm", "argocd", "helm", "argocd"]):
        settled = after(memory, MEND, 1.0 + now, replace(CHILD, last_manager=manager))
        memory = settled.memory
    assert "changed again and again by argocd and helm" in settled.contested[0]


def test_a_child_that_is_gone_is_forgotten() -> None:
    memory = after(held(), MEND, 1.0).memory
    assert settle(HOLDS, (), "r1/1", memory, 2.0).memory == Memory()
