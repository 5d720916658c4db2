from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llama_operator.planning.devices import (
    Gpu,
    NodeDevices,
    SliceFacts,
    extended_resource,
    gpus_of,
    slice_facts,
)
from llama_operator.planning.nodes import NEEDS_CLASS, NEEDS_LABEL, SEVERAL_KINDS, node_offers
from unit.planning.test_node_labels import made
from unit.planning.test_nodes import anything

H100 = Gpu("NVIDIA-H100-80GB-HBM3", 81_559, (9, 0), 580)
A10 = Gpu("NVIDIA-A10", 23_028, (8, 6), 550)
LABEL = {"nvidia.com/gpu.product": "NVIDIA-H100-80GB-HBM3"}


def device(**changed: Any) -> dict[str, Any]:
    attributes = {
        "type": {"string": "gpu"},
        "productName": {"string": "NVIDIA H100 80GB HBM3"},
        "cudaComputeCapability": {"version": "9.0.0"},
        "driverVersion": {"version": "580.65.6"},
    }
    body: dict[str, Any] = {
        "attributes": attributes | changed,
        "capacity": {"memory": {"value": "81559Mi"}},
    }
    return body


def made_slice(*devices: Any, driver: str = "gpu.nvidia.com", **spec: Any) -> dict[str, Any]:
    pool = {"name": "a", "generation": 1, "resourceSliceCount": 1}
    body = {"driver": driver, "nodeName": "a", "pool": pool, "devices": list(devices)}
    return {"metadata": {"name": "a-1"}, "spec": body | spec}


@pytest.mark.parametrize(
    ("item", "gpus"),
    [
        pytest.param(made_slice(device(), device()), (H100, H100), id="two cards"),
        pytest.param(made_slice({"basic": device()}), (H100,), id="the beta API, one level deeper"),
        pytest.param(
            made_slice(
                {
                    "attributes": {"gpu.nvidia.com/type": {"string": "gpu"}},
                    "capacity": {"gpu.nvidia.com/memory": {"value": "80Gi"}},
                }
            ),
            (Gpu("", 81_920, None, None),),
            id="names with their domain",
        ),
        pytest.param(
            made_slice(device(), device(type={"string": "mig"})),
            (H100,),
            id="slices of a card are not another one",
        ),
        pytest.param(
            made_slice(device(driverVersion={"version": "v1"}, cudaComputeCapability={})),
            (Gpu("NVIDIA-H100-80GB-HBM3", 81_559, None, None),),
            id="versions that are none",
        ),
    ],
)
def test_a_slice_becomes_gpus(item: dict[str, Any], gpus: tuple[Gpu, ...]) -> None:
    assert slice_facts(item) == SliceFacts("a", "a", 1, gpus)


@pytest.mark.parametrize(
    "item",
    [
        pytest.param(made_slice(device(), driver="gpu.example.com"), id="another driver"),
        pytest.param(made_slice(device(), nodeName=""), id="of no one node"),
        pytest.param(made_slice(device(type={"string": "vfio"})), id="no whole GPU"),
        pytest.param(made_slice(), id="empty"),
        pytest.param({}, id="nothing"),
    ],
)
def test_other_slices_are_left_out(item: dict[str, Any]) -> None:
    assert slice_facts(item) is None


def test_the_newest_generation_of_a_pool_holds() -> None:
    old, new = SliceFacts("a", "p", 1, (H100, H100)), SliceFacts("a", "p", 2, (H100,))
    other = SliceFacts("a", "q", 1, (A10,))
    assert gpus_of([new, other, old]) == (H100, A10)


@pytest.mark.parametrize(
    ("labels", "devices", "closed"),
    [
        pytest.param(LABEL, NodeDevices((H100, H100), True), "", id="plain requests get them"),
        pytest.param(LABEL, NodeDevices((H100, H100), False), NEEDS_CLASS, id="claims alone"),
        pytest.param({}, NodeDevices((H100, H100), True), NEEDS_LABEL, id="no label"),
        pytest.param(LABEL, NodeDevices((A10, H100), True), SEVERAL_KINDS, id="several kinds"),
    ],
)
def test_gpus_of_slices_are_offered_where_pods_can_ask_for_them(
    labels: dict[str, str], devices: NodeDevices, closed: str
) -> None:
    (offer,) = node_offers(made(labels), devices)
    assert (offer.resource, offer.gpus, offer.closed) == ("nvidia.com/gpu", 2, closed)
    assert offer.cpu_millicores == 96_000


def test_attributes_fill_what_labels_do_not_tell() -> None:
    (offer,) = node_offers(made(LABEL), NodeDevices((H100,), True))
    assert (offer.gpu_memory_mib, offer.compute_capability, offer.driver) == (81_559, (9, 0), 580)
    assert offer.found_by == (("nvidia.com/gpu.product", "NVIDIA-H100-80GB-HBM3"),)


def test_what_a_node_shows_itself_counts_and_not_its_slices() -> None:
    (offer,) = node_offers(made(LABEL, gpu="8"), NodeDevices((H100,), True))
    assert offer.gpus == 8


def test_a_cordoned_node_says_so_first() -> None:
    node = {**made(LABEL), "spec": {"unschedulable": True}}
    (offer,) = node_offers(node, NodeDevices((H100,), False))
    assert offer.closed == "cordoned"


attributes = st.dictionaries(
    st.sampled_from(
        ["type", "productName", "cudaComputeCapability", "driverVersion", "gpu.nvidia.com/type"]
    ),
    anything
    | st.just({"string": "gpu"})
    | st.fixed_dictionaries({}, optional={"string": anything, "version": anything}),
)


@given(
    attributes | anything,
    anything | st.fixed_dictionaries({"memory": anything | st.just({"value": "81559Mi"})}),
    anything,
    anything,
)
def test_garbage_never_raises(told: object, capacity: object, pool: object, other: object) -> None:
    one = {"attributes": told, "capacity": capacity}
    found = slice_facts(made_slice(one, other, pool=pool))
    if found is not None:
        assert len(node_offers(made({}), NodeDevices(gpus_of([found]), True))) == 1
    extended_resource({"spec": other})
