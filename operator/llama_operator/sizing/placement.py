"""One placement of a model on GPUs, and the bytes it takes there."""

from dataclasses import dataclass

from llama_operator.catalog.rows import Architecture, EngineVersion, Gpu, Scheme
from llama_operator.units import Bytes


@dataclass(frozen=True, slots=True)
class Placement:
    """A model, a scheme, a GPU, an engine version and the engine's settings.

    `dtype_bytes`: bytes of the compute dtype (2 for bf16 and fp16). `kv_cache_element_bytes`:
    2 for 16 bit, 1 for fp8. `total_bytes`: memory that a process sees on one GPU (from the node's
    label when known, else from the GPU's row).
    """

    architecture: Architecture
    scheme: Scheme
    gpu: Gpu
    total_bytes: Bytes
    engine: EngineVersion
    tensor_parallel_size: int
    pipeline_parallel_size: int
    utilization_percent: int
    max_num_seqs: int
    max_num_batched_tokens: int
    cuda_graphs: bool
    dtype_bytes: int = 2
    kv_cache_element_bytes: int = 2


@dataclass(frozen=True, slots=True)
class Footprint:
    """Bytes on the fullest GPU of one placement.

    `kv_cache_bytes` is what is left for the KV cache and may be negative. `kv_cache_tokens` is the
    number the engine prints, 0 if there is no room. `headroom_bytes` is what stays outside the
    budget and outside graphs that are captured outside it; may be negative.
    """

    weights_bytes: int
    activation_bytes: int
    non_torch_bytes: int
    cuda_graph_bytes: int
    budget_bytes: int
    kv_cache_bytes: int
    kv_cache_tokens: int
    headroom_bytes: int
