"""MTP layers: in the checkpoint for speculative decoding, not loaded to serve the model."""

from llama_operator.catalog.model_families import ExpertFamily, ModelFamily
from llama_operator.sizing.models.config import Config
from llama_operator.sizing.models.kinds import ATTENTION, DENSE, EXPERTS, LayerKind
from llama_operator.sizing.models.layers import layer
from llama_operator.sizing.models.parts import norms, whole
from llama_operator.sizing.models.tensors import Part, Tensor

_LAYERS_LIMIT = 64


def prediction_layers(
    config: Config, family: ModelFamily, experts: ExpertFamily | None
) -> tuple[Tensor, ...]:
    """Tensors of all MTP layers.

    Each is a layer of the model with a projection of (hidden, 2 * hidden) and three norms. Those of
    DeepSeek, GLM and Kimi come with copies of both embeddings: of GLM-4.5-Air, 110,468,824,832
    published parameters are the model and this. Those of Qwen share them.

    Args:
        config: of the text part, with the defaults of its family.
        family: of the model type.
        experts: of the model type; None for dense models.

    Raises:
        ConfigError: a key is wrong.
    """
    if family.prediction == "none":
        return ()
    own = family.prediction == "deepseek"
    key = "num_nextn_predict_layers" if own else "mtp_num_hidden_layers"
    count = config.integer(key, least=0, most=_LAYERS_LIMIT, default=0)
    if not count:
        return ()
    hidden = config.integer("hidden_size")
    kind = LayerKind(ATTENTION, EXPERTS if experts else DENSE)
    tensors = [
        *layer(config, family, experts, kind, 0).tensors,
        whole("mtp.projection", Part.FEED_FORWARD, hidden, 2 * hidden),
        *norms("mtp.norm", hidden, biased=False, count=3),
    ]
    if own:
        vocabulary = config.integer("vocab_size")
        tensors += [
            whole("mtp.embed_tokens", Part.EMBEDDING, vocabulary, hidden),
            whole("mtp.shared_head", Part.LM_HEAD, vocabulary, hidden),
        ]
    return tuple(tensors) * count
