"""Configurations of the tests: files of tests/data/model-configs, and shapes of other models."""

import json
from pathlib import Path
from typing import Any, Final

FOLDER: Final = Path(__file__).resolve().parents[3] / "data" / "model-configs"
NAMES: Final = tuple(sorted(path.parent.name for path in FOLDER.glob("*/config.json")))


def config_of(name: str) -> dict[str, Any]:
    """The configuration of a folder."""
    loaded = json.loads((FOLDER / name / "config.json").read_text(encoding="utf-8"))
    assert isinstance(loaded, dict)
    return loaded


NEMOTRON_3_NANO: Final = {
    "model_type": "nemotron_h", "hidden_size": 2688, "vocab_size": 131072, "num_hidden_layers": 52,
    "hybrid_override_pattern": "MEMEM*EMEMEM*EMEMEM*EMEMEM*EMEMEM*EMEMEMEM*EMEMEMEME",
    "num_attention_heads": 32, "num_key_value_heads": 2, "head_dim": 128,
    "mamba_num_heads": 64, "mamba_head_dim": 64, "n_groups": 8, "ssm_state_size": 128,
    "conv_kernel": 4, "intermediate_size": 1856, "moe_intermediate_size": 1856,
    "moe_shared_expert_intermediate_size": 3712, "n_routed_experts": 128, "n_shared_experts": 1,
    "num_experts_per_tok": 6, "max_position_embeddings": 262144, "tie_word_embeddings": False,
}  # fmt: skip
NEMOTRON_NANO_9B_V2: Final = {
    "model_type": "nemotron_h", "hidden_size": 4480, "intermediate_size": 15680,
    "vocab_size": 131072, "num_hidden_layers": 56,
    "hybrid_override_pattern": "M-M-M-MM-M-M-M*-M-M-M*-M-M-M-M*-M-M-M-M*-M-MM-M-M-M-M-M-",
    "num_attention_heads": 40, "num_key_value_heads": 8, "head_dim": 128, "mamba_num_heads": 128,
    "mamba_head_dim": 80, "n_groups": 8, "ssm_state_size": 128, "conv_kernel": 4,
    "max_position_embeddings": 131072,
}  # fmt: skip
GRANITE_4_H_SMALL: Final = {
    "model_type": "granitemoehybrid", "hidden_size": 4096, "intermediate_size": 768,
    "shared_intermediate_size": 1536, "num_hidden_layers": 40, "num_attention_heads": 32,
    "num_key_value_heads": 8, "vocab_size": 100352, "tie_word_embeddings": True,
    "num_local_experts": 72, "num_experts_per_tok": 10, "mamba_n_heads": 128, "mamba_d_head": 64,
    "mamba_n_groups": 1, "mamba_d_state": 128, "mamba_d_conv": 4, "mamba_expand": 2,
    "mamba_conv_bias": True, "mamba_proj_bias": False, "position_embedding_type": "nope",
    "max_position_embeddings": 131072,
    "layer_types": ["attention" if i in (5, 15, 25, 35) else "mamba" for i in range(40)],
}  # fmt: skip
GRANITE_4_MICRO: Final = {
    "model_type": "granitemoehybrid", "hidden_size": 2560, "intermediate_size": 8192,
    "shared_intermediate_size": 8192, "num_hidden_layers": 40, "num_attention_heads": 40,
    "num_key_value_heads": 8, "vocab_size": 100352, "tie_word_embeddings": True,
    "num_local_experts": 0, "num_experts_per_tok": 0, "position_embedding_type": "rope",
    "max_position_embeddings": 131072, "layer_types": ["attention"] * 40,
}  # fmt: skip
BAMBA: Final = {
    "model_type": "bamba", "hidden_size": 4096, "intermediate_size": 14336,
    "num_hidden_layers": 32, "num_attention_heads": 32, "num_key_value_heads": 8,
    "vocab_size": 128256, "attn_layer_indices": [9, 18, 27], "mamba_n_heads": 128,
    "mamba_d_head": "auto", "mamba_n_groups": 1, "mamba_d_state": 128, "mamba_d_conv": 4,
    "mamba_expand": 2, "max_position_embeddings": 262144, "attn_rotary_emb": 64,
}  # fmt: skip
QWEN3_NEXT: Final = {
    "model_type": "qwen3_next", "hidden_size": 2048, "intermediate_size": 5120,
    "num_hidden_layers": 48, "num_attention_heads": 16, "num_key_value_heads": 2, "head_dim": 256,
    "vocab_size": 151936, "tie_word_embeddings": False, "max_position_embeddings": 262144,
    "num_experts": 512, "num_experts_per_tok": 10, "moe_intermediate_size": 512,
    "shared_expert_intermediate_size": 512, "decoder_sparse_step": 1, "mlp_only_layers": [],
    "full_attention_interval": 4, "linear_num_key_heads": 16, "linear_num_value_heads": 32,
    "linear_key_head_dim": 128, "linear_value_head_dim": 128, "linear_conv_kernel_dim": 4,
    "partial_rotary_factor": 0.25,
}  # fmt: skip
QWEN3_8_27B: Final = {
    "model_type": "qwen3_5", "tie_word_embeddings": False,
    "text_config": {
        "model_type": "qwen3_5_text", "hidden_size": 5120, "intermediate_size": 17408,
        "num_hidden_layers": 64, "num_attention_heads": 24, "num_key_value_heads": 4,
        "head_dim": 256, "vocab_size": 248320, "max_position_embeddings": 262144,
        "full_attention_interval": 4, "linear_num_key_heads": 16, "linear_num_value_heads": 48,
        "linear_key_head_dim": 128, "linear_value_head_dim": 128, "linear_conv_kernel_dim": 4,
        "mtp_num_hidden_layers": 1, "attn_output_gate": True,
        "rope_parameters": {
            "rope_type": "default", "rope_theta": 10000000, "partial_rotary_factor": 0.25,
            "mrope_section": [11, 11, 10],
        },
    },
    "vision_config": {
        "model_type": "qwen3_5", "depth": 27, "hidden_size": 1152, "intermediate_size": 4304,
        "num_heads": 16, "patch_size": 16, "temporal_patch_size": 2, "spatial_merge_size": 2,
        "out_hidden_size": 5120, "num_position_embeddings": 2304,
    },
}  # fmt: skip
_QWEN2_VL_TEXT: Final = {
    "hidden_size": 3584, "intermediate_size": 18944, "num_hidden_layers": 28,
    "num_attention_heads": 28, "num_key_value_heads": 4, "vocab_size": 152064,
    "max_position_embeddings": 32768, "tie_word_embeddings": False,
    "rope_scaling": {"type": "mrope", "mrope_section": [16, 24, 24]},
}  # fmt: skip
QWEN2_VL_7B: Final = {
    **_QWEN2_VL_TEXT, "model_type": "qwen2_vl",
    "vision_config": {
        "model_type": "qwen2_vl", "depth": 32, "embed_dim": 1280, "mlp_ratio": 4,
        "hidden_size": 3584, "patch_size": 14, "spatial_merge_size": 2, "temporal_patch_size": 2,
    },
}  # fmt: skip
QWEN2_5_VL_7B: Final = {
    **_QWEN2_VL_TEXT, "model_type": "qwen2_5_vl",
    "vision_config": {
        "model_type": "qwen2_5_vl", "depth": 32, "hidden_size": 1280, "intermediate_size": 3420,
        "out_hidden_size": 3584, "patch_size": 14, "spatial_merge_size": 2,
        "temporal_patch_size": 2,
    },
}  # fmt: skip
LLAMA_GUARD_4: Final = {
    "model_type": "llama4",
    "text_config": {
        "model_type": "llama4_text", "hidden_size": 5120, "intermediate_size": 8192,
        "intermediate_size_mlp": 8192, "num_hidden_layers": 48, "num_attention_heads": 40,
        "num_key_value_heads": 8, "head_dim": 128, "vocab_size": 202048, "moe_layers": [],
        "num_local_experts": 16, "num_experts_per_tok": 1, "max_position_embeddings": 131072,
        "attention_chunk_size": 8192, "no_rope_layers": [1, 1, 1, 0] * 12,
    },
    "vision_config": {
        "model_type": "llama4_vision_model", "hidden_size": 1408, "intermediate_size": 5632,
        "num_hidden_layers": 34, "image_size": 336, "patch_size": 14, "vision_output_dim": 4096,
        "projector_input_dim": 4096, "projector_output_dim": 4096,
    },
}  # fmt: skip
GLM_4_5_AIR: Final = {
    "model_type": "glm4_moe", "hidden_size": 4096, "intermediate_size": 10944,
    "num_hidden_layers": 46, "num_attention_heads": 96, "num_key_value_heads": 8, "head_dim": 128,
    "vocab_size": 151552, "attention_bias": True, "use_qk_norm": False, "n_routed_experts": 128,
    "n_shared_experts": 1, "num_experts_per_tok": 8, "moe_intermediate_size": 1408,
    "first_k_dense_replace": 1, "num_nextn_predict_layers": 1, "max_position_embeddings": 131072,
    "partial_rotary_factor": 0.5, "tie_word_embeddings": False,
}  # fmt: skip
PHI_3_MINI: Final = {
    "model_type": "phi3", "hidden_size": 3072, "intermediate_size": 8192, "num_hidden_layers": 32,
    "num_attention_heads": 32, "num_key_value_heads": 32, "vocab_size": 32064,
    "max_position_embeddings": 4096, "sliding_window": 2047, "tie_word_embeddings": False,
}  # fmt: skip
PHI_3_5_MINI: Final = {
    **PHI_3_MINI, "max_position_embeddings": 131072, "original_max_position_embeddings": 4096,
    "sliding_window": 262144, "rope_scaling": {"type": "longrope", "long_factor": [1.0]},
}  # fmt: skip
OLMO_2_7B: Final = {
    "model_type": "olmo2", "hidden_size": 4096, "intermediate_size": 11008,
    "num_hidden_layers": 32, "num_attention_heads": 32, "num_key_value_heads": 32,
    "vocab_size": 100352, "max_position_embeddings": 4096, "tie_word_embeddings": False,
}  # fmt: skip
SMOLLM3: Final = {
    "model_type": "smollm3", "hidden_size": 2048, "intermediate_size": 11008,
    "num_hidden_layers": 36, "num_attention_heads": 16, "num_key_value_heads": 4,
    "vocab_size": 128256, "max_position_embeddings": 65536,
}  # fmt: skip
JAMBA: Final = {
    "model_type": "jamba", "hidden_size": 4096, "intermediate_size": 14336,
    "num_hidden_layers": 32, "num_attention_heads": 32, "num_key_value_heads": 8,
    "vocab_size": 65536, "attn_layer_period": 8, "attn_layer_offset": 4, "expert_layer_period": 2,
    "expert_layer_offset": 1, "num_experts": 16, "num_experts_per_tok": 2, "mamba_d_state": 16,
    "mamba_d_conv": 4, "mamba_expand": 2, "mamba_dt_rank": 256, "max_position_embeddings": 262144,
}  # fmt: skip
