"""Bytes of a model with a draft model beside it, worked out by hand."""

from dataclasses import replace
from typing import Any

import pytest

from llama_operator.catalog.catalog import Catalog
from llama_operator.sizing.architectures import shape_of
from llama_operator.sizing.draft import draft_host
from llama_operator.sizing.estimate import StageEstimate, estimate, largest_context
from llama_operator.sizing.scheme_names import scheme_for
from llama_operator.sizing.settings import Draft, Setting
from llama_operator.sizing.support import Reason
from unit.sizing.budget.settings import A10G, H100, LLAMA_8B, LLAMA_70B, setting

ROWS = {row.name: row for row in Catalog.load().tables.architectures}
LLAMA_1B = shape_of(ROWS["llama-3.2-1b"])
CONTEXT = 8192

# Llama 3.2 1B: 16 layers, hidden 2,048, 8 KV heads of 64, feed-forward 8,192, tied 128,256 x 2,048.
# One layer in 16 bit on one of `tp` GPUs, all but the norms divided:
#   qkv 3,072 x 2,048 x 2          = 12,582,912 / tp
#   o 2,048 x 2,048 x 2            =  8,388,608 / tp
#   gate and up 16,384 x 2,048 x 2 = 67,108,864 / tp
#   down 8,192 x 2,048 x 2         = 33,554,432 / tp
#   two norms 2 x 2,048 x 2        =      8,192
# 121,634,816 / tp + 8,192. Beside the layers a norm of 4,096, the RoPE table 131,072 x 64 x 2 =
# 16,777,216 on each GPU, and the embedding of 525,336,576 / tp in segments of 2 MiB that leave no
# more than 1 MiB: 526,385,152 (502 MiB), 262,668,288 (250.5 MiB as it is) and 132,120,576 (126).
WEIGHTS = {
    1: 16 * (121_634_816 + 8_192) + 4_096 + 16_777_216 + 526_385_152,
    2: 16 * (60_817_408 + 8_192) + 4_096 + 16_777_216 + 262_668_288,
    4: 16 * (30_408_704 + 8_192) + 4_096 + 16_777_216 + 132_120_576,
}
"""By tensor parallel size; 2,489,454,592, 1,252,659,200 and 635,572,224 bytes."""
TOKEN = 16 * 2 * 8 * 64 * 2
"""KV cache of a token on one GPU: 32,768 bytes."""
TOKEN_8B = 32 * 2 * 8 * 128 * 2
"""131,072 bytes."""
TOKEN_70B = 80 * 2 * 8 * 128 * 2
"""327,680 bytes."""


def drafted(scheme: str = "none", **values: Any) -> Any:
    """Values of a setting with the 1B to draft four tokens."""
    return {
        "speculative_tokens": 4,
        "draft": Draft(LLAMA_1B, scheme_for(scheme)),
        "max_model_len": CONTEXT,
        **values,
    }


def only(wanted: Setting) -> StageEstimate:
    [stage] = estimate(wanted).stages
    return stage


@pytest.mark.parametrize(
    ("model", "engine", "tp", "token_bytes"),
    [
        pytest.param(LLAMA_70B, "vllm", 4, (TOKEN_70B + TOKEN) // 4, id="70B on four by vLLM"),
        pytest.param(LLAMA_70B, "vllm", 2, (TOKEN_70B + TOKEN) // 2, id="70B on two by vLLM"),
        pytest.param(LLAMA_8B, "vllm", 1, TOKEN_8B + TOKEN, id="8B on one by vLLM"),
        # Each of 16 layers counts as one of the model: 16/80 and 16/32 of its bytes.
        pytest.param(
            LLAMA_70B, "sglang", 4, (TOKEN_70B + TOKEN_70B // 5) // 4, id="70B on four by SGLang"
        ),
        pytest.param(LLAMA_8B, "sglang", 1, TOKEN_8B + TOKEN_8B // 2, id="8B on one by SGLang"),
        pytest.param(LLAMA_8B, "mlx", 1, TOKEN_8B + TOKEN, id="8B on one by MLX"),
    ],
)
def test_a_draft_has_its_weights_and_its_part_of_every_token(
    model: Any, engine: str, tp: int, token_bytes: int
) -> None:
    values: dict[str, Any] = {"tp": tp, "engine": engine, "version": None, "enforce_eager": True}
    scheme = "awq-int4-g128" if model is LLAMA_70B else "none"
    found = only(setting(model, scheme, H100, **values, **drafted()))
    plain = only(setting(model, scheme, H100, **values, **drafted(draft=None)))

    assert found.draft_weights_bytes == WEIGHTS[tp]
    assert found.request_bytes == CONTEXT * token_bytes
    assert (found.room_bytes or 0) == (plain.room_bytes or 0) - WEIGHTS[tp]
    assert found.kv_cache_tokens is not None
    # Whole blocks: of 16 tokens with vLLM, 1 with SGLang, 256 with MLX
    assert 0 <= (found.room_bytes or 0) // token_bytes - found.kv_cache_tokens < 256
    kept = ("weights_bytes", "activation_bytes", "non_torch_bytes")
    assert [getattr(found, name) for name in kept] == [getattr(plain, name) for name in kept]


def test_the_weights_are_those_of_the_arithmetic() -> None:
    assert WEIGHTS == {1: 2_489_454_592, 2: 1_252_659_200, 4: 635_572_224}


def test_graphs_of_the_draft_add_the_part_of_its_layers() -> None:
    found = only(setting(LLAMA_8B, "none", H100, **drafted()))
    plain = only(setting(LLAMA_8B, "none", H100, **drafted(draft=None)))
    # 0.186e-5 GiB for each of 16 layers of 2,048, by all 51 capture sizes
    assert found.cuda_graph_bytes - plain.cuda_graph_bytes == pytest.approx(
        0.186e-5 * 16 * 2048 * 2**30, abs=2
    )


def test_the_longest_context_holds_the_draft_too() -> None:
    values: dict[str, Any] = {"enforce_eager": True, "max_model_len": 131_072}
    found = setting(LLAMA_8B, "none", A10G, **drafted(**values))
    stage = only(found)
    whole_blocks = (stage.room_bytes or 0) // (16 * (TOKEN_8B + TOKEN))
    assert largest_context(found) == 16 * whole_blocks
    assert largest_context(replace(found, draft=None)) > 16 * whole_blocks


def test_weights_that_only_fit_without_a_draft_are_too_large() -> None:
    # 0.75 x 22.06 GiB are 17.77e9 bytes: the 8B has 16.09e9, the draft 2.49e9 more
    found = estimate(setting(LLAMA_8B, "none", A10G, **drafted(utilization=0.75)))
    assert found.reason is Reason.WEIGHTS
    assert found.message.startswith("weights of 17.31 GiB exceed ")


LAYERS_Q4_K_M = (
    # 60,817,408 weights of a layer in Q4_K, 144 bytes for 256; in 8 of 16 layers the values and
    # `ffn_down`, 17,825,792 of them, in Q6_K, 210 bytes for 256; two norms of 2,048 in 32 bit
    8 * 60_817_408 * 144 // 256
    + 8 * (42_991_616 * 144 // 256 + 17_825_792 * 210 // 256)
    + 16 * 16_384
)
OUTPUT_Q4_K_M = 128_256 * 2048 * 210 // 256 + 2048 * 4
"""The tied matrix in Q6_K, on the GPU as the output, and the last norm."""


@pytest.mark.parametrize(
    ("kv_cache_dtype", "token_bytes"),
    [
        pytest.param("auto", TOKEN_8B, id="in 16 bit"),
        # 65,536 elements by blocks of 32 in 34 bytes
        pytest.param("q8_0", 65_536 * 34 // 32, id="in 8 bit, the draft's in 16"),
    ],
)
def test_llama_cpp_gives_the_draft_a_context_of_its_own(
    kv_cache_dtype: str, token_bytes: int
) -> None:
    values = drafted("Q4_K_M", concurrency=2, max_num_batched_tokens=512)
    wanted = setting(
        LLAMA_8B, "Q4_K_M", H100, engine="llama.cpp", version=None, utilization=None,
        kv_cache_dtype=kv_cache_dtype, **values,
    )  # fmt: skip
    found, plain = only(wanted), only(replace(wanted, draft=None))

    assert found.draft_weights_bytes == LAYERS_Q4_K_M + OUTPUT_Q4_K_M == 799_862_784
    assert found.weights_bytes == plain.weights_bytes
    assert found.kv_cache_bytes == 2 * CONTEXT * (token_bytes + TOKEN)
    assert found.request_bytes == CONTEXT * (token_bytes + TOKEN)
    # A compute buffer of its own: 512 x (128,256 + 3 x 8,192 + 6 x 2,048) x 4
    assert found.activation_bytes - plain.activation_bytes == 338_165_760
    # In host memory the tied matrix again, as the input
    assert draft_host(wanted).weights_bytes == OUTPUT_Q4_K_M - 2048 * 4
    assert draft_host(replace(wanted, draft=None)).total_bytes == 0


def test_llama_cpp_divides_the_draft_over_its_gpus() -> None:
    # 16 layers and the output over 4 GPUs: the first of them has 5, 17 x 1/4 rounded up
    wanted = setting(
        LLAMA_70B, "Q4_K_M", H100, tp=4, engine="llama.cpp", version=None, utilization=None,
        **drafted("Q4_K_M", concurrency=2, max_num_batched_tokens=512),
    )  # fmt: skip
    found, plain = estimate(wanted), estimate(replace(wanted, draft=None))
    assert sum(one.draft_weights_bytes for one in found.stages) == LAYERS_Q4_K_M + OUTPUT_Q4_K_M
    more = [
        (new.kv_cache_bytes or 0) - (old.kv_cache_bytes or 0)
        for new, old in zip(found.stages, plain.stages, strict=True)
    ]
    assert [size // (2 * CONTEXT * TOKEN // 16) for size in more] == [5, 4, 4, 3]


def test_a_server_without_gpu_keeps_the_draft_in_host_memory() -> None:
    wanted = setting(
        LLAMA_8B, "Q4_K_M", H100, engine="llama.cpp", version=None, utilization=None,
        gpu_layers=0, **drafted("Q4_K_M", max_num_batched_tokens=512),
    )  # fmt: skip
    assert estimate(wanted).stages == ()
    # The tied matrix stands there once.
    assert draft_host(wanted).weights_bytes == LAYERS_Q4_K_M + OUTPUT_Q4_K_M
    assert draft_host(wanted).kv_cache_bytes == CONTEXT * TOKEN
