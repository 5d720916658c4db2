"""The plan: what one replica needs and where it runs. Written to the status and to revisions."""

from enum import StrEnum
from typing import Annotated, Final

from pydantic import Field

from llama_operator.api.enums import CacheKind
from llama_operator.api.model import ApiModel

Count = Annotated[int, Field(ge=0, le=2**31 - 1)]
ByteCount = Annotated[int, Field(ge=0, le=2**53 - 1)]
REASON_LIMIT: Final = 512
"""Characters of one reason."""
REASONS_LIMIT: Final = 24
ShortText = Annotated[str, Field(max_length=253)]


class CudaGraphs(StrEnum):
    """Whether the engine captures CUDA graphs."""

    ENABLED = "Enabled"
    DISABLED = "Disabled"


class MemoryPerGpu(ApiModel):
    """Where each byte of one GPU goes. All values are bytes on the fullest GPU of a replica.

    `budget = weights + draftWeights + adapters + activation + nonTorch + cudaGraphs + kvCache`;
    engines that capture graphs outside their budget hold them in `headroom`.
    """

    total_bytes: ByteCount = Field(
        description="Memory that a process sees on this GPU, in bytes, e.g. 84975550464."
    )
    budget_bytes: ByteCount = Field(
        description="Share of the total that the engine may use, in bytes, e.g. 78177506426."
    )
    weights_bytes: ByteCount = Field(description="Weights on one GPU, in bytes, e.g. 39901470720.")
    adapter_bytes: ByteCount | None = Field(
        default=None,
        description="LoRA adapters on one GPU, in bytes, e.g. 83886080; absent without any.",
    )
    activation_bytes: ByteCount = Field(
        description="Peak of the activations above the weights, in bytes, e.g. 592445440."
    )
    non_torch_bytes: ByteCount = Field(
        description="Memory outside the tensor allocator (context, NCCL), in bytes, e.g. 268435456."
    )
    cuda_graph_bytes: ByteCount = Field(
        description="CUDA graphs, in bytes, e.g. 1994000000; 0 when they are off."
    )
    kv_cache_bytes: ByteCount = Field(
        description="KV-cache pool on one GPU, in bytes, e.g. 35400000000."
    )
    draft_weights_bytes: ByteCount | None = Field(
        default=None,
        description="Weights of the draft model on one GPU, in bytes, e.g. 617914368; absent "
        "without one. What it keeps of requests is part of kvCacheBytes.",
    )
    headroom_bytes: ByteCount = Field(
        description="What the engine leaves free, in bytes, e.g. 6798044038."
    )


class NodeLabel(ApiModel):
    """A label of a node, with its value."""

    label: ShortText = Field(description="Key, e.g. cloud.google.com/gke-accelerator.")
    value: ShortText = Field(description="Value, e.g. nvidia-l4.")


class NodeSelector(ApiModel):
    """One way to tell nodes with the GPUs: all of it must hold."""

    product: ShortText = Field(description="Product of these nodes, e.g. NVIDIA-L4.")
    labels: list[NodeLabel] = Field(
        description="Labels that a node has, e.g. cloud.google.com/gke-accelerator nvidia-l4.",
        max_length=4,
    )
    absent_labels: list[ShortText] = Field(
        default_factory=list,
        description="Labels that a node does not have, e.g. "
        "cloud.google.com/gke-gpu-partition-size.",
        max_length=4,
    )


class GpuChoice(ApiModel):
    """The GPUs of one replica."""

    product: ShortText = Field(
        description="Chosen product as the node label gives it, e.g. NVIDIA-A100-SXM4-80GB."
    )
    count: Count = Field(
        description="GPUs of one replica, or of each of its nodes where it takes several, e.g. 4."
    )
    resource: ShortText = Field(description="Extended resource to request, e.g. nvidia.com/gpu.")
    label: ShortText = Field(
        description="Node label that carries the product, e.g. nvidia.com/gpu.product."
    )
    accepted_products: list[ShortText] = Field(
        description="Products on which this very plan fits, sorted; pods require one of them, "
        "e.g. NVIDIA-A100-SXM4-80GB.",
        max_length=32,
    )
    node_selectors: list[NodeSelector] | None = Field(
        default=None,
        description="Nodes that have an accepted product, each in one of these ways, where labels "
        "of a cloud tell it; absent where the value of the label is the product, e.g. labels "
        "cloud.google.com/gke-accelerator nvidia-l4.",
        max_length=16,
    )


class HostResources(ApiModel):
    """What a pod asks of its node besides GPUs."""

    cpu_millicores: Count = Field(description="CPU request in thousandths of a core, e.g. 3000.")
    memory_bytes: ByteCount = Field(
        description="Memory request and limit in bytes, /dev/shm included, e.g. 13958643712."
    )
    shm_bytes: ByteCount = Field(description="Size of /dev/shm in bytes, e.g. 1073741824.")
    disk_bytes: ByteCount = Field(
        description="Ephemeral storage, in bytes, e.g. 43904000000: the downloaded model, unless a "
        "cache holds it."
    )


class ModelCache(ApiModel):
    """The volume that holds the model."""

    kind: CacheKind = Field(description="Kind of the volume, e.g. Claim.")
    model_bytes: ByteCount = Field(
        description="Room that the model takes on it, in bytes, e.g. 43904000000."
    )


class DraftModel(ApiModel):
    """The model that drafts tokens."""

    model: ShortText = Field(description="Catalog name, e.g. llama-3.2-instruct.")
    size: ShortText = Field(description="Size, e.g. 1b.")
    format: ShortText = Field(description="Format, e.g. pytorch.")
    quantization: ShortText = Field(description="Resolved quantization, e.g. none.")
    repository: ShortText = Field(
        description="Repository on the plan's hub, e.g. meta-llama/Llama-3.2-1B-Instruct."
    )
    file: Annotated[str, Field(max_length=253)] = Field(
        default="",
        description="File of the repository, the first part of a split one, "
        "e.g. Llama-3.2-1B-Instruct-Q4_K_M.gguf; empty when all of it is loaded.",
    )
    gated: bool = Field(description="Whether the repository asks for a token, e.g. true.")


class Plan(ApiModel):
    """One replica, planned: model, engine, GPUs, context and where each byte goes."""

    model: ShortText = Field(description="Catalog name, e.g. llama-3.1-instruct.")
    size: ShortText = Field(description="Size, e.g. 70b.")
    format: ShortText = Field(description="Resolved format, e.g. awq.")
    quantization: ShortText = Field(description="Resolved quantization, e.g. Int4.")
    scheme: ShortText = Field(description="Memory scheme of the weights, e.g. awq-int4-g128.")
    hub: ShortText = Field(description="Hub that serves the files, e.g. HuggingFace.")
    repository: ShortText = Field(
        description="Repository, e.g. hugging-quants/Meta-Llama-3.1-70B-Instruct-AWQ-INT4."
    )
    file: Annotated[str, Field(max_length=253)] = Field(
        default="",
        description="File of the repository, the first part of a split one, "
        "e.g. Meta-Llama-3.1-8B-Instruct-Q4_K_M.gguf; empty when all of it is loaded.",
    )
    quantize_at_load: bool = Field(
        default=False,
        description="Whether the engine quantizes 16-bit weights while it loads, e.g. false.",
    )
    gated: bool = Field(description="Whether the repository asks for a token, e.g. false.")
    engine: ShortText = Field(description="Engine, e.g. vLLM.")
    engine_version: ShortText = Field(description="Version whose rules were used, e.g. 0.33.0.")
    image: Annotated[str, Field(max_length=512)] = Field(
        description="Container image, e.g. vllm/vllm-openai:v0.33.0."
    )
    gpus: ShortText = Field(
        description="GPUs of one replica for people, e.g. 1x NVIDIA-A100-SXM4-80GB."
    )
    gpu: GpuChoice = Field(
        description="GPUs of one replica, e.g. product NVIDIA-A100-SXM4-80GB, count 1."
    )
    nodes: Count | None = Field(
        default=None, description="Nodes of one replica where it takes several, e.g. 2."
    )
    usd_per_hour: ShortText | None = Field(
        default=None,
        description="Price of the GPUs of one replica for an hour, in US dollars, e.g. 27.52; "
        "absent where the catalog has none.",
    )
    tensor_parallel_size: Count = Field(description="GPUs that one layer is split over, e.g. 4.")
    gpu_layers: Count | None = Field(
        default=None,
        description="Layers on GPUs where some are left to the CPU, e.g. 40.",
    )
    pipeline_parallel_size: Count = Field(description="Stages the layers are split over, e.g. 1.")
    dtype: ShortText = Field(description="Compute dtype, e.g. bfloat16.")
    kv_cache_dtype: ShortText = Field(description="KV-cache dtype as the engine's flag, e.g. auto.")
    tool_call_parser: ShortText = Field(
        default="",
        description="Parser of tool calls as the engine names it, e.g. llama3_json; "
        "empty when the model calls no tools.",
    )
    max_model_len: Count = Field(description="Longest request in tokens, e.g. 32768.")
    concurrency: Count = Field(
        description="Requests of the longest length that one replica was asked to hold, e.g. 2."
    )
    max_num_seqs: Count = Field(description="Sequences that run at the same time, e.g. 256.")
    max_num_batched_tokens: Count = Field(description="Tokens of one step, e.g. 2048.")
    cuda_graphs: CudaGraphs = Field(description="Whether CUDA graphs are captured, e.g. Enabled.")
    utilization_percent: Count = Field(
        description="Share of the GPU's memory that the engine may use, in percent, e.g. 92."
    )
    kv_cache_tokens: Annotated[int, Field(ge=0, le=2**53 - 1)] = Field(
        description="Tokens that the KV cache holds, e.g. 108000."
    )
    max_concurrency: Count = Field(
        description="Requests of the longest length that fit at once, rounded down, e.g. 3."
    )
    memory_per_gpu: MemoryPerGpu = Field(
        description="Where each byte of one GPU goes, e.g. weightsBytes 39901470720."
    )
    host: HostResources = Field(
        description="What a pod asks of its node besides GPUs, e.g. cpuMillicores 3000."
    )
    cache: ModelCache | None = Field(
        default=None,
        description="Volume that holds the model, e.g. kind Claim; absent when each pod downloads "
        "it.",
    )
    draft: DraftModel | None = Field(
        default=None,
        description="Model that drafts tokens, e.g. size 1b; absent without one.",
    )
    startup_seconds: Count = Field(
        description="Time that a replica may take to start, in seconds, e.g. 1800."
    )
    summary: Annotated[str, Field(max_length=1024)] = Field(
        description="The plan in one sentence, e.g. 1x A100: weights 37.16 GiB, KV cache 33.0 GiB."
    )
    reasons: list[Annotated[str, Field(max_length=REASON_LIMIT)]] = Field(
        description="Why this engine, GPU, tensor parallel size and context, a sentence each, "
        "e.g. 1 GPU: the fewest that fit.",
        max_length=REASONS_LIMIT,
    )

    @property
    def cached(self) -> bool:
        """Whether a volume holds the model, so that pods download nothing."""
        return self.cache is not None

    @property
    def pods(self) -> int:
        """Pods of one replica, one for each of its nodes."""
        return self.nodes or 1

    @property
    def gpu_count(self) -> int:
        """GPUs of one replica on all its nodes."""
        return self.gpu.count * self.pods
