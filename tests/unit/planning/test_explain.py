"""Every candidate has a verdict and a reason, and they agree with the plan."""

import random as randoms
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from llama_operator.api.plan import Plan
from llama_operator.api.v1alpha1 import LlamaDeploymentSpec
from llama_operator.errors import SpecError
from llama_operator.planning.candidates import candidates
from llama_operator.planning.choices import choices
from llama_operator.planning.explain import ExplainedRow, Verdict, explain
from llama_operator.planning.inventory import Inventory, NodeFacts
from llama_operator.planning.outcome import Planned
from llama_operator.planning.plan import plan_on
from llama_operator.planning.survey import survey
from llama_operator.planning.trials import attempt
from llama_operator.units import format_usd
from unit.planning.cluster import (
    A10G,
    A100,
    CATALOG,
    H100,
    L40S,
    T4,
    V100,
    node,
    on_nodes,
    planned,
    spec,
    spec_without_token,
)
from unit.planning.test_properties import inventories, specs

Told = dict[str, tuple[str, str]]


def rows_of(
    wanted: LlamaDeploymentSpec,
    *nodes: NodeFacts,
    held: dict[str, int] | None = None,
    current: Plan | None = None,
) -> tuple[ExplainedRow, ...]:
    return explain(
        wanted, CATALOG, survey(Inventory(nodes, on_nodes(held or {})), CATALOG), current=current
    )


def told(rows: tuple[ExplainedRow, ...], engine: str = "vLLM") -> Told:
    """Verdict and reason of the rows of one engine by their GPUs."""
    return {
        f"{row.count}x {row.product}": (row.verdict.value, row.reason)
        for row in rows
        if row.engine == engine
    }


NODES = (node("a", A100, 2), node("h", H100, 2), node("g", L40S, 2), node("t", T4, 1))


def test_each_candidate_says_why() -> None:
    """The 70B in AWQ: prices are 3.4309 for an A100, 6.88 for an H100 and 1.861 for an L40S.

    It needs 39,900,954,624 + 555,873,730 + 322,122,547 + 2,017,528,245 + 5,368,709,120 =
    48,165,188,266 bytes; 92 % of an L40S (44.39 GiB) are 43,850,327,602, of a T4 (14.58 GiB)
    14,402,743,330.
    """
    assert told(rows_of(spec(size="70b", format="awq"), *NODES)) == {
        "1x NVIDIA-A100-SXM4-80GB": ("Chosen", "ranks first; free now"),
        "2x NVIDIA-L40S": ("Fits", "costs 3.722 instead of 3.4309 USD an hour"),
        "2x NVIDIA-A100-SXM4-80GB": ("Fits", "costs 6.8618 instead of 3.4309 USD an hour"),
        "1x NVIDIA-H100-80GB-HBM3": ("Fits", "costs 6.88 instead of 3.4309 USD an hour"),
        "2x NVIDIA-H100-80GB-HBM3": ("Fits", "costs 13.76 instead of 3.4309 USD an hour"),
        "1x NVIDIA-L40S": (
            "DoesNotFit",
            "each GPU lacks 4.02 GiB (4,314,860,664 bytes): the KV cache cannot hold the requests",
        ),
        "1x Tesla-T4": (
            "DoesNotFit",
            "each GPU lacks 31.44 GiB (33,762,444,936 bytes): "
            "the weights alone exceed what the engine may use",
        ),
    }


@pytest.mark.parametrize(
    ("fields", "held", "expected"),
    [
        pytest.param(
            {},
            {"a": 2},
            {
                "2x NVIDIA-L40S": (
                    "Chosen",
                    "free now, and at most 25 % above 1x NVIDIA-A100-SXM4-80GB",
                ),
                "1x NVIDIA-A100-SXM4-80GB": ("Fits", "not free now for all replicas"),
                "1x NVIDIA-H100-80GB-HBM3": ("Fits", "costs 6.88 instead of 3.722 USD an hour"),
            },
            id="the cheapest is busy",
        ),
        pytest.param(
            {},
            {"a": 2, "g": 2},
            {
                "1x NVIDIA-A100-SXM4-80GB": (
                    "Chosen",
                    "ranks first; to wait for: not free now for all replicas",
                ),
                "2x NVIDIA-L40S": ("Fits", "costs 3.722 instead of 3.4309 USD an hour"),
                "1x NVIDIA-H100-80GB-HBM3": (
                    "Fits",
                    "free now, but costs 6.88 instead of 3.4309 USD an hour: more than 25 % above",
                ),
            },
            id="what is free costs too much",
        ),
        pytest.param(
            {"hardware": [{"gpu": H100[0]}, {"gpu": A100[0], "count": 2}]},
            {},
            {
                "1x NVIDIA-H100-80GB-HBM3": ("Chosen", "ranks first; free now"),
                "2x NVIDIA-H100-80GB-HBM3": ("Fits", "costs 13.76 instead of 6.88 USD an hour"),
                "2x NVIDIA-A100-SXM4-80GB": ("Fits", "later in spec.hardware"),
            },
            id="the list of the spec",
        ),
        pytest.param(
            {"hardware": [{"gpu": H100[0]}, {"gpu": A100[0]}]},
            {"h": 2},
            {
                "1x NVIDIA-A100-SXM4-80GB": (
                    "Chosen",
                    "free now, unlike 1x NVIDIA-H100-80GB-HBM3, which spec.hardware lists first",
                ),
                "1x NVIDIA-H100-80GB-HBM3": ("Fits", "not free now for all replicas"),
            },
            id="the first of the list is busy",
        ),
    ],
)
def test_what_is_free_and_what_is_listed(
    fields: dict[str, Any], held: dict[str, int], expected: Told
) -> None:
    found = told(rows_of(spec(size="70b", format="awq", **fields), *NODES, held=held))
    assert {gpus: found[gpus] for gpus in expected} == expected


def test_what_is_refused_names_the_cause() -> None:
    """One old GPU, a driver that is too old, more GPUs than a node has, and one not listed."""
    listed = [{"gpu": V100[0]}, {"gpu": T4[0]}, {"gpu": A10G[0], "count": 8}]
    old = node("t", T4, 1)
    rows = rows_of(
        spec(size="8b", format="awq", engine={"type": "vLLM"}, hardware=listed),
        node("v", V100, 1),
        NodeFacts(**{name: getattr(old, name) for name in old.__slots__} | {"driver": 470}),
        node("g", A10G, 4),
        node("a", A100, 1),
    )
    found = told(rows)
    assert found["8x NVIDIA-A10G"] == ("Refused", "the largest node has 4")
    assert found["1x Tesla-T4"] == ("Refused", "vLLM 0.33.0 needs driver 525, a node has 470")
    verdict, reason = found["1x Tesla-V100-SXM2-16GB"]
    assert verdict == "Refused"
    assert "compute capability" in reason
    assert (rows[-1].product, rows[-1].reason) == (A100[0], "spec.hardware does not list it")


def test_counts_that_do_not_divide_are_told() -> None:
    assert told(rows_of(spec(size="8b", format="mlx"), node("a", A100, 4)), "MLX") == {
        "1x NVIDIA-A100-SXM4-80GB": ("Chosen", "ranks first; free now"),
        "2x NVIDIA-A100-SXM4-80GB": ("Refused", "MLX serves from one GPU"),
        "4x NVIDIA-A100-SXM4-80GB": ("Refused", "MLX serves from one GPU"),
    }


def test_a_gated_format_without_a_token_is_told() -> None:
    rows = rows_of(spec_without_token(size="8b"), node("a", A100, 1))
    gated = [row for row in rows if not row.product]
    assert [(row.format, row.verdict, row.reason) for row in gated] == [
        (
            "pytorch",
            Verdict.REFUSED,
            "meta-llama/Meta-Llama-3.1-8B-Instruct is gated and spec.tokenSecretRef is not set",
        )
    ]
    asked = rows_of(spec_without_token(size="8b", format="pytorch"), node("a", A100, 1))
    assert {row.verdict for row in asked} == {Verdict.REFUSED}


def test_todays_placement_is_told() -> None:
    wanted = spec(size="70b", format="awq")
    today = planned(wanted, node("h", H100, 2)).plan
    before = ("Fits", "ranks before it, but today's placement is kept while it holds it")
    assert told(rows_of(wanted, node("a", A100, 2), node("h", H100, 2), current=today)) == {
        "1x NVIDIA-H100-80GB-HBM3": ("Chosen", "today's placement, which still holds it"),
        "1x NVIDIA-A100-SXM4-80GB": before,
        "2x NVIDIA-A100-SXM4-80GB": before,
        "2x NVIDIA-H100-80GB-HBM3": ("Fits", "costs 13.76 instead of 6.88 USD an hour"),
    }


@pytest.mark.parametrize(
    "fields",
    [
        pytest.param({"model": "llama-9"}, id="no such model"),
        pytest.param({"context": {"maxModelLen": 1_000_000}}, id="a context beyond the model's"),
    ],
)
def test_a_spec_that_is_refused_at_once_has_no_candidates(fields: dict[str, Any]) -> None:
    assert rows_of(spec(size="8b", **fields), node("a", A100, 1)) == ()


@given(specs, inventories)
@settings(max_examples=60, deadline=None)
def test_the_explanation_agrees_with_the_plan(
    wanted: LlamaDeploymentSpec, inventory: Inventory
) -> None:
    surveyed = survey(inventory, CATALOG)
    rows = explain(wanted, CATALOG, surveyed)
    chosen = [row for row in rows if row.verdict is Verdict.CHOSEN]
    outcome = plan_on(wanted, CATALOG, surveyed)
    assert all(row.reason for row in rows)
    if not isinstance(outcome, Planned):
        assert chosen == []
        return
    [row] = chosen
    assert rows[0] == row
    plan = outcome.plan
    price = None if row.micro_usd_per_hour is None else format_usd(row.micro_usd_per_hour)
    assert (row.engine, row.engine_version) == (plan.engine, plan.engine_version)
    assert (row.format, row.quantization) == (plan.format, plan.quantization)
    assert (row.product, row.count, price) == (
        plan.gpu.product,
        plan.gpu.count,
        plan.usd_per_hour,
    )


@given(specs, inventories)
@settings(max_examples=60, deadline=None)
def test_nothing_cheaper_is_passed_over_without_a_reason(
    wanted: LlamaDeploymentSpec, inventory: Inventory
) -> None:
    surveyed = survey(inventory, CATALOG)
    try:
        options = choices(wanted, CATALOG)
    except SpecError:
        return
    rows = explain(wanted, CATALOG, surveyed)
    if not rows or rows[0].verdict is not Verdict.CHOSEN:
        return
    by_place = {
        (row.engine, row.format, row.quantization, row.product, row.count): row for row in rows
    }
    for choice in options:
        for candidate in candidates(wanted, choice, surveyed):
            row = by_place[
                choice.engine.name,
                choice.publication.format,
                choice.publication.quantization,
                candidate.pool.product,
                candidate.tensor_parallel_size,
            ]
            fits = attempt(wanted, choice, candidate).verdict is None
            assert fits is (row.verdict in (Verdict.CHOSEN, Verdict.FITS))
            price, chosen = candidate.micro_usd_per_hour, rows[0].micro_usd_per_hour
            if row.verdict is not Verdict.FITS or price is None or chosen is None:
                continue
            if price < chosen:
                allowed = ("not free now for all replicas", "later in spec.hardware")
                assert row.reason in allowed or "comes before" in row.reason
            if row.reason.startswith("costs"):
                assert price > chosen


@given(specs, inventories, st.randoms(use_true_random=False))
@settings(max_examples=60, deadline=None)
def test_the_order_of_nodes_does_not_matter(
    wanted: LlamaDeploymentSpec, inventory: Inventory, random: randoms.Random
) -> None:
    shuffled = list(inventory.nodes)
    random.shuffle(shuffled)
    other = Inventory(tuple(shuffled), inventory.held, tuple(reversed(inventory.reserved)))
    assert explain(wanted, CATALOG, survey(inventory, CATALOG)) == explain(
        wanted, CATALOG, survey(other, CATALOG)
    )
