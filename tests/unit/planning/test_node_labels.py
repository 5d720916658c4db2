"""Labels of nodes as public dumps and manuals show them, and what comes of them."""

from typing import Any

import pytest

from llama_operator.planning.inventory import Inventory, NodeFacts
from llama_operator.planning.nodes import node_offers
from llama_operator.planning.survey import Survey, survey
from llama_operator.units import GIB, MIB
from unit.planning.cluster import CATALOG

MIXED_A100 = {
    "nvidia.com/cuda.driver.major": "515",
    "nvidia.com/gpu.compute.major": "8",
    "nvidia.com/gpu.compute.minor": "0",
    "nvidia.com/gpu.count": "1",
    "nvidia.com/gpu.memory": "81920",
    "nvidia.com/gpu.product": "NVIDIA-A100-80GB-PCIe",
    "nvidia.com/gpu.replicas": "0",
    "nvidia.com/mig-1g.10gb.count": "1",
    "nvidia.com/mig-1g.10gb.memory": "9728",
    "nvidia.com/mig-1g.10gb.product": "NVIDIA-A100-80GB-PCIe-MIG-1g.10gb",
    "nvidia.com/mig-1g.10gb.replicas": "1",
    "nvidia.com/mig-2g.20gb.count": "1",
    "nvidia.com/mig-2g.20gb.memory": "19968",
    "nvidia.com/mig-2g.20gb.product": "NVIDIA-A100-80GB-PCIe-MIG-2g.20gb",
    "nvidia.com/mig-2g.20gb.replicas": "1",
    "nvidia.com/mig-3g.40gb.count": "1",
    "nvidia.com/mig-3g.40gb.memory": "40192",
    "nvidia.com/mig-3g.40gb.product": "NVIDIA-A100-80GB-PCIe-MIG-3g.40gb",
    "nvidia.com/mig-3g.40gb.replicas": "1",
    "nvidia.com/mig.capable": "true",
    "nvidia.com/mig.strategy": "mixed",
}
"""A workstation on Azure, from a public tutorial of the GPU Operator."""
OLD_MIXED_A100 = {
    "nvidia.com/gpu.compute.major": "8",
    "nvidia.com/gpu.compute.minor": "0",
    "nvidia.com/gpu.count": "2",
    "nvidia.com/gpu.memory": "40537",
    "nvidia.com/gpu.product": "A100-PCIE-40GB",
    "nvidia.com/mig-1g.5gb.count": "4",
    "nvidia.com/mig-1g.5gb.memory": "4864",
    "nvidia.com/mig-2g.10gb.count": "2",
    "nvidia.com/mig-2g.10gb.memory": "9984",
}
"""GPU Feature Discovery of 2021, which names no product of slices."""
SHARED_A10G = {
    "nvidia.com/gpu.compute.major": "8",
    "nvidia.com/gpu.compute.minor": "6",
    "nvidia.com/gpu.count": "1",
    "nvidia.com/gpu.machine": "g5.2xlarge",
    "nvidia.com/gpu.memory": "23028",
    "nvidia.com/gpu.product": "NVIDIA-A10G-SHARED",
    "nvidia.com/gpu.replicas": "2",
    "nvidia.com/gpu.sharing-strategy": "time-slicing",
}
"""A g5.2xlarge with time-slicing, from a public walk-through."""
GKE_L4 = {"cloud.google.com/gke-accelerator": "nvidia-l4"}
KARPENTER_G6 = {
    "karpenter.k8s.aws/instance-family": "g6",
    "karpenter.k8s.aws/instance-gpu-count": "4",
    "karpenter.k8s.aws/instance-gpu-manufacturer": "nvidia",
    "karpenter.k8s.aws/instance-gpu-memory": "91553",
    "karpenter.k8s.aws/instance-gpu-name": "l4",
    "node.kubernetes.io/instance-type": "g6.12xlarge",
}
"""Karpenter's reference: its memory is that of the four cards together."""
WHOLE_L4 = (
    ("cloud.google.com/gke-accelerator", "nvidia-l4"),
    ("cloud.google.com/gke-gpu-partition-size", ""),
    ("cloud.google.com/gke-gpu-sharing-strategy", ""),
    ("nvidia.com/gpu.product", ""),
)


NO_PRODUCT = ("nvidia.com/gpu.product", "")
DISCOVERED = (WHOLE_L4, (("nvidia.com/gpu.product", "NVIDIA-L4"),))


def made(labels: dict[str, str], name: str = "n1", **gpus: str) -> dict[str, Any]:
    """A ready node; `gpu="4"` is short for the resource nvidia.com/gpu."""
    named = {key if "/" in key else f"nvidia.com/{key}": value for key, value in gpus.items()}
    return {
        "metadata": {"name": name, "labels": labels},
        "status": {
            "allocatable": {"cpu": "96", "memory": "1Ti", "ephemeral-storage": "4Ti"} | named,
            "conditions": [{"type": "Ready", "status": "True"}],
        },
    }


def only(labels: dict[str, str], **gpus: str) -> NodeFacts:
    (offer,) = node_offers(made(labels, **gpus))
    return offer


def test_mig_mixed_offers_each_profile_under_its_own_resource() -> None:
    node = made(
        MIXED_A100,
        **{"gpu": "0", "mig-1g.10gb": "1", "mig-2g.20gb": "1", "mig-3g.40gb": "1"},
    )
    offers = node_offers(node)
    assert [(one.resource, one.product, one.gpu_memory_mib, one.label) for one in offers] == [
        (
            f"nvidia.com/mig-{profile}",
            f"NVIDIA-A100-80GB-PCIe-MIG-{profile}",
            mib,
            f"nvidia.com/mig-{profile}.product",
        )
        for profile, mib in (("1g.10gb", 9_728), ("2g.20gb", 19_968), ("3g.40gb", 40_192))
    ]
    assert [one.further for one in offers] == [False, True, True]
    assert {(one.compute_capability, one.driver, one.selector) for one in offers} == {
        ((8, 0), 515, ())
    }


def test_a_node_offers_whole_cards_and_slices_at_once() -> None:
    node = made(MIXED_A100, **{"gpu": "1", "mig-3g.40gb": "2"})
    pools = survey(Inventory(node_offers(node)), CATALOG).pools
    assert [(pool.resource, pool.cards, pool.divisible) for pool in pools] == [
        ("nvidia.com/gpu", 1, True),
        ("nvidia.com/mig-3g.40gb", 2, False),
    ]
    # 81,920 MiB less the row's reserve of 0.75 GiB; 40,192 MiB less 0.65 GiB
    assert [pool.gpu.total_bytes for pool in pools] == [
        int(79.25 * GIB),
        40_192 * MIB - 65 * GIB // 100,
    ]


@pytest.mark.parametrize(
    ("labels", "expected"),
    [
        pytest.param(OLD_MIXED_A100, ("A100-PCIE-40GB-MIG-1g.5gb", 4_864), id="by its own label"),
        pytest.param(
            {"nvidia.com/gpu.product": "NVIDIA-A100-SXM4-40GB"},
            ("NVIDIA-A100-SXM4-40GB-MIG-1g.5gb", 4_864),
            id="by the table of profiles",
        ),
        pytest.param(
            {"nvidia.com/gpu.product": "NVIDIA-X1"},
            ("NVIDIA-X1-MIG-1g.5gb", None),
            id="not at all",
        ),
        pytest.param({}, ("", None), id="of a card that no label names"),
    ],
)
def test_memory_of_a_slice_without_a_product_is_known(
    labels: dict[str, str], expected: tuple[str, int | None]
) -> None:
    offer = only(labels, **{"mig-1g.5gb": "7"})
    assert (offer.product, offer.gpu_memory_mib) == expected


def test_a_slice_without_a_product_is_found_by_the_product_of_its_card() -> None:
    offer = only(OLD_MIXED_A100, **{"mig-2g.10gb": "2"})
    assert offer.found_by == (("nvidia.com/gpu.product", "A100-PCIE-40GB"),)


@pytest.mark.parametrize(
    ("resource", "labels", "replicas"),
    [
        pytest.param("mig-1g.10gb", {"nvidia.com/mig-1g.10gb.replicas": "2"}, 2, id="told"),
        pytest.param("mig-1g.10gb.shared", {}, 2, id="by the resource's name"),
        pytest.param("mig-1g.10gb.me", {}, 1, id="media extensions are no sharing"),
    ],
)
def test_slices_may_be_shared_as_well(resource: str, labels: dict[str, str], replicas: int) -> None:
    offer = only({**MIXED_A100, **labels}, **{resource: "4"})
    assert (offer.replicas, offer.gpu_memory_mib) == (replicas, 9_728)


@pytest.mark.parametrize(
    ("strategy", "mib"),
    [
        # 23,028 MiB less the row's reserve of 23,028 MiB - 22.06 GiB
        pytest.param("time-slicing", 23_028, id="time-slicing limits nobody's memory"),
        pytest.param("mps", 11_514, id="MPS limits each client to its share"),
    ],
)
def test_shared_cards_count_as_cards(strategy: str, mib: int) -> None:
    labels = {**SHARED_A10G, "nvidia.com/gpu.sharing-strategy": strategy}
    (pool,) = survey(Inventory((only(labels, gpu="2"),)), CATALOG).pools
    reserve = 23_028 * MIB - int(22.06 * GIB)
    assert pool.gpu.total_bytes == mib * MIB - reserve
    assert (pool.cards, pool.divisible, pool.sharing) == (1, False, strategy)


@pytest.mark.parametrize(
    ("labels", "gpus", "product", "selector"),
    [
        pytest.param(GKE_L4, "4", "NVIDIA-L4", WHOLE_L4, id="GKE"),
        pytest.param(
            {
                "cloud.google.com/gke-accelerator": "nvidia-tesla-a100",
                "cloud.google.com/gke-gpu-partition-size": "1g.5gb",
            },
            "7",
            "NVIDIA-A100-SXM4-40GB-MIG-1g.5gb",
            (
                ("cloud.google.com/gke-accelerator", "nvidia-tesla-a100"),
                ("cloud.google.com/gke-gpu-partition-size", "1g.5gb"),
                ("cloud.google.com/gke-gpu-sharing-strategy", ""),
            ),
            id="GKE: slices under the resource of whole cards",
        ),
        pytest.param(
            {
                **GKE_L4,
                "cloud.google.com/gke-gpu-sharing-strategy": "time-sharing",
                "cloud.google.com/gke-max-shared-clients-per-gpu": "2",
            },
            "2",
            "NVIDIA-L4-SHARED",
            (
                ("cloud.google.com/gke-accelerator", "nvidia-l4"),
                ("cloud.google.com/gke-gpu-partition-size", ""),
                ("cloud.google.com/gke-gpu-sharing-strategy", "time-sharing"),
                ("cloud.google.com/gke-max-shared-clients-per-gpu", "2"),
            ),
            id="GKE: a card that two share",
        ),
        pytest.param(
            KARPENTER_G6,
            "4",
            "NVIDIA-L4",
            (("karpenter.k8s.aws/instance-family", "g6"),),
            id="Karpenter on AWS, by the family",
        ),
        pytest.param(
            {"karpenter.k8s.aws/instance-gpu-name": "a10g"},
            "1",
            "NVIDIA-A10G",
            (("karpenter.k8s.aws/instance-gpu-name", "a10g"),),
            id="Karpenter on AWS, by the name",
        ),
        pytest.param(
            {"eks.amazonaws.com/instance-gpu-name": "h200"},
            "8",
            "NVIDIA-H200",
            (("eks.amazonaws.com/instance-gpu-name", "h200"),),
            id="EKS Auto Mode",
        ),
        pytest.param(
            {
                "kubernetes.azure.com/accelerator": "nvidia",
                "node.kubernetes.io/instance-type": "standard_nc24ads_a100_v4",
            },
            "1",
            "NVIDIA-A100-80GB-PCIe",
            (("node.kubernetes.io/instance-type", "standard_nc24ads_a100_v4"),),
            id="AKS, whose own label names the vendor alone",
        ),
        pytest.param(
            {"karpenter.azure.com/sku-gpu-name": "T4", "karpenter.azure.com/sku-gpu-count": "1"},
            "1",
            "Tesla-T4",
            (("karpenter.azure.com/sku-gpu-name", "T4"),),
            id="Karpenter on Azure",
        ),
        pytest.param(
            {"karpenter.azure.com/sku-gpu-name": "A100"},
            "8",
            "",
            (("", ""),),
            id="an A100 of 40 or 80 GB is not guessed",
        ),
        pytest.param(
            {
                "karpenter.k8s.aws/instance-gpu-name": "l4",
                "node.kubernetes.io/instance-type": "g6f",
            },
            "1",
            "",
            (("", ""),),
            id="an L4 that may be a part of one is not guessed",
        ),
        pytest.param(
            {**GKE_L4, "nvidia.com/gpu.product": "NVIDIA-L4"},
            "1",
            "NVIDIA-L4",
            (("nvidia.com/gpu.product", "NVIDIA-L4"),),
            id="GPU Feature Discovery comes first",
        ),
    ],
)
def test_labels_of_clouds_name_the_product(
    labels: dict[str, str], gpus: str, product: str, selector: tuple[tuple[str, str], ...]
) -> None:
    offer = only(labels, gpu=gpus)
    undiscovered = () if product == "" or selector in DISCOVERED else (NO_PRODUCT,)
    assert (offer.product, offer.found_by, offer.closed) == (product, selector + undiscovered, "")


def test_amd_gpus_without_their_labeller_are_known_by_the_machine() -> None:
    labels = {"node.kubernetes.io/instance-type": "Standard_ND96isr_MI300X_v5"}
    assert only(labels, **{"amd.com/gpu": "8"}).product == "AMD_Instinct_MI300X_OAM"
    assert only(labels, gpu="8").product == ""


def test_more_gpus_than_a_machine_has_are_not_used() -> None:
    offer = only({"node.kubernetes.io/instance-type": "Standard_NC24ads_A100_v4"}, gpu="7")
    assert offer.closed == "with more GPUs (7) than cards (1), which no label tells to be shared"


def surveyed(*nodes: dict[str, Any]) -> Survey:
    return survey(Inventory(tuple(one for node in nodes for one in node_offers(node))), CATALOG)


def test_nodes_of_one_product_serve_together_whoever_labelled_them() -> None:
    discovered = {"nvidia.com/gpu.product": "NVIDIA-L4", "nvidia.com/gpu.memory": "23034"}
    (pool,) = surveyed(
        made({**GKE_L4, **discovered}, "a", gpu="1"),
        made({**GKE_L4, **discovered}, "b", gpu="1"),
        made(GKE_L4, "c", gpu="1"),
    ).pools
    assert (pool.product, pool.cards, pool.label) == ("NVIDIA-L4", 3, "nvidia.com/gpu.product")
    assert pool.selectors == (WHOLE_L4, (("nvidia.com/gpu.product", "NVIDIA-L4"),))
    assert pool.gpu.compute_capability == (8, 9)


def test_intel_gpus_are_counted_as_served_by_no_engine() -> None:
    found = surveyed(
        made({}, "a", **{"habana.ai/gaudi": "8"}),
        made({"gpu.intel.com/product": "Max_1100"}, "b", **{"gpu.intel.com/i915": "2"}),
        made({}, "c", **{"gpu.intel.com/i915": "1"}),
    )
    assert (found.pools, found.unknown_memory_nodes) == ((), 0)
    assert found.unserved == {"gpu.intel.com/i915": 2, "habana.ai/gaudi": 1}


def test_a_closed_node_counts_once_whatever_it_offers() -> None:
    node = made(MIXED_A100, **{"gpu": "1", "mig-3g.40gb": "2"})
    node["spec"] = {"unschedulable": True}
    assert surveyed(node).closed == {"cordoned": 1}
