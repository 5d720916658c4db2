"""A volume that holds the model: what the plan then asks of a node, and what it says."""

from typing import Any

import pytest

from llama_operator.api.enums import CacheKind
from llama_operator.planning.cached import refuse_host_path
from llama_operator.planning.outcome import Refusal
from llama_operator.units import GIB
from unit.planning.cluster import A100, A100_40GB, node, outcome_of, planned, spec

CLAIM: dict[str, Any] = {"claim": {"name": "shared-models"}}


def test_without_one_a_large_download_is_told_with_the_claim_that_would_spare_it() -> None:
    # 37.04 GiB of files; 37.04 * 1.05 + 1 GiB = 39.89 GiB with the margin.
    reasons = planned(spec(size="70b", format="awq"), node("a", A100)).plan.reasons
    [told] = [reason for reason in reasons if "spec.cache" in reason]
    assert told.startswith("each new pod downloads 37.04 GiB; spec.cache.claim")
    assert told.endswith("keep them on a claim of 39.89 GiB")


@pytest.mark.parametrize(
    ("fields", "told"),
    [
        pytest.param({"size": "8b", "format": "awq"}, False, id="6 GB"),
        pytest.param({"size": "8b", "format": "pytorch"}, False, id="16 GB"),
        pytest.param({"size": "70b", "format": "awq"}, True, id="40 GB"),
    ],
)
def test_only_above_20_gb_a_cache_is_proposed(fields: dict[str, Any], told: bool) -> None:
    reasons = planned(spec(**fields), node("a", A100)).plan.reasons
    assert any("spec.cache" in reason for reason in reasons) == told


@pytest.mark.parametrize(
    ("cache", "kind", "where"),
    [
        pytest.param(CLAIM, "Claim", "claim shared-models", id="a claim that exists"),
        pytest.param({"claim": {}}, "Claim", "a claim of its own", id="a claim that is made"),
        pytest.param(
            {"hostPath": "/mnt/a"}, "HostPath", "the folder /mnt/a of each node", id="a folder"
        ),
        pytest.param({"image": "a/b:c"}, "Image", "image a/b:c", id="an image"),
    ],
)
def test_pods_ask_for_no_room_for_a_model_that_lies_elsewhere(
    cache: dict[str, Any], kind: str, where: str
) -> None:
    wanted = {"size": "70b", "format": "awq"}
    plain = planned(spec(**wanted), node("a", A100)).plan
    plan = planned(spec(**wanted, cache=cache), node("a", A100)).plan
    assert (plain.cached, plan.cached) == (False, True)
    assert plan.cache is not None
    assert plan.cache.kind == CacheKind(kind)
    assert plan.cache.model_bytes == plain.host.disk_bytes
    assert plan.host.disk_bytes == 2 * GIB
    assert plan.startup_seconds == plain.startup_seconds  # a volume may be as slow as a hub
    assert [reason for reason in plan.reasons if where in reason]
    assert plan.to_object()["cache"]["kind"] == kind
    assert "cache" not in plain.to_object()


def test_a_node_whose_disk_is_too_small_for_the_model_serves_it_from_a_volume() -> None:
    small = node("a", A100, disk=20 * GIB)
    wanted = {"size": "70b", "format": "awq"}
    refused = outcome_of(spec(**wanted), small)
    assert isinstance(refused, Refusal)
    assert refused.reason == "HostTooSmall"
    assert planned(spec(**wanted, cache=CLAIM), small).fits_now


@pytest.mark.parametrize("engine", ["TGI", "Transformers"])
def test_engines_that_know_no_other_hub_serve_what_was_fetched_from_it(engine: str) -> None:
    wanted = {"size": "8b", "format": "pytorch", "hub": "ModelScope", "engine": {"type": engine}}
    refused = outcome_of(spec(**wanted), node("a", A100_40GB))
    assert isinstance(refused, Refusal)
    assert "Hugging Face alone" in refused.message
    plan = planned(spec(**wanted, cache=CLAIM), node("a", A100_40GB)).plan
    assert (plan.engine, plan.hub) == (engine, "ModelScope")


def test_folders_of_nodes_are_refused_with_what_to_use_instead() -> None:
    refusal = refuse_host_path(spec(size="8b", cache={"hostPath": "/mnt/models"}))
    assert refusal is not None
    assert refusal.reason == "InvalidSpec"
    assert "spec.cache.hostPath" in refusal.message
    assert "--allow-host-path" in refusal.message
    assert refuse_host_path(spec(size="8b", cache=CLAIM)) is None
    assert refuse_host_path(spec(size="8b")) is None
