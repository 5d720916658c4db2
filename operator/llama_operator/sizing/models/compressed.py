"""Compressed attention (DeepSeek V4): a window of tokens, and entries that stand for many."""

from typing import Final

from llama_operator.sizing.models.config import HEADS_LIMIT, Config
from llama_operator.sizing.models.model import Cache, LatentCache
from llama_operator.sizing.models.parts import column, divided_vector, row, vector, whole
from llama_operator.sizing.models.tensors import Part, Tensor

_OVERLAPPING: Final = 4
"""Tokens of an entry of compressed sparse attention; its windows overlap and it has an indexer."""
_STREAMS: Final = 4
"""`hc_mult`: residual streams that hyper-connections mix."""

CACHE_BOUND: Final = (
    "KV cache of compressed attention: computed from the shapes, not checked against an engine"
)


def compressed_attention(config: Config, ratio: int) -> tuple[tuple[Tensor, ...], Cache]:
    """Tensors and cache of one layer.

    One key-value head of `head_dim` for all query heads, queries over a latent vector, the output
    over groups of heads: o_a of shape (groups * o_lora_rank, heads * head_dim / groups). Every
    layer has a compressor for its ratio: 128 tokens become one entry, or 4 of windows that overlap,
    so its projections are twice as high and an indexer picks among the entries. Names and shapes:
    transformers, modeling_deepseek_v4.py; division: vLLM, deepseek_v4.py.

    Args:
        config: of the text part, with the defaults of its family.
        ratio: tokens of one compressed entry; 0 or 1 for a layer with nothing but its window.

    Raises:
        ConfigError: a dimension is missing or wrong.
    """
    hidden = config.integer("hidden_size")
    heads = config.integer("num_attention_heads", most=HEADS_LIMIT)
    head_dim = config.integer("head_dim")
    query = config.integer("q_lora_rank")
    groups = config.integer("o_groups", most=HEADS_LIMIT)
    output = groups * config.integer("o_lora_rank")
    if heads * head_dim % groups:
        raise config.error("o_groups", f"{groups} does not divide the {heads} heads")
    tensors = [
        whole("wq_a", Part.ATTENTION, query, hidden, merged="wq_a_wkv"),
        whole("wkv", Part.ATTENTION, head_dim, hidden, merged="wq_a_wkv"),
        vector("q_norm", Part.NORM, query),
        vector("kv_norm", Part.NORM, head_dim),
        column("wq_b", Part.ATTENTION, heads * head_dim, query),
        column("wo_a", Part.ATTENTION, output, heads * head_dim // groups),
        row("wo_b", Part.ATTENTION, hidden, output),
        divided_vector("attn_sink", Part.ATTENTION, heads),
        *_hyper_connections(config, hidden),
    ]
    if ratio <= 1:
        return tuple(tensors), LatentCache(head_dim, config.integer("sliding_window"))
    overlapping = ratio == _OVERLAPPING
    tensors += _compressor("compressor", hidden, head_dim, ratio, overlapping=overlapping)
    if not overlapping:
        return tuple(tensors), LatentCache(-(-head_dim // ratio) + _window_share(config, head_dim))
    keys = config.integer("index_head_dim")
    indexers = config.integer("index_n_heads", most=HEADS_LIMIT)
    tensors += _compressor("indexer.compressor", hidden, keys, ratio, overlapping=True)
    tensors += [
        whole("indexer.wq_b", Part.ATTENTION, indexers * keys, query),
        whole("indexer.weights_proj", Part.ROUTER, indexers, hidden),
    ]
    entry = -(-(head_dim + keys) // ratio)
    return tuple(tensors), LatentCache(entry + _window_share(config, head_dim))


def hyper_head(config: Config) -> tuple[Tensor, ...]:
    """What collapses the residual streams before the final norm."""
    streams = config.integer("hc_mult", most=64, default=_STREAMS)
    hidden = config.integer("hidden_size")
    return (
        Tensor("hc_head_fn", Part.ATTENTION, (streams, streams * hidden), element_bytes=4),
        Tensor("hc_head_base", Part.ATTENTION, (streams,), element_bytes=4),
        Tensor("hc_head_scale", Part.ATTENTION, (1,), element_bytes=4),
    )


def _compressor(
    name: str, hidden: int, head_dim: int, ratio: int, *, overlapping: bool
) -> tuple[Tensor, ...]:
    """Projections to entries and their gates, a bias for each position, and a norm."""
    width = head_dim * (2 if overlapping else 1)
    return (
        whole(f"{name}.wkv", Part.ATTENTION, width, hidden),
        whole(f"{name}.wgate", Part.ATTENTION, width, hidden),
        Tensor(f"{name}.ape", Part.ATTENTION, (ratio, width), element_bytes=4),
        vector(f"{name}.norm", Part.NORM, head_dim),
    )


def _hyper_connections(config: Config, hidden: int) -> tuple[Tensor, ...]:
    """One for attention and one for the feed-forward part: they mix the residual streams."""
    streams = config.integer("hc_mult", most=64, default=_STREAMS)
    mixes = (2 + streams) * streams
    return (
        Tensor("hc_fn", Part.ATTENTION, (mixes, streams * hidden), count=2, element_bytes=4),
        Tensor("hc_base", Part.ATTENTION, (mixes,), count=2, element_bytes=4),
        Tensor("hc_scale", Part.ATTENTION, (3,), count=2, element_bytes=4),
    )


def _window_share(config: Config, head_dim: int) -> int:
    """Elements per token that make up for the window of a request of full length."""
    window = config.integer("sliding_window", default=128)
    positions = config.integer("max_position_embeddings", most=10**10)
    return -(-window * head_dim // positions)
