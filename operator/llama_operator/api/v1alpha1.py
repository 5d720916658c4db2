"""LlamaDeployment v1alpha1: what a user writes. The CRD is generated from these models."""

import re
from typing import Annotated, Final

from pydantic import Field

from llama_operator.api.cache import CacheSpec
from llama_operator.api.cel import Rule, ruled
from llama_operator.api.enums import (
    MODEL_TOKENS_LIMIT,
    EngineType,
    Hub,
    KvCacheDType,
    ModelFormat,
)
from llama_operator.api.features import (
    AuthSpec,
    ChatTemplateSpec,
    PrefixCaching,
    SpeculativeSpec,
    TlsSpec,
)
from llama_operator.api.fields import (
    ATOMIC,
    EngineVersionName,
    EnvironmentName,
    GpuProduct,
    ImageReference,
    ModelName,
    ModelSize,
    ObjectName,
    PrintableText,
    QuantizationName,
    SecretKey,
    ServedModelName,
    keyed_by,
)
from llama_operator.api.lora import LoraSpec
from llama_operator.api.model import ApiModel
from llama_operator.api.plan import CudaGraphs
from llama_operator.api.pod_template import PodTemplate

GROUP: Final = "llama-operator.io"
VERSION: Final = "v1alpha1"
API_VERSION: Final = f"{GROUP}/{VERSION}"
KIND: Final = "LlamaDeployment"
PLURAL: Final = "llamadeployments"
SHORT_NAME: Final = "llama"
CATEGORY: Final = "llm"

RESERVED_ENVIRONMENT: Final = (
    "HF_HOME",
    "HF_TOKEN",
    "HOME",
    "HUGGING_FACE_HUB_TOKEN",
    "LLAMA_CACHE",
    "MODELSCOPE_API_TOKEN",
    "USER",
    "TMPDIR",
    "VLLM_CACHE_ROOT",
    "VLLM_ENGINE_READY_TIMEOUT_S",
    "VLLM_PORT",
    "NVIDIA_VISIBLE_DEVICES",
)
"""Environment that the operator sets itself, or that would bypass the device plugin."""


ExtraArgument = Annotated[
    PrintableText,
    ruled(
        Rule(
            expression="!self.matches('^-[A-Za-z]')",
            message="write the long form of the argument, which begins with two dashes",
            holds=lambda value: re.match("-[A-Za-z]", value) is None,
        )
    ),
]


class SecretKeyRef(ApiModel):
    """A key of a Secret in the namespace of the deployment. Mounted into pods, never read."""

    name: ObjectName = Field(description="Name of the Secret, e.g. hf-token.")
    key: SecretKey = Field(default="token", description="Key inside the Secret, e.g. token.")


class EnvironmentVariable(ApiModel):
    """One environment variable of the engine's container."""

    name: EnvironmentName = Field(description="Name, e.g. NCCL_DEBUG.")
    value: PrintableText = Field(default="", description="Value, e.g. WARN.")

    rules = (
        Rule(
            expression=f"!(self.name in {sorted(RESERVED_ENVIRONMENT)!r})",
            message=(
                "the operator sets this variable itself; remove it "
                "(for HF_TOKEN write spec.tokenSecretRef)"
            ),
            holds=lambda variable: variable.name not in RESERVED_ENVIRONMENT,
            field=".name",
        ),
    )


class EngineSpec(ApiModel):
    """The serving engine and what is handed to it unchanged."""

    type: EngineType = Field(
        default=EngineType.AUTO,
        description="Engine, e.g. vLLM. Auto takes the best one for format and GPU.",
    )
    version: EngineVersionName | None = Field(
        default=None,
        description="Version of the engine, one that the catalog knows, e.g. 0.33.0. "
        "Unset: the newest of them.",
    )
    image: ImageReference | None = Field(
        default=None,
        description="Container image instead of the engine's default, "
        "e.g. registry.example.com/vllm-openai:v0.33.0.",
    )
    extra_args: list[ExtraArgument] = Field(
        default=[],
        max_length=64,
        description="Arguments appended to the engine's command line, one word an item, none that "
        "the plan decides, e.g. --seed=7, or --seed and 7 for LlamaCpp.",
    )
    env: Annotated[list[EnvironmentVariable], keyed_by("name")] = Field(
        default=[],
        max_length=64,
        description="Environment of the engine's container, e.g. NCCL_DEBUG=WARN.",
    )


class ContextSpec(ApiModel):
    """How long requests may be and how many of the longest one replica must hold."""

    max_model_len: Annotated[int, Field(ge=16, le=MODEL_TOKENS_LIMIT)] | None = Field(
        default=None,
        description="Longest request (prompt and answer) in tokens, e.g. 32768. "
        "Unset: the longest that fits, up to the model's own.",
    )
    concurrency: Annotated[int, Field(ge=1, le=4096)] = Field(
        default=2,
        description="Requests of the longest length that one replica holds at once, e.g. 2.",
    )


class MemorySpec(ApiModel):
    """How the engine divides GPU memory. Everything unset is planned."""

    utilization_percent: Annotated[int, Field(ge=50, le=98)] | None = Field(
        default=None,
        description="Share of GPU memory that the engine may use, in percent, e.g. 90.",
    )
    kv_cache_d_type: KvCacheDType = Field(
        default=KvCacheDType.AUTO,
        alias="kvCacheDType",
        description="Data type of the KV cache, e.g. fp8, which doubles the tokens; q8_0 for "
        "llama.cpp. Auto keeps the model's own.",
    )
    gpu_layers: Annotated[int, Field(ge=1, le=1024)] | None = Field(
        default=None,
        description="Layers that llama.cpp keeps on GPUs, the output counted as one, e.g. 40; the "
        "CPU computes the others, slowly. Unset: all.",
    )
    max_num_seqs: Annotated[int, Field(ge=1, le=65536)] | None = Field(
        default=None,
        description="Sequences that run at the same time, e.g. 256. Unset: the engine's own.",
    )
    max_num_batched_tokens: Annotated[int, Field(ge=16, le=1_048_576)] | None = Field(
        default=None,
        description="Tokens of one engine step, e.g. 8192. Unset: the engine's own.",
    )
    cuda_graphs: CudaGraphs = Field(
        default=CudaGraphs.ENABLED,
        description="Whether CUDA graphs are captured, e.g. Disabled to save memory.",
    )
    prefix_caching: PrefixCaching = Field(
        default=PrefixCaching.AUTO,
        description="Whether the KV cache of a prompt's beginning serves later requests, "
        "e.g. Disabled. Auto is the engine's own choice.",
    )

    rules = (
        Rule(
            expression=(
                "!has(self.maxNumSeqs) || !has(self.maxNumBatchedTokens) || "
                "self.maxNumBatchedTokens >= self.maxNumSeqs"
            ),
            message="maxNumBatchedTokens must be at least maxNumSeqs: a step feeds every sequence "
            "one token",
            holds=lambda memory: (
                memory.max_num_seqs is None
                or memory.max_num_batched_tokens is None
                or memory.max_num_batched_tokens >= memory.max_num_seqs
            ),
            field=".maxNumBatchedTokens",
        ),
    )


class HardwareSpec(ApiModel):
    """One accepted kind of GPU. The list is in order of preference."""

    gpu: GpuProduct = Field(
        description="GPU product as the node label gives it, e.g. NVIDIA-A100-SXM4-80GB."
    )
    count: Annotated[int, Field(ge=1, le=16)] | None = Field(
        default=None,
        description="GPUs of one replica on each of its nodes, which is the tensor parallel size, "
        "e.g. 4. Unset: the fewest that fit.",
    )
    nodes: Annotated[int, Field(ge=1, le=16)] | None = Field(
        default=None,
        description="Nodes of one replica, which is the pipeline parallel size, e.g. 2. Several "
        "need LeaderWorkerSet in the cluster. Unset: one; without count as few as fit.",
    )

    rules = (
        Rule(
            expression="!has(self.count) || self.count in [1, 2, 4, 8, 16]",
            message="count must be 1, 2, 4, 8 or 16: attention heads are divided evenly",
            holds=lambda hardware: hardware.count in (None, 1, 2, 4, 8, 16),
            field=".count",
        ),
    )


class LlamaDeploymentSpec(ApiModel):
    """What to serve, e.g. size 70b and format awq. Only `size` has no default."""

    model: ModelName = Field(
        default="llama-3.1-instruct",
        description="Name of a model in the catalog, e.g. llama-3.1-instruct.",
    )
    size: ModelSize | None = Field(
        default=None,
        description="Size of the model, e.g. 70b. Required with a catalog model.",
    )
    format: ModelFormat = Field(
        default=ModelFormat.AUTO,
        description="Format of the weights, e.g. awq. Auto takes the best published one for the "
        "GPUs of the cluster; set it in production.",
    )
    quantization: QuantizationName | None = Field(
        default=None,
        description="Quantization as the catalog spells it, e.g. Int4; case does not matter. "
        "Unset: the format's only or recommended one.",
    )
    hub: Hub = Field(
        default=Hub.HUGGING_FACE,
        description="Hub that serves the files, e.g. ModelScope.",
    )
    token_secret_ref: SecretKeyRef | None = Field(
        default=None,
        description="Secret with the hub token for gated models, e.g. name hf-token, key token.",
    )
    engine: EngineSpec = Field(default=EngineSpec(), description="Serving engine, e.g. type vLLM.")
    context: ContextSpec = Field(
        default=ContextSpec(), description="Length and number of requests, e.g. maxModelLen 32768."
    )
    memory: MemorySpec = Field(
        default=MemorySpec(), description="Division of GPU memory, e.g. utilizationPercent 90."
    )
    hardware: list[HardwareSpec] = Field(
        default=[],
        max_length=8,
        description="Accepted GPUs in order of preference, e.g. gpu NVIDIA-L40S. "
        "Empty: any GPU of the cluster.",
    )
    cache: CacheSpec | None = Field(
        default=None,
        description="Volume that holds the model, e.g. claim {}. Unset: each pod downloads it.",
        json_schema_extra=ATOMIC,
    )
    served_model_names: list[ServedModelName] = Field(
        default=[],
        max_length=16,
        description="Names that clients send as `model`, e.g. llama-70b. "
        "Empty: the name of the deployment.",
    )
    auth: AuthSpec | None = Field(
        default=None,
        description="Who may ask, e.g. apiKeySecretRef with name llama-key. Absent: everybody.",
    )
    tls: TlsSpec | None = Field(
        default=None,
        description="HTTPS instead of HTTP, e.g. secretName llama-tls. Absent: HTTP.",
    )
    chat_template: ChatTemplateSpec | None = Field(
        default=None,
        description="Chat template, e.g. configMapKeyRef with name chat-templates. "
        "Absent: the model's own.",
    )
    template: PodTemplate = Field(
        default=PodTemplate(),
        description="Labels, annotations and fields of the pods, e.g. spec.runtimeClassName "
        "nvidia.",
    )
    speculative: SpeculativeSpec | None = Field(
        default=None,
        description="Speculative decoding, e.g. ngram with numTokens 4. Absent: none.",
        json_schema_extra=ATOMIC,
    )
    lora: LoraSpec | None = Field(
        default=None,
        description="LoRA adapters beside the model, e.g. adapters with name sql. Absent: none.",
    )
    replicas: Annotated[int, Field(ge=0, le=1000)] = Field(
        default=1, description="Serving copies of the model, e.g. 2."
    )
    suspend: bool = Field(
        default=False,
        description="Stop serving and release the GPUs, keeping the plan, e.g. true.",
    )

    rules = (
        Rule(
            expression="has(self.size)",
            message="size is required with a catalog model; write for example size: 70b",
            holds=lambda spec: spec.size is not None,
            field=".size",
        ),
        Rule(
            expression="!has(self.quantization) || self.format != 'Auto'",
            message="quantization needs a format beside it; write for example format: awq",
            holds=lambda spec: spec.quantization is None or spec.format != ModelFormat.AUTO,
            field=".quantization",
        ),
        Rule(
            expression=(
                "!has(self.lora) || !has(self.servedModelNames) || self.lora.adapters"
                ".all(adapter, !(adapter.name in self.servedModelNames))"
            ),
            message="the name of an adapter must differ from servedModelNames, which are the "
            "model's own",
            holds=lambda spec: (
                spec.lora is None
                or all(one.name not in spec.served_model_names for one in spec.lora.adapters)
            ),
            field=".lora.adapters",
        ),
    )
