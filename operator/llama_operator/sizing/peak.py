"""Peak of the activations above the weights. Estimates, fitted to logs of vLLM."""

from dataclasses import dataclass
from functools import lru_cache
from typing import Final

from llama_operator.catalog.engine_memory import EngineMemory
from llama_operator.sizing.models.model import FeedForward, ModelShape, counted_layers
from llama_operator.sizing.models.tensors import Part
from llama_operator.sizing.shards import padded_vocabulary
from llama_operator.units import FLOAT32_BYTES, GIB

SAMPLER_BYTES: Final = 0.04 * GIB
"""Constant part of the sampler's peak."""
GATED_MATRICES: Final = 3
"""Gate, up and their product are alive at once in a gated feed-forward layer."""
UNGATED_MATRICES: Final = 2
POSITIONS: Final = "position_embedding"
"""First letters of the table of positions of a vision encoder, whose rows are patches."""
EARLY_STAGE_COPIES: Final = 2
"""Hidden states that a stage without lm_head holds for the next one."""


@dataclass(frozen=True, slots=True)
class Step:
    """One step of the engine as it is profiled.

    Attributes:
        tokens: `max_num_batched_tokens`.
        seqs: `max_num_seqs`, each counted with its drafted tokens.
        tensor_parallel_size: ranks that share feed-forward layers.
        dtype_bytes: bytes of the compute dtype.
        fused_experts: experts compute in their stored format (mxfp4) and need no room of their own.
    """

    tokens: int
    seqs: int
    tensor_parallel_size: int
    dtype_bytes: int
    fused_experts: bool = False


def activation_bytes(
    model: ModelShape,
    step: Step,
    engine: EngineMemory,
    *,
    first_layer: int = 0,
    layers: int | None = None,
    last_stage: bool = True,
) -> int:
    """Peak above the weights while the engine profiles one step; memory model, section 6.

    With `T` tokens, `S` sequences and `dt` bytes of the compute dtype:
    `max(alpha * S * ceil64(V) * 4 + T*h*dt + 0.04 GiB + moe, mlp)`, where
    `moe = T*k*dt * (max(2*mi/tp, h) + mi/tp)` and `mlp = T*dt * (g*i/tp + kh*h)`. A stage without
    lm_head holds `mlp + moe` and two more hidden states. Logits are fp32 whatever `dt` is. Factors
    `alpha` and `kh` are the engine version's.

    Args:
        model: its layers and vocabulary.
        step: what is profiled.
        engine: facts of the engine version.
        first_layer: of the stage.
        layers: of the stage; None for all from the first on.
        last_stage: whether the stage has lm_head and the sampler.
    """
    count = model.num_hidden_layers - first_layer if layers is None else layers
    experts, dense = _widths(model, first_layer, count, step.tensor_parallel_size)
    scale = step.tokens * step.dtype_bytes
    moe = 0.0 if step.fused_experts else scale * experts
    mlp = scale * (dense + engine.hidden_copies * model.hidden_size)
    hidden = scale * model.hidden_size
    if not last_stage:
        return int(mlp + moe + EARLY_STAGE_COPIES * hidden)
    logits = step.seqs * padded_vocabulary(model.vocab_size) * FLOAT32_BYTES
    sampler = engine.sampler_alpha * logits + hidden + SAMPLER_BYTES
    return int(max(sampler + moe, mlp))


@lru_cache(maxsize=1024)
def image_bound_bytes(model: ModelShape, dtype_bytes: int) -> int | None:
    """Upper bound of what one image takes in the vision encoder; memory model, section 6.

    `patches * width * dt * 2`, whatever `max_num_seqs` is: engines profile few images, or smaller
    ones. Patches are the rows of the table of positions, the width is that of the widest matrix.

    Args:
        model: its vision tensors.
        dtype_bytes: bytes of the compute dtype.

    Returns:
        Bytes; 0 without a vision encoder, None when positions are rotary, so that no tensor tells
        the largest image.
    """
    if not model.vision:
        return 0
    tensors = [tensor for tensor in model.vision if tensor.part is Part.VISION]
    patches = max(
        (tensor.shape[-2] for tensor in tensors if tensor.name.startswith(POSITIONS)), default=0
    )
    width = max((tensor.out_features for tensor in tensors if tensor.linear), default=0)
    if not patches or not width:
        return None
    return patches * width * dtype_bytes * 2


@lru_cache(maxsize=4096)
def _widths(
    model: ModelShape, first_layer: int, layers: int, tensor_parallel_size: int
) -> tuple[float, float]:
    """Elements of a token that the widest expert layer and the widest dense layer hold."""
    parts = {
        layer.feed_forward
        for layer, _ in counted_layers(model, first_layer, layers)
        if layer.feed_forward is not None
    }
    experts = max((_experts(part, model, tensor_parallel_size) for part in parts), default=0.0)
    dense = max((_dense(part, tensor_parallel_size) for part in parts), default=0.0)
    return experts, dense


def _experts(part: FeedForward, model: ModelShape, tensor_parallel_size: int) -> float:
    """`k * (max(2*mi/tp, h) + mi/tp)` of a layer, 0 without experts; memory model, section 6."""
    width = part.expert_width / tensor_parallel_size
    if not width:
        return 0.0
    return part.experts_per_token * (max(2 * width, model.hidden_size) + width)


def _dense(part: FeedForward, tensor_parallel_size: int) -> float:
    """`g*i/tp` of a layer, `g` 3 with a gate and 2 without; memory model, section 6."""
    matrices = GATED_MATRICES if part.gated else UNGATED_MATRICES
    return matrices * part.width / tensor_parallel_size
