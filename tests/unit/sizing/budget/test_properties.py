"""What holds for every model and setting."""

from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from llama_operator.catalog.engine_memory import NEWEST, engine_memory
from llama_operator.sizing.adapters import Adapters
from llama_operator.sizing.cache import SIXTEEN_BIT, ElementSize, StageCache, stage_cache
from llama_operator.sizing.estimate import estimate, largest_context
from llama_operator.sizing.models.model import HeadsCache, LatentCache, ModelShape, StateCache
from llama_operator.sizing.settings import Setting
from llama_operator.units import GIB
from unit.sizing.budget.settings import LLAMA_8B, LLAMA_70B, setting
from unit.sizing.budget.shapes import layer, model

ENGINES = [
    engine_memory("vLLM", (0, 7)),
    engine_memory("vLLM", (0, 19)),
    engine_memory("vLLM", (0, 33)),
    engine_memory("SGLang", NEWEST),
    engine_memory("LlamaCpp", NEWEST),
]
full = st.builds(HeadsCache, st.sampled_from([1, 2, 4, 8]), st.sampled_from([64, 128, 256]))
windowed = st.builds(
    HeadsCache, st.sampled_from([4, 8]), st.sampled_from([128, 256]), st.sampled_from([128, 4096])
)
states = st.builds(StateCache, st.integers(1, 10**6), st.integers(0, 10**5))
plain = st.lists(full, min_size=1, max_size=4) | st.lists(
    st.just(LatentCache(576)), min_size=1, max_size=4
)
mixed = st.lists(full | windowed | states, min_size=1, max_size=12)


def shape_of(caches: list[HeadsCache | LatentCache | StateCache]) -> ModelShape:
    return model(*map(layer, caches))


def cache_of(shape: ModelShape, engine: int, element: ElementSize = SIXTEEN_BIT) -> StageCache:
    return stage_cache(shape, 0, shape.num_hidden_layers, 1, element, 2, ENGINES[engine])


@given(plain, st.integers(0, 4), st.integers(1, 10**6), st.integers(1, 8))
def test_bytes_are_linear_in_whole_blocks(
    caches: list[HeadsCache | LatentCache | StateCache], engine: int, blocks: int, times: int
) -> None:
    cache = cache_of(shape_of(caches), engine)
    block = cache.block_tokens
    assert cache.request_bytes(times * blocks * block, 2048) == times * cache.request_bytes(
        blocks * block, 2048
    )
    assert cache.request_bytes(blocks * block, 2048) == blocks * block * cache.token_bytes


@given(plain, st.integers(0, 4), st.integers(0, 10**12), st.integers(1, 10**6))
def test_printed_tokens_fit_into_the_pool(
    caches: list[HeadsCache | LatentCache | StateCache], engine: int, pool: int, context: int
) -> None:
    cache = cache_of(shape_of(caches), engine)
    assert cache.tokens(pool, context, 2048) * cache.token_bytes <= pool


@given(mixed, st.integers(0, 4), st.integers(1, 10**6), st.integers(1, 10**4))
def test_a_longer_request_never_takes_less(
    caches: list[HeadsCache | LatentCache | StateCache], engine: int, tokens: int, more: int
) -> None:
    cache = cache_of(shape_of(caches), engine)
    assert cache.request_bytes(tokens, 2048) <= cache.request_bytes(tokens + more, 2048)


@given(mixed, st.integers(0, 4), st.integers(0, 10**12), st.integers(1, 10**5))
def test_a_larger_pool_never_holds_fewer_tokens(
    caches: list[HeadsCache | LatentCache | StateCache], engine: int, pool: int, context: int
) -> None:
    cache = cache_of(shape_of(caches), engine)
    tokens = cache.tokens(pool, context, 2048)
    assert 0 <= tokens <= cache.tokens(2 * pool, context, 2048)


@given(plain, st.integers(0, 4), st.integers(1, 10**6))
def test_fp8_takes_half(
    caches: list[HeadsCache | LatentCache | StateCache], engine: int, tokens: int
) -> None:
    shape = shape_of(caches)
    half = cache_of(shape, engine, ElementSize(1)).request_bytes(tokens, 2048)
    assert 2 * half == cache_of(shape, engine).request_bytes(tokens, 2048)


settings = st.builds(
    lambda shape, gib, utilization, context, seqs, tokens, version, adapters: setting(
        shape,
        total_gib=gib,
        utilization=utilization,
        max_model_len=context,
        max_num_seqs=seqs,
        max_num_batched_tokens=tokens,
        version=version,
        adapters=adapters,
    ),
    st.sampled_from([LLAMA_8B, LLAMA_70B]),
    st.integers(16, 180),
    st.sampled_from([0.5, 0.88, 0.92]),
    st.integers(1, 131_072),
    st.integers(1, 1024),
    st.integers(64, 16_384),
    st.sampled_from(["0.7.2", "0.19.0", "0.33.0"]),
    st.sampled_from([None, None, Adapters(2, 16), Adapters(16, 128)]),
)


@given(settings, st.integers(1, 100), st.integers(1, 60))
def test_what_fits_still_fits_with_less_to_hold(wanted: Setting, percent: int, more: int) -> None:
    if not estimate(wanted).fits:
        return
    context = max(1, wanted.max_model_len * percent // 100)
    seqs = max(1, wanted.max_num_seqs * percent // 100)
    assert estimate(replace(wanted, max_model_len=context)).fits
    assert estimate(replace(wanted, max_num_seqs=seqs)).fits
    assert estimate(replace(wanted, total_bytes=wanted.total_bytes + more * GIB)).fits


@given(settings)
def test_the_largest_context_fits_and_the_next_block_does_not(wanted: Setting) -> None:
    largest = largest_context(wanted)
    assert largest % 16 == 0
    if largest:
        assert estimate(replace(wanted, max_model_len=largest)).fits
    if largest < wanted.model.max_position_embeddings:
        assert not estimate(replace(wanted, max_model_len=largest + 16)).fits


@given(settings)
def test_the_parts_add_up_to_the_budget(wanted: Setting) -> None:
    found = estimate(wanted)
    for stage in found.stages:
        inside = stage.cuda_graph_bytes if wanted.rules.version >= (0, 21) else 0
        outside = stage.cuda_graph_bytes - inside
        assert found.budget_bytes is not None
        assert found.headroom_bytes == wanted.total_bytes - found.budget_bytes - outside
        loaded = stage.weights_bytes + stage.adapter_bytes
        parts = loaded + stage.activation_bytes + stage.non_torch_bytes + inside
        assert stage.kv_cache_bytes is not None
        assert parts + stage.kv_cache_bytes == found.budget_bytes


@given(settings, st.integers(1, 40))
def test_a_larger_share_never_holds_fewer_tokens(wanted: Setting, more: int) -> None:
    larger = replace(wanted, utilization=min(1.0, wanted.utilization + more / 100))
    assert (estimate(larger).kv_cache_tokens or 0) >= (estimate(wanted).kv_cache_tokens or 0)
