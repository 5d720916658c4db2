"""Closed sets of values in a LlamaDeployment, for whoever needs none of its models."""

from enum import StrEnum
from typing import Final

MODEL_TOKENS_LIMIT: Final = 10_485_760
"""Longest context of any published model, in tokens."""


class ModelFormat(StrEnum):
    """Formats, in the words of the model catalogs."""

    AUTO = "Auto"
    PYTORCH = "pytorch"
    FP8 = "fp8"
    AWQ = "awq"
    GPTQ = "gptq"
    GGUF = "ggufv2"
    MLX = "mlx"


class DraftFormat(StrEnum):
    """Formats of a draft model, which nobody chooses for the user."""

    PYTORCH = "pytorch"
    FP8 = "fp8"
    AWQ = "awq"
    GPTQ = "gptq"
    GGUF = "ggufv2"
    MLX = "mlx"


class Hub(StrEnum):
    """Where model files come from."""

    HUGGING_FACE = "HuggingFace"
    MODEL_SCOPE = "ModelScope"


class CacheKind(StrEnum):
    """Kinds of volumes that hold a model."""

    CLAIM = "Claim"
    HOST_PATH = "HostPath"
    IMAGE = "Image"


class EngineType(StrEnum):
    """Serving engines."""

    AUTO = "Auto"
    VLLM = "vLLM"
    SGLANG = "SGLang"
    TGI = "TGI"
    LLAMA_CPP = "LlamaCpp"
    TRANSFORMERS = "Transformers"
    MLX = "MLX"


class KvCacheDType(StrEnum):
    """Data types of the KV cache."""

    AUTO = "Auto"
    FP8 = "fp8"
    Q8_0 = "q8_0"
