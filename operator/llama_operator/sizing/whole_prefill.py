"""Engines that prefill a whole prompt in one step: the longer the context, the larger the step."""

from dataclasses import replace

from llama_operator.sizing.engine_budget import default_batch
from llama_operator.sizing.estimate import estimate, largest_context, stage_caches
from llama_operator.sizing.settings import Setting


def with_context(setting: Setting, tokens: int) -> Setting:
    """The setting with another context, and with the step that its engine takes for it.

    Args:
        setting: how the model is served.
        tokens: context of one request.
    """
    if not setting.rules.memory.whole_prefill_tokens:
        return replace(setting, max_model_len=tokens)
    batch = default_batch(setting.rules, setting.total_bytes, setting.product, tokens)
    return replace(
        setting,
        max_model_len=tokens,
        max_num_batched_tokens=max(batch.max_num_batched_tokens, setting.max_num_seqs),
    )


def longest_context(setting: Setting, *, limit: int) -> int:
    """`largest_context` where steps follow the context, as those of older vLLM and TGI do.

    It is the limit, or else whole blocks; 0 if none fits. vLLM before 0.9 prefills contexts up to
    32k tokens in one step, and longer ones in steps of 2,048.

    Args:
        setting: how the model is served, and how many requests must fit at once.
        limit: longest context to find.
    """
    whole = setting.rules.memory.whole_prefill_tokens
    if limit > whole:
        found = largest_context(with_context(setting, limit), limit=limit)
        if found > whole or not whole:
            return found
    longest = min(whole, limit)
    if estimate(with_context(setting, longest)).fits:
        return longest
    block = max(cache.block_tokens for cache in stage_caches(setting))
    low, high = 0, longest // block
    while low < high:
        middle = (low + high + 1) // 2
        fits = estimate(with_context(setting, middle * block)).fits
        low, high = (middle, high) if fits else (low, middle - 1)
    return low * block
