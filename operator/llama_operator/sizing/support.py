"""Whether an engine loads a scheme on a GPU, and whether a model can be divided so."""

from enum import StrEnum
from typing import Final

from llama_operator.sizing.division import engine_division_obstacle
from llama_operator.sizing.scheme_names import GGUF, MLX, UNQUANTIZED
from llama_operator.sizing.settings import BFLOAT16_SINCE, Setting

_OWN_FAMILY: Final = {"LlamaCpp": GGUF, "MLX": MLX}
"""Engines that load one family of schemes, and 16-bit weights; the others load neither."""


class Reason(StrEnum):
    """Why a setting does not fit, in the order in which it is decided; memory model, section 8."""

    UNSUPPORTED_MODEL = "unsupported-model"
    UNSUPPORTED_QUANTIZATION = "unsupported-quantization"
    TENSOR_PARALLEL_SIZE = "tensor-parallel-size"
    WEIGHTS = "weights"
    """Weights alone exceed the budget."""
    ACTIVATION = "activation"
    """Nothing is left for the KV cache."""
    KV_CACHE = "kv-cache"
    """One request of the whole context does not fit."""
    GRAPHS = "graphs"
    """CUDA graphs take the room: of the KV cache, or outside the budget."""
    HOST_MEMORY = "host-memory"
    """The node has less memory than a replica takes; said only where its memory is given."""


def obstacle(setting: Setting) -> tuple[Reason, str] | None:
    """Why the setting cannot be loaded whatever the memory; None when it can.

    The engine loads the family of the scheme, the GPU's compute capability suffices for scheme and
    dtype, and the model can be divided over the ranks. Memory model, sections 4 and 8.
    """
    return _scheme_obstacle(setting) or _capability_obstacle(setting) or _division(setting)


def _scheme_obstacle(setting: Setting) -> tuple[Reason, str] | None:
    family, engine = setting.scheme.family, setting.rules.engine
    own = _OWN_FAMILY.get(engine)
    if own is None and family not in _OWN_FAMILY.values():
        return None
    if own is not None and family in (own, UNQUANTIZED):
        return None
    return (
        Reason.UNSUPPORTED_QUANTIZATION,
        f"{engine} does not load quantization {setting.scheme.name}",
    )


def _capability_obstacle(setting: Setting) -> tuple[Reason, str] | None:
    capability = setting.gpu.compute_capability if setting.gpu else None
    if capability is None:
        return None
    needed = setting.rules.memory.min_compute_capability
    scheme = setting.scheme.min_compute_capability or (0, 0)
    if capability < needed:
        what = f"this version of {setting.rules.engine}"
    elif capability < scheme:
        what, needed = f"quantization {setting.scheme.name}", scheme
    elif setting.dtype == "bf16" and capability < BFLOAT16_SINCE and setting.rules.engine == "vLLM":
        what, needed = "dtype bf16", BFLOAT16_SINCE
    else:
        return None
    return (
        Reason.UNSUPPORTED_QUANTIZATION,
        f"{what} needs compute capability {needed[0]}.{needed[1]}; "
        f"the GPU has {capability[0]}.{capability[1]}",
    )


def _division(setting: Setting) -> tuple[Reason, str] | None:
    stages = setting.pipeline_parallel_size
    size = setting.tensor_parallel_size
    if size > 1 and setting.is_partition:
        return Reason.TENSOR_PARALLEL_SIZE, "slices and shared cards cannot be joined"
    clause = engine_division_obstacle(
        setting.rules.engine,
        setting.model,
        setting.scheme,
        size,
        stages,
        expert_parallel=setting.expert_parallel,
    )
    return None if clause is None else (Reason.TENSOR_PARALLEL_SIZE, clause)
