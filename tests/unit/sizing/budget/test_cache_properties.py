"""What holds of caches whose layers differ: sliding windows and states beside full attention."""

from dataclasses import replace
from math import lcm
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from llama_operator.catalog.engine_memory import NEWEST, EngineMemory, engine_memory
from llama_operator.sizing.cache import SIXTEEN_BIT, ElementSize, StageCache, stage_cache
from llama_operator.sizing.models.model import HeadsCache, LatentCache, StateCache
from unit.sizing.budget.shapes import layer, model

Caches = list[HeadsCache | LatentCache | StateCache]

VLLM_0_7, VLLM_0_19, VLLM_0_33 = (engine_memory("vLLM", (0, minor)) for minor in (7, 19, 33))
SGLANG, LLAMA_CPP = engine_memory("SGLang", NEWEST), engine_memory("LlamaCpp", NEWEST)
ENGINES = (VLLM_0_7, VLLM_0_19, VLLM_0_33, SGLANG, LLAMA_CPP)
WITHOUT_GROUPS = (VLLM_0_7, SGLANG, LLAMA_CPP)
FP8 = ElementSize(1)

full = st.builds(HeadsCache, st.sampled_from([1, 2, 4, 8]), st.sampled_from([64, 128, 256]))
windowed = st.builds(
    HeadsCache, st.sampled_from([4, 8]), st.sampled_from([128, 256]), st.sampled_from([128, 4096])
)
latent = st.just(LatentCache(576))
states = st.builds(StateCache, st.integers(1, 10**6), st.integers(0, 10**5))
any_window = st.sampled_from([128, 1024, 4096])


def repeated(layers: Caches, windows: int, window: int, times: int) -> Caches:
    """As published models are: the same few layers over and over, most of them with a window."""
    with_window = [
        replace(cache, window=window) for cache in layers if isinstance(cache, HeadsCache)
    ]
    return (layers + with_window * windows) * times


def layers_of(kinds: st.SearchStrategy[Any], most: int) -> st.SearchStrategy[Caches]:
    some = st.lists(kinds, min_size=1, max_size=most)
    few = st.lists(kinds, min_size=1, max_size=2)
    return some | st.builds(repeated, few, st.integers(0, 6), any_window, st.integers(1, 12))


sliding = layers_of(full | windowed, 12)
with_states = layers_of(full | windowed | states, 12)
engines = st.sampled_from(ENGINES)
ranks = st.sampled_from([1, 2, 4])
contexts = st.integers(1, 10**6)
pools = st.integers(0, 10**12)
steps = st.sampled_from([512, 2048, 8192])


def cache_of(
    caches: Caches, engine: EngineMemory, element: ElementSize = SIXTEEN_BIT, tp: int = 1
) -> StageCache:
    shape = model(*map(layer, caches))
    return stage_cache(shape, 0, len(caches), tp, element, 2, engine)


def token_bytes(caches: Caches, tp: int, *, windows: bool = True) -> int:
    """Bytes of a token in 16 bit by the rule for heads; in all layers or those without windows."""
    return sum(
        2 * max(1, cache.kv_heads // tp) * cache.head_dim * 2
        for cache in caches
        if isinstance(cache, HeadsCache) and (windows or not cache.window)
    )


def block_of_all(cache: StageCache) -> int:
    """Tokens that are whole blocks in every layer."""
    return lcm(*(kind.block_tokens for kind in cache.kinds if kind.block_tokens))


@given(with_states, engines, ranks, steps, st.integers(1, 8))
def test_beyond_its_windows_a_request_grows_by_full_attention_alone(
    caches: Caches, engine: EngineMemory, tp: int, step: int, blocks: int
) -> None:
    # for every whole block; states add nothing, engines that keep windowed tokens add all layers
    cache = cache_of(caches, engine, tp=tp)
    block = block_of_all(cache)
    longer = block * -(-(4096 + step) // block + 1) + block
    windows = not engine.releases_windows
    grown = cache.request_bytes(longer + blocks * block, step) - cache.request_bytes(longer, step)
    assert grown == blocks * block * token_bytes(caches, tp, windows=windows)


@given(with_states, engines, ranks, steps, st.integers(1, 8))
def test_up_to_its_windows_a_request_grows_by_all_layers(
    caches: Caches, engine: EngineMemory, tp: int, step: int, blocks: int
) -> None:
    # a step of so many tokens keeps all of them in windowed layers
    cache = cache_of(caches, engine, tp=tp)
    block = block_of_all(cache)
    first, last = block, (1 + blocks) * block
    grown = cache.request_bytes(last, step + last) - cache.request_bytes(first, step + last)
    assert grown == blocks * block * token_bytes(caches, tp)


@given(with_states, st.sampled_from([VLLM_0_7, VLLM_0_19]), ranks, pools, contexts, steps)
def test_before_0_21_printed_tokens_fit_with_windows_in_full_and_one_request_s_states(
    caches: Caches, engine: EngineMemory, tp: int, pool: int, context: int, step: int
) -> None:
    cache = cache_of(caches, engine, tp=tp)
    tokens = cache.tokens(pool, context, step)
    if not engine.groups_layers and any(isinstance(kept, StateCache) for kept in caches):
        # concurrency times context: whole requests of the context fit, states and all
        assert tokens // context * cache.request_bytes(context, step) <= pool
        return
    state_bytes = sum(kind.layers * kind.state_bytes for kind in cache.kinds)
    if tokens:
        assert tokens * token_bytes(caches, tp) + state_bytes <= pool


@given(with_states, st.sampled_from([VLLM_0_33, SGLANG, LLAMA_CPP]), ranks, pools, contexts, steps)
def test_as_many_requests_fit_as_the_printed_tokens_are_times_the_context(
    caches: Caches, engine: EngineMemory, tp: int, pool: int, context: int, step: int
) -> None:
    if engine is LLAMA_CPP:
        context *= 256  # it rounds contexts to whole blocks
    cache = cache_of(caches, engine, tp=tp)
    requests = cache.tokens(pool, context, step) // context
    assert requests * cache.request_bytes(context, step) <= pool


@given(sliding, engines, contexts, steps)
def test_fp8_takes_half_of_full_and_sliding_layers(
    caches: Caches, engine: EngineMemory, tokens: int, step: int
) -> None:
    half = cache_of(caches, engine, FP8).request_bytes(tokens, step)
    assert 2 * half == cache_of(caches, engine).request_bytes(tokens, step)


@given(sliding, engines, pools, contexts, steps)
def test_fp8_holds_as_many_tokens_as_16_bit_in_twice_the_pool(
    caches: Caches, engine: EngineMemory, pool: int, context: int, step: int
) -> None:
    half = cache_of(caches, engine, FP8).tokens(pool, context, step)
    assert half == cache_of(caches, engine).tokens(2 * pool, context, step)


@given(with_states, st.sampled_from(WITHOUT_GROUPS), contexts, steps)
def test_fp8_takes_half_beside_states_which_keep_their_bytes_where_nothing_is_padded(
    caches: Caches, engine: EngineMemory, tokens: int, step: int
) -> None:
    sixteen, eight = cache_of(caches, engine), cache_of(caches, engine, FP8)
    state_bytes = sum(kind.layers * kind.state_bytes for kind in sixteen.kinds)
    half = eight.request_bytes(tokens, step) - state_bytes
    assert 2 * half == sixteen.request_bytes(tokens, step) - state_bytes


@given(with_states, st.sampled_from([VLLM_0_19, VLLM_0_33]), contexts, steps)
def test_fp8_never_takes_more_where_blocks_are_stretched_to_hold_a_state(
    caches: Caches, engine: EngineMemory, tokens: int, step: int
) -> None:
    eight = cache_of(caches, engine, FP8).request_bytes(tokens, step)
    assert eight <= cache_of(caches, engine).request_bytes(tokens, step)


@settings(max_examples=50)
@given(st.lists(latent | full, min_size=1, max_size=6), engines, st.sampled_from([2, 4, 8]))
def test_more_ranks_divide_heads_and_repeat_latent_vectors(
    caches: Caches, engine: EngineMemory, tp: int
) -> None:
    one, many = cache_of(caches, engine), cache_of(caches, engine, tp=tp)
    latents = [cache for cache in caches if isinstance(cache, LatentCache)]
    elements = 640 if engine is VLLM_0_7 else 576
    assert many.token_bytes == len(latents) * elements * 2 + token_bytes(caches, tp)
    assert many.token_bytes <= one.token_bytes
