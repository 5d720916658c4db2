"""All towers of a model: exact where the kind is known, an upper bound elsewhere."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Final

from llama_operator.catalog.model_families import MultimodalFamily
from llama_operator.sizing.models.config import Config
from llama_operator.sizing.models.model import ModelShape
from llama_operator.sizing.models.tensors import Part, Split, Tensor
from llama_operator.sizing.models.vision import clip_like, gemma4, llama, qwen
from llama_operator.sizing.models.vision.reading import hidden_size, intermediate_size, layers
from llama_operator.units import ceil_div

_Tower = Callable[[Config], tuple[Tensor, ...]]
_Projector = Callable[[Config, Config, int], tuple[Tensor, ...]]

TOWERS: Final[Mapping[str, _Tower]] = {
    "siglip_vision_model": clip_like.siglip,
    "moonvit": clip_like.moonvit,
    "pixtral": clip_like.pixtral,
    "mllama_vision_model": llama.mllama,
    "llama4_vision_model": llama.llama4,
    "qwen2_vl": qwen.qwen2_vl,
    "qwen2_5_vl": qwen.qwen2_5_vl,
    "qwen3_vl": qwen.qwen3_vl,
    "qwen3_vl_moe": qwen.qwen3_vl,
    "qwen3_5": qwen.qwen3_vl,
    "qwen3_5_moe": qwen.qwen3_vl,
    "gemma4_vision": gemma4.gemma4,
}
"""By `model_type` of the vision section."""
PROJECTORS: Final[Mapping[str, _Projector]] = {
    "gemma3": clip_like.gemma3_projector,
    "llava-next": clip_like.llava_projector,
    "moonvit": clip_like.moonvit_projector,
    "mistral3": clip_like.mistral_projector,
    "mllama": llama.mllama_projector,
    "llama4": llama.llama4_projector,
    "qwen2-vl": qwen.qwen2_vl_projector,
    "qwen2.5-vl": qwen.qwen2_5_vl_projector,
    "qwen3-vl": qwen.qwen3_vl_projector,
    "gemma4": gemma4.gemma4_projector,
}
"""By the column `projector` of multimodal_families.csv."""
FILE_ELEMENT_BYTES: Final = 2
"""Towers are stored in 16 bit."""
FILES_BOUND: Final = (
    "vision and audio parts: what the files hold beside the text part, whole on every GPU"
)
VISION_BOUND: Final = "vision part: an upper bound from its widths and layers"
AUDIO_BOUND: Final = "audio part: an upper bound from its width and layers"
_CONFORMER: Final = 24
"""Squares of the width in a conformer layer: two feed-forward parts of four widths 16, attention
with relative positions 5, the convolution 3."""


@dataclass(frozen=True, slots=True)
class Towers:
    """What a model holds for other inputs than text.

    Attributes:
        tensors: of towers and projectors.
        bounds: in words, parts whose size is an upper bound.
        image_tokens: of one image, for cross-attention; 0 where there is none.
    """

    tensors: tuple[Tensor, ...] = ()
    bounds: tuple[str, ...] = ()
    image_tokens: int = 0


def towers(
    outer: Config, family: MultimodalFamily | None, text_hidden: int, *, mistral_format: bool
) -> Towers:
    """Tensors for other inputs than text. Memory model, sections 2 and 4.

    Args:
        outer: the outermost section, with `vision_config` and `audio_config`.
        family: of the outer model type; None when it is not known.
        text_hidden: hidden size of the text part.
        mistral_format: the vision encoder is whole on every rank.

    Raises:
        ConfigError: a dimension is missing or wrong.
    """
    tensors: tuple[Tensor, ...] = ()
    bounds: tuple[str, ...] = ()
    tokens = 0
    vision = outer.section("vision_config")
    if vision is not None:
        tensors, bounds = _vision(outer, vision, family, text_hidden)
        if family is not None and family.projector == "mllama":
            tokens = llama.mllama_image_tokens(vision)
    audio = outer.section("audio_config")
    if audio is not None:
        tensors += (_audio_bound(audio, text_hidden),)
        bounds += (AUDIO_BOUND,)
    if mistral_format:
        tensors = tuple(replace(tensor, split=Split.WHOLE) for tensor in tensors)
    return Towers(tensors, bounds, tokens)


def bounded_by_files(model: ModelShape, other_bytes: int) -> ModelShape:
    """The same model with what its files hold beside the text part, where that is only bounded.

    Memory model, section 2: the index's total less the text part.

    Args:
        model: with towers that are bounded by their widths; any other stays as it is.
        other_bytes: of all tensors in the files, less those of the text part.
    """
    of_towers = {VISION_BOUND, AUDIO_BOUND}
    if other_bytes <= 0 or not model.bounds or not of_towers.issuperset(model.bounds):
        return model
    # Whole on every rank, as by widths: which of it is divided is not known.
    rest = Tensor("others", Part.VISION, (ceil_div(other_bytes, FILE_ELEMENT_BYTES),))
    return replace(model, vision=(rest,), bounds=(FILES_BOUND,))


def _vision(
    outer: Config, vision: Config, family: MultimodalFamily | None, text_hidden: int
) -> tuple[tuple[Tensor, ...], tuple[str, ...]]:
    kind = vision.text("model_type") or (family.tower if family is not None else "")
    tower = TOWERS.get(kind) or TOWERS.get(family.tower if family is not None else "")
    projector = PROJECTORS.get(family.projector) if family is not None else None
    if tower is None or projector is None or (kind and kind not in TOWERS):
        return (_vision_bound(vision, text_hidden),), (VISION_BOUND,)
    return (*tower(vision), *projector(outer, vision, text_hidden)), ()


def _vision_bound(vision: Config, text_hidden: int) -> Tensor:
    """`layers * (4*hv^2 + 3*hv*iv) + 8*hv*hidden + 2*hidden^2`, times 1.1, whole on every rank."""
    hidden = hidden_size(vision)
    width = intermediate_size(vision)
    counted = (
        layers(vision) * (4 * hidden * hidden + 3 * hidden * width)
        + 8 * hidden * text_hidden
        + 2 * text_hidden * text_hidden
    )
    return Tensor("vision", Part.VISION, (-(-counted * 11 // 10),))


def _audio_bound(audio: Config, text_hidden: int) -> Tensor:
    """`layers * 24*ha^2 + 8*ha*hidden + 2*hidden^2`, times 1.1, whole on every rank."""
    hidden = hidden_size(audio)
    counted = (
        layers(audio) * _CONFORMER * hidden * hidden
        + 8 * hidden * text_hidden
        + 2 * text_hidden * text_hidden
    )
    return Tensor("audio", Part.VISION, (-(-counted * 11 // 10),))
