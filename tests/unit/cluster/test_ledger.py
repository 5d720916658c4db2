from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llama_operator.cluster.ledger import Ledger, Reservation
from llama_operator.reconcile.observed import PodFacts
from support.deployments import pod
from unit.planning.cluster import A100, CATALOG, GPU, node

SLICE = "nvidia.com/mig-3g.40gb"
KEY, OTHER = ("ml", "llama"), ("ml", "other")


def bound(name: str, to: str, gpus: int = 1) -> PodFacts:
    return replace(pod(name), node=to, gpus=gpus)


def with_nodes(*names: str) -> Ledger:
    """A ledger in which every node has as many GPUs as the number at the end of its name."""
    ledger = Ledger()
    for name in names:
        ledger.set_node(name, (node(name, A100, int(name[1:])),))
    return ledger


def held(ledger: Ledger, *own: PodFacts) -> dict[str, int]:
    """GPUs held by node, as a deployment with these pods sees them."""
    return {f"n{facts.gpus}": gpus for (facts, gpus), _ in ledger.stock(own).items() if gpus}


def test_a_bound_pod_holds_its_gpus_until_it_is_gone() -> None:
    ledger = with_nodes("n1")
    unbound, one = replace(pod("a"), node=""), bound("a", "n1", 4)
    ledger.set_pod("ml", None, unbound)
    assert held(ledger) == {}
    ledger.set_pod("ml", unbound, one)
    assert held(ledger) == {"n1": 4}
    ledger.set_pod("ml", one, None)
    assert held(ledger) == {}


def test_a_pod_that_downloads_a_model_is_no_replica() -> None:
    ledger = with_nodes("n1")
    ledger.reserve(KEY, Reservation(GPU, (A100[0],), 1, 1))
    ledger.set_pod("ml", None, replace(bound("a", "n1", 0), job="llama-fetch-0"))
    assert ledger.reserved(OTHER) == ((GPU, (A100[0],), 1, 1),)
    ledger.set_pod("ml", None, bound("b", "n1"))
    assert ledger.reserved(OTHER) == ()


def test_a_pod_that_finished_holds_nothing() -> None:
    ledger = with_nodes("n1")
    one = bound("a", "n1", 4)
    ledger.set_pod("ml", None, one)
    ledger.set_pod("ml", one, replace(one, finished=True))
    assert held(ledger) == {}


def test_a_pod_that_is_being_deleted_holds_its_gpus_still() -> None:
    ledger = with_nodes("n1")
    one = bound("a", "n1", 4)
    ledger.set_pod("ml", None, one)
    ledger.set_pod("ml", one, replace(one, deleting=True))
    assert held(ledger) == {"n1": 4}


def test_what_a_deployment_holds_itself_is_free_to_it() -> None:
    ledger = with_nodes("n1")
    own, foreign = bound("own", "n1", 4), bound("foreign", "n1", 2)
    for one in (own, foreign):
        ledger.set_pod("ml", None, one)
    assert held(ledger, own) == {"n1": 2}
    assert held(ledger, foreign) == {"n1": 4}
    assert held(ledger, own, foreign) == {}
    assert held(ledger) == {"n1": 6}


def test_a_replica_that_becomes_bound_leaves_the_reservation_at_the_same_moment() -> None:
    ledger = with_nodes("n1")
    ledger.reserve(KEY, Reservation(GPU, (A100[0],), 2, 3))
    pending, one = replace(pod("a"), node=""), bound("a", "n1", 2)
    ledger.set_pod("ml", None, pending)
    assert ledger.reserved(OTHER) == ((GPU, (A100[0],), 2, 3),)
    ledger.set_pod("ml", pending, one)
    assert ledger.reserved(OTHER) == ((GPU, (A100[0],), 2, 2),)
    assert held(ledger) == {"n1": 2}
    ledger.set_pod("ml", one, replace(one, deleting=True))
    assert ledger.reserved(OTHER) == ((GPU, (A100[0],), 2, 2),)
    ledger.set_pod("ml", one, None)
    assert ledger.reserved(OTHER) == ((GPU, (A100[0],), 2, 3),)


def test_bound_pods_of_the_name_elsewhere_are_not_those_of_the_deployment() -> None:
    ledger = Ledger()
    ledger.reserve(KEY, Reservation(GPU, (A100[0],), 2, 1))
    ledger.set_pod("prod", None, bound("a", "n1", 2))
    assert ledger.reserved(OTHER) == ((GPU, (A100[0],), 2, 1),)


def test_a_reservation_is_seen_by_others_and_not_by_its_owner() -> None:
    ledger = Ledger()
    ledger.reserve(KEY, Reservation(GPU, (A100[0],), 2, 3))
    assert ledger.reserved(OTHER) == ((GPU, (A100[0],), 2, 3),)
    assert ledger.reserved(KEY) == ()


@pytest.mark.parametrize(
    "ended",
    [
        pytest.param(None, id="given back"),
        pytest.param(Reservation(GPU, (A100[0],), 2, 0), id="for no replicas"),
        pytest.param(
            Reservation(GPU, (A100[0],), 2, -1), id="for fewer than none: more pods than asked"
        ),
    ],
)
def test_a_reservation_ends(ended: Reservation | None) -> None:
    ledger = Ledger()
    ledger.reserve(KEY, Reservation(GPU, (A100[0],), 2, 3))
    ledger.reserve(KEY, ended)
    assert ledger.reserved(OTHER) == ()


def test_nodes_that_offer_the_same_are_counted_together() -> None:
    ledger = Ledger()
    for name in ("b", "c", "a"):
        ledger.set_node(name, (node(name, A100),))
    ledger.set_node("c", ())
    ledger.set_node("d", (node("d", A100, 4),))
    ledger.set_node("never-seen", ())
    assert sorted((facts.gpus, nodes) for (facts, _), nodes in ledger.stock().items()) == [
        (4, 1),
        (8, 2),
    ]


def test_a_changed_node_replaces_the_old_one() -> None:
    ledger = Ledger()
    ledger.set_node("a", (node("a", A100, 8),))
    ledger.set_node("a", (node("a", A100, 4),))
    [((found, _), nodes)] = ledger.stock().items()
    assert (found.gpus, nodes) == (4, 1)


def test_pods_that_are_seen_before_their_node_hold_its_gpus() -> None:
    ledger = Ledger()
    ledger.set_pod("ml", None, bound("a", "n1", 2))
    ledger.set_node("n1", (node("n1", A100, 1),))
    assert held(ledger) == {"n1": 2}
    ledger.set_node("n1", ())
    assert held(ledger) == {}


def test_gpus_are_held_by_node_and_resource() -> None:
    slices = node("n1", ("NVIDIA-A100-SXM4-80GB-MIG-3g.40gb", 40_192), 2, resource=SLICE)
    ledger = Ledger()
    ledger.set_node("n1", (node("n1", A100, 4), slices))
    ledger.set_pod("ml", None, bound("a", "n1", 3))
    ledger.set_pod("ml", None, replace(bound("b", "n1", 1), gpu_resource=SLICE))
    ledger.set_pod("ml", None, replace(bound("c", "n1", 8), gpu_resource="amd.com/gpu"))
    assert {facts.resource: gpus for (facts, gpus), _ in ledger.stock().items()} == {
        GPU: 3,
        SLICE: 1,
    }
    ledger.set_node("n1", (slices,))
    assert {facts.resource: gpus for (facts, gpus), _ in ledger.stock().items()} == {SLICE: 1}


def test_a_reservation_takes_gpus_of_its_resource_alone() -> None:
    slices = node("n1", ("NVIDIA-A100-SXM4-80GB-MIG-3g.40gb", 40_192), 2, resource=SLICE)
    single = replace(slices, resource=GPU)
    ledger = Ledger()
    ledger.set_node("n1", (slices,))
    ledger.set_node("n2", (single,))
    ledger.reserve(KEY, Reservation(SLICE, (slices.product,), 1, 2))
    pools = ledger.survey(OTHER, CATALOG).pools
    assert {pool.resource: pool.free_cards for pool in pools} == {GPU: 2, SLICE: 0}


def free(ledger: Ledger, key: tuple[str, str], *own: PodFacts) -> list[int]:
    return [pool.free_cards for pool in ledger.survey(key, CATALOG, own).pools]


def test_a_survey_shows_each_deployment_what_is_free_to_it_now() -> None:
    ledger = with_nodes("n8")
    assert free(ledger, KEY) == [8]
    ledger.reserve(KEY, Reservation(GPU, (A100[0],), 2, 3))
    assert (free(ledger, KEY), free(ledger, OTHER)) == ([8], [2])
    one = bound("a", "n8", 2)
    ledger.set_pod("ml", None, one)
    assert (free(ledger, KEY), free(ledger, OTHER), free(ledger, OTHER, one)) == ([6], [2], [4])
    ledger.set_node("m8", (node("m8", A100, 8),))
    assert (free(ledger, KEY), free(ledger, OTHER)) == ([14], [10])
    ledger.set_node("n8", ())
    assert (free(ledger, KEY), free(ledger, OTHER)) == ([8], [4])


pods = st.builds(
    lambda name, to, gpus, finished: replace(bound(name, to, gpus), finished=finished),
    st.sampled_from(["a", "b", "c"]),
    st.sampled_from(["", "n1", "n2"]),
    st.integers(0, 8),
    st.booleans(),
)


@given(st.lists(st.tuples(pods, st.booleans()), max_size=30))
def test_after_any_events_held_is_the_sum_over_the_pods_there_are(
    events: list[tuple[PodFacts, bool]],
) -> None:
    ledger, there = with_nodes("n1", "n2"), dict[str, PodFacts]()
    for new, gone in events:
        old = there.get(new.name)
        ledger.set_pod("ml", old, None if gone else new)
        there.pop(new.name, None)
        if not gone:
            there[new.name] = new
    expected: dict[str, int] = {}
    for one in there.values():
        if one.node and not one.finished:
            expected[one.node] = expected.get(one.node, 0) + one.gpus
    assert held(ledger) == {name: gpus for name, gpus in expected.items() if gpus}
