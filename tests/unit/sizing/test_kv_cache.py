import pytest

from llama_operator.catalog.rows import Architecture
from llama_operator.sizing.kv_cache import bytes_per_token, pool_tokens, request_tokens
from llama_operator.units import GIB
from unit.sizing.rows import LLAMA_8B, LLAMA_70B, LLAMA_405B, LLAMA_405B_JULY_2024


@pytest.mark.parametrize(
    ("architecture", "expected"),
    [
        pytest.param(LLAMA_8B, 131_072, id="8B: 2 x 32 layers x 8 heads x 128 x 2 bytes"),
        pytest.param(LLAMA_70B, 327_680, id="70B: 2 x 80 layers x 8 heads x 128 x 2 bytes"),
        pytest.param(LLAMA_405B, 516_096, id="405B: 2 x 126 layers x 8 heads x 128 x 2 bytes"),
        pytest.param(LLAMA_405B_JULY_2024, 1_032_192, id="405B as of July 2024: 16 heads"),
    ],
)
def test_bytes_per_token_are_exact(architecture: Architecture, expected: int) -> None:
    assert bytes_per_token(architecture) == expected


@pytest.mark.parametrize(
    ("architecture", "tokens", "gib"),
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
def test_the_published_table_is_reproduced(
    architecture: Architecture, tokens: int, gib: float
) -> None:
    assert tokens * bytes_per_token(architecture) / GIB == pytest.approx(gib, abs=0.00005)


@pytest.mark.parametrize(
    ("tensor_parallel_size", "element_bytes", "expected"),
    [
        pytest.param(1, 2, 131_072, id="bf16 on one GPU"),
        pytest.param(4, 2, 32_768, id="split over four GPUs"),
        pytest.param(8, 2, 16_384, id="one KV head a GPU"),
        pytest.param(16, 2, 16_384, id="more GPUs than KV heads: heads repeat"),
        pytest.param(1, 1, 65_536, id="fp8"),
    ],
)
def test_kv_heads_are_divided_and_repeated(
    tensor_parallel_size: int, element_bytes: int, expected: int
) -> None:
    found = bytes_per_token(
        LLAMA_8B, tensor_parallel_size=tensor_parallel_size, element_bytes=element_bytes
    )
    assert found == expected


@pytest.mark.parametrize(
    ("pool", "expected"),
    [
        # one block of the 8B is 16 x 131,072 = 2,097,152 bytes
        pytest.param(2_097_152, 16, id="a block exactly"),
        pytest.param(2_097_151, 0, id="one byte less holds nothing"),
        pytest.param(62_388_084_867, 475_968, id="58.10 GiB on an H100 under vLLM 0.19"),
        pytest.param(0, 0, id="no bytes"),
        pytest.param(-1, 0, id="a negative pool holds nothing"),
    ],
)
def test_a_pool_holds_whole_blocks(pool: int, expected: int) -> None:
    assert pool_tokens(pool, layer_bytes=4096, layers=32) == expected


def test_a_request_occupies_whole_blocks() -> None:
    assert [request_tokens(tokens) for tokens in (16, 17, 8192)] == [16, 32, 8192]
