"""Mamba-2 layers (Nemotron-H, Bamba, Granite 4): a state of fixed size instead of a cache."""

from typing import Final

from llama_operator.sizing.models.config import HEADS_LIMIT, Config
from llama_operator.sizing.models.model import Cache, StateCache
from llama_operator.sizing.models.parts import column, divided_vector, key_values, row, vector
from llama_operator.sizing.models.tensors import Part, Split, Tensor

_HEADS: Final = ("mamba_num_heads", "mamba_n_heads")
_HEAD_DIM: Final = ("mamba_head_dim", "mamba_d_head")
_GROUPS: Final = ("n_groups", "mamba_n_groups", "mamba_num_groups")
_STATE: Final = ("ssm_state_size", "mamba_d_state", "state_size")
_KERNEL: Final = ("conv_kernel", "mamba_d_conv")
_PROJECTION_BIAS: Final = ("mamba_proj_bias", "use_bias")
_CONVOLUTION_BIAS: Final = ("mamba_conv_bias", "use_conv_bias")


def mamba(config: Config) -> tuple[tuple[Tensor, ...], Cache]:
    """Tensors and state of one layer. Memory model, sections 2 and 5.

    With di = heads * head dim, g groups and a state of s: in_proj of shape
    (2*di + 2*g*s + heads, hidden), a convolution of (di + 2*g*s, kernel) with its bias, A, D and
    the bias of dt per head, a gated norm of di, out_proj of (hidden, di). The parts of in_proj that
    belong to groups are repeated where ranks are more than groups.

    Args:
        config: of the text part, with the defaults of its family.

    Raises:
        ConfigError: a dimension is missing or wrong.
    """
    hidden = config.integer("hidden_size")
    heads = config.integer(config.first_of(_HEADS), most=HEADS_LIMIT)
    inner = heads * _head_dim(config, hidden, heads)
    groups = config.integer(config.first_of(_GROUPS), most=HEADS_LIMIT, default=1)
    state = config.integer(config.first_of(_STATE))
    kernel = config.integer(config.first_of(_KERNEL), most=1024)
    grouped = 2 * groups * state
    convolved = inner + grouped
    tensors = [
        column("in_proj.gate", Part.MIXER, inner, hidden, merged="in_proj"),
        column("in_proj.x", Part.MIXER, inner, hidden, merged="in_proj"),
        key_values("in_proj.bc", Part.MIXER, groups, 2 * state, hidden, merged="in_proj"),
        column("in_proj.dt", Part.MIXER, heads, hidden, merged="in_proj"),
        Tensor("conv1d.x", Part.MIXER, (inner, kernel), Split.COLUMN, merged="conv1d"),
        Tensor(
            "conv1d.bc", Part.MIXER, (grouped, kernel), Split.KV_HEADS, merged="conv1d",
            heads=groups,
        ),
        Tensor("A", Part.MIXER, (heads,), Split.COLUMN, element_bytes=4),
        divided_vector("D", Part.MIXER, heads),
        divided_vector("dt_bias", Part.MIXER, heads),
        divided_vector("norm", Part.NORM, inner),
        row("out_proj", Part.MIXER, hidden, inner),
    ]  # fmt: skip
    if config.flag(config.first_of(_CONVOLUTION_BIAS), default=True):
        tensors += [
            divided_vector("conv1d.x.bias", Part.MIXER, inner, merged="conv1d.bias"),
            Tensor(
                "conv1d.bc.bias", Part.MIXER, (grouped,), Split.KV_HEADS, merged="conv1d.bias",
                heads=groups,
            ),
        ]  # fmt: skip
    if config.flag(config.first_of(_PROJECTION_BIAS)):
        tensors.append(divided_vector("in_proj.bias", Part.MIXER, inner + convolved + heads))
        tensors.append(vector("out_proj.bias", Part.MIXER, hidden))
    return tuple(tensors), StateCache(inner * state, convolved * (kernel - 1))


def _head_dim(config: Config, hidden: int, heads: int) -> int:
    """Elements of a head: the key, or expand * hidden size over heads where it is `auto`."""
    key = config.first_of(_HEAD_DIM)
    expanded = config.integer("mamba_expand", most=1024, default=2) * hidden
    if config.is_text(key, "auto") or not config.has(key):
        if expanded % heads:
            raise config.error(key, f"is missing, and {heads} heads do not divide {expanded}")
        return expanded // heads
    return config.integer(key)
