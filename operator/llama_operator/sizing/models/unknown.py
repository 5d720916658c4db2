"""Model types without a row: an upper bound for what looks like a usual decoder."""

from types import MappingProxyType
from typing import Final

from llama_operator.catalog.model_families import ExpertFamily, ModelFamily
from llama_operator.sizing.models.config import EXPERTS_LIMIT, Config

_USUAL: Final = (
    "hidden_size",
    "intermediate_size",
    "num_hidden_layers",
    "num_attention_heads",
    "vocab_size",
    "max_position_embeddings",
)
_FOREIGN: Final = (
    "mamba", "ssm", "linear_", "layers_block_type", "hybrid_", "rwkv", "attention_free",
    "conv_", "time_", "hidden_size_per_layer", "cross_attention", "laurel", "attn_layer",
)  # fmt: skip
"""How keys of parts begin that this bound does not cover."""
_EXPERTS: Final = ("num_experts", "num_local_experts", "n_routed_experts", "moe_num_experts")
_PER_TOKEN: Final = (
    "num_experts_per_tok",
    "experts_per_token",
    "top_k_experts",
    "moe_topk",
    "moe_k",
)


def unknown_family(
    text: Config, model_type: str
) -> tuple[ModelFamily, ExpertFamily | None, tuple[str, ...]]:
    """Rows for a model type that has none, with everything that a known family has.

    That is: biases of all projections, norms of queries and keys over all heads, gated
    feed-forward parts, four layer norms with biases per layer, an output matrix of its own unless
    the configuration ties it, a table of positions for each of two kinds of attention; with
    experts, a dense part beside them in every layer where there is a width for it, and corrections.
    Vectors add less than 0.1 % to models wider than 2048; what matters is the gate, the output
    matrix and the dense part.

    Args:
        text: the text part.
        model_type: its type.

    Returns:
        The family, its experts or None, and what the bound covers, in words.

    Raises:
        ConfigError: a usual key is missing, or there are keys of parts that are not covered.
    """
    number = text.optional_integer(text.first_of(_EXPERTS), least=0, most=EXPERTS_LIMIT)
    missing = [key for key in _USUAL if not text.has(key)]
    foreign = [key for key in text.names() if key.startswith(_FOREIGN)]
    if missing:
        raise text.error(
            "model_type", f"{model_type[:40]!r} is not known, and without {missing[0]} there is "
            "no bound for it"
        )  # fmt: skip
    if foreign or text.flag("is_encoder_decoder"):
        key = foreign[0] if foreign else "is_encoder_decoder"
        raise text.error(
            "model_type", f"{model_type[:40]!r} is not known, and {key[:40]} names a part that "
            "has no bound"
        )  # fmt: skip
    bound = f"weights: model type {model_type[:40]!r} is not known, all optional parts are counted"
    family = ModelFamily(
        model_type=model_type,
        attention="latent" if text.has("kv_lora_rank") else "heads",
        mixer="",
        blocks="pair",
        window="none",
        qkv_bias="yes",
        output_bias="yes",
        qk_norm="layer",
        sinks=True,
        gated=True,
        mlp_bias="yes",
        norms=4,
        norm_bias=True,
        tied=False,
        head_bias=True,
        rope="two",
        rotary_fraction=1.0,
        prediction="deepseek",
        defaults=MappingProxyType({}),
        source="the largest of the known families",
    )
    return family, _experts(text, model_type) if number else None, (bound,)


def _experts(text: Config, model_type: str) -> ExpertFamily:
    own_width = text.has("moe_intermediate_size")
    width = "moe_intermediate_size" if own_width else "intermediate_size"
    shared_width, shared_count = "", ""
    for key in ("shared_expert_intermediate_size", "shared_intermediate_size"):
        shared_width = key if text.has(key) else shared_width
    if not shared_width:
        for key in ("n_shared_experts", "num_shared_experts", "moe_num_shared_experts"):
            if text.has(key):
                shared_width, shared_count = width, key
    return ExpertFamily(
        model_type=model_type,
        experts=_EXPERTS,
        experts_per_token=_PER_TOKEN,
        expert_width=width,
        dense_layers="both" if own_width else "none",
        dense_width="intermediate_size",
        shared_count=shared_count,
        shared_width=shared_width,
        shared_gate=True,
        correction_bias="yes",
        expert_bias=True,
        router_bias=True,
        router_scale=True,
        optional=False,
        source="the largest of the known families",
    )
