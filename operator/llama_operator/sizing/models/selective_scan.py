"""Mamba-1 layers (Jamba): a selective scan with a state for every channel."""

from typing import Final

from llama_operator.sizing.models.config import Config
from llama_operator.sizing.models.model import Cache, StateCache
from llama_operator.sizing.models.parts import column, divided_vector, row, vector
from llama_operator.sizing.models.tensors import Part, Split, Tensor

_CHANNELS_PER_RANK: Final = 16
"""`mamba_dt_rank` is hidden size over 16, rounded up, where it is absent or `auto`."""


def selective_scan(config: Config) -> tuple[tuple[Tensor, ...], Cache]:
    """Tensors and state of one layer; Jamba-v0.1 has 51,570,323,328 parameters with 28 of them.

    With di = expand * hidden, a state of s and dt_rank = r: in_proj of (2*di, hidden), a
    convolution of (di, kernel) with its bias, x_proj of (r + 2*s, di), dt_proj of (di, r) with its
    bias, A of (di, s), D, three norms of r, s and s, out_proj of (hidden, di). Shapes:
    transformers, modeling_jamba.py; division: vLLM, mamba_mixer.py.

    Args:
        config: of the text part, with the defaults of its family.

    Raises:
        ConfigError: a dimension is missing or wrong.
    """
    hidden = config.integer("hidden_size")
    inner = hidden * config.integer("mamba_expand", most=1024)
    state = config.integer("mamba_d_state")
    kernel = config.integer("mamba_d_conv", most=1024)
    rank = -(-hidden // _CHANNELS_PER_RANK)
    if not config.is_text("mamba_dt_rank", "auto"):
        rank = config.integer("mamba_dt_rank", default=rank)
    part = Part.MIXER
    tensors = [
        column("in_proj", part, 2 * inner, hidden),
        Tensor("conv1d", part, (inner, kernel), Split.COLUMN),
        row("x_proj", part, rank + 2 * state, inner),
        column("dt_proj", part, inner, rank),
        divided_vector("dt_proj.bias", part, inner),
        Tensor("A", part, (inner, state), Split.COLUMN, element_bytes=4),
        divided_vector("D", part, inner),
        vector("dt_layernorm", Part.NORM, rank),
        vector("b_c_layernorm", Part.NORM, state, count=2),
        row("out_proj", part, hidden, inner),
    ]
    if config.flag("mamba_conv_bias", default=True):
        tensors.append(divided_vector("conv1d.bias", part, inner))
    if config.flag("mamba_proj_bias"):
        tensors.append(divided_vector("in_proj.bias", part, 2 * inner))
        tensors.append(vector("out_proj.bias", part, hidden))
    return tuple(tensors), StateCache(inner * state, inner * (kernel - 1))
