"""The note of the event Planned: what a plan is, or what it changes."""

from llama_operator.reconcile.plan_change import planned_note
from unit.planning.cluster import A100, node, planned, spec

OLD = planned(spec(size="70b", format="awq"), node("a", A100, 2)).plan
SUMMARY = (
    "1x NVIDIA-A100-SXM4-80GB: weights 37.16 GiB and KV cache 33.10 GiB per GPU; "
    "108,464 tokens hold 2 requests of 54,224 tokens"
)


def test_the_first_plan_is_its_summary() -> None:
    assert planned_note(None, OLD) == SUMMARY


def test_a_plan_that_stays_is_its_summary() -> None:
    assert planned_note(OLD, OLD) == SUMMARY


def test_a_change_tells_what_was_before() -> None:
    wanted = spec(size="70b", format="gptq", context={"maxModelLen": 131_072, "concurrency": 1})
    new = planned(wanted, node("a", A100, 2)).plan
    assert planned_note(OLD, new) == (
        "format awq (Int4) -> gptq (Int4); "
        "repository hugging-quants/Meta-Llama-3.1-70B-Instruct-AWQ-INT4 -> "
        "hugging-quants/Meta-Llama-3.1-70B-Instruct-GPTQ-INT4; "
        "GPUs 1x NVIDIA-A100-SXM4-80GB -> 2x NVIDIA-A100-SXM4-80GB; "
        f"context 54,224 -> 131,072; concurrency 2 -> 1; {new.summary}"
    )
