"""Gated repositories: a token opens them, without one they are refused or left out."""

import json

import pytest

from llama_operator.api.reasons import Reason
from llama_operator.planning.inventory import NodeFacts
from unit.planning.cluster import A10G, A100, H100, node, planned, refused, spec, spec_without_token

GATED_8B = "meta-llama/Meta-Llama-3.1-8B-Instruct"


def test_what_fits_but_is_gated_needs_a_token() -> None:
    found = refused(spec_without_token(size="8b", format="pytorch"), node("a", A100, 1))
    assert found.reason is Reason.TOKEN_REQUIRED
    assert found.message == (
        f"spec.tokenSecretRef: {GATED_8B} on HuggingFace is gated: accept its licence there, make "
        "a Secret with a token of that account in this namespace, and write for example "
        "tokenSecretRef: {name: hf-token}; or write hub: ModelScope, whose copy "
        "LLM-Research/Meta-Llama-3.1-8B-Instruct is not gated"
    )
    first, second = found.alternatives[:2]
    assert json.loads(first.patch) == {"spec": {"hub": "ModelScope"}}
    assert json.loads(second.patch) == {"spec": {"format": "fp8"}}


def test_no_copy_is_named_where_there_is_none() -> None:
    found = refused(spec_without_token(size="405b", format="fp8"), node("h", H100, 8))
    assert found.reason is Reason.TOKEN_REQUIRED
    assert found.message.endswith("tokenSecretRef: {name: hf-token}")


@pytest.mark.parametrize(
    "fields",
    [
        pytest.param({"tokenSecretRef": {"name": "hf-token"}}, id="with a token"),
        pytest.param({"hub": "ModelScope"}, id="on the hub that does not gate it"),
    ],
)
def test_it_is_planned(fields: dict[str, object]) -> None:
    wanted = spec_without_token(size="8b", format="pytorch", **fields)
    assert planned(wanted, node("a", A100, 1)).plan.format == "pytorch"


def test_what_never_fits_is_told_before_the_token() -> None:
    """A token would not help; what is proposed instead needs none."""
    found = refused(
        spec_without_token(size="8b", format="pytorch", context={"maxModelLen": 131_072}),
        node("a", A10G, 1),
    )
    assert found.reason is Reason.KV_CACHE_TOO_SMALL
    patches = [json.loads(alternative.patch)["spec"] for alternative in found.alternatives]
    assert patches
    assert all("format" in patch for patch in patches)


@pytest.mark.parametrize(
    ("size", "nodes", "expected", "left_out"),
    [
        pytest.param(
            "8b",
            [node("a", A100, 1)],
            "fp8",
            [f"format pytorch (none) left out: {GATED_8B} is gated and spec.tokenSecretRef is "],
            id="8 bit for 16",
        ),
        pytest.param(
            "405b",
            [node("h", H100, 8)],
            "awq",
            [
                "format pytorch (none) left out: meta-llama/Meta-Llama-3.1-405B-Instruct is gated",
                "format fp8 (FP8) left out: meta-llama/Meta-Llama-3.1-405B-Instruct-FP8 is gated",
            ],
            id="4 bit where 16 and 8 are gated",
        ),
    ],
)
def test_auto_leaves_gated_publications_out_and_says_so(
    size: str, nodes: list[NodeFacts], expected: str, left_out: list[str]
) -> None:
    plan = planned(spec_without_token(size=size), *nodes).plan
    assert plan.format == expected
    said = [reason for reason in plan.reasons if "left out" in reason]
    assert len(said) == len(left_out)
    for reason, beginning in zip(said, left_out, strict=True):
        assert reason.startswith(beginning)


def test_auto_with_a_token_leaves_nothing_out() -> None:
    plan = planned(spec(size="8b"), node("a", A100, 1)).plan
    assert plan.format == "pytorch"
    assert not [reason for reason in plan.reasons if "left out" in reason]


def test_auto_needs_a_token_where_all_are_gated() -> None:
    found = refused(spec_without_token(model="llama-3.1", size="8b"), node("a", A100, 1))
    assert found.reason is Reason.TOKEN_REQUIRED
    assert "meta-llama/Meta-Llama-3.1-8B on HuggingFace is gated" in found.message


@pytest.mark.parametrize(
    ("model", "said"),
    [
        pytest.param("llama-3.1", True, id="a base model"),
        pytest.param("llama-3.1-instruct", False, id="a model that chats"),
        pytest.param("llama-guard-3", False, id="a model that judges chats"),
    ],
)
def test_a_base_model_is_said_to_know_no_chat(model: str, *, said: bool) -> None:
    plan = planned(spec(model=model, size="8b", format="pytorch"), node("a", A100, 1)).plan
    expected = "llama-3.1 is a base model: it completes text at /v1/completions and knows no chat"
    assert (expected in plan.reasons) is said
