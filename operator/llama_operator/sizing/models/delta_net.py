"""Gated delta-net layers (Qwen3-Next, Qwen3.5): linear attention with a state of fixed size."""

from typing import Final

from llama_operator.sizing.models.config import HEADS_LIMIT, Config
from llama_operator.sizing.models.model import Cache, StateCache
from llama_operator.sizing.models.parts import column, divided_vector, row, vector
from llama_operator.sizing.models.tensors import Part, Split, Tensor

_KERNEL: Final = 4
"""`linear_conv_kernel_dim` where it is absent, as in transformers."""


def gated_delta_net(config: Config) -> tuple[tuple[Tensor, ...], Cache]:
    """Tensors and state of one layer. Memory model, sections 2 and 5.

    With keys = key heads * key dim and values = value heads * value dim: projections to queries,
    keys, values and the gate z, (2*keys + 2*values, hidden), and to the two gates of each value
    head, (2 * value heads, hidden), a convolution of (2*keys + values, kernel) without bias, A and
    the bias of dt per value head, a norm of one value head, out_proj of (hidden, values).

    Args:
        config: of the text part, with the defaults of its family.

    Raises:
        ConfigError: a dimension is missing or wrong.
    """
    hidden = config.integer("hidden_size")
    key_heads = config.integer("linear_num_key_heads", most=HEADS_LIMIT)
    value_heads = config.integer("linear_num_value_heads", most=HEADS_LIMIT)
    key_dim = config.integer("linear_key_head_dim")
    value_dim = config.integer("linear_value_head_dim")
    kernel = config.integer("linear_conv_kernel_dim", most=1024, default=_KERNEL)
    keys = key_heads * key_dim
    values = value_heads * value_dim
    convolved = 2 * keys + values
    tensors = (
        column("in_proj_qkvz", Part.MIXER, 2 * keys + 2 * values, hidden),
        column("in_proj_ba", Part.MIXER, 2 * value_heads, hidden),
        Tensor("conv1d", Part.MIXER, (convolved, kernel), Split.COLUMN),
        Tensor("A_log", Part.MIXER, (value_heads,), Split.COLUMN, element_bytes=4),
        divided_vector("dt_bias", Part.MIXER, value_heads),
        vector("norm", Part.NORM, value_dim),
        row("out_proj", Part.MIXER, hidden, values),
    )
    state = value_heads * key_dim * value_dim
    return tensors, StateCache(state, convolved * (kernel - 1))
