"""Towers of Llama 3.2 Vision (mllama) and Llama 4."""

from typing import Final

from llama_operator.sizing.models.config import Config
from llama_operator.sizing.models.parts import column, norms, row, vector
from llama_operator.sizing.models.tensors import Part, Tensor
from llama_operator.sizing.models.vision.encoder import encoder, patches, positions
from llama_operator.sizing.models.vision.reading import (
    hidden_size,
    intermediate_size,
    layers,
    patch_size,
    patches_per_image,
)

_ASPECT_RATIOS: Final = 8
"""`supported_aspect_ratios` of mllama has 8 entries; embeddings have one more, for padding."""
_ADAPTER_WIDTH: Final = 4096
"""`projector_input_dim` and `projector_output_dim` of Llama 4 where they are absent."""


def mllama(vision: Config) -> tuple[Tensor, ...]:
    """Llama 3.2 Vision: local and gated global layers, embeddings of tiles and of their ratios.

    With the text part of 9,775,192,080 parameters these 895,028,755 are the 10,670,220,835 that are
    published for Llama-3.2-11B-Vision.
    """
    hidden = hidden_size(vision)
    tiles = vision.integer("max_num_tiles", most=1024, default=4)
    tokens = patches_per_image(vision) + 1
    ratios = _ASPECT_RATIOS + 1
    glob = vision.integer("num_global_layers", most=10_000, default=8)
    part = Part.VISION
    return (
        *patches(hidden, patch_size(vision), bias=False),
        vector("class_embedding", part, hidden),
        positions(tokens, hidden),
        vector("position_gate", part, 1),
        Tensor("tile_embedding", part, (ratios, tiles * tokens * hidden)),
        Tensor("tile_positional_embedding", part, (ratios, tiles * hidden), count=2),
        vector("tile_positional_gate", part, 1, count=2),
        *norms("layernorm", hidden, biased=True, count=2),
        *encoder(layers(vision) + glob, hidden, intermediate_size(vision), attention_bias=False),
        vector("global_gates", part, 2, count=glob),
    )


def mllama_projector(outer: Config, vision: Config, text_hidden: int) -> tuple[Tensor, ...]:
    """One matrix with a bias, from the layers that are put side by side; divided over the ranks."""
    del outer
    output = vision.integer("vision_output_dim")
    return (
        column("multi_modal_projector", Part.PROJECTOR, text_hidden, output),
        Tensor("multi_modal_projector.bias", Part.PROJECTOR, (text_hidden,)),
    )


def mllama_image_tokens(vision: Config) -> int:
    """Tokens of one image: all tiles, each with its class token."""
    tiles = vision.integer("max_num_tiles", most=1024, default=4)
    return tiles * (patches_per_image(vision) + 1)


def llama4(vision: Config) -> tuple[Tensor, ...]:
    """Llama 4: like CLIP, with an adapter of two matrices over merged pixels.

    With the text part of 107,769,861,120 parameters and the projector of 20,971,520 these
    850,960,896 are the 108,641,793,536 that are published for Llama-4-Scout.
    """
    hidden = hidden_size(vision)
    width = intermediate_size(vision)
    middle = vision.integer("projector_input_dim", default=_ADAPTER_WIDTH)
    output = vision.integer("projector_output_dim", default=_ADAPTER_WIDTH)
    return (
        *patches(hidden, patch_size(vision), bias=False),
        vector("class_embedding", Part.VISION, hidden),
        positions(patches_per_image(vision) + 1, hidden),
        *norms("layernorm", hidden, biased=True, count=2),
        *encoder(layers(vision), hidden, width),
        column("vision_adapter.fc1", Part.PROJECTOR, middle, width),
        row("vision_adapter.fc2", Part.PROJECTOR, output, middle),
    )


def llama4_projector(outer: Config, vision: Config, text_hidden: int) -> tuple[Tensor, ...]:
    """One matrix without bias, divided over the ranks."""
    del outer
    output = vision.integer("vision_output_dim", default=_ADAPTER_WIDTH)
    return (column("multi_modal_projector", Part.PROJECTOR, text_hidden, output),)
