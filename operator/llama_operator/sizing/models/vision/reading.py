"""Keys of vision and audio sections, which models name differently."""

from typing import Final

from llama_operator.sizing.models.config import LAYERS_LIMIT, Config

_HIDDEN: Final = ("hidden_size", "embed_dim", "d_model", "width")
_INNER: Final = ("embed_dim", "hidden_size")
_WIDTH: Final = ("intermediate_size", "encoder_ffn_dim")
_LAYERS: Final = ("num_hidden_layers", "depth", "encoder_layers", "num_layers", "layers")
_PATCH: Final = 14
"""Side of a patch where the key is absent, as in all towers known here but those that name it."""


def hidden_size(section: Config) -> int:
    """Width of the tower."""
    return section.integer(section.first_of(_HIDDEN))


def inner_size(section: Config) -> int:
    """Width of a tower whose `hidden_size` is that of its output when there is `embed_dim`."""
    return section.integer(section.first_of(_INNER))


def intermediate_size(section: Config) -> int:
    """Width of feed-forward parts: the key, or `mlp_ratio` times the tower's width."""
    key = section.first_of(_WIDTH)
    if section.has(key):
        return section.integer(key)
    return int(section.number("mlp_ratio", default=4) * section.integer(section.first_of(_INNER)))


def layers(section: Config) -> int:
    """Layers of the tower."""
    return section.integer(section.first_of(_LAYERS), most=LAYERS_LIMIT)


def patch_size(section: Config) -> int:
    """Side of a patch in pixels."""
    return section.integer("patch_size", most=4096, default=_PATCH)


def patches_per_image(section: Config) -> int:
    """Patches of one square image, at least one."""
    side = section.integer("image_size", most=2**16) // patch_size(section)
    if not side:
        raise section.error("image_size", "is smaller than patch_size")
    return side * side
