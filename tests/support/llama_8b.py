"""Llama 3.1 8B as its `config.json` has it, and the example row of the batch interface."""

from collections.abc import Mapping
from typing import Any

CONFIG: Mapping[str, Any] = {
    "model_type": "llama",
    "hidden_size": 4096,
    "intermediate_size": 14336,
    "num_hidden_layers": 32,
    "num_attention_heads": 32,
    "num_key_value_heads": 8,
    "vocab_size": 128256,
    "tie_word_embeddings": False,
    "max_position_embeddings": 131072,
}
"""The keys that memory follows from."""
ROW: Mapping[str, Any] = {
    "id": "a",
    "engine": "vllm",
    "engine_version": "0.19.0",
    "model": "meta-llama/Llama-3.1-8B-Instruct",
    "config": CONFIG,
    "quantization": "none",
    "dtype": "bf16",
    "kv_cache_dtype": "auto",
    "gpu": {"product": "NVIDIA-H100-80GB-HBM3", "memory_mib": 81559},
    "tensor_parallel_size": 1,
    "pipeline_parallel_size": 1,
    "gpu_memory_utilization": 0.95,
    "max_model_len": 8192,
    "max_num_batched_tokens": 8192,
    "max_num_seqs": 1024,
    "enforce_eager": False,
    "available_kv_cache_bytes": None,
}
"""Memory model, section 13: every field is present."""
