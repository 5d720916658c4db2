"""Towers of Qwen2-VL, Qwen2.5-VL, Qwen3-VL and Qwen3.5, with their mergers."""

from typing import Final

from llama_operator.sizing.models.config import Config
from llama_operator.sizing.models.parts import column, divided_vector, norms, row, vector
from llama_operator.sizing.models.tensors import Part, Tensor
from llama_operator.sizing.models.vision.encoder import encoder, patches, positions
from llama_operator.sizing.models.vision.reading import (
    inner_size,
    intermediate_size,
    layers,
    patch_size,
)

_POSITIONS: Final = 2304
"""`num_position_embeddings` of Qwen3-VL and Qwen3.5 where it is absent."""


def qwen2_vl(vision: Config) -> tuple[Tensor, ...]:
    """Qwen2-VL: rotary positions, biases everywhere. 675,759,104 with the merger of the 7B."""
    return (
        *_patches(vision, bias=False),
        *encoder(layers(vision), inner_size(vision), intermediate_size(vision)),
    )


def qwen2_5_vl(vision: Config) -> tuple[Tensor, ...]:
    """Qwen2.5-VL: gated feed-forward parts, RMS norms. 676,550,144 with the merger of the 7B."""
    hidden = inner_size(vision)
    width = intermediate_size(vision)
    return (
        *_patches(vision, bias=False),
        *encoder(layers(vision), hidden, width, gated=True, norm_bias=False),
    )


def qwen3_vl(vision: Config) -> tuple[Tensor, ...]:
    """Qwen3-VL and Qwen3.5: learned positions. 460,730,096 with the merger of Qwen3.5-27B."""
    hidden = inner_size(vision)
    count = vision.integer("num_position_embeddings", default=_POSITIONS)
    return (
        *_patches(vision, bias=True),
        positions(count, hidden),
        *encoder(layers(vision), hidden, intermediate_size(vision)),
    )


def qwen2_vl_projector(outer: Config, vision: Config, text_hidden: int) -> tuple[Tensor, ...]:
    """Merger with a layer norm."""
    del outer
    hidden = inner_size(vision)
    return (*norms("merger.norm", hidden, biased=True), *_merger(vision, text_hidden))


def qwen2_5_vl_projector(outer: Config, vision: Config, text_hidden: int) -> tuple[Tensor, ...]:
    """Merger with an RMS norm."""
    del outer
    hidden = inner_size(vision)
    return (*norms("merger.norm", hidden, biased=False), *_merger(vision, text_hidden))


def qwen3_vl_projector(outer: Config, vision: Config, text_hidden: int) -> tuple[Tensor, ...]:
    """Merger with a layer norm, and one more for each layer of `deepstack_visual_indexes`."""
    del outer
    hidden = inner_size(vision)
    merged = hidden * _merge(vision) ** 2
    deep = len(vision.integers("deepstack_visual_indexes") or ())
    more = norms("deepstack.norm", merged, biased=True, count=deep) if deep else ()
    return (
        *norms("merger.norm", hidden, biased=True),
        *_merger(vision, text_hidden, count=1 + deep),
        *more,
    )


def _patches(vision: Config, *, bias: bool) -> tuple[Tensor, ...]:
    frames = vision.integer("temporal_patch_size", most=64, default=2)
    return patches(inner_size(vision), patch_size(vision), frames=frames, bias=bias)


def _merge(vision: Config) -> int:
    return vision.integer("spatial_merge_size", most=64, default=2)


def _merger(vision: Config, text_hidden: int, *, count: int = 1) -> tuple[Tensor, ...]:
    """Two layers with biases over merged patches, divided over the ranks."""
    merged = inner_size(vision) * _merge(vision) ** 2
    part = Part.PROJECTOR
    return (
        column("merger.fc1", part, merged, merged, count=count),
        divided_vector("merger.fc1.bias", part, merged, count=count),
        row("merger.fc2", part, text_hidden, merged, count=count),
        vector("merger.fc2.bias", part, text_hidden, count=count),
    )
