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
    assert found.budget_bytes == 74_353_614_834
    assert stage.kv_cache_bytes == 74_353_614_834 - 16_094_076_928
    assert found.kv_cache_tokens == (74_353_614_834 - 16_094_076_928) // 131_072
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
