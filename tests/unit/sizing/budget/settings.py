"""Settings of published models on catalogued GPUs."""

from typing import Any

from llama_operator.catalog.catalog import Catalog
from llama_operator.sizing.models.model import ModelShape
from llama_operator.sizing.models.shape import model_shape
from llama_operator.sizing.serving import Serving
from llama_operator.sizing.settings import Setting
from llama_operator.units import GIB

CATALOG = Catalog.load()


def llama(hidden: int, width: int, layers: int, heads: int, kv_heads: int = 8) -> ModelShape:
    config: dict[str, Any] = {
        "model_type": "llama",
        "hidden_size": hidden,
        "intermediate_size": width,
        "num_hidden_layers": layers,
        "num_attention_heads": heads,
        "num_key_value_heads": kv_heads,
        "vocab_size": 128_256,
        "tie_word_embeddings": False,
        "max_position_embeddings": 131_072,
    }
    return model_shape(config)


LLAMA_8B = llama(4096, 14336, 32, 32)
LLAMA_70B = llama(8192, 28672, 80, 64)
LLAMA_405B = llama(16384, 53248, 126, 128)
LLAMA_405B_JULY_2024 = llama(16384, 53248, 126, 128, kv_heads=16)

H100 = "NVIDIA-H100-80GB-HBM3"
A100_80GB = "NVIDIA-A100-SXM4-80GB"
A100_40GB = "NVIDIA-A100-SXM4-40GB"
A10G = "NVIDIA-A10G"
L4 = "NVIDIA-L4"


def setting(
    model: ModelShape,
    scheme: str = "none",
    product: str = H100,
    *,
    tp: int = 1,
    pp: int = 1,
    engine: str = "vllm",
    version: str | None = "0.19.0",
    utilization: float | None = 0.9,
    total_gib: float | None = None,
    **values: Any,
) -> Setting:
    return Serving(
        model,
        CATALOG.scheme(scheme),
        engine=engine,
        engine_version=version,
        gpu=CATALOG.gpu(product),
        total_bytes=None if total_gib is None else int(total_gib * GIB),
        tensor_parallel_size=tp,
        pipeline_parallel_size=pp,
        utilization=utilization,
        **values,
    ).setting()
