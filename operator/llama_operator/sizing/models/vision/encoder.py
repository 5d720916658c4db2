"""The encoder layers that all vision towers are made of."""

from typing import Final

from llama_operator.sizing.models.parts import column, divided_vector, norms, row, vector, whole
from llama_operator.sizing.models.tensors import Part, Tensor

COLOURS: Final = 3
"""Channels of a pixel."""


def encoder(
    layers: int,
    hidden: int,
    width: int,
    *,
    attention_bias: bool = True,
    mlp_bias: bool = True,
    gated: bool = False,
    norm_bias: bool = True,
    norm_count: int = 2,
) -> tuple[Tensor, ...]:
    """Tensors of `layers` equal layers, divided over the ranks. Memory model, sections 2 and 4.

    Per layer 4 * hidden^2 of attention, 2 or 3 * hidden * width of the feed-forward part, and its
    norms. Queries, keys and values are one tensor, gate and up are one.

    Args:
        layers: how many.
        hidden: width of the tower.
        width: intermediate size.
        attention_bias: whether all four projections have biases.
        mlp_bias: whether all projections of the feed-forward part have biases.
        gated: whether the feed-forward part has a gate.
        norm_bias: whether norms are layer norms with a bias.
        norm_count: norms per layer.
    """
    part = Part.VISION
    up = width * 2 if gated else width
    tensors = [
        column("qkv_proj", part, 3 * hidden, hidden, count=layers),
        row("out_proj", part, hidden, hidden, count=layers),
        column("fc1", part, up, hidden, count=layers),
        row("fc2", part, hidden, width, count=layers),
        *norms("vision_norm", hidden, biased=norm_bias, count=norm_count * layers),
    ]
    if attention_bias:
        tensors += [
            divided_vector("qkv_proj.bias", part, 3 * hidden, count=layers),
            vector("out_proj.bias", part, hidden, count=layers),
        ]
    if mlp_bias:
        tensors += [
            divided_vector("fc1.bias", part, up, count=layers),
            vector("fc2.bias", part, hidden, count=layers),
        ]
    return tuple(tensors)


def patches(hidden: int, patch: int, *, frames: int = 1, bias: bool) -> tuple[Tensor, ...]:
    """The convolution from pixels of a patch to the tower's width, whole on every rank.

    Args:
        hidden: width of the tower.
        patch: side of a patch in pixels.
        frames: pictures of a video that are taken together.
        bias: whether it has one.
    """
    shape = (hidden, COLOURS * frames * patch * patch)
    weights = Tensor("patch_embedding", Part.VISION, shape)
    return (weights, vector("patch_embedding.bias", Part.VISION, hidden)) if bias else (weights,)


def positions(count: int, hidden: int) -> Tensor:
    """Learned embeddings of positions, whole on every rank."""
    return Tensor("position_embedding", Part.VISION, (count, hidden))


def projection(name: str, out_features: int, in_features: int, *, bias: bool) -> tuple[Tensor, ...]:
    """One linear layer of a projector, whole on every rank."""
    weights = whole(name, Part.PROJECTOR, out_features, in_features)
    return (weights, vector(f"{name}.bias", Part.PROJECTOR, out_features)) if bias else (weights,)
