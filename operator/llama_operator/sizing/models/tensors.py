"""The tensors of a model, and how they are divided over tensor-parallel ranks."""

from dataclasses import dataclass
from enum import Enum
from math import prod


class Part(Enum):
    """Where in the model a tensor belongs; schemes name the parts that they leave in 16 bit."""

    EMBEDDING = "embedding"
    LM_HEAD = "lm-head"
    ATTENTION = "attention"
    FEED_FORWARD = "feed-forward"
    EXPERTS = "experts"
    SHARED_EXPERTS = "shared-experts"
    ROUTER = "router"
    MIXER = "mixer"
    """Mamba and linear attention."""
    NORM = "norm"
    VISION = "vision"
    PROJECTOR = "projector"
    """From the vision tower to the hidden size."""


class Split(Enum):
    """How the ranks of a tensor-parallel group share a tensor."""

    WHOLE = "whole"
    """Every rank holds all of it."""
    COLUMN = "column"
    """Output features are divided."""
    ROW = "row"
    """Input features are divided."""
    KV_HEADS = "kv-heads"
    """Output features are divided by heads; a head is repeated where ranks are more."""
    VOCABULARY = "vocabulary"
    """Rows are padded to a multiple, then divided."""


@dataclass(frozen=True, slots=True)
class Tensor:
    """One tensor of the checkpoint, or `count` equal ones.

    Attributes:
        name: as in the checkpoint without its path: `q_proj`, `down_proj`, `norm`.
        part: what it belongs to.
        shape: elements by dimension; `(out_features, in_features)` for a linear layer.
        split: how ranks share it.
        count: equal tensors, such as one for each expert or each layer of a tower.
        linear: whether it is a matrix that quantization may store otherwise; embeddings, routers
            and towers are such matrices too, and schemes tell by the part what they leave.
        element_bytes: bytes of an element whatever the model's dtype; 0 for that dtype.
        merged: tensors of a layer with the same word here are one tensor in the engine; empty for
            none. Equal experts of a layer are one tensor in any case; of other parts, each of
            `count` is one.
        heads: of `KV_HEADS`, how many the output features are.
    """

    name: str
    part: Part
    shape: tuple[int, ...]
    split: Split = Split.WHOLE
    count: int = 1
    linear: bool = False
    element_bytes: int = 0
    merged: str = ""
    heads: int = 0

    @property
    def elements(self) -> int:
        """Number of weights of all `count` tensors."""
        return self.count * prod(self.shape)

    @property
    def out_features(self) -> int:
        """Rows."""
        return self.shape[0]

    @property
    def in_features(self) -> int:
        """Columns; 1 for a vector."""
        return self.shape[1] if len(self.shape) > 1 else 1
