"""One decoder layer: mixer, feed-forward and norms together."""

from typing import Final

from llama_operator.catalog.model_families import ExpertFamily, ModelFamily
from llama_operator.sizing.models.compressed import compressed_attention
from llama_operator.sizing.models.config import Config
from llama_operator.sizing.models.delta_net import gated_delta_net
from llama_operator.sizing.models.dense import dense_feed_forward
from llama_operator.sizing.models.experts import mixture
from llama_operator.sizing.models.heads import head_attention
from llama_operator.sizing.models.kinds import ATTENTION, BOTH, DENSE, MIXER, LayerKind
from llama_operator.sizing.models.latent import latent_attention
from llama_operator.sizing.models.mamba import mamba
from llama_operator.sizing.models.model import Cache, FeedForward, Layer
from llama_operator.sizing.models.parts import norms, vector, whole
from llama_operator.sizing.models.selective_scan import selective_scan
from llama_operator.sizing.models.tensors import Part, Tensor

_EXPERT_NORMS: Final = 3
"""Gemma 4: after the dense part, before and after the experts beside it."""
_OTHERS: Final = {
    "mamba": mamba,
    "selective-scan": selective_scan,
    "delta-net": gated_delta_net,
}
"""Mixers other than attention, by the column `mixer` of model_families.csv."""


def layer(
    config: Config,
    family: ModelFamily,
    experts: ExpertFamily | None,
    kind: LayerKind,
    image_tokens: int,
) -> Layer:
    """One layer of a kind.

    Args:
        config: of the text part, with the defaults of its family.
        family: of the model type.
        experts: of the model type; None for dense models.
        kind: of the layer.
        image_tokens: of one image, for cross-attention.

    Raises:
        ConfigError: a dimension is missing or wrong.
    """
    mixer, cache = _mixer(config, family, kind, image_tokens)
    parts, feed_forward = _feed_forward(config, family, experts, kind)
    hidden = config.integer("hidden_size")
    count = family.norms + (_EXPERT_NORMS if kind.feed_forward == BOTH else 0)
    norm = norms("layernorm", hidden, biased=family.norm_bias, count=count) if count else ()
    extra = _per_layer_inputs(config, hidden) if family.attention == "gemma4-heads" else ()
    return Layer((*mixer, *parts, *norm, *extra), cache, feed_forward)


def _mixer(
    config: Config, family: ModelFamily, kind: LayerKind, image_tokens: int
) -> tuple[tuple[Tensor, ...], Cache]:
    if not kind.mixer:
        return (), None
    if kind.mixer == MIXER:
        return _OTHERS[family.mixer](config)
    if kind.mixer == ATTENTION and family.attention == "latent":
        return latent_attention(config)
    if kind.mixer == ATTENTION and family.attention == "compressed":
        return compressed_attention(config, kind.compression)
    return head_attention(config, family, kind, image_tokens)


def _feed_forward(
    config: Config, family: ModelFamily, experts: ExpertFamily | None, kind: LayerKind
) -> tuple[tuple[Tensor, ...], FeedForward | None]:
    if not kind.feed_forward:
        return (), None
    dense: tuple[Tensor, ...] = ()
    narrow: FeedForward | None = None
    if kind.feed_forward in (DENSE, BOTH):
        key = (experts.dense_width if experts else "") or "intermediate_size"
        width = config.integer(key)
        if kind.shares_cache and config.flag("use_double_wide_mlp"):
            width *= 2
        dense, narrow = dense_feed_forward(config, family, width)
        if kind.feed_forward == DENSE:
            return dense, narrow
    if experts is None:
        raise config.error("model_type", "has no rule for experts")
    routed, wide = mixture(config, family, experts, kind)
    if narrow is None:
        return routed, wide
    both = FeedForward(
        narrow.width, narrow.gated, wide.expert_width, wide.experts, wide.experts_per_token
    )
    return (*dense, *routed), both


def _per_layer_inputs(config: Config, hidden: int) -> tuple[Tensor, ...]:
    """Gemma 4: a scalar for each layer, and a small input of its own in the smaller models."""
    scalar = vector("layer_scalar", Part.FEED_FORWARD, 1)
    width = config.integer("hidden_size_per_layer_input", least=0, default=0)
    if not width:
        return (scalar,)
    return (
        scalar,
        whole("per_layer_input_gate", Part.FEED_FORWARD, width, hidden),
        whole("per_layer_projection", Part.FEED_FORWARD, hidden, width),
        vector("post_per_layer_input_norm", Part.NORM, hidden),
    )
