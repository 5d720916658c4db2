"""Parameters counted with plain integers, from the published shapes: nothing of ours is used.

Each entry is the sum of the model's parts by the rules of section 2 of the memory model. The
numbers that are published stand beside them in test_parameters.py.
"""

from typing import Final


def llama(v: int, h: int, i: int, layers: int, q: int, kv: int, *, ends: int) -> int:
    """v*h once or twice, and per layer q, k, v, o, three matrices and two norms; a last norm."""
    return ends * v * h + layers * (2 * h * q + 2 * h * kv + 3 * h * i + 2 * h) + h


LLAMA_8B: Final = llama(128256, 4096, 14336, 32, 4096, 1024, ends=2)
LLAMA_70B: Final = llama(128256, 8192, 28672, 80, 8192, 1024, ends=2)
LLAMA_405B: Final = llama(128256, 16384, 53248, 126, 16384, 1024, ends=2)
LLAMA_405B_JULY_2024: Final = llama(128256, 16384, 53248, 126, 16384, 2048, ends=2)

SIGLIP_LAYER: Final = 4 * (1152**2 + 1152) + 2 * 1152 * 4304 + 4304 + 1152 + 4 * 1152
SIGLIP_896: Final = 3 * 14**2 * 1152 + 1152 + 64**2 * 1152 + 27 * SIGLIP_LAYER + 2 * 1152
SIGLIP_384: Final = 3 * 14**2 * 1152 + 1152 + 27**2 * 1152 + 27 * SIGLIP_LAYER + 2 * 1152


def gemma3(h: int, i: int, layers: int, q: int, kv: int, d: int) -> int:
    """Tied, four norms, norms of one head for q and k, SigLIP, a norm and a matrix."""
    layer = 2 * h * q + 2 * h * kv + 2 * d + 3 * h * i + 4 * h
    return 262208 * h + layers * layer + h + SIGLIP_896 + 1152 * h + 1152


def gemma2(h: int, i: int, layers: int, q: int, kv: int) -> int:
    """Tied, four norms."""
    return 256000 * h + layers * (2 * h * q + 2 * h * kv + 3 * h * i + 4 * h) + h


def qwen3_moe(h: int, layers: int, q: int, kv: int, mi: int) -> int:
    """Untied, 128 experts in each layer, norms of one head for q and k."""
    attention = 2 * h * q + 2 * h * kv + 2 * 128
    return 2 * 151936 * h + layers * (attention + 128 * 3 * h * mi + 128 * h + 2 * h) + h


def gpt_oss(layers: int, experts: int) -> int:
    """Biases of all projections, of experts and of the router; a sink for each of 64 heads."""
    h = 2880
    attention = 2 * h * 4096 + 2 * h * 512 + (64 + 2 * 8) * 64 + h + 64
    mixture = experts * (3 * h * h + 2 * h + h) + h * experts + experts
    return 2 * 201088 * h + layers * (attention + mixture + 2 * h) + h


def mla(h: int, heads: int, q: int) -> int:
    """c = 512, r = 64, n = v = 128; with or without a latent vector of queries."""
    queries = h * q + q * heads * 192 + q if q else h * heads * 192
    return h * (512 + 64) + 512 * heads * (128 + 128) + heads * 128 * h + 512 + queries


def deepseek(
    v: int, h: int, i: int, mi: int, layers: int, heads: int, q: int, *,
    dense: int, experts: int, shared: int, correction: bool,
) -> int:  # fmt: skip
    """The first layers dense, the others with experts."""
    mixture = experts * 3 * h * mi + h * experts + shared * 3 * h * mi
    mixture += experts if correction else 0
    per_layer = mla(h, heads, q) + 2 * h
    return 2 * v * h + layers * per_layer + dense * 3 * h * i + (layers - dense) * mixture + h


def mamba2(h: int, heads: int, d: int, groups: int, state: int) -> int:
    """One block without its layer norm, a convolution of 4 with bias."""
    inner, both = heads * d, 2 * groups * state
    convolution = 4 * (inner + both) + inner + both
    return h * (2 * inner + both + heads) + convolution + 3 * heads + inner + inner * h


def delta_net(h: int, key_heads: int, value_heads: int) -> int:
    """One layer without its norms, heads of 128, a convolution of 4 without bias."""
    keys, values = key_heads * 128, value_heads * 128
    projections = h * (2 * keys + 2 * values) + h * 2 * value_heads + values * h
    return projections + 4 * (2 * keys + values) + 2 * value_heads + 128


def merger(inner: int, h: int, norm: int) -> int:
    """Of Qwen's towers: patches of 2 by 2 side by side, two layers with biases."""
    return norm + (4 * inner) ** 2 + 4 * inner + 4 * inner * h + h


DEEPSEEK_V2_LITE: Final = deepseek(
    102400, 2048, 10944, 1408, 27, 16, 0, dense=1, experts=64, shared=2, correction=False
)
DEEPSEEK_R1: Final = deepseek(
    129280, 7168, 18432, 2048, 61, 128, 1536, dense=3, experts=256, shared=1, correction=True
)
MOONVIT: Final = 3 * 14**2 * 1152 + 1152 + 64 * 64 * 1152 + 27 * SIGLIP_LAYER + 2 * 1152
KIMI_VL: Final = (
    deepseek(163840, 2048, 11264, 1408, 27, 16, 0, dense=1, experts=64, shared=2, correction=True)
    + MOONVIT
    + 2 * 1152 + (4 * 1152) ** 2 + 4 * 1152 + 4 * 1152 * 2048 + 2048
)  # fmt: skip
MIXTRAL: Final = (
    2 * 32000 * 4096
    + 32 * (2 * 4096**2 + 2 * 4096 * 1024 + 8 * 3 * 4096 * 14336 + 8 * 4096 + 2 * 4096)
    + 4096
)
QWEN1_5_MOE: Final = (
    2 * 151936 * 2048
    + 24 * (
        4 * 2048**2 + 3 * 2048 + 60 * 3 * 2048 * 1408 + 60 * 2048
        + 3 * 2048 * 5632 + 2048 + 2 * 2048
    )
    + 2048
)  # fmt: skip
QWEN2_5_7B: Final = (
    2 * 152064 * 3584
    + 28 * (2 * 3584**2 + 2 * 3584 * 512 + 3584 + 2 * 512 + 3 * 3584 * 18944 + 2 * 3584)
    + 3584
)
QWEN3_8B: Final = llama(151936, 4096, 12288, 36, 4096, 1024, ends=2) + 36 * 2 * 128
PHI_2: Final = (
    2 * 51200 * 2560
    + 32 * (4 * (2560**2 + 2560) + 2 * 2560 * 10240 + 10240 + 2560 + 2 * 2560)
    + 2 * 2560
    + 51200
)
PHI_4: Final = llama(100352, 5120, 17920, 40, 5120, 1280, ends=2)
PHI_3_MINI: Final = llama(32064, 3072, 8192, 32, 3072, 3072, ends=2)
GRANITE_8B: Final = llama(49155, 4096, 12800, 40, 4096, 1024, ends=1)
GRANITE_VISION_2B: Final = (
    llama(49156, 2048, 8192, 40, 2048, 512, ends=1)
    + SIGLIP_384
    + 4 * 1152 * 2048 + 2048 + 2048**2 + 2048
    + 2048
)  # fmt: skip
MISTRAL_SMALL_3: Final = (
    llama(131072, 5120, 32768, 40, 4096, 1024, ends=2)
    + 3 * 14**2 * 1024 + 1024 + 24 * (4 * 1024**2 + 3 * 1024 * 4096 + 2 * 1024)
    + 1024 + 4 * 1024**2 + 1024 * 5120 + 5120**2
)  # fmt: skip
MLLAMA_LAYER: Final = 4 * 1280**2 + 2 * 1280 * 5120 + 5120 + 1280 + 4 * 1280
LLAMA_3_2_11B_VISION: Final = (
    # 8 rows of the input embedding alone; 32 layers; 8 of cross-attention with norms and gates
    llama(128256, 4096, 14336, 40, 4096, 1024, ends=2) + 8 * 4096 + 8 * (2 * 128 + 2)
    # patches, class, 1601 positions, tiles, gates, two norms, 32 local and 8 gated global layers
    + 3 * 14**2 * 1280 + 1280 + 1601 * 1280 + 1 + 9 * 4 * 1601 * 1280
    + 2 * (9 * 4 * 1280 + 1) + 4 * 1280 + 40 * MLLAMA_LAYER + 8 * 2
    + 7680 * 4096 + 4096
)  # fmt: skip
LLAMA_4_TOWER: Final = (
    3 * 14**2 * 1408 + 1408 + 577 * 1408 + 4 * 1408
    + 34 * (4 * (1408**2 + 1408) + 2 * 1408 * 5632 + 5632 + 1408 + 4 * 1408)
    + 5632 * 4096 + 4096**2 + 4096 * 5120
)  # fmt: skip
LLAMA_4_SCOUT: Final = (
    2 * 202048 * 5120
    + 48 * (
        2 * 5120**2 + 2 * 5120 * 1024 + 16 * 3 * 5120 * 8192 + 16 * 5120 + 3 * 5120 * 8192
        + 2 * 5120
    )
    + 5120 + LLAMA_4_TOWER
)  # fmt: skip
LLAMA_GUARD_4: Final = llama(202048, 5120, 8192, 48, 5120, 1024, ends=2) + LLAMA_4_TOWER
MINIMAX_M2: Final = (
    2 * 200064 * 3072
    + 62 * (
        2 * 3072 * 6144 + 2 * 3072 * 1024 + (48 + 8) * 128
        + 256 * 3 * 3072 * 1536 + 256 * 3072 + 256 + 2 * 3072
    )
    + 3072
)  # fmt: skip
NEMOTRON_3_NANO: Final = (
    2 * 131072 * 2688
    + 23 * (mamba2(2688, 64, 64, 8, 128) + 2688)
    + 23 * (128 * 2 * 2688 * 1856 + 128 * 2688 + 128 + 2 * 2688 * 3712 + 2688)
    + 6 * (2 * 2688 * 4096 + 2 * 2688 * 256 + 2688)
    + 2688
)
NEMOTRON_NANO_9B_V2: Final = (
    2 * 131072 * 4480
    + 27 * (mamba2(4480, 128, 80, 8, 128) + 4480)
    + 25 * (2 * 4480 * 15680 + 4480)
    + 4 * (2 * 4480 * 5120 + 2 * 4480 * 1024 + 4480)
    + 4480
)
GRANITE_4_H_SMALL: Final = (
    100352 * 4096
    + 36 * mamba2(4096, 128, 64, 1, 128)
    + 4 * (2 * 4096**2 + 2 * 4096 * 1024)
    + 40 * (72 * 3 * 4096 * 768 + 72 * 4096 + 3 * 4096 * 1536 + 2 * 4096)
    + 4096
)
GRANITE_4_MICRO: Final = llama(100352, 2560, 8192, 40, 2560, 512, ends=1)
BAMBA: Final = (
    2 * 128256 * 4096
    + 29 * mamba2(4096, 128, 64, 1, 128)
    + 3 * (2 * 4096**2 + 2 * 4096 * 1024)
    + 32 * (3 * 4096 * 14336 + 2 * 4096)
    + 4096
)
GATED_16: Final = 2048 * 2 * 4096 + 2 * 2048 * 512 + 4096 * 2048 + 2 * 256
QWEN3_NEXT_MIXTURE: Final = 512 * 3 * 2048 * 512 + 512 * 2048 + 3 * 2048 * 512 + 2048 + 2 * 2048
QWEN3_NEXT: Final = (
    2 * 151936 * 2048
    + 36 * delta_net(2048, 16, 32) + 12 * GATED_16 + 48 * QWEN3_NEXT_MIXTURE
    + 2048
)  # fmt: skip
QWEN3_NEXT_MTP: Final = GATED_16 + QWEN3_NEXT_MIXTURE + 2 * 2048**2 + 3 * 2048
GATED_24: Final = 5120 * 2 * 6144 + 2 * 5120 * 1024 + 6144 * 5120 + 2 * 256
QWEN3_8_TOWER: Final = (
    3 * 2 * 16**2 * 1152 + 1152 + 2304 * 1152 + 27 * SIGLIP_LAYER + merger(1152, 5120, 2 * 1152)
)
QWEN3_8_27B: Final = (
    2 * 248320 * 5120
    + 48 * delta_net(5120, 16, 48) + 16 * GATED_24 + 64 * (3 * 5120 * 17408 + 2 * 5120)
    + 5120 + QWEN3_8_TOWER
)  # fmt: skip
QWEN3_8_27B_MTP: Final = GATED_24 + 3 * 5120 * 17408 + 2 * 5120 + 2 * 5120**2 + 3 * 5120
QWEN2_VL_7B: Final = (
    QWEN2_5_7B + 3 * 2 * 14**2 * 1280
    + 32 * (4 * (1280**2 + 1280) + 2 * 1280 * 5120 + 5120 + 1280 + 4 * 1280)
    + merger(1280, 3584, 2 * 1280)
)  # fmt: skip
QWEN2_5_VL_7B: Final = (
    QWEN2_5_7B + 3 * 2 * 14**2 * 1280
    + 32 * (4 * (1280**2 + 1280) + 3 * 1280 * 3420 + 2 * 3420 + 1280 + 2 * 1280)
    + merger(1280, 3584, 1280)
)  # fmt: skip
GLM_AIR_ATTENTION: Final = 2 * 4096 * 12288 + 2 * 4096 * 1024 + 12288 + 2 * 1024 + 2 * 4096
GLM_AIR_MIXTURE: Final = 129 * 3 * 4096 * 1408 + 128 * 4096 + 128
GLM_4_5_AIR: Final = (
    2 * 151552 * 4096
    + 46 * GLM_AIR_ATTENTION + 3 * 4096 * 10944 + 45 * GLM_AIR_MIXTURE
    + 4096
)  # fmt: skip
GLM_4_5_AIR_MTP: Final = (
    GLM_AIR_ATTENTION + GLM_AIR_MIXTURE + 2 * 4096**2 + 3 * 4096 + 2 * 151552 * 4096
)
DEEPSEEK_R1_MTP: Final = (
    mla(7168, 128, 1536) + 2 * 7168 + 257 * 3 * 7168 * 2048 + 256 * 7168 + 256
    + 2 * 7168**2 + 3 * 7168 + 2 * 129280 * 7168
)  # fmt: skip
OLMO_2_7B: Final = llama(100352, 4096, 11008, 32, 4096, 4096, ends=2) + 32 * 2 * 4096
SMOLLM3: Final = llama(128256, 2048, 11008, 36, 2048, 512, ends=1)
GEMMA_7B: Final = llama(256000, 3072, 24576, 28, 4096, 4096, ends=1)
GEMMA_4_26B_A4B: Final = (
    262144 * 2816
    # 25 windowed layers with 16 heads of 256 and 8 for keys, 5 full ones with 16 of 512 and 2
    + 25 * (2 * 2816 * 4096 + 2 * 2816 * 2048 + 2 * 256)
    + 5 * (2 * 2816 * 8192 + 2 * 2816 * 1024 + 2 * 512)
    # dense part, experts, router with two scales, seven norms, a scalar
    + 30 * (3 * 2816 * 2112 + 128 * 3 * 2816 * 704 + 128 * 2816 + 2816 + 128 + 7 * 2816 + 1)
    + 2816
    # patches of 16, two tables of 10240 positions, 27 layers with four norms, projector
    + 3 * 16**2 * 1152 + 2 * 10240 * 1152
    + 27 * (4 * 1152**2 + 3 * 1152 * 4304 + 4 * 1152 + 2 * 72) + 2 * 1152
    + 1152 * 2816
)  # fmt: skip
MAMBA_1: Final = (
    2 * 8192 * 4096 + 4 * 8192 + 8192 + 8192 * (256 + 2 * 16) + 256 * 8192 + 8192
    + 8192 * 16 + 8192 + 256 + 16 + 16 + 8192 * 4096
)  # fmt: skip
JAMBA: Final = (
    2 * 65536 * 4096
    + 28 * MAMBA_1
    + 4 * (2 * 4096**2 + 2 * 4096 * 1024)
    + 16 * (16 * 3 * 4096 * 14336 + 16 * 4096) + 16 * 3 * 4096 * 14336 + 32 * 2 * 4096
    + 4096
)  # fmt: skip
