"""Dense feed-forward parts: gated (gate, up, down) or not (up, down)."""

from llama_operator.catalog.model_families import ModelFamily
from llama_operator.sizing.models.config import Config
from llama_operator.sizing.models.model import FeedForward
from llama_operator.sizing.models.parts import column, divided_vector, row, vector
from llama_operator.sizing.models.switches import is_on
from llama_operator.sizing.models.tensors import Part, Tensor


def dense_feed_forward(
    config: Config, family: ModelFamily, width: int
) -> tuple[tuple[Tensor, ...], FeedForward]:
    """Tensors of one dense feed-forward part. Memory model, section 2.

    Gated: 3 * hidden * width; not gated: 2 * hidden * width, with biases of width and hidden where
    the family has them.

    Args:
        config: of the text part, with the defaults of its family.
        family: of the model type.
        width: intermediate size of the layer.

    Raises:
        ConfigError: a dimension is missing or wrong.
    """
    hidden = config.integer("hidden_size")
    tensors = mlp("", Part.FEED_FORWARD, hidden, width, gated=family.gated)
    if is_on(family.mlp_bias, config):
        names = ("gate_proj", "up_proj") if family.gated else ("up_proj",)
        tensors += tuple(
            divided_vector(f"{name}.bias", Part.FEED_FORWARD, width, merged="gate_up.bias")
            for name in names
        )
        tensors += (vector("down_proj.bias", Part.FEED_FORWARD, hidden),)
    return tensors, FeedForward(width, family.gated)


def mlp(prefix: str, part: Part, hidden: int, width: int, *, gated: bool) -> tuple[Tensor, ...]:
    """Matrices of one feed-forward part; gate and up are one tensor in the engine.

    Args:
        prefix: of the names, such as `shared_expert.`.
        part: what they belong to.
        hidden: input and output features.
        width: intermediate size.
        gated: whether there is a gate.
    """
    merged = f"{prefix}gate_up" if gated else ""
    gate = (column(f"{prefix}gate_proj", part, width, hidden, merged=merged),) if gated else ()
    return (
        *gate,
        column(f"{prefix}up_proj", part, width, hidden, merged=merged),
        row(f"{prefix}down_proj", part, hidden, width),
    )
