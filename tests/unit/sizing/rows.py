"""Rows made by hand, so that these tests hold whatever the catalog says."""

from llama_operator.catalog.rows import Architecture, EngineVersion, Gpu, Scheme
from llama_operator.sizing.placement import Placement
from llama_operator.units import GIB, Bytes


def llama(
    name: str,
    hidden: int,
    intermediate: int,
    layers: int,
    heads: int,
    *,
    kv_heads: int = 8,
    head_dim: int = 128,
    tied: bool = False,
) -> Architecture:
    return Architecture(
        name=name,
        model_type="llama",
        hidden_size=hidden,
        intermediate_size=intermediate,
        num_hidden_layers=layers,
        num_attention_heads=heads,
        num_key_value_heads=kv_heads,
        head_dim=head_dim,
        vocab_size=128_256,
        max_position_embeddings=131_072,
        tie_word_embeddings=tied,
        source="config.json",
    )


LLAMA_1B = llama("llama-3.2-1b", 2048, 8192, 16, 32, head_dim=64, tied=True)
LLAMA_3B = llama("llama-3.2-3b", 3072, 8192, 28, 24, tied=True)
LLAMA_8B = llama("llama-3.1-8b", 4096, 14336, 32, 32)
LLAMA_70B = llama("llama-3.1-70b", 8192, 28672, 80, 64)
LLAMA_405B = llama("llama-3.1-405b", 16384, 53248, 126, 128)
LLAMA_405B_JULY_2024 = llama("llama-3.1-405b-2024-07", 16384, 53248, 126, 128, kv_heads=16)

_FAMILIES = {
    "none": ("none", 16, 0),
    "fp8": ("fp8-tensor", 8, 0),
    "fp8-online": ("fp8-tensor", 8, 0),
    "fp8-dynamic": ("fp8-channel", 8, 0),
    "fbgemm-fp8": ("fbgemm-fp8", 8, 0),
    "int8-w8a8": ("int8-channel", 8, 0),
    "awq-int4-g128": ("awq", 4, 128),
    "gptq-int4-g128": ("gptq", 4, 128),
    "gptq-w4a16": ("gptq-w4a16", 4, 128),
    "bnb-nf4": ("bnb-nf4", 4, 64),
    "bnb-nf4-dq": ("bnb-nf4-dq", 4, 64),
    "bnb-int8": ("bnb-int8", 8, 0),
    "mxfp4": ("mxfp4", 4, 32),
}


def scheme(name: str) -> Scheme:
    family, bits, group_size = _FAMILIES[name]
    return Scheme(
        name=name,
        family=family,
        bits=bits,
        group_size=group_size,
        min_compute_capability=(7, 5),
        dtype="bfloat16",
        source="memory model, section 3",
    )


def gpu(product: str, total_gib: float, *, nvlink: int = 0, reserved_gib: float = 0.5) -> Gpu:
    return Gpu(
        product=product,
        aliases=(),
        vendor="NVIDIA",
        marketed_gb=80,
        label_bytes=Bytes(int((total_gib + 0.65) * GIB)),
        total_bytes=Bytes(int(total_gib * GIB)),
        reserved_at_start_bytes=Bytes(int(reserved_gib * GIB)),
        compute_capability=(9, 0),
        bandwidth_bytes_per_second=1,
        nvlink_gb_per_second=nvlink,
        instances="",
        source="memory model, section 10",
    )


H100 = gpu("NVIDIA-H100-80GB-HBM3", 79.19, nvlink=900)
A100_80GB = gpu("NVIDIA-A100-SXM4-80GB", 79.25, nvlink=600)
A100_40GB = gpu("NVIDIA-A100-SXM4-40GB", 39.5, nvlink=600)
A10G = gpu("NVIDIA-A10G", 22.06, reserved_gib=2.28)
L4 = gpu("NVIDIA-L4", 22.03, reserved_gib=2.28)


def vllm(version: str, *, alpha: float = 3.65, graphs_inside: bool = False) -> EngineVersion:
    return EngineVersion(
        engine="vLLM",
        version=version,
        image=f"vllm/vllm-openai:v{version}",
        default=False,
        graphs_inside_budget=graphs_inside,
        sampler_alpha=alpha,
        min_compute_capability=(7, 5),
        measured=not graphs_inside,
        source="memory model, section 6",
    )


VLLM_0_19 = vllm("0.19.0")
VLLM_0_33 = vllm("0.33.0", graphs_inside=True)


def placed(
    architecture: Architecture,
    scheme_name: str,
    on: Gpu,
    *,
    tp: int = 1,
    pp: int = 1,
    utilization: int = 90,
    engine: EngineVersion = VLLM_0_19,
    tokens: int = 8192,
    seqs: int = 1024,
    graphs: bool = True,
    kv_bytes: int = 2,
) -> Placement:
    return Placement(
        architecture=architecture,
        scheme=scheme(scheme_name),
        gpu=on,
        total_bytes=on.total_bytes,
        engine=engine,
        tensor_parallel_size=tp,
        pipeline_parallel_size=pp,
        utilization_percent=utilization,
        max_num_seqs=seqs,
        max_num_batched_tokens=tokens,
        cuda_graphs=graphs,
        kv_cache_element_bytes=kv_bytes,
    )
