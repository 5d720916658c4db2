"""What one rank holds of tensors that Llama does not have."""

from dataclasses import replace
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llama_operator.sizing.checkpoints import checkpoint_bytes
from llama_operator.sizing.models.model import FeedForward, LatentCache, Layer, ModelShape
from llama_operator.sizing.models.tensors import Part, Split, Tensor
from llama_operator.sizing.quantized import tensor_bytes
from llama_operator.sizing.rank_weights import rank_weights_bytes
from llama_operator.sizing.scheme_names import scheme_for
from llama_operator.sizing.shards import Division, rank_elements, rank_shape
from llama_operator.sizing.stages import stage_range, stage_sizes
from llama_operator.units import MIB
from unit.sizing.bytes.shapes import LLAMA_8B, LLAMA_70B, llama

COLUMN = Tensor("up_proj", Part.FEED_FORWARD, (96, 64), Split.COLUMN, linear=True)
ROW = Tensor("down_proj", Part.FEED_FORWARD, (64, 96), Split.ROW, linear=True)
KEYS = Tensor("k_proj", Part.ATTENTION, (4 * 16, 64), Split.KV_HEADS, linear=True, heads=4)
KEYS_BIAS = Tensor("k_proj.bias", Part.ATTENTION, (4 * 16,), Split.KV_HEADS, heads=4)
WHOLE = Tensor("kv_a_proj", Part.ATTENTION, (96, 64), linear=True)
MATRIX = Tensor("embed_tokens", Part.EMBEDDING, (1000, 64), Split.VOCABULARY)
EXPERT = Tensor("down_proj", Part.EXPERTS, (64, 96), Split.ROW, count=10, linear=True)
TOWER = Tensor("fc1", Part.VISION, (96, 64), Split.COLUMN, count=3, linear=True)


@pytest.mark.parametrize(
    ("tensor", "division", "shape"),
    [
        pytest.param(COLUMN, Division(4), (24, 64), id="outputs are divided"),
        pytest.param(ROW, Division(4), (64, 24), id="inputs are divided"),
        pytest.param(ROW, Division(5), (64, 20), id="the largest rank counts"),
        pytest.param(KEYS, Division(2), (32, 64), id="two of four heads"),
        pytest.param(KEYS, Division(8), (16, 64), id="one head, repeated"),
        pytest.param(KEYS_BIAS, Division(8), (16,), id="its bias"),
        pytest.param(WHOLE, Division(8), (96, 64), id="nothing is divided"),
        # 1000 rows are padded to 1024
        pytest.param(MATRIX, Division(1), (1024, 64), id="the vocabulary is padded"),
        pytest.param(MATRIX, Division(8), (128, 64), id="and divided"),
        pytest.param(EXPERT, Division(4), (64, 24), id="each expert is divided"),
        pytest.param(EXPERT, Division(4, expert_parallel=True), (64, 96), id="whole experts"),
        pytest.param(EXPERT, Division(4, padded_experts=True), (256, 128), id="padded experts"),
        pytest.param(TOWER, Division(4), (24, 64), id="vision is divided"),
        pytest.param(TOWER, Division(4, whole_vision=True), (96, 64), id="or whole"),
    ],
)
def test_a_rank_holds_its_part(tensor: Tensor, division: Division, shape: tuple[int, ...]) -> None:
    assert rank_shape(tensor, division) == shape


def test_experts_are_divided_by_number_or_by_width() -> None:
    assert rank_elements(EXPERT, Division(4)) == 10 * 64 * 24
    # the largest rank of four has three of ten experts
    assert rank_elements(EXPERT, Division(4, expert_parallel=True)) == 3 * 64 * 96


def test_padding_of_experts_tells_width_from_hidden_size() -> None:
    # gpt-oss: hidden 2880 to 3072, a width of 2880 / 2 = 1440 to 1536
    shapes = [
        Tensor("gate_proj", Part.EXPERTS, (2880, 2880), Split.COLUMN, 32, True),
        Tensor("down_proj", Part.EXPERTS, (2880, 2880), Split.ROW, 32, True),
        Tensor("gate_proj.bias", Part.EXPERTS, (2880,), Split.COLUMN, 32),
        Tensor("down_proj.bias", Part.EXPERTS, (2880,), Split.WHOLE, 32),
    ]
    found = [rank_shape(tensor, Division(2, padded_experts=True)) for tensor in shapes]
    assert found == [(1536, 3072), (3072, 1536), (1536,), (3072,)]


def alone(*tensors: Tensor, latent: bool = False, vision: tuple[Tensor, ...] = ()) -> ModelShape:
    """A model of one layer with nothing but these tensors."""
    layer = Layer(tensors, LatentCache(576) if latent else None, FeedForward())
    return replace(
        LLAMA_8B,
        layers=(layer,), embedding=(), final=(), lm_head=None, rope_elements=0, vision=vision,
    )  # fmt: skip


NONE, FP8, BLOCK, MXFP4 = (scheme_for(name) for name in ("none", "fp8", "fp8-block", "mxfp4"))


def test_merged_tensors_are_one_allocation() -> None:
    # 300 bytes each: alone 512 each, merged 600 are 1024 and 900 are 1024 as well
    parts = [
        Tensor(name, Part.NORM, (150,), merged="three" if name != "d" else "") for name in "abcd"
    ]
    assert rank_weights_bytes(alone(*parts), NONE) == 1024 + 512


def test_merged_fp8_layers_share_their_scales() -> None:
    # 64 x 64 weights each and two scales of 4 bytes, in blocks of 512
    q, k = (
        Tensor(name, Part.ATTENTION, (64, 64), Split.COLUMN, linear=True, merged="qkv")
        for name in ("q_proj", "k_proj")
    )
    assert rank_weights_bytes(alone(q, k), FP8) == 2 * 64 * 64 + 512
    assert checkpoint_bytes(alone(q, k), FP8) == 2 * (64 * 64 + 8)


def test_one_kept_layer_of_a_merged_one_stays_in_16_bit() -> None:
    q, k = (
        Tensor(name, Part.ATTENTION, (64, 64), Split.COLUMN, linear=True, merged="qkv")
        for name in ("q_proj", "k_proj")
    )
    model = replace(alone(q, k), kept=("k_proj",))
    assert rank_weights_bytes(model, FP8) == (64 * 64 + 512) + 2 * 64 * 64


def test_experts_are_one_allocation_and_layers_of_a_tower_many() -> None:
    expert = Tensor("down_proj", Part.EXPERTS, (10, 10), Split.ROW, count=8, linear=True)
    tower = Tensor("norm", Part.VISION, (100,), count=8)
    assert rank_weights_bytes(alone(expert), NONE) == 2048  # 8 * 200 bytes
    assert rank_weights_bytes(alone(vision=(tower,)), NONE) == 8 * 512


def test_blocks_of_fp8_are_counted_by_rank() -> None:
    # 256 x 576: 2 * 5 blocks of 4 bytes; on two ranks 256 x 288: 2 * 3
    down = Tensor("down_proj", Part.FEED_FORWARD, (256, 576), Split.ROW, linear=True)
    assert tensor_bytes(down, BLOCK) == 256 * 576 + 40
    assert rank_weights_bytes(alone(down), BLOCK, tensor_parallel_size=2) == 256 * 288 + 512


def test_only_experts_are_in_mxfp4() -> None:
    # of 32 experts of gate, up and down 2880 x 2880 each, padded to 3072 x 2944: n/2 + n/32
    names = (("gate_proj", Split.COLUMN), ("up_proj", Split.COLUMN), ("down_proj", Split.ROW))
    tensors = [
        Tensor(
            name, Part.EXPERTS, (2880, 2880), split, 32, True,
            merged="" if split is Split.ROW else "gate_up",
        )
        for name, split in names
    ]  # fmt: skip
    weights = 32 * 3 * 3072 * 2944
    found = rank_weights_bytes(alone(*tensors), MXFP4)
    assert found == pytest.approx(weights // 2 + weights // 32, abs=6 * MIB)
    published = 32 * 3 * 2880 * 2880
    assert checkpoint_bytes(alone(*tensors), MXFP4) == published // 2 + published // 32
    attention = Tensor("o_proj", Part.ATTENTION, (4096, 2880), Split.ROW, linear=True)
    assert checkpoint_bytes(alone(attention), MXFP4) == 4096 * 2880 * 2


def test_own_element_sizes_count_whatever_the_dtype() -> None:
    bias = Tensor("e_score_correction_bias", Part.ROUTER, (256,), element_bytes=4)
    assert rank_weights_bytes(alone(bias), NONE) == 1024
    assert checkpoint_bytes(alone(bias), FP8) == 1024


def test_latent_attention_has_a_workspace_in_vllm_0_19() -> None:
    model = alone(WHOLE, latent=True)
    weights = 96 * 64 * 2
    assert rank_weights_bytes(model, NONE) == weights + 128 * MIB
    assert rank_weights_bytes(model, NONE, vllm_version=(0, 19, 1)) == weights + 128 * MIB
    assert rank_weights_bytes(model, NONE, vllm_version=(0, 11, 0)) == weights
    assert rank_weights_bytes(model, NONE, vllm_version=None) == weights


def test_what_is_not_loaded_counts_in_the_checkpoint_alone() -> None:
    model = replace(alone(WHOLE), not_loaded=(COLUMN,))
    assert checkpoint_bytes(model, NONE) == 2 * 96 * 64 * 2
    assert rank_weights_bytes(model, NONE) == 96 * 64 * 2


@pytest.mark.parametrize(
    ("layers", "stages", "expected"),
    [
        (32, 2, (16, 16)),
        (126, 4, (31, 32, 32, 31)),
        (61, 4, (15, 15, 16, 15)),
        (31, 8, (4, 4, 4, 4, 4, 4, 4, 3)),
        (80, 3, (27, 27, 26)),
        (7, 1, (7,)),
    ],
)
def test_layers_of_stages(layers: int, stages: int, expected: tuple[int, ...]) -> None:
    assert stage_sizes(layers, stages) == expected
    ranges = [stage_range(layers, stages, stage) for stage in range(stages)]
    assert [len(found) for found in ranges] == list(expected)
    assert [index for found in ranges for index in found] == list(range(layers))


SCHEMES = ("none", "fp8", "fp8-dynamic", "fp8-block", "awq-int4-g128", "bnb-nf4", "gptq-int4-g128")
SIZES = (1, 2, 4, 8, 16)


@st.composite
def llamas(draw: st.DrawFn) -> ModelShape:
    kv_heads = draw(st.sampled_from((1, 2, 4, 8, 16)))
    heads = max(16, kv_heads * draw(st.sampled_from((1, 2, 4, 8))))
    return llama(
        hidden=heads * 128,
        intermediate=draw(st.integers(1, 16)) * 16 * 128,
        layers=draw(st.integers(1, 8)),
        heads=heads,
        kv_heads=kv_heads,
        vocab=draw(st.integers(1, 4000)),
        positions=draw(st.integers(1, 4096)),
        tied=draw(st.booleans()),
    )


@given(llamas(), st.sampled_from(SCHEMES))
def test_more_gpus_never_need_more_weights_on_each(model: ModelShape, name: str) -> None:
    scheme = scheme_for(name)
    sizes = [rank_weights_bytes(model, scheme, tensor_parallel_size=size) for size in SIZES]
    # rounding costs less than 1 MiB for each allocation; at most 3 for one of 4 engine tensors
    slack = (12 * model.num_hidden_layers + 4) * MIB
    assert all(more <= fewer + slack for fewer, more in pairwise(sizes))
    small = all(fewer < 10 * MIB for fewer in sizes)
    assert not small or all(more <= fewer for fewer, more in pairwise(sizes))


# layers merged by the engine share one order of inputs, which GPTQ stores for each of them
@given(llamas(), st.sampled_from(SCHEMES[:-1]), st.sampled_from(SIZES))
def test_ranks_together_hold_at_least_the_checkpoint(
    model: ModelShape, name: str, ranks: int
) -> None:
    scheme = scheme_for(name)
    together = ranks * rank_weights_bytes(model, scheme, tensor_parallel_size=ranks)
    assert together >= checkpoint_bytes(model, scheme)


@given(llamas(), st.integers(1, 8))
def test_stages_together_hold_what_one_holds_and_copies(model: ModelShape, stages: int) -> None:
    stages = min(stages, model.num_hidden_layers)
    whole = rank_weights_bytes(model, NONE)
    parts = sum(
        rank_weights_bytes(model, NONE, pipeline_parallel_size=stages, stage=stage)
        for stage in range(stages)
    )
    rope = rank_weights_bytes(replace(model, layers=(Layer((), None, None),), embedding=(),
                                      final=(), lm_head=None), NONE)  # fmt: skip
    matrix = rank_weights_bytes(replace(model, layers=(Layer((), None, None),), final=(),
                                        lm_head=None), NONE) - rope  # fmt: skip
    copies = (stages - 1) * rope + (matrix if model.tied and stages > 1 else 0)
    assert parts == whole + copies


@given(llamas())
def test_bytes_grow_with_bits(model: ModelShape) -> None:
    names = ("mlx-2bit-g64", "mlx-3bit-g64", "mlx-4bit-g64", "mlx-6bit-g64", "mlx-8bit-g64", "none")
    sizes = [checkpoint_bytes(model, scheme_for(name)) for name in names]
    assert sizes == sorted(sizes)
    ggufs = ("IQ1_S", "IQ2_XXS", "IQ2_M", "Q3_K_S", "Q4_K_S", "Q5_K_S", "Q6_K", "Q8_0", "F16")
    sizes = [checkpoint_bytes(model, scheme_for(name)) for name in ggufs]
    assert sizes == sorted(sizes)


def test_sizes_of_large_models_are_in_order_of_their_bits() -> None:
    names = ("bnb-nf4-dq", "awq-int4-g128", "bnb-nf4", "fp8", "fp8-dynamic", "fbgemm-fp8", "none")
    sizes = [checkpoint_bytes(LLAMA_70B, scheme_for(name)) for name in names]
    assert sizes == sorted(sizes)
