"""Engines that take a whole prompt in one step: steps and their activations follow the context.

TGI 2.2 ends at start unless MAX_BATCH_PREFILL_TOKENS holds MAX_INPUT_LENGTH; Transformers feeds the
whole prompt to the model. Bytes of a step of T tokens of the 8B in 16 bits on one GPU:
T * 2 * (3 * 14,336 + 4.25 * 4,096) = 120,832 * T.
"""

import pytest

from llama_operator.api.reasons import Reason
from unit.planning.cluster import A10G, A100, node, planned, refused, spec

EIGHT_B = {"size": "8b", "format": "pytorch"}
TGI_2 = {"engine": {"type": "TGI", "version": "2.2.0"}}
TGI_3 = {"engine": {"type": "TGI", "version": "3.3.7"}}
TRANSFORMERS = {"engine": {"type": "Transformers"}}


@pytest.mark.parametrize(
    ("engine", "context", "tokens", "activation_bytes"),
    [
        pytest.param(TGI_2, 16_384, 16_384, 120_832 * 16_384, id="TGI 2: the context"),
        pytest.param(TGI_2, 2_048, 4_096, 120_832 * 4_096, id="TGI 2: at least its own 4,096"),
        pytest.param(TGI_3, 16_384, 4_096, 120_832 * 4_096, id="TGI 3: in parts"),
        pytest.param(TRANSFORMERS, 16_384, 16_384, 120_832 * 16_384, id="Transformers"),
    ],
)
def test_a_step_holds_the_longest_prompt(
    engine: dict[str, object], context: int, tokens: int, activation_bytes: int
) -> None:
    asked = spec(**EIGHT_B, **engine, context={"maxModelLen": context})
    plan = planned(asked, node("a", A100, 1)).plan
    assert plan.max_num_batched_tokens == tokens
    assert plan.memory_per_gpu.activation_bytes == activation_bytes


@pytest.mark.parametrize(
    ("engine", "context"),
    [
        # 20,054,276,047 (95 % of 22.06 GiB less 2.28 GiB) - 16,094,076,928 - 322,122,547 bytes are
        # 3,638,076,572; a token takes 120,832 of the step and 2 * 131,072 of the cache: 9,499.5
        pytest.param(TGI_2, 9_499, id="TGI 2"),
        # 3,638,076,572 - 120,832 * 4,096 bytes; 2 * 131,072 each: 11,990.2
        pytest.param(TGI_3, 11_990, id="TGI 3"),
        # 85 % of 23,686,744,637 are 20,133,732,942; 3,717,533,467 / 382,976: 9,706.9
        pytest.param(TRANSFORMERS, 9_706, id="Transformers"),
    ],
)
def test_the_longest_context_counts_its_own_step(engine: dict[str, object], context: int) -> None:
    plan = planned(spec(**EIGHT_B, **engine), node("a", A10G, 1)).plan
    assert plan.max_model_len == context
    asked = spec(**EIGHT_B, **engine, context={"maxModelLen": context + 1})
    refusal = refused(asked, node("a", A10G, 1))
    assert refusal.reason is Reason.KV_CACHE_TOO_SMALL
    assert f"maxModelLen {context:,}" in refusal.alternatives[0].summary


def test_steps_that_are_asked_for_bound_the_context() -> None:
    asked = spec(**EIGHT_B, **TGI_2, memory={"maxNumBatchedTokens": 4096})
    plan = planned(asked, node("a", A100, 1)).plan
    assert (plan.max_model_len, plan.max_num_batched_tokens) == (4_096, 4_096)


def test_a_context_beyond_the_steps_that_are_asked_for_is_an_error() -> None:
    fields = {"memory": {"maxNumBatchedTokens": 4096}, "context": {"maxModelLen": 8192}}
    refusal = refused(spec(**EIGHT_B, **TGI_2, **fields), node("a", A100, 1))
    assert refusal.reason is Reason.INVALID_SPEC
    assert refusal.message == (
        "spec.memory.maxNumBatchedTokens: TGI 2.2.0 takes a whole prompt in one step; "
        "write at least 8192, or leave it out"
    )
    assert planned(spec(**EIGHT_B, **TGI_3, **fields), node("a", A100, 1))


def test_a_step_that_is_too_large_is_answered_by_a_shorter_context() -> None:
    # 131,072 tokens of a step take 120,832 bytes each: 14.75 GiB beside 14.99 GiB of weights
    asked = spec(**EIGHT_B, **TRANSFORMERS, context={"maxModelLen": 131_072})
    refusal = refused(asked, node("a", A10G, 1))
    assert refusal.reason is Reason.ACTIVATION_TOO_LARGE
    assert refusal.alternatives[0].patch == '{"spec":{"context":{"maxModelLen":9706}}}'
