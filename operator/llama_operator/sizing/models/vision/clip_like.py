"""Towers like CLIP: SigLIP, MoonViT, Pixtral and their projectors."""

from llama_operator.sizing.models.config import LAYERS_LIMIT, Config
from llama_operator.sizing.models.parts import norms, vector
from llama_operator.sizing.models.tensors import Part, Tensor
from llama_operator.sizing.models.vision.encoder import encoder, patches, positions, projection
from llama_operator.sizing.models.vision.reading import (
    hidden_size,
    intermediate_size,
    layers,
    patch_size,
    patches_per_image,
)


def siglip(vision: Config) -> tuple[Tensor, ...]:
    """SigLIP (Gemma 3, Granite Vision): learned positions, biases everywhere, a last layer norm."""
    hidden = hidden_size(vision)
    return (
        *patches(hidden, patch_size(vision), bias=True),
        positions(patches_per_image(vision), hidden),
        *encoder(layers(vision), hidden, intermediate_size(vision)),
        *norms("post_layernorm", hidden, biased=True),
    )


def moonvit(vision: Config) -> tuple[Tensor, ...]:
    """MoonViT (Kimi-VL): SigLIP with learned positions of a grid of 64 by 64."""
    hidden = hidden_size(vision)
    height = vision.integer("init_pos_emb_height", default=64)
    width = vision.integer("init_pos_emb_width", default=64)
    return (
        *patches(hidden, patch_size(vision), bias=True),
        positions(height * width, hidden),
        *encoder(layers(vision), hidden, intermediate_size(vision)),
        *norms("post_layernorm", hidden, biased=True),
    )


def pixtral(vision: Config) -> tuple[Tensor, ...]:
    """Pixtral (Mistral Small 3): rotary positions, gated feed-forward parts, no biases."""
    hidden = hidden_size(vision)
    return (
        *patches(hidden, patch_size(vision), bias=False),
        *norms("ln_pre", hidden, biased=False),
        *encoder(
            layers(vision), hidden, intermediate_size(vision),
            attention_bias=False, mlp_bias=False, gated=True, norm_bias=False,
        ),
    )  # fmt: skip


def gemma3_projector(outer: Config, vision: Config, text_hidden: int) -> tuple[Tensor, ...]:
    """Gemma 3: a norm and one matrix."""
    del outer
    hidden = hidden_size(vision)
    return (
        vector("mm_soft_emb_norm", Part.PROJECTOR, hidden),
        *projection("mm_input_projection", text_hidden, hidden, bias=False),
    )


def llava_projector(outer: Config, vision: Config, text_hidden: int) -> tuple[Tensor, ...]:
    """LLaVA-Next: two layers with biases, and the embedding of a new line.

    The first takes as many layers of the tower as are listed, side by side.
    """
    features = len(outer.numbers_of("vision_feature_layer", least=-LAYERS_LIMIT)) or 1
    return (
        *projection("linear_1", text_hidden, features * hidden_size(vision), bias=True),
        *projection("linear_2", text_hidden, text_hidden, bias=True),
        vector("image_newline", Part.PROJECTOR, text_hidden),
    )


def moonvit_projector(outer: Config, vision: Config, text_hidden: int) -> tuple[Tensor, ...]:
    """Kimi-VL: a layer norm, then two layers with biases over merged patches of 2 by 2."""
    del outer
    hidden = hidden_size(vision)
    merged = 4 * hidden
    return (
        *norms("pre_norm", hidden, biased=True),
        *projection("linear_1", merged, merged, bias=True),
        *projection("linear_2", text_hidden, merged, bias=True),
    )


def mistral_projector(outer: Config, vision: Config, text_hidden: int) -> tuple[Tensor, ...]:
    """Mistral Small 3: a norm, a merger of patches, two layers, all without biases."""
    hidden = hidden_size(vision)
    merge = outer.integer("spatial_merge_size", most=64, default=2)
    return (
        vector("norm", Part.PROJECTOR, hidden),
        *projection("merging_layer", hidden, merge * merge * hidden, bias=False),
        *projection("linear_1", text_hidden, hidden, bias=False),
        *projection("linear_2", text_hidden, text_hidden, bias=False),
    )
