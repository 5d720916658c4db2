"""A model as layers of tensors, and what each layer keeps for a token or a request."""

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import TypeVar

from llama_operator.sizing.models.tensors import Part, Tensor


@dataclass(frozen=True, slots=True)
class HeadsCache:
    """Keys and values of every token: `2 * kv_heads * head_dim` elements.

    Attributes:
        kv_heads: over all ranks; a head is repeated where ranks are more.
        head_dim: elements of a head.
        window: tokens that a request keeps at most, 0 for all of them.
        chunk: tokens of a chunk of local attention, 0 for none; vLLM 0.19 keeps all tokens then.
    """

    kv_heads: int
    head_dim: int
    window: int = 0
    chunk: int = 0


@dataclass(frozen=True, slots=True)
class LatentCache:
    """One latent vector of every token, on every rank whole.

    Attributes:
        elements: `kv_lora_rank + qk_rope_head_dim`; of compressed attention, those of an entry over
            the tokens that it stands for.
        window: tokens that a request keeps at most, 0 for all of them.
    """

    elements: int
    window: int = 0


@dataclass(frozen=True, slots=True)
class StateCache:
    """A state of fixed size for each request, divided over the ranks.

    Attributes:
        state_elements: of the recurrent state, kept in `state_element_bytes` each.
        convolution_elements: of the convolution's last inputs, kept in the compute dtype.
        state_element_bytes: 4 for fp32.
    """

    state_elements: int
    convolution_elements: int
    state_element_bytes: int = 4


@dataclass(frozen=True, slots=True)
class CrossCache:
    """Keys and values of the images of a request.

    Attributes:
        kv_heads: over all ranks.
        head_dim: elements of a head.
        tokens: of one image.
    """

    kv_heads: int
    head_dim: int
    tokens: int


_Item = TypeVar("_Item")
Cache = HeadsCache | LatentCache | StateCache | CrossCache | None
"""What one layer keeps; None for a layer without attention."""


@dataclass(frozen=True, slots=True)
class FeedForward:
    """What the activation peak needs of a layer's feed-forward part.

    Attributes:
        width: intermediate size of a dense layer; 0 where there is none.
        gated: whether gate and up are alive at once.
        expert_width: intermediate size of one expert; 0 for a dense layer.
        experts: their number.
        experts_per_token: how many of them a token passes.
    """

    width: int = 0
    gated: bool = True
    expert_width: int = 0
    experts: int = 0
    experts_per_token: int = 0


@dataclass(frozen=True, slots=True)
class Layer:
    """One decoder layer: its tensors, norms included, and its cache."""

    tensors: tuple[Tensor, ...]
    cache: Cache
    feed_forward: FeedForward | None


@dataclass(frozen=True, eq=False, slots=True)
class ModelShape:
    """Everything that the bytes of a model follow from. Compared by identity: build it once.

    Attributes:
        name: for messages only.
        model_type: of the text part, from the configuration.
        layers: in order; equal layers are one object.
        embedding: the input matrix and what else the first stage holds.
        final: what the last stage holds beside `lm_head`: the final norm, a bias of lm_head.
        lm_head: the output matrix; None where it is tied to the input.
        hidden_size: width of the residual stream.
        vocab_size: rows of the embedding, without padding.
        attention_heads: query heads; 0 without attention.
        max_position_embeddings: longest context that the model was made for.
        rope_elements: of the tables of cosines and sines, whole on every rank.
        vision: tensors of towers and projectors for other inputs than text, on the first stage.
        not_loaded: in the checkpoint, but not loaded to serve it (MTP layers).
        kept: names or prefixes of layers that the checkpoint's quantization leaves in 16 bit.
        bounds: in words, each part whose size is an upper bound instead of exact.
        mistral_format: the repository is in Mistral's own format, whose vision encoder is whole on
            every rank.
    """

    name: str
    model_type: str
    layers: tuple[Layer, ...]
    embedding: tuple[Tensor, ...]
    final: tuple[Tensor, ...]
    lm_head: Tensor | None
    hidden_size: int
    vocab_size: int
    attention_heads: int
    max_position_embeddings: int
    rope_elements: int
    vision: tuple[Tensor, ...] = ()
    not_loaded: tuple[Tensor, ...] = ()
    kept: tuple[str, ...] = ()
    bounds: tuple[str, ...] = ()
    mistral_format: bool = False

    @property
    def num_hidden_layers(self) -> int:
        """Decoder layers, of whatever kind."""
        return len(self.layers)

    @property
    def tied(self) -> bool:
        """Whether input and output share one matrix."""
        return self.lm_head is None

    def served(self) -> Iterator[Tensor]:
        """All tensors that are loaded to serve the model."""
        yield from self.embedding
        for layer in self.layers:
            yield from layer.tensors
        yield from self.final
        if self.lm_head is not None:
            yield self.lm_head
        yield from self.vision

    def parameters(self) -> int:
        """Parameters without those that are not loaded. Memory model, section 2."""
        return sum(tensor.elements for tensor in self.served())

    def has_experts(self) -> bool:
        """Whether any layer is a mixture of experts."""
        return any(
            tensor.part is Part.EXPERTS
            for layer, _ in counted_layers(self)
            for tensor in layer.tensors
        )


@lru_cache(maxsize=1024)
def counted_layers(
    model: ModelShape, first_layer: int = 0, layers: int | None = None
) -> tuple[tuple[Layer, int], ...]:
    """The kinds of layers of a model or a stage, each with the number of its layers.

    Args:
        model: its layers.
        first_layer: of the stage.
        layers: of the stage; None for all from the first on.
    """
    stop = None if layers is None else first_layer + layers
    return counted(model.layers[first_layer:stop])


def counted(items: Sequence[_Item]) -> tuple[tuple[_Item, int], ...]:
    """The objects of a sequence, each once with how often it occurs, in the order of the first.

    Layers of a kind are one object: what is the same for all of them is computed once.
    """
    objects = {id(item): item for item in items}
    return tuple((objects[key], count) for key, count in Counter(map(id, items)).items())
