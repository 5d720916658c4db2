from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llama_operator.planning.inventory import Inventory, NodeFacts
from llama_operator.planning.survey import GpuPool, Survey, survey
from llama_operator.sizing.host import HostNeeds
from llama_operator.units import GIB
from unit.planning.cluster import A10G, A100, CATALOG, GPU, H100, MI300X, node, on_nodes

NO_HOST = HostNeeds(cpu_millicores=1, memory_bytes=1, shm_bytes=0, disk_bytes=1)


def surveyed(*nodes: NodeFacts, **kw: Any) -> Survey:
    held = on_nodes(kw.pop("held", {}))
    return survey(Inventory(nodes, held, **kw), CATALOG)


def only(*nodes: NodeFacts, **kw: Any) -> GpuPool:
    (pool,) = surveyed(*nodes, **kw).pools
    return pool


def test_nodes_are_grouped_by_product_and_sorted() -> None:
    found = surveyed(node("b", H100, 8), node("a", A100, 4), node("c", A100, 8))
    assert [(pool.product, pool.cards, pool.largest_cards) for pool in found.pools] == [
        ("NVIDIA-A100-SXM4-80GB", 12, 8),
        ("NVIDIA-H100-80GB-HBM3", 8, 8),
    ]


@pytest.mark.parametrize(
    ("mib", "total_gib"),
    [
        # the row says 81,920 MiB on the label and 79.25 GiB visible: a reserve of 0.75 GiB
        pytest.param(81_920, 79.25, id="the usual label"),
        pytest.param(None, 79.25, id="no label: the table's figure"),
        pytest.param(40_960, 39.25, id="the label wins over the table"),
    ],
)
def test_memory_comes_from_the_label_less_the_reserve(mib: int | None, total_gib: float) -> None:
    pool = only(node("a", (A100[0], mib)))
    assert pool.gpu.total_bytes == int(total_gib * GIB)


def test_a_pool_has_the_memory_of_its_smallest_gpu() -> None:
    pool = only(node("a", A100), node("b", (A100[0], 81_000)))
    # 81,000 MiB less 0.75 GiB
    assert pool.gpu.total_bytes == 81_000 * 2**20 - 768 * 2**20


def test_an_unknown_product_is_sized_by_its_label() -> None:
    pool = only(node("a", ("NVIDIA-X1", 100_000), capability=(9, 0)))
    assert pool.gpu.total_bytes == 100_000 * 2**20 - 65 * GIB // 100
    assert pool.gpu.compute_capability == (9, 0)


def test_gpus_of_unknown_memory_and_closed_nodes_are_counted_not_used() -> None:
    found = surveyed(
        node("a", ("NVIDIA-X1", None)), node("b", ("", 81_920)), node("c", A100, usable=False)
    )
    assert found.pools == ()
    assert (found.closed, found.unknown_memory_nodes) == ({"cordoned": 1}, 2)


def test_mig_slices_have_the_capability_of_their_parent_and_are_not_joined() -> None:
    pool = only(node("a", ("NVIDIA-A100-SXM4-80GB-MIG-3g.40gb", 40_192), 2))
    assert pool.gpu.compute_capability == (8, 0)
    assert not pool.divisible


def test_a_shared_card_takes_one_tenant() -> None:
    pool = only(node("a", ("NVIDIA-A10G-SHARED", 23_028), 16, replicas=4), held={"a": 1})
    assert (pool.cards, pool.free_cards, pool.divisible) == (4, 3, False)


def test_the_same_product_under_another_resource_is_another_pool() -> None:
    found = surveyed(node("a", A10G), node("b", A10G, resource="nvidia.com/gpu.shared"))
    assert [pool.resource for pool in found.pools] == ["nvidia.com/gpu", "nvidia.com/gpu.shared"]


def test_amd_gpus_keep_their_vendor() -> None:
    assert only(node("a", MI300X, resource="amd.com/gpu")).gpu.vendor == "AMD"


@pytest.mark.parametrize(
    ("held", "reserved", "gpus", "expected"),
    [
        pytest.param({}, (), 4, 5, id="8 + 8 + 4 cards hold five replicas of four"),
        pytest.param({"a": 1}, (), 4, 4, id="a held card breaks one node's pair"),
        pytest.param({"a": 1}, (), 1, 19, id="single cards do not care"),
        pytest.param({"a": 9}, (), 4, 3, id="more held than there is counts as nothing free"),
        pytest.param({}, ((GPU, (A100[0],), 4, 1),), 4, 4, id="a reservation of four cards"),
        pytest.param({}, ((GPU, (A100[0],), 4, 1),), 8, 2, id="it takes the tightest node"),
        pytest.param({}, ((GPU, (A100[0],), 1, 3),), 8, 2, id="three single cards share a node"),
        pytest.param({}, ((GPU, (H100[0],), 8, 9),), 8, 2, id="other products are left alone"),
        pytest.param({}, ((GPU, (A100[0],), 16, 1),), 8, 2, id="what fits nowhere takes nothing"),
        pytest.param(
            {}, ((GPU, (A100[0],), 8, 5),), 4, 1, id="two of five fit; one node of four stays"
        ),
    ],
)
def test_free_replicas_are_packed_by_node(
    held: dict[str, int],
    reserved: tuple[tuple[str, tuple[str, ...], int, int], ...],
    gpus: int,
    expected: int,
) -> None:
    nodes = (node("a", A100, 8), node("b", A100, 8), node("c", A100, 4))
    pool = only(*nodes, held=held, reserved=reserved)
    assert pool.free_replicas(gpus, NO_HOST) == expected


def test_a_reservation_takes_what_is_accepted_and_tightest() -> None:
    found = surveyed(
        node("a", A100, 2),
        node("h", H100, 1),
        reserved=((GPU, (A100[0], H100[0]), 1, 1),),
    )
    assert {pool.product: pool.free_cards for pool in found.pools} == {A100[0]: 2, H100[0]: 0}


def test_the_order_of_reservations_does_not_matter() -> None:
    one = (GPU, (A100[0], H100[0]), 1, 1)
    two = (GPU, (A100[0],), 2, 1)
    nodes = (node("a", A100, 2), node("h", H100, 1))
    found = [surveyed(*nodes, reserved=order) for order in ((one, two), (two, one))]
    assert found[0] == found[1]
    assert all(pool.free_cards == 0 for pool in found[0].pools)


def test_cpu_memory_and_disk_bound_the_replicas_of_a_node() -> None:
    host = HostNeeds(3_000, 13 * GIB, GIB, 40 * GIB)
    pool = only(node("a", A100, 8, cpu=10_000, memory=1024 * GIB, disk=4096 * GIB))
    assert pool.free_replicas(1, host) == 3


rooms = st.lists(
    st.builds(
        lambda gpu, gpus, taken: (gpu, gpus, min(gpus, taken)),
        st.sampled_from([A100, H100, A10G]),
        st.integers(1, 8),
        st.integers(0, 8),
    ),
    min_size=1,
    max_size=6,
)
plans = st.lists(
    st.tuples(
        st.just(GPU),
        st.sampled_from([(A100[0],), (A100[0], H100[0]), (A10G[0], A100[0])]),
        st.integers(1, 4),
        st.integers(1, 9),
    ),
    max_size=5,
)


@given(rooms, plans)
def test_many_replicas_at_once_take_what_they_take_one_by_one(
    rooms: list[tuple[tuple[str, int], int, int]],
    plans: list[tuple[str, tuple[str, ...], int, int]],
) -> None:
    nodes = [node(f"n{index}", gpu, gpus) for index, (gpu, gpus, _) in enumerate(rooms)]
    held = {f"n{index}": taken for index, (_, _, taken) in enumerate(rooms)}
    split = [(*kind, 1) for *kind, count in plans for _ in range(count)]
    at_once = surveyed(*nodes, held=held, reserved=tuple(plans))
    assert surveyed(*nodes, held=held, reserved=tuple(split)) == at_once
