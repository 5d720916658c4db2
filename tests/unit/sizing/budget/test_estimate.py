"""What an estimate says beside its bytes, and the longest context that fits."""

from dataclasses import replace

import pytest

from llama_operator.sizing.estimate import estimate, largest_context
from llama_operator.sizing.models.tensors import Part, Tensor
from unit.sizing.budget.settings import A10G, H100, LLAMA_8B, LLAMA_70B, setting


@pytest.mark.parametrize(
    ("scheme", "gpu", "tp", "values", "expected"),
    [
        # 0.9 x 22.06 GiB - 16,094,076,928 - 539,096,514 - 0.25 GiB = 4,416,461,275 bytes: 2,105
        # blocks of 2,097,152, or 4,211 of half of it
        pytest.param("none", A10G, 1, {}, 33_680, id="an A10G"),
        pytest.param("none", A10G, 1, {"kv_cache_dtype": "fp8"}, 67_376, id="an A10G with fp8 KV"),
        pytest.param("none", H100, 1, {}, 131_072, id="at most what the model was made for"),
        pytest.param("none", A10G, 3, {}, 0, id="no division"),
        pytest.param("none", A10G, 1, {"utilization": 0.5}, 0, id="no room"),
        pytest.param("none", A10G, 1, {"utilization": 0.98}, 0, id="no headroom for graphs"),
    ],
)
def test_the_largest_context(
    scheme: str, gpu: str, tp: int, values: dict[str, object], expected: int
) -> None:
    wanted = setting(LLAMA_8B, scheme, gpu, tp=tp, **values)
    assert largest_context(wanted) == expected


def test_the_largest_context_is_what_the_engine_prints_when_all_layers_keep_all() -> None:
    wanted = setting(LLAMA_8B, "none", A10G)
    assert largest_context(wanted) == estimate(wanted).kv_cache_tokens


def test_llama_cpp_divides_layers_and_the_output_over_gpus() -> None:
    # 80 layers and the output over 3 GPUs: 27, 27 and 26 layers
    found = estimate(
        setting(LLAMA_70B, "Q4_K_M", H100, tp=3, engine="llama.cpp", version=None, utilization=None)
    )
    assert [stage.layers for stage in found.stages] == [27, 27, 26]
    assert found.fits


def test_sglang_holds_weights_and_cache_in_its_fraction() -> None:
    # 0.88 x (85,029,615,042 - 536,870,912) less the weights, in tokens of 131,072 bytes
    found = estimate(
        setting(LLAMA_8B, "none", H100, engine="sglang", version="0.4.9", utilization=None)
    )
    stage = found.stages[0]
    assert found.budget_bytes == 74_353_614_835
    assert stage.kv_cache_bytes == 74_353_614_835 - 16_094_076_928
    assert found.kv_cache_tokens == (74_353_614_835 - 16_094_076_928) // 131_072
    assert stage.cuda_graph_bytes == 0


def test_what_is_only_bounded_is_said() -> None:
    seen = replace(
        LLAMA_8B,
        bounds=("the projector is an upper bound",),
        vision=(
            Tensor("position_embedding", Part.VISION, (4096, 1152)),
            Tensor("fc1", Part.VISION, (4304, 1152), linear=True),
        ),
    )
    assert estimate(setting(seen)).bounds == (
        "the projector is an upper bound",
        "activations of the vision encoder are not part of the peak: at most 0.07 GiB for each "
        "image of a step",
    )
    rotary = replace(seen, bounds=(), vision=seen.vision[1:])
    [said] = estimate(setting(rotary)).bounds
    assert said == "activations of the vision encoder are not part of the peak"
    assert estimate(setting(LLAMA_8B)).bounds == ()


def test_without_a_gpu_there_is_no_verdict() -> None:
    found = estimate(replace(setting(LLAMA_8B), gpu=None, total_bytes=0))
    assert found.fits is None
    assert found.kv_cache_tokens is None
    assert found.stages[0].weights_bytes == 16_094_076_928
    assert largest_context(replace(setting(LLAMA_8B), gpu=None, total_bytes=0)) == 0


def test_disabled_graphs_take_nothing_and_free_their_room() -> None:
    graphs = estimate(setting(LLAMA_8B, "none", A10G, version="0.33.0")).stages[0]
    eager = setting(LLAMA_8B, "none", A10G, version="0.33.0", enforce_eager=True)
    found = estimate(eager).stages[0]
    assert found.cuda_graph_bytes == 0
    # 0.66 + 0.186 x 32 x 4096 / 1e5 GiB
    assert (found.room_bytes or 0) - (graphs.room_bytes or 0) == 970_441_332


def test_fp8_kv_cache_holds_twice_the_tokens() -> None:
    sixteen = estimate(setting(LLAMA_70B, "awq-int4-g128", H100)).kv_cache_tokens
    eight = setting(LLAMA_70B, "awq-int4-g128", H100, kv_cache_dtype="fp8")
    assert sixteen is not None
    assert estimate(eight).kv_cache_tokens == pytest.approx(2 * sixteen, abs=16)


@pytest.mark.parametrize(
    ("concurrency", "context", "fits"),
    [
        # 4,416,461,275 bytes hold 2,105 blocks of 2,097,152
        pytest.param(4, 8192, True, id="4 x 512 blocks"),
        pytest.param(5, 8192, False, id="5 x 512 blocks"),
        pytest.param(2105, 16, True, id="a block of each request"),
        pytest.param(2106, 16, False, id="one request too many"),
        pytest.param(1053, 17, False, id="two blocks of each request"),
    ],
)
def test_concurrent_requests_fit_at_once(concurrency: int, context: int, fits: bool) -> None:
    wanted = setting(LLAMA_8B, "none", A10G, max_model_len=context, concurrency=concurrency)
    found = estimate(wanted)
    assert found.fits is fits
    assert (found.reason is None) is fits


def test_requests_that_do_not_fit_are_told_together() -> None:
    found = estimate(setting(LLAMA_8B, "none", A10G, max_model_len=8192, concurrency=5))
    assert found.reason == "kv-cache"
    assert (
        found.message == "5 requests of 8,192 tokens take 5.00 GiB of KV cache; 4.11 GiB are left"
    )


@pytest.mark.parametrize(
    ("concurrency", "limit", "expected"),
    [
        # 2,105 blocks of 16 tokens
        pytest.param(1, None, 33_680, id="one request"),
        pytest.param(2, None, 16_832, id="1,052 blocks of each of two"),
        pytest.param(2106, None, 0, id="not a block of each"),
        pytest.param(2, 8192, 8192, id="the limit in whole blocks"),
        pytest.param(2, 8190, 8190, id="the limit, which ends inside a block"),
        pytest.param(2, 16_833, 16_832, id="a limit that needs one block more"),
    ],
)
def test_the_largest_context_of_several_requests(
    concurrency: int, limit: int | None, expected: int
) -> None:
    wanted = setting(LLAMA_8B, "none", A10G, concurrency=concurrency)
    assert largest_context(wanted, limit=limit) == expected


def test_transformers_puts_whole_layers_on_each_gpu() -> None:
    # 16 layers of 218,112,000 elements and a matrix of 525,336,576 in 16 bit on either GPU, the
    # norm of 4,096 on the last; not half of each layer, and no memory of ranks that talk
    found = estimate(setting(LLAMA_8B, "none", engine="transformers", version=None, tp=2))
    assert [stage.layers for stage in found.stages] == [16, 16]
    half = 16 * 218_112_000 * 2 + 525_336_576 * 2
    table = 131_072 * 128 * 2
    assert [stage.weights_bytes for stage in found.stages] == [half + table, half + 8192 + table]
    assert [stage.non_torch_bytes for stage in found.stages] == [int(0.07 * 2**30)] * 2
    three = estimate(setting(LLAMA_8B, "none", engine="transformers", version=None, tp=3))
    assert [stage.layers for stage in three.stages] == [11, 11, 10]
