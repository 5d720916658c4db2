"""Attention with heads: multi-head, grouped-query, multi-query and cross-attention."""

from typing import Final

from llama_operator.catalog.model_families import ModelFamily
from llama_operator.sizing.models.config import HEADS_LIMIT, Config
from llama_operator.sizing.models.kinds import CROSS, LayerKind
from llama_operator.sizing.models.model import Cache, CrossCache, HeadsCache
from llama_operator.sizing.models.parts import (
    column,
    divided_vector,
    key_values,
    key_values_bias,
    row,
    vector,
)
from llama_operator.sizing.models.switches import is_on, norm_of_queries
from llama_operator.sizing.models.tensors import Part, Split, Tensor

HEAD_DIM_KEYS: Final = ("head_dim", "attention_head_dim")


def head_dim_of(config: Config) -> int:
    """Elements of an attention head: the key, or hidden size over heads.

    Raises:
        ConfigError: keys are missing or wrong, or hidden size is smaller than the heads.
    """
    given = config.optional_integer(config.first_of(HEAD_DIM_KEYS))
    if given is not None:
        return given
    heads = config.integer("num_attention_heads", most=HEADS_LIMIT)
    size = config.integer("hidden_size") // heads
    if not size:
        raise config.error("num_attention_heads", f"is {heads}, more than hidden_size")
    return size


def heads_of(config: Config) -> tuple[int, int]:
    """Query heads and key-value heads.

    Raises:
        ConfigError: keys are missing or wrong, or query heads are no multiple of the others.
    """
    heads = config.integer("num_attention_heads", most=HEADS_LIMIT)
    kv_heads = config.integer("num_key_value_heads", most=HEADS_LIMIT, default=heads)
    if heads % kv_heads:
        raise config.error("num_key_value_heads", f"{kv_heads} does not divide {heads} query heads")
    return heads, kv_heads


def head_attention(
    config: Config, family: ModelFamily, kind: LayerKind, image_tokens: int
) -> tuple[tuple[Tensor, ...], Cache]:
    """Tensors and cache of one attention layer. Memory model, sections 2 and 5.

    q of shape (heads * head_dim, hidden), k and v of shape (kv_heads * head_dim, hidden), o of
    shape (hidden, heads * head_dim). A gated attention (Qwen3-Next) has q twice as high: the second
    half gates the output.

    Args:
        config: of the text part, with the defaults of its family.
        family: of the model type.
        kind: of the layer.
        image_tokens: of one image, for cross-attention.

    Raises:
        ConfigError: a dimension is missing or wrong.
    """
    hidden = config.integer("hidden_size")
    heads, kv_heads = heads_of(config)
    head_dim = head_dim_of(config)
    if family.attention == "gemma4-heads" and not kind.window:
        head_dim = config.integer("global_head_dim", default=head_dim)
        if config.flag("attention_k_eq_v"):
            kv_heads = config.integer(
                "num_global_key_value_heads", most=HEADS_LIMIT, default=kv_heads
            )
    gates = family.attention == "gated-heads" and config.flag("attn_output_gate", default=True)
    query = heads * head_dim * (2 if gates else 1)
    tensors = [
        column("q_proj", Part.ATTENTION, query, hidden, merged="qkv"),
        key_values("k_proj", Part.ATTENTION, kv_heads, head_dim, hidden, merged="qkv"),
        key_values("v_proj", Part.ATTENTION, kv_heads, head_dim, hidden, merged="qkv"),
        row("o_proj", Part.ATTENTION, hidden, heads * head_dim),
    ]
    if is_on(family.qkv_bias, config):
        tensors += [
            divided_vector("q_proj.bias", Part.ATTENTION, query, merged="qkv.bias"),
            key_values_bias("k_proj.bias", Part.ATTENTION, kv_heads, head_dim, merged="qkv.bias"),
            key_values_bias("v_proj.bias", Part.ATTENTION, kv_heads, head_dim, merged="qkv.bias"),
        ]
    if is_on(family.output_bias, config):
        tensors.append(vector("o_proj.bias", Part.ATTENTION, hidden))
    tensors += _norms(norm_of_queries(family.qk_norm, config), heads, kv_heads, head_dim)
    if family.sinks:
        tensors.append(divided_vector("sinks", Part.ATTENTION, heads))
    if kind.mixer == CROSS:
        tensors += _cross_norms(head_dim)
        return tuple(tensors), CrossCache(kv_heads, head_dim, image_tokens)
    if kind.shares_cache:
        return tuple(tensors), None
    return tuple(tensors), HeadsCache(kv_heads, head_dim, kind.window, kind.chunk)


def _norms(scope: str, heads: int, kv_heads: int, head_dim: int) -> tuple[Tensor, ...]:
    """Norms of queries and keys: of one head, of all heads divided, or of all heads whole."""
    if scope == "head":
        return (vector("q_norm", Part.NORM, head_dim), vector("k_norm", Part.NORM, head_dim))
    if scope == "layer":
        return (
            divided_vector("q_norm", Part.NORM, heads * head_dim),
            Tensor("k_norm", Part.NORM, (kv_heads * head_dim,), Split.KV_HEADS, heads=kv_heads),
        )
    if scope == "whole":
        return (
            vector("q_norm", Part.NORM, heads * head_dim),
            vector("k_norm", Part.NORM, kv_heads * head_dim),
        )
    return ()


def _cross_norms(head_dim: int) -> tuple[Tensor, ...]:
    """Of mllama's cross-attention: norms of q and k, and one gate for each of the two parts."""
    return (
        vector("q_norm", Part.NORM, head_dim),
        vector("k_norm", Part.NORM, head_dim),
        vector("cross_attn_attn_gate", Part.ATTENTION, 1),
        vector("cross_attn_mlp_gate", Part.ATTENTION, 1),
    )
