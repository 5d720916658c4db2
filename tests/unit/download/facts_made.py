"""Facts made by hand."""

from typing import Any

from llama_operator.download.facts import (
    DtypeTotal,
    GgufFacts,
    GgufHeader,
    GgufTensor,
    HubFile,
    ModelFacts,
    SafetensorsFacts,
)

LLAMA_8B_BYTES = 16_060_522_496
"""2 x 8,030,261,248 parameters, as the index of Llama 3.1 8B says."""


def safetensors_facts(tensor_bytes: int, index_bytes: int | None) -> SafetensorsFacts:
    total = DtypeTotal(tensors=291, elements=tensor_bytes // 2, size_bytes=tensor_bytes)
    return SafetensorsFacts(("model.safetensors",), index_bytes, {"BF16": total})


def gguf_facts(tensor_bytes: int) -> GgufFacts:
    header = GgufHeader(
        {"general.architecture": "llama", "llama.block_count": 32, "counts": [1, 2]},
        {"counts": 2, "tokenizer.ggml.tokens": 128_256},
        (GgufTensor("token_embd.weight", "Q4_K", (4096, 128_256), tensor_bytes),),
    )
    return GgufFacts("m-Q4_K_M", ("m-Q4_K_M.gguf",), tensor_bytes + 7_000_000, header)


def model_facts_made(**changes: Any) -> ModelFacts:
    values: dict[str, Any] = {
        "hub": "HuggingFace",
        "repository": "org/model",
        "revision": "main",
        "commit": "0" * 40,
        "gated": True,
        "private": False,
        "files": (HubFile("config.json", 2, "a" * 40), HubFile("a", None)),
        "config": {"model_type": "llama", "rope_scaling": None},
        "quantization_config": None,
        "safetensors": safetensors_facts(LLAMA_8B_BYTES, LLAMA_8B_BYTES),
        "gguf": (),
    }
    return ModelFacts(**(values | changes))
