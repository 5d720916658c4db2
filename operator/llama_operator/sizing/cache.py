"""Bytes of the KV cache and of states on one rank, and the tokens that a pool of them holds."""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import cached_property, lru_cache
from typing import Final, NamedTuple

from llama_operator.catalog.engine_memory import EngineMemory
from llama_operator.errors import SizingError
from llama_operator.sizing.models.model import (
    Cache,
    CrossCache,
    HeadsCache,
    LatentCache,
    Layer,
    ModelShape,
    StateCache,
    counted_layers,
)
from llama_operator.units import ceil_div, ceil_to

PADDING_LIMIT: Final = (5, 4)
"""Groups take the size of the larger kind when it is below 5/4 of the smaller."""


class ElementSize(NamedTuple):
    """Bytes of the KV dtype: `size` bytes for every `per` elements."""

    size: int
    per: int = 1

    def of(self, elements: int) -> int:
        """Bytes of so many elements, rounded up."""
        return ceil_div(elements * self.size, self.per)


SIXTEEN_BIT: Final = ElementSize(2)
"""Elements of fp16 and bf16."""
_ELEMENT_SIZES: Final[Mapping[str, ElementSize]] = {
    "fp8": ElementSize(1),
    "fp8_e4m3": ElementSize(1),
    "fp8_e5m2": ElementSize(1),
    "f16": ElementSize(2),
    "fp16": ElementSize(2),
    "bf16": ElementSize(2),
    "f32": ElementSize(4),
    "fp32": ElementSize(4),
    "q8_0": ElementSize(34, 32),
    "q5_1": ElementSize(24, 32),
    "q5_0": ElementSize(22, 32),
    "q4_1": ElementSize(20, 32),
    "q4_0": ElementSize(18, 32),
}
KV_CACHE_DTYPES: Final = ("auto", *_ELEMENT_SIZES)
BLOCK_DTYPES: Final = frozenset(name for name, size in _ELEMENT_SIZES.items() if size.per > 1)
"""Of llama.cpp alone: blocks of 32 elements with a scale."""
FP8_DTYPES: Final = frozenset(
    name for name, size in _ELEMENT_SIZES.items() if size == ElementSize(1)
)
"""Of the others."""


def element_size(kv_cache_dtype: str, dtype_bytes: int) -> ElementSize:
    """Bytes of an element of the KV cache; memory model, section 5.

    Args:
        kv_cache_dtype: `auto` for the compute dtype, or one of `KV_CACHE_DTYPES`.
        dtype_bytes: bytes of the compute dtype.

    Raises:
        SizingError: the dtype is not known.
    """
    if kv_cache_dtype == "auto":
        return ElementSize(dtype_bytes)
    size = _ELEMENT_SIZES.get(kv_cache_dtype)
    if size is None:
        msg = f"kv_cache_dtype is {kv_cache_dtype!r}; allowed are {', '.join(KV_CACHE_DTYPES)}"
        raise SizingError(msg)
    return size


@dataclass(frozen=True, slots=True)
class CacheKind:
    """Equal layers of a stage and what each keeps on one rank.

    Attributes:
        layers: their number.
        token_bytes: of one token; 0 for a state.
        block_tokens: tokens of one block; 0 for a state.
        window: tokens that a request keeps at most; 0 for all of them.
        state_bytes: of one request, whatever its length.
        image_tokens: tokens of one request whatever its length; 0 for its context.
    """

    layers: int
    token_bytes: int = 0
    block_tokens: int = 0
    window: int = 0
    state_bytes: int = 0
    image_tokens: int = 0

    @property
    def page_bytes(self) -> int:
        """Bytes of one block of one layer; of a state all of it."""
        return self.state_bytes or self.token_bytes * self.block_tokens

    def request_blocks(self, tokens: int, step_tokens: int, spare_blocks: int) -> int:
        """Blocks of one layer that a request holds at most.

        A windowed layer keeps `min(tokens, window - 1 + T)` and a block that is not aligned.
        """
        if self.state_bytes:
            return 1
        if self.image_tokens:
            return ceil_div(self.image_tokens, self.block_tokens)
        if self.window and self.window - 1 + step_tokens < tokens:
            return ceil_div(self.window - 1 + step_tokens, self.block_tokens) + spare_blocks
        return ceil_div(tokens, self.block_tokens) + (spare_blocks if self.window else 0)


@dataclass(frozen=True)
class StageCache:
    """The caches of one pipeline stage on one rank, as one engine version keeps them.

    Attributes:
        kinds: of layers that keep anything.
        grouped: whether layers of several kinds share blocks in groups.
        by_concurrency: whether tokens are concurrency times context.
        spare_blocks: blocks of a windowed layer beside those of its window.
    """

    kinds: tuple[CacheKind, ...]
    grouped: bool
    by_concurrency: bool
    spare_blocks: int

    @cached_property
    def token_bytes(self) -> int:
        """Bytes of one token in all layers that keep tokens, windowed ones included."""
        return sum(kind.layers * kind.token_bytes for kind in self.kinds if not kind.image_tokens)

    @cached_property
    def block_tokens(self) -> int:
        """Smallest block that any layer allocates; 1 without blocks."""
        return min((kind.block_tokens for kind in self.kinds if kind.block_tokens), default=1)

    @cached_property
    def plain(self) -> bool:
        """Whether every layer keeps every token of a request."""
        return not any(kind.window or kind.state_bytes or kind.image_tokens for kind in self.kinds)

    @cached_property
    def linear(self) -> bool:
        """Whether bytes of a request grow by the same for every block, of equal blocks."""
        return self.plain and len({kind.block_tokens for kind in self.kinds}) == 1

    @cached_property
    def _drops_tokens(self) -> bool:
        return any(kind.window or kind.state_bytes for kind in self.kinds)

    def request_bytes(self, tokens: int, step_tokens: int) -> int:
        """Bytes of one request on one rank; memory model, section 5.

        `sum over layers of ceil(n / block) * block * layer bytes`, windowed layers capped, states
        and images once.

        Args:
            tokens: of the request, prompt and answer.
            step_tokens: most tokens of one step (`max_num_batched_tokens`).
        """
        return sum(
            kind.layers
            * kind.page_bytes
            * kind.request_blocks(tokens, step_tokens, self.spare_blocks)
            for kind in self.kinds
        )

    def tokens(self, pool_bytes: int, max_model_len: int, step_tokens: int) -> int:
        """Tokens that a pool holds, as the engine prints them; memory model, section 5.

        With one kind of layer `floor(pool / (block * layer bytes * layers)) * block`. In groups of
        `g` layers `floor(pool / (page * g)) // groups * block`, from vLLM 0.21 on blocks times
        context over the blocks of a request. Without groups, layers that drop tokens make it pool
        times context over the bytes of a request, and cross layers have blocks like all others.

        Args:
            pool_bytes: of the KV cache on one rank; may be negative.
            max_model_len: context of one request.
            step_tokens: most tokens of one step.
        """
        if pool_bytes <= 0 or not self.kinds:
            return 0
        if self.plain or not (self.grouped or self._drops_tokens):
            page = sum(kind.layers * kind.page_bytes for kind in self.kinds)
            block = self.kinds[0].block_tokens
            blocks = pool_bytes // page
            if self.by_concurrency:
                return blocks * max_model_len // ceil_div(max_model_len, block)
            return blocks * block
        if not self.grouped:
            return pool_bytes * max_model_len // self.request_bytes(max_model_len, step_tokens)
        size = self._group_layers
        blocks = pool_bytes // (size * max(kind.page_bytes for kind in self.kinds))
        groups = [(kind, ceil_div(kind.layers, size)) for kind in self.kinds]
        if self.by_concurrency:
            needed = sum(
                count * kind.request_blocks(max_model_len, step_tokens, self.spare_blocks)
                for kind, count in groups
            )
            return blocks * max_model_len // needed
        smallest = min(kind.block_tokens or max_model_len for kind in self.kinds)
        return blocks // sum(count for _, count in groups) * smallest

    @cached_property
    def _group_layers(self) -> int:
        """Layers of one group: the smaller kind, or the larger when it is hardly larger."""
        counts = [kind.layers for kind in self.kinds]
        least, most = min(counts), max(counts)
        numerator, denominator = PADDING_LIMIT
        return most if most * denominator < least * numerator else least


@lru_cache(maxsize=4096)
def stage_cache(
    model: ModelShape,
    first_layer: int,
    layers: int,
    tensor_parallel_size: int,
    element: ElementSize,
    dtype_bytes: int,
    engine: EngineMemory,
) -> StageCache:
    """What the layers of one stage keep on one rank of a tensor-parallel group.

    Bytes of a token in a layer: keys and values `2 * max(1, KV / tp) * d * kvb`; latent
    `(kv_lora_rank + qk_rope_head_dim) * kvb` on every rank; a state once for each request,
    `elements * 4 + convolution * dt` over tp. Memory model, section 5.

    Args:
        model: its layers.
        first_layer: of the stage.
        layers: their number.
        tensor_parallel_size: ranks that share heads and states; at least 1.
        element: bytes of the KV dtype.
        dtype_bytes: bytes of the compute dtype, for the convolutions of states.
        engine: facts of the engine version.
    """
    caches = _caches(counted_layers(model, first_layer, layers))
    merged: Counter[CacheKind] = Counter()
    for cache, count in caches.items():
        if cache is not None:
            kind = _kind(cache, tensor_parallel_size, element, dtype_bytes, engine)
            merged[kind] += count
    kinds = tuple(replace(kind, layers=count) for kind, count in merged.items())
    if engine.groups_layers:
        kinds = tuple(_equal_pages(kinds, engine.block_tokens))
    return StageCache(
        kinds=kinds,
        grouped=engine.groups_layers,
        by_concurrency=engine.tokens_by_concurrency,
        spare_blocks=int(engine.groups_layers),
    )


def joined(first: StageCache, second: StageCache, engine: EngineMemory) -> StageCache:
    """The caches of the layers of two models that keep every token together.

    Args:
        first: of one model.
        second: of the other, of the same engine.
        engine: facts of the engine version.
    """
    layers: Counter[CacheKind] = Counter()
    for kind in (*first.kinds, *second.kinds):
        layers[replace(kind, layers=0)] += kind.layers
    kinds = tuple(replace(kind, layers=count) for kind, count in layers.items())
    if engine.groups_layers:
        kinds = tuple(_equal_pages(kinds, engine.block_tokens))
    return replace(first, kinds=kinds)


def token_bytes(
    model: ModelShape, *, tensor_parallel_size: int = 1, element: ElementSize = SIXTEEN_BIT
) -> int:
    """KV-cache bytes of one token in all layers on one rank, windowed layers in full."""
    return sum(
        count * _token_bytes(cache, tensor_parallel_size, element, 1)
        for cache, count in _caches(counted_layers(model)).items()
    )


def _caches(layers: Iterable[tuple[Layer, int]]) -> Counter[Cache]:
    """Layers by what they keep."""
    caches: Counter[Cache] = Counter()
    for layer, count in layers:
        caches[layer.cache] += count
    return caches


def _kind(
    cache: HeadsCache | LatentCache | StateCache | CrossCache,
    tensor_parallel_size: int,
    element: ElementSize,
    dtype_bytes: int,
    engine: EngineMemory,
) -> CacheKind:
    if isinstance(cache, StateCache):
        whole = (
            cache.state_elements * cache.state_element_bytes
            + cache.convolution_elements * dtype_bytes
        )
        return CacheKind(layers=0, state_bytes=ceil_div(whole, tensor_parallel_size))
    token = _token_bytes(cache, tensor_parallel_size, element, engine.latent_multiple)
    if isinstance(cache, LatentCache):
        return CacheKind(layers=0, token_bytes=token, block_tokens=engine.latent_block_tokens)
    windowed = isinstance(cache, HeadsCache) and engine.releases_windows
    return CacheKind(
        layers=0,
        token_bytes=token,
        block_tokens=engine.block_tokens,
        window=cache.window if windowed and isinstance(cache, HeadsCache) else 0,
        image_tokens=cache.tokens if isinstance(cache, CrossCache) else 0,
    )


def _token_bytes(
    cache: Cache, tensor_parallel_size: int, element: ElementSize, latent_multiple: int
) -> int:
    if isinstance(cache, LatentCache):
        return element.of(ceil_to(cache.elements, latent_multiple))
    if isinstance(cache, HeadsCache | CrossCache):
        heads = max(1, cache.kv_heads // tensor_parallel_size)
        return element.of(2 * heads * cache.head_dim)
    return 0


def _equal_pages(kinds: tuple[CacheKind, ...], block_tokens: int) -> Iterator[CacheKind]:
    """Kinds with blocks of as many bytes each, where layers of several kinds share them.

    Plain kinds of different width stay in blocks of as many tokens. Otherwise the widest block
    counts, made longer by whole blocks until it holds the largest state; narrower kinds have more
    tokens in a block and states are padded to it. Source: vLLM v1/core/kv_cache_utils.py,
    `unify_kv_cache_spec_page_size`, and the hybrid models' block size in platforms/interface.py.
    """
    tokens = [kind for kind in kinds if kind.token_bytes]
    if not tokens or not any(
        kind.window or kind.state_bytes or kind.image_tokens for kind in kinds
    ):
        yield from kinds
        return
    widest = max(tokens, key=lambda kind: kind.page_bytes)
    state = max(kind.state_bytes for kind in kinds)
    stretch = max(1, ceil_div(state, widest.page_bytes))
    page = widest.page_bytes * stretch
    for kind in kinds:
        if kind.state_bytes:
            yield replace(kind, state_bytes=page)
        else:
            yield replace(kind, block_tokens=_whole_blocks(page // kind.token_bytes, block_tokens))


def _whole_blocks(tokens: int, block_tokens: int) -> int:
    return tokens // block_tokens * block_tokens
