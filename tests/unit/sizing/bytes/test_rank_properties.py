"""Tensor parallelism divides what the rules divide and repeats what they repeat, nothing more.

The models are small: no tensor reaches the 10 MiB from which the allocator rounds to 2 MiB, so that
one GPU holds at most 511 bytes more of each tensor than the rules say.
"""

from dataclasses import replace
from fractions import Fraction
from itertools import pairwise
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from llama_operator.sizing.models.model import ModelShape
from llama_operator.sizing.models.shape import model_shape
from llama_operator.sizing.models.tensors import Part, Split
from llama_operator.sizing.rank_weights import rank_weights_bytes
from llama_operator.sizing.scheme_names import scheme_for

SIZES = (1, 2, 4, 8, 16)
SCHEMES = ("none", "fp8-dynamic", "fp8-block", "awq-int4-g128", "gptq-int4-g128", "bnb-nf4")
NONE = scheme_for("none")
kv_heads = st.sampled_from((1, 2, 4, 8, 16))
widths = st.integers(1, 8).map(lambda count: 16 * count)


@st.composite
def mixtures(draw: st.DrawFn) -> dict[str, Any]:
    """Mixtral: experts and heads are divided, routers and norms are whole."""
    return {
        "model_type": "mixtral", "hidden_size": draw(widths), "intermediate_size": draw(widths),
        "num_hidden_layers": draw(st.integers(1, 3)), "num_attention_heads": 16, "head_dim": 16,
        "num_key_value_heads": draw(kv_heads), "vocab_size": draw(st.integers(1, 2000)),
        "max_position_embeddings": 1024, "num_experts_per_tok": 2,
        "num_local_experts": draw(st.sampled_from((16, 32))),
    }  # fmt: skip


@st.composite
def latents(draw: st.DrawFn) -> dict[str, Any]:
    """DeepSeek: projections to latent vectors are whole on every GPU, those to heads divided."""
    return {
        "model_type": "deepseek_v2", "hidden_size": draw(widths), "vocab_size": 512,
        "intermediate_size": draw(widths), "num_hidden_layers": draw(st.integers(1, 3)),
        "num_attention_heads": 16, "num_key_value_heads": 16, "max_position_embeddings": 1024,
        "kv_lora_rank": draw(widths), "q_lora_rank": draw(st.none() | widths),
        "qk_nope_head_dim": 16, "qk_rope_head_dim": 8, "v_head_dim": 16,
        "n_routed_experts": 16, "n_shared_experts": draw(st.integers(0, 2)),
        "num_experts_per_tok": 2, "moe_intermediate_size": draw(widths),
        "first_k_dense_replace": draw(st.integers(0, 2)),
    }  # fmt: skip


@st.composite
def seeing(draw: st.DrawFn) -> dict[str, Any]:
    """Gemma 3: layers of the tower are divided; patches, positions, norms, projector are whole."""
    return {
        "model_type": "gemma3",
        "text_config": {
            "model_type": "gemma3_text", "hidden_size": draw(widths), "vocab_size": 512,
            "intermediate_size": draw(widths), "num_hidden_layers": draw(st.integers(1, 3)),
            "num_attention_heads": 16, "num_key_value_heads": draw(kv_heads), "head_dim": 16,
            "max_position_embeddings": 1024, "sliding_window": 128,
        },
        "vision_config": {
            "model_type": "siglip_vision_model", "hidden_size": draw(widths),
            "intermediate_size": draw(widths), "num_hidden_layers": draw(st.integers(1, 3)),
            "num_attention_heads": 16, "patch_size": 14, "image_size": 56,
        },
    }  # fmt: skip


small = (mixtures() | latents() | seeing()).map(model_shape)


def elements(model: ModelShape, *splits: Split) -> int:
    return sum(
        tensor.elements
        for tensor in model.served()
        if tensor.split in splits
        and not (model.mistral_format and tensor.part is Part.VISION)
    )  # fmt: skip


def heads_of_rank(model: ModelShape, tp: int) -> Fraction:
    """Elements of keys and values on one GPU: those of its heads, at least of one."""
    return sum(
        (
            Fraction(tensor.elements * max(1, tensor.heads // tp), tensor.heads)
            for tensor in model.served()
            if tensor.split is Split.KV_HEADS
        ),
        start=Fraction(0),
    )


@given(small, st.sampled_from(SIZES), st.booleans(), st.booleans())
def test_a_gpu_holds_its_part_of_what_is_divided_and_all_that_is_repeated(
    model: ModelShape, tp: int, expert_parallel: bool, whole_tower: bool
) -> None:
    # experts are divided by width, or by number: 16 or 32 of them go evenly into 16 GPUs
    model = replace(model, mistral_format=whole_tower)
    padding = (-model.vocab_size % 64) * model.hidden_size * (1 if model.tied else 2)
    divided = elements(model, Split.COLUMN, Split.ROW, Split.VOCABULARY) + padding
    keys = heads_of_rank(model, 1)
    whole = model.parameters() + padding - divided - keys + model.rope_elements
    expected = 2 * (whole + Fraction(divided, tp) + heads_of_rank(model, tp))
    found = rank_weights_bytes(
        model, NONE, tensor_parallel_size=tp, expert_parallel=expert_parallel, vllm_version=None
    )
    assert 0 <= found - expected < 512 * (1 + sum(tensor.count for tensor in model.served()))


@given(small, st.sampled_from(SCHEMES), st.booleans())
def test_more_gpus_never_need_more_weights_on_each_with_experts_latents_or_a_tower(
    model: ModelShape, scheme: str, expert_parallel: bool
) -> None:
    sizes = [
        rank_weights_bytes(
            model,
            scheme_for(scheme),
            tensor_parallel_size=tp,
            expert_parallel=expert_parallel,
            vllm_version=None,
        )
        for tp in SIZES
    ]
    assert all(more <= fewer for fewer, more in pairwise(sizes))
