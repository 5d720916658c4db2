from dataclasses import replace

import pytest

from llama_operator.sizing.division import division_obstacle, valid_tensor_parallel_sizes
from llama_operator.sizing.models.model import FeedForward, HeadsCache, Layer, ModelShape
from llama_operator.sizing.models.tensors import Part, Split, Tensor
from llama_operator.sizing.scheme_names import scheme_for
from unit.sizing.bytes.shapes import LLAMA_3B, LLAMA_8B, LLAMA_70B, LLAMA_405B, llama

FORTY_HEADS = llama(hidden=5120, intermediate=17408, layers=40, heads=40, kv_heads=8, vocab=151_936)


def experts(*, width: int, vision: tuple[Tensor, ...] = (), mistral: bool = False) -> ModelShape:
    feed_forward = (
        Tensor("gate_proj", Part.EXPERTS, (width, 2048), Split.COLUMN, 8, True, merged="gate_up"),
        Tensor("up_proj", Part.EXPERTS, (width, 2048), Split.COLUMN, 8, True, merged="gate_up"),
        Tensor("down_proj", Part.EXPERTS, (2048, width), Split.ROW, 8, True),
    )
    layer = Layer(feed_forward, HeadsCache(8, 128), FeedForward(expert_width=width, experts=8))
    return replace(LLAMA_8B, layers=(layer,) * 2, vision=vision, mistral_format=mistral)


TOWER = Tensor("q_proj", Part.VISION, (1000, 1000), Split.COLUMN, linear=True)


@pytest.mark.parametrize(
    ("model", "scheme", "tp", "pp"),
    [
        pytest.param(LLAMA_8B, "none", 1, 1, id="one GPU"),
        pytest.param(LLAMA_8B, "none", 16, 1, id="KV heads repeat"),
        pytest.param(LLAMA_70B, "awq-int4-g128", 8, 1, id="28672 / 8 is 28 groups of 128"),
        pytest.param(LLAMA_405B, "none", 8, 2, id="two stages"),
        pytest.param(LLAMA_8B, "none", 1, 32, id="a layer for each stage"),
        pytest.param(experts(width=768), "fp8-block", 2, 1, id="384 is three blocks"),
        pytest.param(experts(width=360), "mxfp4", 8, 1, id="experts in MXFP4 are padded"),
        pytest.param(experts(width=192), "fp8-block", 1, 1, id="one GPU may cut the last block"),
        pytest.param(experts(width=768, vision=(TOWER,), mistral=True), "none", 16, 1, id="whole"),
    ],
)
def test_these_models_can_be_divided(model: ModelShape, scheme: str, tp: int, pp: int) -> None:
    assert division_obstacle(model, scheme_for(scheme), tp, pp) is None


@pytest.mark.parametrize(
    ("model", "scheme", "tp", "pp", "obstacle"),
    [
        pytest.param(
            LLAMA_70B, "none", 3, 1, "64 attention heads do not divide by 3", id="query heads"
        ),
        pytest.param(
            LLAMA_8B, "awq-int4-g128", 3, 1, "32 attention heads do not divide by 3", id="AWQ"
        ),
        pytest.param(
            FORTY_HEADS, "none", 5, 1, "8 KV heads neither divide by 5 nor repeat evenly", id="KV"
        ),
        pytest.param(
            LLAMA_8B, "none", 1, 33, "32 layers do not fill 33 pipeline stages", id="stages"
        ),
        pytest.param(
            llama(hidden=1024, intermediate=1000, layers=1, heads=16, kv_heads=16),
            "none", 16, 1, "a feed-forward width of 1000 does not divide by 16", id="width",
        ),
        pytest.param(
            llama(hidden=1536, intermediate=6144, layers=1, heads=12, kv_heads=3, vocab=64),
            "none", 12, 1, "a vocabulary of 64 does not divide by 12", id="vocabulary",
        ),
        pytest.param(
            LLAMA_8B, "awq-int4-g128", 32, 1,
            "on 32 GPUs a feed-forward matrix has 448 inputs, no multiple of the group of 128",
            id="a group would be cut",
        ),
        pytest.param(
            experts(width=768), "fp8-block", 4, 1,
            "on 4 GPUs an expert's matrix has 192 outputs, no multiple of the block of 128",
            id="a block would be cut",
        ),
        pytest.param(
            experts(width=100), "none", 8, 1, "an expert's width of 100 does not divide by 8",
            id="experts",
        ),
        pytest.param(
            experts(width=768, vision=(TOWER,)), "none", 16, 1,
            "a vision tower's width of 1000 does not divide by 16", id="vision",
        ),
        pytest.param(
            llama(hidden=128, intermediate=132, layers=1, heads=1, kv_heads=1, head_dim=128),
            "awq-int4-g128", 1, 1,
            "on one GPU a feed-forward matrix has 132 inputs, no multiple of the group of 128",
            id="one GPU",
        ),
        pytest.param(
            llama(hidden=128, intermediate=128, layers=1, heads=1, kv_heads=1, head_dim=4),
            "gptq-int4-g32", 1, 1,
            "on one GPU an attention matrix has 4 inputs, no multiple of the group of 32",
            id="small heads",
        ),
    ],
)  # fmt: skip
def test_obstacles_are_told_in_numbers(
    model: ModelShape, scheme: str, tp: int, pp: int, obstacle: str
) -> None:
    assert division_obstacle(model, scheme_for(scheme), tp, pp) == obstacle


def eight_b(*, intermediate: int = 14336, heads: int = 32, kv_heads: int = 8) -> ModelShape:
    return llama(hidden=4096, intermediate=intermediate, layers=32, heads=heads, kv_heads=kv_heads)


@pytest.mark.parametrize(
    ("model", "scheme", "expected"),
    [
        pytest.param(LLAMA_8B, "none", (1, 2, 4, 8, 16), id="8B in bf16"),
        pytest.param(LLAMA_8B, "awq-int4-g128", (1, 2, 4, 8, 16), id="8B in AWQ"),
        pytest.param(LLAMA_70B, "gptq-int4-g128", (1, 2, 4, 8, 16), id="70B in GPTQ"),
        pytest.param(LLAMA_405B, "fbgemm-fp8", (1, 2, 4, 8, 16), id="405B in FP8"),
        pytest.param(
            eight_b(heads=12, kv_heads=2), "none", (1, 2, 4),
            id="12 heads divide by 4 and 2 KV heads repeat, 8 does not divide",
        ),
        pytest.param(
            eight_b(heads=48, kv_heads=6), "none", (1, 2),
            id="6 KV heads neither divide by 4 nor repeat",
        ),
        pytest.param(
            llama(hidden=2048, intermediate=8192, layers=16, heads=32, kv_heads=8, head_dim=64),
            "awq-int4-g128", (1, 2, 4, 8, 16), id="1B: 2048/16 is one group of 128",
        ),
        pytest.param(
            eight_b(intermediate=14_208), "awq-int4-g128", (1,),
            id="a width of 111 groups of 128 cannot be halved",
        ),
    ],
)  # fmt: skip
def test_sizes_where_heads_and_groups_stay_whole(
    model: ModelShape, scheme: str, expected: tuple[int, ...]
) -> None:
    assert valid_tensor_parallel_sizes("vLLM", model, scheme_for(scheme)) == expected


def test_outputs_that_do_not_pack_are_an_obstacle() -> None:
    narrow = Tensor("gate_proj", Part.FEED_FORWARD, (12, 128), Split.COLUMN, linear=True)
    model = replace(LLAMA_8B, layers=(Layer((narrow,), None, None),))
    assert division_obstacle(model, scheme_for("awq-int4-g128"), 1) == (
        "12 outputs of one GPU do not pack by 8"
    )
    assert division_obstacle(model, scheme_for("awq-int8-g128"), 1) is None


def test_small_outputs_of_mixers_are_no_obstacle() -> None:
    mixer = Tensor("in_proj.dt", Part.MIXER, (48, 128), Split.COLUMN, linear=True)
    model = replace(LLAMA_8B, layers=(Layer((mixer,), None, None),))
    assert division_obstacle(model, scheme_for("fp8-block"), 4) is None
    assert division_obstacle(model, scheme_for("awq-int4-g128"), 4) is None
    assert division_obstacle(model, scheme_for("none"), 32) == (
        "a mixer's width of 48 does not divide by 32"
    )


def test_whole_experts_need_no_width_that_divides() -> None:
    model = experts(width=100)
    assert division_obstacle(model, scheme_for("none"), 8, expert_parallel=True) is None


def test_layers_kept_in_16_bit_have_no_groups() -> None:
    kept = replace(LLAMA_8B, kept=("mlp",))
    assert division_obstacle(kept, scheme_for("awq-int4-g128"), 32) is None


def test_three_attention_heads_of_the_3b_go_to_eight_gpus() -> None:
    assert division_obstacle(LLAMA_3B, scheme_for("none"), 8) is None
    assert division_obstacle(LLAMA_3B, scheme_for("none"), 16) == (
        "24 attention heads do not divide by 16"
    )
