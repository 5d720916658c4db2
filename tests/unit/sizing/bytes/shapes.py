"""Shapes of Llama models, written by hand."""

from llama_operator.sizing.models.model import FeedForward, HeadsCache, Layer, ModelShape
from llama_operator.sizing.models.tensors import Part, Split, Tensor


def llama(
    *,
    hidden: int,
    intermediate: int,
    layers: int,
    heads: int,
    kv_heads: int,
    vocab: int = 128_256,
    positions: int = 131_072,
    tied: bool = False,
    kept: tuple[str, ...] = (),
    head_dim: int = 128,
) -> ModelShape:
    queries, keys = heads * head_dim, kv_heads * head_dim
    column, row = Split.COLUMN, Split.ROW

    def linear(name: str, part: Part, out: int, inputs: int, split: Split, merged: str) -> Tensor:
        heads_of = kv_heads if split is Split.KV_HEADS else 0
        return Tensor(name, part, (out, inputs), split, linear=True, merged=merged, heads=heads_of)

    attention, feed_forward = Part.ATTENTION, Part.FEED_FORWARD
    layer = Layer(
        (
            linear("q_proj", attention, queries, hidden, column, "qkv"),
            linear("k_proj", attention, keys, hidden, Split.KV_HEADS, "qkv"),
            linear("v_proj", attention, keys, hidden, Split.KV_HEADS, "qkv"),
            linear("o_proj", attention, hidden, queries, row, ""),
            linear("gate_proj", feed_forward, intermediate, hidden, column, "gate_up"),
            linear("up_proj", feed_forward, intermediate, hidden, column, "gate_up"),
            linear("down_proj", feed_forward, hidden, intermediate, row, ""),
            Tensor("norm", Part.NORM, (hidden,), count=2),
        ),
        HeadsCache(kv_heads, head_dim),
        FeedForward(width=intermediate),
    )
    matrix = (vocab, hidden)
    return ModelShape(
        name="",
        model_type="llama",
        layers=(layer,) * layers,
        embedding=(Tensor("embed_tokens", Part.EMBEDDING, matrix, Split.VOCABULARY),),
        final=(Tensor("norm", Part.NORM, (hidden,)),),
        lm_head=None if tied else Tensor("lm_head", Part.LM_HEAD, matrix, Split.VOCABULARY),
        hidden_size=hidden,
        vocab_size=vocab,
        attention_heads=heads,
        max_position_embeddings=positions,
        rope_elements=positions * head_dim,
        kept=kept,
    )


LLAMA_3B = llama(hidden=3072, intermediate=8192, layers=28, heads=24, kv_heads=8, tied=True)
LLAMA_8B = llama(hidden=4096, intermediate=14336, layers=32, heads=32, kv_heads=8)
LLAMA_70B = llama(hidden=8192, intermediate=28672, layers=80, heads=64, kv_heads=8)
LLAMA_405B = llama(hidden=16384, intermediate=53248, layers=126, heads=128, kv_heads=8)
LLAMA_405B_JULY_2024 = llama(hidden=16384, intermediate=53248, layers=126, heads=128, kv_heads=16)
