"""A plan for each engine version, its variants, and whether the engine takes what comes of it."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from typing import Any, Final

from llama_operator.api.deployment import LlamaDeployment
from llama_operator.api.plan import CudaGraphs, HostResources, Plan
from llama_operator.catalog.engine_tables import (
    EngineLoad,
    engine_limits,
    read_engine_loads,
    speaks_of,
)
from llama_operator.catalog.versions import version_numbers
from llama_operator.engines.engine import Container
from llama_operator.engines.registry import engine
from support import deployments
from support.captured_parser import CapturedParser
from support.llama_server_help import LlamaServerArguments, llama_server_arguments
from support.tgi_environment import check
from unit.engines.vllm_parser import vllm_parser
from unit.engines.wheel_parsers import mlx_parser, sglang_parser, transformers_parser

MIB, GIB = 1 << 20, 1 << 30
BASE: Final = deployments.plan().model_copy(
    update={
        "format": "pytorch",
        "quantization": "none",
        "scheme": "none",
        "repository": "meta-llama/Llama-3.1-8B-Instruct",
        "dtype": "bfloat16",
        "startup_seconds": 1801,
        "max_num_seqs": 4,
        "host": HostResources(
            cpu_millicores=3500, memory_bytes=14 * GIB, shm_bytes=GIB, disk_bytes=17 * GIB
        ),
    }
)


def _plan(name: str, version: str, image: str, **values: Any) -> Plan:
    update = {"engine": name, "engine_version": version, "image": image, **values}
    return BASE.model_copy(update=update)


PLANS: Final[Mapping[str, Plan]] = {
    "vLLM": _plan("vLLM", "0.33.0", "vllm/vllm-openai:v0.33.0", tool_call_parser="llama3_json"),
    "SGLang": _plan("SGLang", "0.5.23", "lmsysorg/sglang:v0.5.23", tool_call_parser="llama3"),
    "TGI 3": _plan("TGI", "3.3.7", "ghcr.io/huggingface/text-generation-inference:3.3.7"),
    "TGI 2": _plan(
        "TGI",
        "2.2.0",
        "ghcr.io/huggingface/text-generation-inference:2.2.0",
        max_num_batched_tokens=8192,
    ),
    "LlamaCpp": _plan(
        "LlamaCpp",
        "11434",
        "ghcr.io/ggml-org/llama.cpp:server-cuda-b11434",
        format="ggufv2",
        quantization="Q4_K_M",
        scheme="Q4_K_M",
        repository="bartowski/Meta-Llama-3.1-8B-Instruct-GGUF",
        file="Meta-Llama-3.1-8B-Instruct-Q4_K_M.gguf",
    ),
    "Transformers": _plan("Transformers", "5.23.0", "llama-operator/transformers:5.23.0"),
    "MLX": _plan(
        "MLX",
        "0.32.2",
        "llama-operator/mlx-lm:0.32.2",
        format="mlx",
        quantization="4bit",
        scheme="mlx-4bit-g64",
        repository="mlx-community/Meta-Llama-3.1-8B-Instruct-4bit",
    ),
}
"""By the engine's name, with its version where two are known."""


@dataclass(frozen=True)
class Variant:
    """What differs from the plan above; `asked` is the field that asks for it."""

    name: str
    values: Mapping[str, Any] = field(default_factory=dict)
    spec: Mapping[str, Any] = field(default_factory=dict)
    asked: Sequence[str] = ()


def _memory(**values: Any) -> dict[str, Any]:
    return {"memory": values}


VARIANTS: Final = (
    Variant("as it is"),
    Variant("ModelScope", {"hub": "ModelScope"}, {"hub": "ModelScope"}, ["spec.hub=ModelScope"]),
    Variant("float16", {"dtype": "float16"}),
    Variant("dtype auto", {"dtype": "auto"}),
    Variant(
        "fp8 KV cache",
        {"kv_cache_dtype": "fp8"},
        _memory(kvCacheDType="fp8"),
        ["spec.memory.kvCacheDType=fp8"],
    ),
    Variant(
        "q8_0 KV cache",
        {"kv_cache_dtype": "q8_0"},
        _memory(kvCacheDType="q8_0"),
        ["spec.memory.kvCacheDType=q8_0"],
    ),
    Variant(
        "without CUDA graphs",
        {"cuda_graphs": CudaGraphs.DISABLED},
        _memory(cudaGraphs="Disabled"),
        ["spec.memory.cudaGraphs=Disabled"],
    ),
    Variant(
        "layers on the CPU", {"gpu_layers": 12}, _memory(gpuLayers=12), ["spec.memory.gpuLayers"]
    ),
    Variant("another name", {}, {"servedModelNames": ["a/B-1.0:x"]}, ["spec.servedModelNames"]),
    Variant(
        "two names",
        {},
        {"servedModelNames": ["a", "b"]},
        ["spec.servedModelNames", "spec.servedModelNames[1]"],
    ),
    Variant("four GPUs", {"tensor_parallel_size": 4}),
    Variant("a model without tools", {"tool_call_parser": ""}),
    Variant("a token", {"gated": True}, {"tokenSecretRef": {"name": "hub", "key": "k"}}),
    Variant("the least", {"max_model_len": 16, "max_num_seqs": 1, "max_num_batched_tokens": 16}),
    Variant("one percent", {"utilization_percent": 1}),
    Variant("everything", {"utilization_percent": 100}),
)
STAGES: Final = Variant("two stages", {"pipeline_parallel_size": 2})
"""Only for vLLM and SGLang, which have them."""


def variants(plan: Plan) -> list[Variant]:
    """Those that the engine version of a plan can follow."""
    limits = engine_limits(plan.engine, version_numbers(plan.engine_version))
    found = [one for one in VARIANTS if not limits.keys() & set(one.asked)]
    return [*found, STAGES] if plan.engine in ("vLLM", "SGLang") else found


def loads(plan: Plan) -> list[Variant]:
    """One for each scheme that the engine version loads, and one where it quantizes to it."""
    version = version_numbers(plan.engine_version)
    rows = [
        row
        for row in read_engine_loads()
        if row.engine == plan.engine and speaks_of(row, version) and row.min_compute_capability
    ]
    return [_load(row, at_load=False) for row in rows if row.scheme != "*"] + [
        _load(row, at_load=True) for row in rows if row.at_load_arguments
    ]


def _load(row: EngineLoad, *, at_load: bool) -> Variant:
    values = {"scheme": row.scheme, "format": row.format, "quantize_at_load": at_load}
    return Variant(f"{row.scheme}{' made at load' if at_load else ''}", values)


CASES: Final = [
    (name, plan, variant)
    for name, plan in PLANS.items()
    for variant in variants(plan) + loads(plan)
]
IDS: Final = [f"{name}: {variant.name}" for name, _, variant in CASES]


def deployment(**spec: Any) -> LlamaDeployment:
    return LlamaDeployment.parse({"metadata": {"name": "llama"}, "spec": {"size": "8b", **spec}})


def container(plan: Plan, variant: Variant = VARIANTS[0], **spec: Any) -> Container:
    """The container of a variant of a plan."""
    changed = plan.model_copy(update=dict(variant.values))
    return engine(plan.engine).container(changed, deployment(**{**variant.spec, **spec}))


def environment(result: Container) -> dict[str, str]:
    """Values by name; `secret` where it is one."""
    return {one.name: "secret" if one.secret_name else one.value for one in result.env}


@cache
def parser(name: str) -> CapturedParser:
    """The captured parser of an engine that takes flags as argparse does."""
    made: dict[str, Callable[[], CapturedParser]] = {
        "vLLM": vllm_parser,
        "SGLang": sglang_parser,
        "Transformers": transformers_parser,
        "MLX": mlx_parser,
    }
    return made[name]()


@cache
def llama_server() -> LlamaServerArguments:
    """The options of llama-server."""
    return llama_server_arguments()


def take(plan: Plan, result: Container) -> None:
    """Nothing when the engine takes arguments and environment; else the error of its parser."""
    args = list(result.args)
    if plan.engine == "TGI":
        assert args == []
        check(plan.engine_version, environment(result))
    elif plan.engine == "LlamaCpp":
        llama_server().parse(args)
    elif plan.engine == "Transformers":
        assert args.pop(0) == "serve"
        parser(plan.engine).parse(args)
    else:
        parser(plan.engine).parse(args)
