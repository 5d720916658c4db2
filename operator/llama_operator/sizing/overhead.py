"""Memory beside tensors: contexts, communication buffers and CUDA graphs. Estimates."""

from typing import Final

from llama_operator.sizing.placement import Placement
from llama_operator.sizing.sharding import stage_layers
from llama_operator.sizing.versions import version_numbers
from llama_operator.units import GIB

LARGER_CONTEXT_SINCE: Final = (0, 18)
"""vLLM version from which context and NCCL took more."""
GRAPHS_INSIDE_SINCE: Final = (0, 21)
NON_TORCH_GIB: Final = {1: 0.25, 2: 2.08}
"""By tensor parallel size; `NON_TORCH_GIB_MANY` from 4 on. H100 with NVLink."""
NON_TORCH_GIB_MANY: Final = 2.15
NON_TORCH_GIB_BEFORE: Final = {1: 0.13}
NON_TORCH_GIB_MANY_BEFORE: Final = 0.55
NON_TORCH_GIB_STAGE: Final = 0.07
"""One GPU a stage, several stages."""
NON_TORCH_GIB_WITHOUT_NVLINK: Final = 0.30
"""One PCIe GPU: 0.30 to 0.35 GiB were seen, the smaller of them in the worked figures."""

GRAPHS_GIB: Final = 0.66
GRAPHS_GIB_PER_LAYER_WIDTH: Final = 0.186e-5
"""GiB per layer and element of the hidden state."""
GRAPHS_GIB_LESS_IN_PARALLEL: Final = 0.21


def non_torch_bytes(placement: Placement) -> int:
    """Growth of memory outside the tensor allocator from start to the end of profiling.

    Memory model, section 6: CUDA context, NCCL and cuBLAS workspaces by tensor parallel size. The
    figure of PCIe GPUs is taken for the versions from 0.21 on; the worked examples for older ones
    use NVLink's for all.
    """
    size = placement.tensor_parallel_size
    version = version_numbers(placement.engine.version)
    if size == 1 and placement.pipeline_parallel_size > 1:
        gib = NON_TORCH_GIB_STAGE
    elif version < LARGER_CONTEXT_SINCE:
        gib = NON_TORCH_GIB_BEFORE.get(size, NON_TORCH_GIB_MANY_BEFORE)
    elif size == 1 and version >= GRAPHS_INSIDE_SINCE and placement.gpu.nvlink_gb_per_second == 0:
        gib = NON_TORCH_GIB_WITHOUT_NVLINK
    else:
        gib = NON_TORCH_GIB.get(size, NON_TORCH_GIB_MANY)
    return int(gib * GIB)


def cuda_graph_bytes(placement: Placement) -> int:
    """CUDA graphs of the default capture sizes (51 sizes up to 512); 0 when they are off.

    `0.66 + 0.186 * layers * h / 1e5 - 0.21 * (tp > 1)` GiB; memory model, section 6.
    """
    if not placement.cuda_graphs:
        return 0
    architecture = placement.architecture
    layers = max(stage_layers(architecture.num_hidden_layers, placement.pipeline_parallel_size))
    gib = GRAPHS_GIB + GRAPHS_GIB_PER_LAYER_WIDTH * layers * architecture.hidden_size
    if placement.tensor_parallel_size > 1:
        gib -= GRAPHS_GIB_LESS_IN_PARALLEL
    return int(gib * GIB)
