"""KV cache by kind of attention, in integers worked out by hand."""

import pytest

from llama_operator.catalog.engine_memory import NEWEST, EngineMemory, engine_memory
from llama_operator.errors import SizingError
from llama_operator.sizing.cache import (
    ElementSize,
    StageCache,
    element_size,
    stage_cache,
    token_bytes,
)
from llama_operator.sizing.models.model import ModelShape
from llama_operator.units import GIB
from unit.sizing.budget.shapes import (
    DEEPSEEK_V2_LITE,
    GEMMA_2_27B,
    GEMMA_3_27B,
    GEMMA_4_26B,
    GPT_OSS_20B,
    LLAMA_4_SCOUT,
    LLAMA_8B,
    LLAMA_70B,
    LLAMA_405B,
    LLAMA_405B_JULY_2024,
    MLLAMA,
    NEMOTRON_3_NANO,
    PURE_MAMBA,
    heads,
    layer,
    model,
)

VLLM_0_7 = engine_memory("vLLM", (0, 7))
VLLM_0_12 = engine_memory("vLLM", (0, 12))
VLLM_0_19 = engine_memory("vLLM", (0, 19))
VLLM_0_33 = engine_memory("vLLM", (0, 33))
VLLM_CPU = engine_memory("vLLM-CPU", (0, 19))
SGLANG = engine_memory("SGLang", NEWEST)
LLAMA_CPP = engine_memory("LlamaCpp", NEWEST)
BF16 = ElementSize(2)


def cache_of(
    shape: ModelShape,
    engine: EngineMemory = VLLM_0_19,
    *,
    tp: int = 1,
    element: ElementSize = BF16,
) -> StageCache:
    return stage_cache(shape, 0, shape.num_hidden_layers, tp, element, 2, engine)


@pytest.mark.parametrize(
    ("shape", "expected"),
    [
        pytest.param(LLAMA_8B, 131_072, id="8B: 2 x 32 layers x 8 heads x 128 x 2 bytes"),
        pytest.param(LLAMA_70B, 327_680, id="70B: 2 x 80 layers x 8 heads x 128 x 2 bytes"),
        pytest.param(LLAMA_405B, 516_096, id="405B: 2 x 126 layers x 8 heads x 128 x 2 bytes"),
        pytest.param(LLAMA_405B_JULY_2024, 1_032_192, id="405B as of July 2024: 16 heads"),
        pytest.param(DEEPSEEK_V2_LITE, 31_104, id="latent: 27 layers x 576 x 2 bytes"),
        pytest.param(GEMMA_3_27B, 507_904, id="windows in full: 62 x 2 x 16 x 128 x 2 bytes"),
        pytest.param(NEMOTRON_3_NANO, 6_144, id="states keep nothing by token: 6 x 1024 bytes"),
    ],
)
def test_bytes_per_token_are_exact(shape: ModelShape, expected: int) -> None:
    assert token_bytes(shape) == expected


@pytest.mark.parametrize(
    ("shape", "tokens", "gib"),
    [
        pytest.param(LLAMA_8B, 1024, 0.1250, id="8B, 1k tokens"),
        pytest.param(LLAMA_8B, 16_000, 1.9531, id="8B, 16k tokens"),
        pytest.param(LLAMA_8B, 128_000, 15.6250, id="8B, 128k tokens"),
        pytest.param(LLAMA_70B, 1024, 0.3125, id="70B, 1k tokens"),
        pytest.param(LLAMA_70B, 16_000, 4.8828, id="70B, 16k tokens"),
        pytest.param(LLAMA_70B, 128_000, 39.0625, id="70B, 128k tokens"),
        pytest.param(LLAMA_405B_JULY_2024, 1024, 0.9844, id="405B with 16 heads, 1k tokens"),
        pytest.param(LLAMA_405B_JULY_2024, 16_000, 15.3809, id="405B with 16 heads, 16k tokens"),
        pytest.param(LLAMA_405B_JULY_2024, 128_000, 123.0469, id="405B, 16 heads, 128k tokens"),
        pytest.param(LLAMA_405B, 1024, 0.4922, id="405B, 1k tokens"),
        pytest.param(LLAMA_405B, 16_000, 7.6904, id="405B, 16k tokens"),
        pytest.param(LLAMA_405B, 128_000, 61.5234, id="405B, 128k tokens"),
    ],
)
def test_the_published_table_is_reproduced(shape: ModelShape, tokens: int, gib: float) -> None:
    assert round(cache_of(shape).request_bytes(tokens, 8192) / GIB, 4) == gib


@pytest.mark.parametrize(
    ("tp", "element", "expected"),
    [
        pytest.param(1, BF16, 131_072, id="one rank"),
        pytest.param(4, BF16, 32_768, id="2 heads on each of 4 ranks"),
        pytest.param(8, BF16, 16_384, id="one head on each of 8 ranks"),
        pytest.param(16, BF16, 16_384, id="a head is repeated on 2 of 16 ranks"),
        pytest.param(1, ElementSize(1), 65_536, id="fp8"),
        pytest.param(1, ElementSize(34, 32), 69_632, id="q8_0: 34 bytes for 32 elements"),
    ],
)
def test_heads_are_divided_then_repeated(tp: int, element: ElementSize, expected: int) -> None:
    assert token_bytes(LLAMA_8B, tensor_parallel_size=tp, element=element) == expected


@pytest.mark.parametrize("tp", [1, 2, 8])
def test_a_latent_vector_is_whole_on_every_rank(tp: int) -> None:
    assert token_bytes(DEEPSEEK_V2_LITE, tensor_parallel_size=tp) == 31_104


def test_vllm_before_0_8_kept_640_elements_of_a_latent_vector() -> None:
    # 27 layers x 640 x 2 bytes
    assert cache_of(DEEPSEEK_V2_LITE, VLLM_0_7).token_bytes == 34_560
    assert cache_of(DEEPSEEK_V2_LITE, VLLM_0_19).token_bytes == 31_104


@pytest.mark.parametrize(
    ("shape", "engine", "expected"),
    [
        pytest.param(LLAMA_8B, VLLM_0_19, 16, id="vLLM"),
        pytest.param(LLAMA_8B, VLLM_CPU, 128, id="vLLM on CPUs"),
        pytest.param(DEEPSEEK_V2_LITE, VLLM_0_12, 64, id="FlashMLA"),
        pytest.param(DEEPSEEK_V2_LITE, VLLM_0_19, 16, id="latent in 0.19"),
        pytest.param(LLAMA_8B, SGLANG, 1, id="SGLang"),
        pytest.param(LLAMA_8B, LLAMA_CPP, 256, id="llama.cpp"),
    ],
)
def test_a_request_takes_whole_blocks(
    shape: ModelShape, engine: EngineMemory, expected: int
) -> None:
    cache = cache_of(shape, engine)
    assert cache.block_tokens == expected
    block = expected * cache.token_bytes
    assert cache.request_bytes(1, 2048) == block
    assert cache.request_bytes(expected, 2048) == block
    assert cache.request_bytes(expected + 1, 2048) == 2 * block


@pytest.mark.parametrize(
    ("tokens", "step", "blocks"),
    [
        # a windowed layer keeps min(M, 1024 - 1 + T) tokens and one block more
        pytest.param(512, 2048, 32 + 1, id="shorter than window and step: 512 / 16"),
        pytest.param(131_072, 2048, 192 + 1, id="ceil(3071 / 16) = 192"),
        pytest.param(131_072, 8192, 576 + 1, id="ceil(9215 / 16) = 576"),
    ],
)
def test_windowed_layers_are_capped(tokens: int, step: int, blocks: int) -> None:
    page = 16 * 2 * 16 * 128 * 2
    full, windowed = 10, 52
    expected = page * (full * (tokens // 16) + windowed * blocks)
    assert cache_of(GEMMA_3_27B).request_bytes(tokens, step) == expected


def test_engines_without_windows_keep_all_tokens() -> None:
    assert cache_of(GEMMA_3_27B, VLLM_0_7).request_bytes(131_072, 8192) == 131_072 * 507_904
    assert cache_of(GEMMA_3_27B, SGLANG).request_bytes(131_071, 8192) == 131_071 * 507_904


def test_chunked_attention_keeps_all_tokens() -> None:
    assert cache_of(LLAMA_4_SCOUT).request_bytes(131_072, 8192) == 131_072 * 48 * 4096


@pytest.mark.parametrize(
    ("shape", "pool", "expected"),
    [
        # 16 tokens x 4,096 bytes x 32 layers = 2,097,152; 62,388,084,867 holds 29,748 blocks
        pytest.param(LLAMA_8B, 62_388_084_867, 475_968, id="one kind of layer"),
        # pages of 131,072 in groups of 23; 20.59 GiB hold 7,333, and 3,666 for each of 2 groups
        pytest.param(GEMMA_2_27B, 22_108_344_156, 58_656, id="23 full and 23 windowed layers"),
        # pages of 131,072 in groups of 10; 19.53 GiB hold 15,998, and 2,285 for each of 7 groups
        pytest.param(GEMMA_3_27B, 20_970_177_822, 36_560, id="10 full and 52 windowed layers"),
        # pages of 32,768 in groups of 12; 58.47 GiB hold 159,662, and 79,831 for each of 2
        pytest.param(GPT_OSS_20B, 62_781_684_449, 1_277_296, id="12 full and 12 windowed layers"),
        # 16 x 1,152 x 27 = 497,664; 43.61 GiB hold 94,091
        pytest.param(DEEPSEEK_V2_LITE, 46_825_880_944, 1_505_456, id="latent attention"),
        # pages of 131,072: 16 tokens of 8 x 256, 32 of 2 x 512 elements; 1 + 5 groups of 5;
        # 21.5 GiB hold 35,225 pages of 5 layers, and 5,870 for each of 6 groups
        pytest.param(GEMMA_4_26B, 23_085_449_216, 93_920, id="heads of two widths"),
        # a state of 2,134,016 bytes needs 131 blocks of 16,384: pages of 2,146,304, 2,096 tokens;
        # groups of 6 layers: 4 + 1 of them; 40 GiB hold 3,335 pages of 6, and 667 for each of 5
        pytest.param(NEMOTRON_3_NANO, 40 * GIB, 1_398_032, id="states and attention"),
    ],
)
def test_vllm_0_19_prints_blocks_of_a_group(shape: ModelShape, pool: int, expected: int) -> None:
    assert cache_of(shape).tokens(pool, 8192, 8192) == expected


@pytest.mark.parametrize(
    ("shape", "pool", "context", "expected"),
    [
        pytest.param(LLAMA_8B, 62_388_084_867, 8192, 475_968, id="as before for whole blocks"),
        # 29,748 blocks x 8,200 tokens / 513 blocks of a request
        pytest.param(LLAMA_8B, 62_388_084_867, 8200, 475_504, id="a context of no whole blocks"),
        # a request takes 512 blocks of the full group and 6 x (512 + 1): 15,998 x 8,192 / 3,590
        pytest.param(GEMMA_3_27B, 20_970_177_822, 8192, 36_505, id="windows longer than it"),
        # 8,192 blocks and 6 x (576 + 1): 15,998 x 131,072 / 11,654
        pytest.param(GEMMA_3_27B, 20_970_177_822, 131_072, 179_928, id="windows are capped"),
        # ceil(131,072 / 2,096) = 63 blocks and 4 states: 3,335 x 131,072 / 67
        pytest.param(NEMOTRON_3_NANO, 40 * GIB, 131_072, 6_524_255, id="states"),
    ],
)
def test_vllm_from_0_21_prints_concurrency_times_context(
    shape: ModelShape, pool: int, context: int, expected: int
) -> None:
    assert cache_of(shape, VLLM_0_33).tokens(pool, context, 8192) == expected


@pytest.mark.parametrize(
    ("shape", "engine", "pool", "expected"),
    [
        pytest.param(LLAMA_8B, SGLANG, 5_003_636_899, 38_174, id="4.66 GiB / 131,072 bytes"),
        pytest.param(GEMMA_3_27B, VLLM_0_7, 507_904 * 1616, 1616, id="no groups: all layers"),
        # 14.65 GiB / (16 x 4,096 x 40): cross layers have blocks of every table
        pytest.param(MLLAMA, VLLM_0_7, 15_730_317_721, 96_000, id="cross layers before groups"),
        pytest.param(PURE_MAMBA, VLLM_0_19, 4 * 4000 * 7, 7 * 8192, id="only states: requests"),
        # 16 tokens x 4,096 bytes x 32 layers
        pytest.param(LLAMA_8B, VLLM_0_19, 2_097_152, 16, id="a block exactly"),
        pytest.param(LLAMA_8B, VLLM_0_19, 2_097_151, 0, id="one byte less holds nothing"),
        pytest.param(LLAMA_8B, VLLM_0_19, 0, 0, id="an empty pool"),
        pytest.param(LLAMA_8B, VLLM_0_19, -(10**9), 0, id="less than no room"),
        pytest.param(model(layer(None)), VLLM_0_19, 10**9, 0, id="no attention at all"),
    ],
)
def test_tokens_of_other_engines_and_edges(
    shape: ModelShape, engine: EngineMemory, pool: int, expected: int
) -> None:
    assert cache_of(shape, engine).tokens(pool, 8192, 8192) == expected


def test_layers_of_different_width_without_windows_share_one_table_of_blocks() -> None:
    shape = model(layer(heads(8)), layer(heads(4)))
    # 16 tokens x (4,096 + 2,048) bytes
    assert cache_of(shape).tokens(98_304 * 10 + 98_303, 8192, 8192) == 160


def test_states_are_divided_over_ranks_and_not_by_tokens() -> None:
    # (64 x 64 x 128 x 4 + 18,432 x 2) / 2 = 1,067,008 bytes: 131 blocks of 8,192 on 2 ranks
    cache = cache_of(NEMOTRON_3_NANO, tp=2)
    page = 131 * 16 * 1 * 128 * 2 * 2
    assert cache.request_bytes(1, 8192) == (23 + 6) * page
    assert cache.request_bytes(2097, 8192) == (23 + 12) * page


def test_images_take_their_tokens_in_cross_layers_only() -> None:
    # 8 cross layers hold ceil(6,404 / 16) = 401 blocks of 65,536 bytes, 32 others the context
    expected = 65_536 * (8 * 401 + 32 * 4)
    assert cache_of(MLLAMA).request_bytes(64, 8192) == expected


@pytest.mark.parametrize(
    ("name", "dtype_bytes", "size"),
    [
        ("auto", 2, (2, 1)),
        ("auto", 4, (4, 1)),
        ("fp8", 2, (1, 1)),
        ("f16", 4, (2, 1)),
        ("q8_0", 2, (34, 32)),
        ("q4_0", 2, (18, 32)),
    ],
)
def test_sizes_of_elements(name: str, dtype_bytes: int, size: tuple[int, int]) -> None:
    assert element_size(name, dtype_bytes) == size


def test_an_unknown_dtype_names_those_that_are_known() -> None:
    with pytest.raises(SizingError, match=r"kv_cache_dtype is 'int3'; allowed are auto, fp8"):
        element_size("int3", 2)
