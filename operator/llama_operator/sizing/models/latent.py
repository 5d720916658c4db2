"""Multi-head latent attention (DeepSeek V2 and V3, Kimi): keys and values as one latent vector."""

from llama_operator.sizing.models.config import HEADS_LIMIT, Config
from llama_operator.sizing.models.model import Cache, LatentCache
from llama_operator.sizing.models.parts import column, norms, row, vector, whole
from llama_operator.sizing.models.tensors import Part, Tensor


def latent_attention(config: Config) -> tuple[tuple[Tensor, ...], Cache]:
    """Tensors and cache of one layer. Memory model, sections 2, 4 and 5.

    With c = kv_lora_rank, r = qk_rope_head_dim, n = qk_nope_head_dim, v = v_head_dim and
    q = q_lora_rank: projections to latent vectors, (c + r, hidden) and (q, hidden), are whole on
    every rank, those to heads, (heads * (n + r), q) and (heads * (n + v), c), are divided. Without
    q, queries are projected at once. DeepSeek V3.2 adds an indexer that picks tokens.

    Args:
        config: of the text part, with the defaults of its family.

    Raises:
        ConfigError: a dimension is missing or wrong.
    """
    hidden = config.integer("hidden_size")
    heads = config.integer("num_attention_heads", most=HEADS_LIMIT)
    latent = config.integer("kv_lora_rank")
    rotary = config.integer("qk_rope_head_dim")
    plain = config.integer("qk_nope_head_dim")
    value = config.integer("v_head_dim")
    query = config.optional_integer("q_lora_rank", least=0)
    merged = "q_kv_a" if query else ""
    tensors = [
        whole("kv_a_proj_with_mqa", Part.ATTENTION, latent + rotary, hidden, merged=merged),
        vector("kv_a_layernorm", Part.NORM, latent),
        column("kv_b_proj", Part.ATTENTION, heads * (plain + value), latent),
        row("o_proj", Part.ATTENTION, hidden, heads * value),
    ]
    if query:
        tensors += [
            whole("q_a_proj", Part.ATTENTION, query, hidden, merged=merged),
            vector("q_a_layernorm", Part.NORM, query),
            column("q_b_proj", Part.ATTENTION, heads * (plain + rotary), query),
        ]
    else:
        tensors.append(column("q_proj", Part.ATTENTION, heads * (plain + rotary), hidden))
    if config.flag("attention_bias"):
        tensors.append(vector("kv_a_proj_with_mqa.bias", Part.ATTENTION, latent + rotary))
        tensors.append(vector("o_proj.bias", Part.ATTENTION, hidden))
        if query:
            tensors.append(vector("q_a_proj.bias", Part.ATTENTION, query))
    if query and config.has("index_n_heads"):
        keys = config.integer("index_head_dim")
        tensors += _indexer(config, hidden, query, keys)
        return tuple(tensors), LatentCache(latent + rotary + keys)
    return tuple(tensors), LatentCache(latent + rotary)


def _indexer(config: Config, hidden: int, query: int, head_dim: int) -> tuple[Tensor, ...]:
    """Of DeepSeek V3.2: scores earlier tokens with small heads; whole on every rank."""
    heads = config.integer("index_n_heads", most=HEADS_LIMIT)
    return (
        whole("indexer.wq_b", Part.ATTENTION, heads * head_dim, query),
        whole("indexer.wk", Part.ATTENTION, head_dim, hidden),
        *norms("indexer.k_norm", head_dim, biased=True),
        whole("indexer.weights_proj", Part.ROUTER, heads, hidden),
    )
