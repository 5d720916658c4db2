"""One way to serve a model, with every value that its memory follows from."""

from dataclasses import dataclass
from typing import Final

from llama_operator.catalog.gpus import MIG_MARK, SHARED_SUFFIX
from llama_operator.catalog.rows import Gpu, Scheme
from llama_operator.sizing.adapters import Adapters
from llama_operator.sizing.division import DIVIDE_LAYERS
from llama_operator.sizing.engine_budget import EngineRules, budget_bytes
from llama_operator.sizing.models.model import ModelShape

DTYPE_BYTES: Final = {"bf16": 2, "fp16": 2, "fp32": 4}
"""Bytes of an element by compute dtype."""
BFLOAT16_SINCE: Final = (8, 0)
"""Compute capability from which a GPU computes in bf16."""


@dataclass(frozen=True, slots=True)
class Draft:
    """A smaller model that drafts tokens, on the GPUs of the model that verifies them.

    Attributes:
        model: its shape.
        scheme: how its weights are stored.
    """

    model: ModelShape
    scheme: Scheme


@dataclass(frozen=True, slots=True)
class Setting:
    """A model, a scheme, an engine version, a GPU and the engine's settings, all known.

    Attributes:
        model: its shape.
        scheme: how its weights are stored.
        rules: of the engine version.
        gpu: its row; None when it is not known.
        product: as the node's label spells it, which tells MIG slices and shared cards.
        total_bytes: memory that a process sees on one GPU; 0 when it is not known.
        tensor_parallel_size: GPUs of one stage.
        pipeline_parallel_size: stages.
        utilization: share of a GPU that the engine may use (`gpu_memory_utilization`,
            `mem_fraction_static`).
        max_model_len: context of one request.
        max_num_batched_tokens: tokens of one step; llama.cpp's micro-batch.
        max_num_seqs: sequences of one step.
        enforce_eager: whether CUDA graphs are off.
        dtype: compute dtype, one of `DTYPE_BYTES`.
        kv_cache_dtype: `auto` for the compute dtype, or a name of `cache.KV_CACHE_DTYPES`.
        concurrency: requests of the whole context that must fit at once; engines start with one.
        gpu_layers: llama.cpp's `--n-gpu-layers`, the output included; None for all, 0 for none.
        stored_bytes: of all tensors of a GGUF file, where its header was read; None for those of
            the mix.
        expert_parallel: whether whole experts are divided over the GPUs of a stage.
        flash_attention: whether llama.cpp never holds attention scores whole.
        speculative_tokens: drafted for each sequence of a step, and verified beside its own.
        draft: the model that drafts them; None where none does.
        adapters: LoRA adapters beside the model; None for none.
    """

    model: ModelShape
    scheme: Scheme
    rules: EngineRules
    gpu: Gpu | None
    product: str
    total_bytes: int
    tensor_parallel_size: int
    pipeline_parallel_size: int
    utilization: float
    max_model_len: int
    max_num_batched_tokens: int
    max_num_seqs: int
    enforce_eager: bool
    dtype: str
    kv_cache_dtype: str
    concurrency: int = 1
    gpu_layers: int | None = None
    stored_bytes: int | None = None
    expert_parallel: bool = False
    flash_attention: bool = True
    speculative_tokens: int = 0
    draft: Draft | None = None
    adapters: Adapters | None = None

    @property
    def verified_tokens(self) -> int:
        """Tokens of a step whose logits are taken: one of each sequence, and its drafts.

        A step has `max_num_batched_tokens` at most.
        """
        drafted = self.max_num_seqs * (1 + self.speculative_tokens)
        return min(drafted, max(self.max_num_seqs, self.max_num_batched_tokens))

    @property
    def dtype_bytes(self) -> int:
        """Bytes of an element of the compute dtype."""
        return DTYPE_BYTES[self.dtype]

    @property
    def gpus(self) -> int:
        """GPUs of one replica."""
        return self.tensor_parallel_size * self.pipeline_parallel_size

    @property
    def divides_layers(self) -> bool:
        """Whether the engine puts whole layers on each GPU: llama.cpp, and `device_map="auto"`."""
        return self.rules.engine in DIVIDE_LAYERS

    @property
    def ranks(self) -> int:
        """GPUs that each layer is divided over."""
        return 1 if self.divides_layers else self.tensor_parallel_size

    @property
    def stages(self) -> int:
        """Groups of layers."""
        return self.gpus if self.divides_layers else self.pipeline_parallel_size

    @property
    def reserved_at_start_bytes(self) -> int:
        """What one idle GPU already holds when the engine starts; 0 when the GPU is not known."""
        return self.gpu.reserved_at_start_bytes if self.gpu else 0

    @property
    def nvlink(self) -> bool:
        """Whether GPUs are joined by NVLink, which is taken for granted of an unknown GPU."""
        return self.gpu is None or self.gpu.nvlink_gb_per_second > 0

    @property
    def budget_bytes(self) -> int:
        """What the engine divides of one GPU; `total_bytes` must be known."""
        return budget_bytes(
            self.rules, self.total_bytes, self.utilization, self.reserved_at_start_bytes
        )

    @property
    def is_partition(self) -> bool:
        """Whether the GPU is a MIG slice or shared with others, which excludes joining several."""
        return MIG_MARK in self.product or self.product.endswith(SHARED_SUFFIX)


def default_dtype(scheme: Scheme, compute_capability: tuple[int, int] | None) -> str:
    """The compute dtype of a checkpoint's own, but no bf16 on GPUs that lack it.

    Args:
        scheme: how weights are stored.
        compute_capability: of an NVIDIA GPU; None where it is not known or has none.
    """
    lacking = compute_capability is not None and compute_capability < BFLOAT16_SINCE
    return "bf16" if scheme.dtype == "bfloat16" and not lacking else "fp16"
