"""The linear layers of one decoder layer, as published and as one GPU holds them."""

from dataclasses import dataclass
from enum import Enum

from llama_operator.catalog.rows import Architecture
from llama_operator.errors import UnsupportedArchitectureError

SUPPORTED_MODEL_TYPES = frozenset({"llama"})
"""Values of `model_type` whose decoder layers this module describes: attention with grouped
queries, a gated feed-forward layer, two RMS norms, no biases."""


class Part(Enum):
    """Part of a decoder layer that a linear layer belongs to."""

    ATTENTION = "attention"
    FEED_FORWARD = "feed-forward"


@dataclass(frozen=True, slots=True)
class Linear:
    """One linear layer of shape (out_features, in_features)."""

    part: Part
    in_features: int
    out_features: int

    @property
    def elements(self) -> int:
        """Number of weights."""
        return self.in_features * self.out_features


def check_supported(architecture: Architecture) -> None:
    """Make sure that the formulas hold for this kind of model.

    Raises:
        UnsupportedArchitectureError: the model type is none of `SUPPORTED_MODEL_TYPES`.
    """
    if architecture.model_type not in SUPPORTED_MODEL_TYPES:
        msg = (
            f"model type {architecture.model_type!r} of {architecture.name} cannot be sized; "
            f"supported: {', '.join(sorted(SUPPORTED_MODEL_TYPES))}"
        )
        raise UnsupportedArchitectureError(msg)


def kv_heads_per_gpu(architecture: Architecture, tensor_parallel_size: int) -> int:
    """KV heads on one GPU; with more GPUs than heads every GPU keeps one, so heads repeat."""
    return max(1, architecture.num_key_value_heads // tensor_parallel_size)


def checkpoint_linears(architecture: Architecture) -> tuple[Linear, ...]:
    """Linear layers of one decoder layer as the checkpoint stores them: q, k, v, o, gate, up, down.

    Raises:
        UnsupportedArchitectureError: the model type is not described here.
    """
    check_supported(architecture)
    hidden = architecture.hidden_size
    queries = architecture.num_attention_heads * architecture.head_dim
    keys = architecture.num_key_value_heads * architecture.head_dim
    return (
        Linear(Part.ATTENTION, hidden, queries),
        Linear(Part.ATTENTION, hidden, keys),
        Linear(Part.ATTENTION, hidden, keys),
        Linear(Part.ATTENTION, queries, hidden),
        Linear(Part.FEED_FORWARD, hidden, architecture.intermediate_size),
        Linear(Part.FEED_FORWARD, hidden, architecture.intermediate_size),
        Linear(Part.FEED_FORWARD, architecture.intermediate_size, hidden),
    )


def gpu_linears(architecture: Architecture, tensor_parallel_size: int) -> tuple[Linear, ...]:
    """Linear layers of one decoder layer on one GPU: q, k, v merged, o, gate and up merged, down.

    Merged layers divide their outputs over the GPUs, the others their inputs. Source: vLLM,
    model_executor/models/llama.py (QKVParallelLinear, MergedColumnParallelLinear,
    RowParallelLinear).

    Raises:
        UnsupportedArchitectureError: the model type is not described here.
    """
    check_supported(architecture)
    hidden = architecture.hidden_size
    queries = architecture.num_attention_heads * architecture.head_dim // tensor_parallel_size
    keys = kv_heads_per_gpu(architecture, tensor_parallel_size) * architecture.head_dim
    intermediate = architecture.intermediate_size // tensor_parallel_size
    return (
        Linear(Part.ATTENTION, hidden, queries + 2 * keys),
        Linear(Part.ATTENTION, queries, hidden),
        Linear(Part.FEED_FORWARD, hidden, 2 * intermediate),
        Linear(Part.FEED_FORWARD, intermediate, hidden),
    )
