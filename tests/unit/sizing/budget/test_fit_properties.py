"""What fits, for every kind of model and engine, over several GPUs and stages.

What still fits with less context, fewer sequences or more memory, and the longest context that does
and is proposed: with sliding windows, states, latent attention and experts.
"""

from dataclasses import replace
from typing import Final

from hypothesis import assume, given
from hypothesis import settings as budget
from hypothesis import strategies as st

from llama_operator.sizing.estimate import estimate, largest_context, stage_caches
from llama_operator.sizing.models.shape import model_shape
from llama_operator.sizing.nearest import USEFUL_CONTEXT_TOKENS, nearest
from llama_operator.sizing.serving import Serving
from llama_operator.sizing.settings import Setting
from llama_operator.units import GIB
from unit.sizing.budget.settings import CATALOG, H100, LLAMA_8B, setting
from unit.sizing.models import configs
from unit.sizing.models.configs import config_of

MODELS: Final = {
    "full attention": LLAMA_8B,
    "sliding windows": model_shape(config_of("google--gemma-2-9b-it")),
    "sliding windows and a tower": model_shape(config_of("google--gemma-3-4b-it")),
    "heads of two widths": model_shape(config_of("google--gemma-4-26B-A4B")),
    "sliding windows and experts": model_shape(config_of("openai--gpt-oss-20b")),
    "latent attention": model_shape(config_of("deepseek-ai--DeepSeek-V2-Lite-Chat")),
    "states and attention": model_shape(configs.NEMOTRON_NANO_9B_V2),
    "states, attention, experts": model_shape(configs.NEMOTRON_3_NANO),
    "delta nets": model_shape(configs.QWEN3_NEXT),
}
ENGINES: Final = (
    ("vllm", "0.7.2"),
    ("vllm", "0.11.0"),
    ("vllm", "0.19.0"),
    ("vllm", "0.33.0"),
    ("sglang", "0.4.9"),
    ("tgi", "3.0.0"),
    ("transformers", None),
    ("llama.cpp", None),
)


def tight(wanted: Setting, percent: int) -> int:
    """Memory of a GPU with room for so much of one request of the longest context."""
    longest = replace(wanted, max_model_len=wanted.model.max_position_embeddings)
    stages = estimate(longest).stages
    assume(stages)  # TGI divides no KV heads
    needed = max(
        stage.weights_bytes
        + stage.activation_bytes
        + stage.non_torch_bytes
        + stage.cuda_graph_bytes
        + stage.request_bytes * percent // 100
        for stage in stages
    )
    return int(needed / wanted.utilization) + wanted.reserved_at_start_bytes


def made(
    model: str,
    engine: tuple[str, str | None],
    sizes: tuple[int, int],
    percent: int,
    context: int,
    batch: tuple[int, int],
    eager: bool,
) -> Setting:
    name, version = engine
    tp, pp = sizes
    wanted = setting(
        MODELS[model],
        "Q4_K_M" if name == "llama.cpp" else "none",
        H100,
        engine=name,
        version=version,
        tp=tp,
        pp=pp if name == "vllm" else 1,
        utilization=0.88 if name in ("vllm", "sglang") else 1.0,
        max_model_len=context,
        max_num_batched_tokens=batch[0],
        max_num_seqs=batch[1],
        enforce_eager=eager,
    )
    return replace(wanted, total_bytes=tight(wanted, percent))


settings = st.builds(
    made,
    st.sampled_from(sorted(MODELS)),
    st.sampled_from(ENGINES),
    st.sampled_from([(1, 1), (2, 1), (4, 1), (1, 2), (2, 3)]),
    st.integers(-20, 320),
    st.integers(1, 262_144),
    st.tuples(st.integers(64, 16_384), st.integers(1, 1024)),
    st.booleans(),
)


@budget(max_examples=200)
@given(settings, st.integers(1, 100), st.integers(1, 60), st.integers(1, 3))
def test_what_fits_still_fits_with_less_to_hold(
    wanted: Setting, percent: int, more: int, concurrency: int
) -> None:
    wanted = replace(wanted, concurrency=concurrency)
    if not estimate(wanted).fits:
        return
    context = max(1, wanted.max_model_len * percent // 100)
    seqs = max(1, wanted.max_num_seqs * percent // 100)
    tokens = max(64, wanted.max_num_batched_tokens * percent // 100)
    assert estimate(replace(wanted, max_model_len=context)).fits
    assert estimate(replace(wanted, max_num_seqs=seqs)).fits
    assert estimate(replace(wanted, max_num_batched_tokens=tokens)).fits
    assert estimate(replace(wanted, concurrency=1)).fits
    assert estimate(replace(wanted, total_bytes=wanted.total_bytes + more * GIB)).fits


@budget(max_examples=200)
@given(settings, st.integers(1, 3))
def test_the_largest_context_fits_and_the_next_block_does_not(
    wanted: Setting, concurrency: int
) -> None:
    wanted = replace(wanted, concurrency=concurrency)
    largest, longest = largest_context(wanted), wanted.model.max_position_embeddings
    block = max(cache.block_tokens for cache in stage_caches(wanted))
    assert 0 <= largest <= longest
    assert largest == longest or largest % block == 0
    if largest:
        assert estimate(replace(wanted, max_model_len=largest)).fits
    if largest < longest:
        assert not estimate(replace(wanted, max_model_len=largest + block)).fits


def serving_of(model: str, engine: tuple[str, str | None], percent: int, tp: int) -> Serving:
    """With the longest context, for which the memory has too little room or just enough."""
    made = Serving(
        MODELS[model],
        CATALOG.scheme("Q4_K_M" if engine[0] == "llama.cpp" else "none"),
        engine=engine[0],
        engine_version=engine[1],
        gpu=CATALOG.gpu(H100),
        tensor_parallel_size=tp,
        planned=True,
    )
    return replace(made, total_bytes=tight(made.setting(), percent))


servings = st.builds(
    serving_of,
    st.sampled_from(sorted(MODELS)),
    st.sampled_from(ENGINES),
    st.integers(0, 110),
    st.sampled_from([1, 2]),
)


@budget(max_examples=100)
@given(servings)
def test_a_context_that_is_proposed_fits_and_one_block_more_does_not(serving: Serving) -> None:
    refused = serving.setting()
    for item in nearest(serving) if estimate(refused).fits is False else ():
        assert item.estimate.fits
        names = [name for name, _ in item.changes]
        if "--max-model-len" not in names:
            continue
        context = item.setting.max_model_len
        assert USEFUL_CONTEXT_TOKENS <= context < refused.max_model_len
        assert dict(item.changes)["--max-model-len"] == str(context)
        block = max(cache.block_tokens for cache in stage_caches(item.setting))
        longer = replace(item.serving, max_model_len=context + block)
        assert not estimate(longer.setting()).fits
