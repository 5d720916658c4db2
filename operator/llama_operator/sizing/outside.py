"""Memory beside tensors: contexts, communication buffers, CUDA graphs, llama.cpp's buffers."""

from functools import lru_cache
from typing import Final

from llama_operator.catalog.engine_memory import EngineMemory
from llama_operator.sizing.models.model import ModelShape
from llama_operator.units import FLOAT32_BYTES, GIB

GRAPHS_GIB: Final = 0.66
GRAPHS_GIB_PER_LAYER_WIDTH: Final = 0.186e-5
"""GiB per layer and element of the hidden state."""
GRAPHS_GIB_LESS_IN_PARALLEL: Final = 0.21
GRAPHS_GIB_OF_EXPERTS: Final = 0.72
GRAPHS: Final = 51
"""Capture sizes that the formula stands for: 1, 2, 4, then by 8 to 256, then by 16 to 512."""
LARGEST_CAPTURE: Final = 512
CAPTURES_PER_SEQUENCE: Final = 2
"""Capture sizes end at twice `max_num_seqs` (vLLM, `max_cudagraph_capture_size`)."""

FEED_FORWARD_COPIES: Final = 3
HIDDEN_COPIES: Final = 6
PIPELINE_COPIES: Final = 4
"""llama.cpp keeps up to so many copies of its compute buffer to overlap GPUs."""


def non_torch_bytes(
    engine: EngineMemory,
    *,
    tensor_parallel_size: int,
    pipeline_parallel_size: int = 1,
    nvlink: bool = True,
) -> int:
    """Growth of memory outside the tensor allocator from start to the end of profiling.

    CUDA context, NCCL and cuBLAS workspaces, by tensor parallel size and engine version; memory
    model, section 6.

    Args:
        engine: facts of the engine version.
        tensor_parallel_size: GPUs of one stage.
        pipeline_parallel_size: stages.
        nvlink: whether the GPU has NVLink.
    """
    if tensor_parallel_size > 2:
        gib = engine.non_torch_gib_many
    elif tensor_parallel_size == 2:
        gib = engine.non_torch_gib_two
    elif pipeline_parallel_size > 1:
        gib = engine.non_torch_gib_stage
    else:
        gib = engine.non_torch_gib_one if nvlink else engine.non_torch_gib_one_without_nvlink
    return int(gib * GIB)


def cuda_graph_bytes(
    model: ModelShape,
    *,
    layers: int,
    tensor_parallel_size: int,
    max_num_seqs: int,
    max_num_batched_tokens: int,
    sets: int = 1,
) -> int:
    """CUDA graphs of one stage. Estimate; memory model, section 6.

    `0.66 + 0.186 * layers * h / 1e5 - 0.21 * (tp > 1) + 0.72 * (experts)` GiB with the default
    capture sizes. Fewer sizes shrink the part that grows with the layers in proportion; the rest
    is kept, as no log tells how it shrinks.

    Args:
        model: its width and whether it has experts.
        layers: of the stage.
        tensor_parallel_size: GPUs of one stage.
        max_num_seqs: sequences of a step, which end the capture sizes.
        max_num_batched_tokens: tokens of a step, which end them too.
        sets: how often each size is captured.
    """
    share = sets * capture_sizes(max_num_seqs, max_num_batched_tokens) / GRAPHS
    gib = GRAPHS_GIB + GRAPHS_GIB_PER_LAYER_WIDTH * layers * model.hidden_size * share
    if tensor_parallel_size > 1:
        gib -= GRAPHS_GIB_LESS_IN_PARALLEL
    if _has_experts(model):
        gib += GRAPHS_GIB_OF_EXPERTS
    return int(gib * GIB)


def capture_sizes(max_num_seqs: int, max_num_batched_tokens: int) -> int:
    """Batch sizes that vLLM captures by default: 1, 2, 4, 8, 16 … 248, 256, 272 … 512.

    The largest is `min(2 * max_num_seqs, 512, max_num_batched_tokens)`. Source: vLLM
    config/vllm.py, `_set_cudagraph_sizes`.
    """
    largest = min(CAPTURES_PER_SEQUENCE * max_num_seqs, LARGEST_CAPTURE, max_num_batched_tokens)
    small = sum(size <= largest for size in (1, 2, 4))
    middle = len(range(8, min(largest, 255) + 1, 8))
    return small + middle + len(range(256, largest + 1, 16))


@lru_cache(maxsize=1024)
def _has_experts(model: ModelShape) -> bool:
    return model.has_experts()


def compute_buffer_bytes(
    model: ModelShape, *, ubatch: int, n_ctx: int, gpus: int = 1, flash_attention: bool = True
) -> int:
    """Upper bound of llama.cpp's compute buffer on one GPU; memory model, section 7.

    `ubatch * (V + 3*i + 6*h) * 4`, and `ubatch * n_ctx * H * 4` without flash attention; four
    times that when several GPUs work as a pipeline. A llama-server of b11434 reserves logits of one
    token for each slot (tools/server/server-context.cpp, `n_outputs_max`): seen running on a CPU,
    its buffer does not grow with V. V stays in the bound, as no GPU has been measured.

    Args:
        model: its vocabulary, widths and heads.
        ubatch: tokens of a micro-batch.
        n_ctx: context of all slots.
        gpus: over which layers are split.
        flash_attention: whether scores are never held whole.
    """
    width = max(
        (
            max(part.width, part.expert_width * part.experts_per_token)
            for layer in model.layers
            if (part := layer.feed_forward) is not None
        ),
        default=0,
    )
    elements = model.vocab_size + FEED_FORWARD_COPIES * width + HIDDEN_COPIES * model.hidden_size
    if not flash_attention:
        elements += n_ctx * model.attention_heads
    copies = PIPELINE_COPIES if gpus > 1 else 1
    return ubatch * elements * FLOAT32_BYTES * copies
