"""The arguments of `llama-operator size`."""

import argparse
from collections.abc import Callable
from pathlib import Path
from typing import Final

from llama_operator.catalog.training_tables import LORA_TARGETS, METHODS
from llama_operator.cli.catalog_option import add_catalog_option
from llama_operator.errors import InputError

AUTO: Final = "auto"
"""As many layers on GPUs as fit."""
_ANY: Final = frozenset(
    ["command", "func", "model", "size", "config", "hub", "revision", "catalog", "output"]
) | {"timeout", "no_color"}
_GPU: Final = frozenset(["gpu", "gpu_memory_mib"])
_SERVING: Final = frozenset(
    ["format", "quantization", "tensor_parallel_size", "pipeline_parallel_size", "engine"]
) | {
    "engine_version", "max_model_len", "gpu_memory_utilization", "dtype", "kv_cache_dtype",
    "max_num_seqs", "max_num_batched_tokens", "enforce_eager", "enable_expert_parallel",
    "flash_attn",
}  # fmt: skip
_NODE: Final = frozenset(
    ["n_gpu_layers", "cache_ram", "kv_offloading_size", "no_mmap", "host_memory_gib"]
)
_TRAINING: Final = frozenset(
    ["lora_rank", "lora_targets", "gpus", "zero3", "batch_size", "sequence_length", "optimizer"]
) | {"checkpointing"}
_TAKEN: Final = {
    "jsonl": frozenset(["command", "func"]),
    "train": _ANY | _GPU | _TRAINING | {"plot"},
    "sweep": _ANY | _GPU | _SERVING,
    "": _ANY | _GPU | _SERVING | _NODE | {"plot", "compare_log"},
}
"""Arguments that each mode takes, by the option that chooses it; empty for one setting."""


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add all arguments, in groups."""
    _add_model(parser)
    _add_placement(parser.add_argument_group("GPU and engine"))
    _add_node(parser.add_argument_group("node"))
    _add_output(parser.add_argument_group("output"))
    _add_training(parser.add_argument_group("fine-tuning"))


def check_mode(arguments: argparse.Namespace, default_of: Callable[[str], object]) -> None:
    """Check that no argument is given that would do nothing.

    Args:
        arguments: of the command.
        default_of: tells the default of an argument.

    Raises:
        InputError: one is; names it.
    """
    mode = next((name for name in _TAKEN if name and getattr(arguments, name)), "")
    for name, value in vars(arguments).items():
        if value == default_of(name) or name == mode or name in _TAKEN[mode]:
            continue
        if mode == "jsonl":
            msg = "--jsonl reads everything from standard input and goes with no other argument"
        elif mode:
            msg = f"{flag(name)} does not go with --{mode}"
        else:
            msg = f"{flag(name)} goes with --train alone"
        raise InputError(msg)
    if arguments.revision is not None and "/" not in (arguments.model or ""):
        msg = "--revision is of a repository, which MODEL does not name"
        raise InputError(msg)


def flag(name: str) -> str:
    """An argument as it is typed: `max_model_len` as `--max-model-len`."""
    return f"--{name.replace('_', '-')}"


def _add_model(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "model",
        nargs="?",
        metavar="MODEL",
        help="name of the catalog, e.g. llama-3.1-instruct, or a repository such as Qwen/Qwen3-8B",
    )
    parser.add_argument("size", nargs="?", metavar="SIZE", help="of the catalog's model, e.g. 70b")
    parser.add_argument(
        "--config",
        type=Path,
        metavar="PATH",
        help="a config.json, a folder with one, or a GGUF file, instead",
    )
    parser.add_argument(
        "--format",
        metavar="FORMAT",
        help="format of the catalog's model, e.g. awq (default: 16 bit)",
    )
    parser.add_argument(
        "--quantization",
        action="append",
        metavar="NAME",
        help="scheme, e.g. fp8-dynamic or Q4_K_M, or with --format one that it is published in; of "
        "a repository with GGUF files the one whose name ends so; default: what configuration, "
        "format or the only file say; repeatable with --sweep",
    )
    parser.add_argument(
        "--hub",
        choices=("HuggingFace", "ModelScope"),
        default="HuggingFace",
        help="where repositories are (default: HuggingFace)",
    )
    parser.add_argument(
        "--revision", metavar="NAME", help="branch, tag or commit of the repository"
    )
    parser.add_argument(
        "--timeout",
        type=whole(1, 3600),
        default=60,
        metavar="SECONDS",
        help="for all that a hub sends (default: 60)",
    )
    add_catalog_option(parser)


def _add_placement(group: "argparse._ArgumentGroup") -> None:
    group.add_argument(
        "--gpu",
        action="append",
        metavar="PRODUCT",
        help="product as in the node's label; without it nothing is said about fitting; "
        "repeatable with --sweep",
    )
    group.add_argument(
        "--gpu-memory-mib",
        type=whole(1, 1 << 24),
        metavar="MIB",
        help="the node's label nvidia.com/gpu.memory, before what the catalog has",
    )
    group.add_argument(
        "-tp",
        "--tensor-parallel-size",
        type=whole(1, 1024),
        metavar="N",
        help="GPUs that each layer is divided over (default: 1; with --sweep 1, 2, 4 and 8)",
    )
    group.add_argument(
        "-pp",
        "--pipeline-parallel-size",
        type=whole(1, 1024),
        default=1,
        metavar="N",
        help="stages that the layers are divided into (default: 1)",
    )
    group.add_argument(
        "--engine",
        metavar="NAME",
        help="vllm, sglang, tgi, transformers, llama.cpp, ollama or mlx-lm (default: vllm, or what "
        "loads the quantization)",
    )
    group.add_argument(
        "--engine-version",
        metavar="VERSION",
        help="e.g. 0.19.0 (default: the one that the operator deploys)",
    )
    group.add_argument(
        "--max-model-len",
        type=whole(1, 1 << 30),
        metavar="TOKENS",
        help="context of one request (default: the longest that the model was made for)",
    )
    group.add_argument(
        "--gpu-memory-utilization",
        type=share,
        metavar="SHARE",
        help="share of a GPU for the engine, above 0 and at most 1 (default: what the operator "
        "writes for vLLM, else the engine's)",
    )
    group.add_argument(
        "--dtype", choices=("bf16", "fp16", "fp32"), help="compute dtype (default: the GPU's best)"
    )
    group.add_argument(
        "--kv-cache-dtype",
        default="auto",
        metavar="DTYPE",
        help="auto, fp8, or llama.cpp's f16, q8_0, q4_0 (default: auto)",
    )
    group.add_argument(
        "--max-num-seqs",
        type=whole(1, 1 << 20),
        metavar="N",
        help="sequences of a step (default: the engine's)",
    )
    group.add_argument(
        "--max-num-batched-tokens",
        type=whole(1, 1 << 24),
        metavar="N",
        help="tokens of a step (default: the engine's)",
    )
    group.add_argument("--enforce-eager", action="store_true", help="no CUDA graphs")
    group.add_argument(
        "--enable-expert-parallel",
        action="store_true",
        help="vLLM: whole experts on each GPU, instead of a part of each",
    )
    group.add_argument(
        "-fa",
        "--flash-attn",
        choices=("on", "off"),
        default="on",
        help="llama.cpp: off holds attention scores of the whole context (default: on)",
    )


def _add_node(group: "argparse._ArgumentGroup") -> None:
    group.add_argument(
        "-ngl",
        "--n-gpu-layers",
        type=gpu_layers,
        metavar="N",
        help="llama.cpp: layers on GPUs, the output included; the CPU computes the others from "
        "memory of the node. auto: as many as fit (default: all)",
    )
    group.add_argument(
        "--cache-ram",
        type=whole(0, 1 << 30),
        metavar="MIB",
        help="llama.cpp: cache of prompts in memory of the node (default: 8192)",
    )
    group.add_argument(
        "--kv-offloading-size",
        type=whole(0, 1 << 20),
        metavar="GIB",
        help="vLLM: pinned memory of the node for KV cache that leaves the GPUs (default: none)",
    )
    group.add_argument(
        "--no-mmap",
        action="store_true",
        help="files are read into memory instead of mapped: llama.cpp's --no-mmap, vLLM's "
        "--safetensors-load-strategy eager",
    )
    group.add_argument(
        "--host-memory-gib",
        type=whole(1, 1 << 24),
        metavar="GIB",
        help="memory of a node for one replica; without it nothing is said about fitting there",
    )


def _add_output(group: "argparse._ArgumentGroup") -> None:
    group.add_argument(
        "-o", "--output", choices=("table", "json"), default="table", help="default: table"
    )
    group.add_argument("--no-color", action="store_true", help="no colours; NO_COLOR does the same")
    group.add_argument(
        "--plot",
        type=Path,
        metavar="FILE",
        help="also draw the memory of a GPU into FILE, .svg or .png; needs the extra plot",
    )
    group.add_argument(
        "--compare-log",
        metavar="FILE",
        help="also show what the engine said of its memory: its log, or the text of its /metrics, "
        "from the start; - for standard input",
    )
    group.add_argument(
        "--sweep",
        action="store_true",
        help="the longest context by GPU, number of GPUs and quantization, as a table",
    )
    group.add_argument(
        "--jsonl",
        action="store_true",
        help="read settings from standard input and write estimates, one JSON object a line",
    )


def _add_training(group: "argparse._ArgumentGroup") -> None:
    group.add_argument("--train", choices=METHODS, help="memory to fine-tune the model instead")
    group.add_argument(
        "--lora-rank", type=whole(1, 4096), default=16, metavar="N", help="default: 16"
    )
    group.add_argument(
        "--lora-targets",
        choices=LORA_TARGETS,
        default="all",
        help="matrices with adapters: all of the layers, of attention, or queries and values "
        "(default: all)",
    )
    group.add_argument(
        "--gpus", type=whole(1, 65536), default=1, metavar="N", help="data-parallel GPUs"
    )
    group.add_argument(
        "--zero3",
        action="store_true",
        help="divide weights, gradients and optimizer states over the GPUs (ZeRO-3, FSDP)",
    )
    group.add_argument(
        "--batch-size",
        type=whole(1, 65536),
        default=1,
        metavar="N",
        help="sequences of one GPU in a step (default: 1)",
    )
    group.add_argument(
        "--sequence-length",
        type=whole(1, 1 << 24),
        default=2048,
        metavar="TOKENS",
        help="tokens of a sequence (default: 2048)",
    )
    group.add_argument(
        "--checkpointing",
        action=argparse.BooleanOptionalAction,
        default=True,
        help="keep the inputs of layers only and compute a layer again (default: yes)",
    )
    group.add_argument(
        "--optimizer",
        default="adamw",
        metavar="NAME",
        help="adamw, adamw-bf16, adamw-8bit, adafactor or sgd (default: adamw)",
    )


def whole(least: int, most: int) -> Callable[[str], int]:
    """A reader of whole numbers within bounds, both inclusive."""

    def read(text: str) -> int:
        try:
            value = int(text)
        except ValueError:
            value = least - 1
        if not least <= value <= most:
            msg = f"{text[:40]!r} is no whole number from {least} to {most:,}"
            raise argparse.ArgumentTypeError(msg)
        return value

    return read


def gpu_layers(text: str) -> int | str:
    """A number of layers, or `auto`.

    Raises:
        ArgumentTypeError: it is neither.
    """
    return AUTO if text == AUTO else whole(0, 1 << 20)(text)


def share(text: str) -> float:
    """A number above 0 and at most 1.

    Raises:
        ArgumentTypeError: it is another.
    """
    try:
        value = float(text)
    except ValueError:
        value = 0.0
    if not 0 < value <= 1:
        msg = f"{text[:40]!r} is no number above 0 and at most 1"
        raise argparse.ArgumentTypeError(msg)
    return value
