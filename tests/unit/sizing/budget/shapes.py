"""Shapes made by hand: caches and widths, and no tensors but what says that there are experts."""

from llama_operator.sizing.models.model import (
    Cache,
    CrossCache,
    FeedForward,
    HeadsCache,
    LatentCache,
    Layer,
    ModelShape,
    StateCache,
)
from llama_operator.sizing.models.tensors import Part, Split, Tensor


def model(
    *layers: Layer,
    hidden: int = 4096,
    vocabulary: int = 128_256,
    positions: int = 131_072,
    heads: int = 32,
) -> ModelShape:
    embedding = Tensor("embed_tokens", Part.EMBEDDING, (vocabulary, hidden), Split.VOCABULARY)
    return ModelShape(
        name="made by hand",
        model_type="llama",
        layers=layers,
        embedding=(embedding,),
        final=(Tensor("norm", Part.NORM, (hidden,)),),
        lm_head=Tensor("lm_head", Part.LM_HEAD, (vocabulary, hidden), Split.VOCABULARY),
        hidden_size=hidden,
        vocab_size=vocabulary,
        attention_heads=heads,
        max_position_embeddings=positions,
        rope_elements=0,
    )


def layer(cache: Cache, feed_forward: FeedForward | None = None) -> Layer:
    tensors: tuple[Tensor, ...] = ()
    if feed_forward is not None and feed_forward.experts:
        tensors = (Tensor("gate_proj", Part.EXPERTS, (8, 8), count=feed_forward.experts),)
    return Layer(tensors, cache, feed_forward)


def heads(kv_heads: int, head_dim: int = 128, *, window: int = 0, chunk: int = 0) -> HeadsCache:
    return HeadsCache(kv_heads, head_dim, window, chunk)


LLAMA_8B = model(*[layer(heads(8), FeedForward(width=14336))] * 32)
LLAMA_70B = model(*[layer(heads(8), FeedForward(width=28672))] * 80, hidden=8192, heads=64)
LLAMA_405B = model(*[layer(heads(8), FeedForward(width=53248))] * 126, hidden=16384, heads=128)
LLAMA_405B_JULY_2024 = model(
    *[layer(heads(16), FeedForward(width=53248))] * 126, hidden=16384, heads=128
)
GEMMA_2_27B = model(
    *[
        layer(heads(16, window=4096), FeedForward(width=36864)),
        layer(heads(16), FeedForward(width=36864)),
    ]
    * 23,
    hidden=4608,
    vocabulary=256_000,
    positions=8192,
)
GEMMA_3_27B = model(
    *(
        layer(heads(16, window=0 if index % 6 == 5 else 1024), FeedForward(width=21504))
        for index in range(62)
    ),
    hidden=5376,
    vocabulary=262_208,
)
GPT_OSS_20B = model(
    *[
        layer(heads(8, 64, window=128), FeedForward(0, True, 2880, 32, 4)),
        layer(heads(8, 64), FeedForward(0, True, 2880, 32, 4)),
    ]
    * 12,
    hidden=2880,
    vocabulary=201_088,
)
GEMMA_4_26B = model(
    *(
        layer(heads(2, 512) if index % 6 == 5 else heads(8, 256, window=1024))
        for index in range(30)
    ),
    hidden=2816,
    vocabulary=262_144,
    positions=262_144,
)
DEEPSEEK_V2_LITE = model(
    layer(LatentCache(576), FeedForward(width=10944)),
    *[layer(LatentCache(576), FeedForward(2816, True, 1408, 64, 6))] * 26,
    hidden=2048,
    vocabulary=102_400,
    positions=163_840,
)
LLAMA_4_SCOUT = model(*[layer(heads(8, chunk=8192)), *[layer(heads(8))] * 3] * 12)
NEMOTRON_3_NANO = model(
    *[layer(StateCache(64 * 64 * 128, 6144 * 3))] * 23,
    *[layer(None, FeedForward(0, False, 1856, 128, 6))] * 23,
    *[layer(heads(2))] * 6,
    hidden=2688,
    vocabulary=131_072,
    positions=262_144,
)
PURE_MAMBA = model(*[layer(StateCache(1000, 0))] * 4)
MLLAMA = model(*[*[layer(heads(8))] * 4, layer(CrossCache(8, 128, 6404))] * 8)
