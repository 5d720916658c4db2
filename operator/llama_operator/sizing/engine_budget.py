"""What "utilization" means for each engine and version, and what it leaves for the KV cache."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum
from functools import lru_cache
from typing import Final

from llama_operator.catalog.catalog import Catalog
from llama_operator.catalog.engine_memory import (
    NEWEST,
    VLLM_CPU,
    EngineMemory,
    engine_memory,
    engine_share,
)
from llama_operator.catalog.rows import BatchDefaults
from llama_operator.catalog.versions import version_numbers
from llama_operator.errors import SizingError
from llama_operator.units import GIB, ceil_div

SHARE_ROUNDING: Final = 1e-6
"""What a share in percent may lack of a whole number by binary fractions."""
SHARE_DIGITS: Final = 10**6
"""Shares are computed in millionths, so that they are the same on every machine."""
PLANNED_LIMIT_PERCENT: Final = 92
"""The engine's own default, never exceeded unasked."""
RAISED_LIMIT_PERCENT: Final = 95
"""The highest share that an alternative proposes."""
PLANNED_SPARE_BYTES: Final = GIB // 4
RAISED_SPARE_BYTES: Final = GIB // 20
PARALLEL_AT_START_BYTES: Final = 3 * GIB // 2
"""More memory is taken when the engine starts if it joins several GPUs."""
OUTSIDE_HEADROOM_BYTES: Final = GIB // 5
"""What must stay free beside graphs that are captured outside the budget."""
WIGGLE_SHARE: Final = 0.05
"""Part of a GPU that TGI leaves free (`TGI_WIGGLE_ROOM` 0.95, models/globals.py)."""


class Budgeting(Enum):
    """How an engine decides what the KV cache gets; memory model, section 7."""

    UTILIZATION = "utilization"
    """vLLM: a share of the whole GPU, less all that is profiled."""
    STATIC_FRACTION = "static-fraction"
    """SGLang: a share of what is free before loading holds weights and cache; the rest is for
    activations and graphs."""
    AFTER_WARM_UP = "after-warm-up"
    """TGI: what is free after a warm-up, less some wiggle room."""
    ALLOCATED = "allocated"
    """llama.cpp: the cache of the whole context is allocated at start, or the load fails."""
    ON_DEMAND = "on-demand"
    """Transformers, MLX: nothing is reserved; the cache grows with the request."""


_ENGINES: Final[Mapping[str, tuple[str, Budgeting]]] = {
    "vllm": ("vLLM", Budgeting.UTILIZATION),
    "vllm-cpu": (VLLM_CPU, Budgeting.UTILIZATION),
    "vllm-gfx906": ("vLLM", Budgeting.UTILIZATION),
    "sglang": ("SGLang", Budgeting.STATIC_FRACTION),
    "tgi": ("TGI", Budgeting.AFTER_WARM_UP),
    "llama.cpp": ("LlamaCpp", Budgeting.ALLOCATED),
    "llamacpp": ("LlamaCpp", Budgeting.ALLOCATED),
    "ollama": ("LlamaCpp", Budgeting.ALLOCATED),
    "transformers": ("Transformers", Budgeting.ON_DEMAND),
    "mlx-lm": ("MLX", Budgeting.ON_DEMAND),
    "mlx": ("MLX", Budgeting.ON_DEMAND),
}
ENGINE_NAMES: Final = tuple(_ENGINES)
"""Engines that can be sized; case does not matter."""


@dataclass(frozen=True, eq=False, slots=True)
class EngineRules:
    """One engine version with all that its memory follows from. Compared by identity.

    Attributes:
        engine: name in the catalog.
        version: its leading numbers.
        budgeting: how the KV cache gets its share.
        memory: facts of the version.
    """

    engine: str
    version: tuple[int, ...]
    budgeting: Budgeting
    memory: EngineMemory


@lru_cache(maxsize=512)
def engine_rules(engine: str, version: str | None) -> EngineRules:
    """The rules of an engine version.

    Args:
        engine: one of `ENGINE_NAMES`.
        version: such as `0.19.0`, `0.10.x` or `0.6.4+`; None, or a name without numbers, for the
            version that is deployed by default, or the newest where none is.

    Raises:
        SizingError: there is no such engine; names those there are.
    """
    found = _ENGINES.get(engine.casefold())
    if found is None:
        msg = f"engine is {engine!r}; allowed are {', '.join(ENGINE_NAMES)}"
        raise SizingError(msg)
    name, budgeting = found
    numbers = _version(name, version)
    return EngineRules(name, numbers, budgeting, engine_memory(name, numbers))


def default_utilization(
    rules: EngineRules,
    total_bytes: int,
    *,
    tensor_parallel_size: int = 1,
    pipeline_parallel_size: int = 1,
) -> float:
    """The share that an engine takes when the user sets none; memory model, section 7.

    `share * (1 - (reserve + reserve per GPU * GPUs) / total)`, not below 0, with the figures of the
    first row of engine_shares.csv that matches; each row has its source.

    Args:
        rules: of the engine version.
        total_bytes: memory that a process sees on one GPU.
        tensor_parallel_size: GPUs of one stage.
        pipeline_parallel_size: stages.
    """
    gpu_gib = total_bytes / GIB
    row = engine_share(rules.engine, rules.version, gpu_gib, tensor_parallel_size)
    gpus = tensor_parallel_size * pipeline_parallel_size
    reserve = row.reserve_gib + row.reserve_gib_per_gpu * gpus
    return max(0.0, row.share * (1 - reserve / gpu_gib))


@lru_cache(maxsize=4096)
def default_batch(
    rules: EngineRules, total_bytes: int, product: str, max_model_len: int
) -> BatchDefaults:
    """Tokens of a step and sequences that an engine takes by itself; memory model, section 6.

    Args:
        rules: of the engine version.
        total_bytes: memory that a process sees on one GPU; 0 when it is not known.
        product: of the GPU; empty when it is not known.
        max_model_len: context of one request, which older versions prefill in one step.

    Raises:
        SizingError: no row of engine_defaults.csv matches.
    """
    name = product.casefold()
    engine = "vLLM" if rules.engine == VLLM_CPU else rules.engine
    for rule in Catalog.load().tables.batch_defaults:
        excluded = rule.excluded_product.casefold()
        if (
            rule.engine == engine
            and rule.min_version <= rules.version
            and (not rule.below_version or rules.version < rule.below_version)
            and total_bytes >= rule.min_gpu_bytes
            and not (excluded and excluded in name)
        ):
            tokens, seqs = rule.defaults
            if max_model_len <= rules.memory.whole_prefill_tokens:
                tokens = max(tokens, max_model_len)
            return BatchDefaults(tokens, seqs)
    msg = f"engine_defaults.csv has no row for {rules.engine}"
    raise SizingError(msg)


def share_bytes(total_bytes: int, utilization: float) -> int:
    """Bytes of a share of one GPU, rounded up: vLLM, v1/worker/utils.py, `request_memory`."""
    return ceil_div(total_bytes * round(utilization * SHARE_DIGITS), SHARE_DIGITS)


@dataclass(frozen=True, slots=True)
class Taken:
    """What one rank takes beside the KV cache."""

    weights_bytes: int
    activation_bytes: int
    non_torch_bytes: int
    cuda_graph_bytes: int
    draft_weights_bytes: int = 0
    adapter_bytes: int = 0

    @property
    def loaded_bytes(self) -> int:
        """Weights of the model, of the one that drafts for it, and of adapters."""
        return self.weights_bytes + self.draft_weights_bytes + self.adapter_bytes


def budget_bytes(
    rules: EngineRules, total_bytes: int, utilization: float, reserved_at_start: int
) -> int:
    """Bytes of one GPU that the engine divides among weights, cache and whatever else it counts.

    Memory model, section 7. vLLM, Transformers and MLX: `u * total`. SGLang: `f` of what is free
    before loading. TGI: the fraction less 5 % of the GPU and what is taken at start. llama.cpp: all
    that is free.
    """
    share = share_bytes(total_bytes, utilization)
    if rules.budgeting is Budgeting.STATIC_FRACTION:
        return share_bytes(total_bytes - reserved_at_start, utilization)
    if rules.budgeting is Budgeting.AFTER_WARM_UP:
        return share - share_bytes(total_bytes, WIGGLE_SHARE) - reserved_at_start
    if rules.budgeting is Budgeting.ALLOCATED:
        return share - reserved_at_start
    return share


def pool_bytes(rules: EngineRules, budget: int, taken: Taken) -> int:
    """Bytes that a budget leaves for the KV cache on one rank; negative when there is no room.

    vLLM: `u * total - weights - activation - non_torch`, from 0.21 less the graphs. SGLang:
    `free after load - free before load * (1 - f)`, which holds neither activations nor graphs.
    llama.cpp: less weights and the compute buffer. Memory model, section 7.
    """
    if rules.budgeting is Budgeting.STATIC_FRACTION:
        return budget - taken.loaded_bytes
    graphs = taken.cuda_graph_bytes if rules.memory.graphs_inside_budget else 0
    return budget - taken.loaded_bytes - taken.activation_bytes - taken.non_torch_bytes - graphs


def planned_utilization_percent(
    total_bytes: int, reserved_at_start_bytes: int, tensor_parallel_size: int
) -> int:
    """Utilization that a plan writes: `min(92, floor(100 * (total - taken - 0.25 GiB) / total))`.

    An engine refuses to start when less than `u * total` is free at that moment. Memory model,
    section 6.

    Args:
        total_bytes: memory that a process sees on one GPU.
        reserved_at_start_bytes: what an idle GPU of the product already holds.
        tensor_parallel_size: GPUs of one stage; from 2 on another 1.5 GiB are taken at start.
    """
    taken = taken_at_start_bytes(reserved_at_start_bytes, tensor_parallel_size)
    return _percent(total_bytes, taken + PLANNED_SPARE_BYTES, PLANNED_LIMIT_PERCENT)


def planned_utilization(
    rules: EngineRules, total_bytes: int, reserved_at_start_bytes: int, tensor_parallel_size: int
) -> float:
    """The share that a plan writes, in whole percent: for vLLM `planned_utilization_percent`.

    SGLang's is its own default, rounded down: what it leaves free is for activations and graphs.
    Other engines take theirs.

    Args:
        rules: of the engine version.
        total_bytes: memory that a process sees on one GPU.
        reserved_at_start_bytes: what an idle GPU of the product already holds.
        tensor_parallel_size: GPUs of one stage.
    """
    if total_bytes <= 0:
        return 0.0
    if rules.budgeting is Budgeting.UTILIZATION:
        size = tensor_parallel_size
        return planned_utilization_percent(total_bytes, reserved_at_start_bytes, size) / 100
    own = default_utilization(rules, total_bytes, tensor_parallel_size=tensor_parallel_size)
    return int(100 * own + SHARE_ROUNDING) / 100


def highest_utilization_percent(
    total_bytes: int, reserved_at_start_bytes: int, tensor_parallel_size: int
) -> int:
    """Utilization that may be proposed to a user: at most 95, and 0.05 GiB stay spare at start."""
    taken = taken_at_start_bytes(reserved_at_start_bytes, tensor_parallel_size)
    return _percent(total_bytes, taken + RAISED_SPARE_BYTES, RAISED_LIMIT_PERCENT)


def taken_at_start_bytes(reserved_at_start_bytes: int, tensor_parallel_size: int) -> int:
    """What a GPU holds when an engine starts: an idle card's figure, 1.5 GiB more from tp 2 on."""
    parallel = PARALLEL_AT_START_BYTES if tensor_parallel_size > 1 else 0
    return reserved_at_start_bytes + parallel


def _percent(total_bytes: int, taken_bytes: int, limit: int) -> int:
    if total_bytes <= 0:
        return 0
    return max(0, min(limit, 100 * (total_bytes - taken_bytes) // total_bytes))


def _version(engine: str, version: str | None) -> tuple[int, ...]:
    if version and any(letter.isdigit() for letter in version):
        return version_numbers(version)
    for row in Catalog.load().tables.engines:
        if row.default and row.engine == engine.removesuffix("-CPU"):
            return version_numbers(row.version)
    return NEWEST
