"""What would fit instead of what does not: the nearest ways to serve, cheapest first.

Every one is estimated before it is proposed. Memory model, section 8.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

from llama_operator.catalog.rows import Gpu, Scheme
from llama_operator.errors import SizingError
from llama_operator.sizing import whole_prefill
from llama_operator.sizing.checkpoints import checkpoint_bytes
from llama_operator.sizing.division import TENSOR_PARALLEL_SIZES
from llama_operator.sizing.engine_budget import (
    Budgeting,
    highest_utilization_percent,
)
from llama_operator.sizing.estimate import Estimate, estimate, largest_context
from llama_operator.sizing.offload import gpu_layers_that_fit, offloads
from llama_operator.sizing.serving import Serving
from llama_operator.sizing.settings import Setting
from llama_operator.units import MIB

NEAREST_LIMIT: Final = 5
USEFUL_CONTEXT_TOKENS: Final = 1024
"""Shorter contexts are not worth proposing."""
SMALLER_BATCHES: Final = ((2048, 256), (512, 64))
"""Tokens of a step and sequences."""
PIPELINE_PARALLEL_SIZES: Final = (2, 4)
NODE_GPUS: Final = 8
"""GPUs of the largest common node; stages are for models that need more than one."""
FP8_CAPABILITY: Final = (8, 9)
"""Compute capability from which GPUs compute in fp8."""
EIGHT_BIT_CACHE: Final = {
    Budgeting.UTILIZATION: "fp8",
    Budgeting.STATIC_FRACTION: "fp8",
    Budgeting.ALLOCATED: "q8_0",
}
"""The KV-cache dtype with about one byte an element, where an engine has one."""


Changes = tuple[tuple[str, str], ...]
"""Names of options with their new values; a switch has an empty value."""


@dataclass(frozen=True, slots=True)
class Nearest:
    """A way to serve that fits: what changes, and its numbers."""

    changes: Changes
    serving: Serving
    setting: Setting
    estimate: Estimate


Proposal = tuple[Changes, Serving]
Proposals = Callable[[], Iterator[Proposal]]


def nearest(
    serving: Serving,
    *,
    schemes: tuple[tuple[Changes, Scheme], ...] = (),
    gpus: tuple[Gpu, ...] = (),
) -> tuple[Nearest, ...]:
    """At most five ways to serve that fit, cheapest change first.

    Order: shorter context, larger share, 8-bit KV cache, smaller batch, no CUDA graphs, llama.cpp's
    layers in host memory, more GPUs, lighter quantization, larger GPU, and stages over several
    nodes where more GPUs of one do not do; of each kind the first that fits. Where a kind fits with
    a shorter context only, the first of those whose context is nearly the longest comes after all
    that fit without, if it is a tenth longer than what fits without the change.

    Args:
        serving: what does not fit.
        schemes: other quantizations that the model is published in or that the engine makes, each
            with the options that choose it.
        gpus: what else could be had.

    Raises:
        SizingError: the engine has no rule.
    """
    setting = serving.setting()
    small: tuple[Proposals, ...] = (
        lambda: _shorter(serving, ()),
        lambda: _larger_share(serving, setting),
        lambda: _eight_bit_cache(serving, setting),
        lambda: _smaller_batch(serving, setting),
        lambda: _eager(serving),
        lambda: _layers_on_host(serving, setting),
    )
    large: tuple[Proposals, ...] = (
        lambda: _more_gpus(serving, setting),
        lambda: _lighter(serving, schemes),
        lambda: _larger_gpus(serving, setting, gpus),
        lambda: _more_stages(serving, setting, found),
    )
    found: list[Nearest] = []
    failed: list[Proposals] = []
    for kind in (*small, *large):
        fitting = next(_that_fit(kind()), None)
        if fitting is not None:
            found.append(fitting)
        elif kind in large:
            failed.append(kind)
        if len(found) == NEAREST_LIMIT:
            return tuple(found)
    longest = longest_context(serving)
    for kind in failed:
        shorter = (less for changes, changed in kind() for less in _shorter(changed, changes))
        longer = (item for item in _that_fit(shorter) if _is_worth_it(item, longest))
        found += _nearly_longest(tuple(longer))
    return tuple(found[:NEAREST_LIMIT])


def longest_context(serving: Serving) -> int:
    """The longest context with which it fits; 0 if none does.

    It is the model's own, or else whole blocks.
    """
    setting = serving.setting()
    if serving.max_num_batched_tokens is not None:
        return largest_context(setting)
    return whole_prefill.longest_context(setting, limit=setting.model.max_position_embeddings)


def _is_worth_it(item: Nearest, longest: int) -> bool:
    """Whether a change holds a context that is a tenth longer than without it."""
    return 10 * item.setting.max_model_len >= 11 * longest


def _nearly_longest(fitting: tuple[Nearest, ...]) -> tuple[Nearest, ...]:
    """The first whose context is at least nine tenths of the longest; none of none."""
    longest = max((item.setting.max_model_len for item in fitting), default=0)
    near = (item for item in fitting if 10 * item.setting.max_model_len >= 9 * longest)
    return tuple(item for item in [next(near, None)] if item is not None)


def _that_fit(proposals: Iterator[Proposal]) -> Iterator[Nearest]:
    for changes, serving in proposals:
        setting = serving.setting()
        try:
            estimated = estimate(setting)
        except SizingError:
            continue
        if estimated.fits:
            yield Nearest(changes, serving, setting, estimated)


def _with(serving: Serving, changes: Changes, **values: Any) -> Proposal:  # noqa: ANN401 - fields
    return changes, replace(serving, **values)


def _shorter(serving: Serving, changes: Changes) -> Iterator[Proposal]:
    setting = serving.setting()
    longest = longest_context(serving)
    if USEFUL_CONTEXT_TOKENS <= longest < setting.max_model_len:
        both = (*changes, ("--max-model-len", str(longest)))
        yield _with(serving, both, max_model_len=longest)


def _larger_share(serving: Serving, setting: Setting) -> Iterator[Proposal]:
    if setting.rules.budgeting is not Budgeting.UTILIZATION or setting.total_bytes <= 0:
        return
    percent = highest_utilization_percent(
        setting.total_bytes, setting.reserved_at_start_bytes, serving.tensor_parallel_size
    )
    share = percent / 100
    if share > setting.utilization:
        changes = (("--gpu-memory-utilization", f"{share:g}"),)
        yield _with(serving, changes, utilization=share)


def _eight_bit_cache(serving: Serving, setting: Setting) -> Iterator[Proposal]:
    dtype = EIGHT_BIT_CACHE.get(setting.rules.budgeting)
    if dtype is None or setting.kv_cache_dtype not in ("auto", "f16"):
        return
    capability = setting.gpu.compute_capability if setting.gpu else None
    if dtype != "fp8" or capability is None or capability >= FP8_CAPABILITY:
        yield _with(serving, (("--kv-cache-dtype", dtype),), kv_cache_dtype=dtype)


def _smaller_batch(serving: Serving, setting: Setting) -> Iterator[Proposal]:
    own = setting.max_num_batched_tokens, setting.max_num_seqs
    for tokens, seqs in SMALLER_BATCHES:
        smaller = min(tokens, own[0]), min(seqs, own[1])
        if smaller != own:
            named = zip(("--max-num-batched-tokens", "--max-num-seqs"), smaller, own, strict=True)
            changes = tuple((name, str(value)) for name, value, today in named if value != today)
            yield _with(
                serving, changes, max_num_batched_tokens=smaller[0], max_num_seqs=smaller[1]
            )


def _eager(serving: Serving) -> Iterator[Proposal]:
    if not serving.enforce_eager:
        yield _with(serving, (("--enforce-eager", ""),), enforce_eager=True)


def _layers_on_host(serving: Serving, setting: Setting) -> Iterator[Proposal]:
    """As many layers on the GPUs as fit, at least one; every token passes the others' memory."""
    if not offloads(setting) or setting.total_bytes <= 0:
        return
    found = gpu_layers_that_fit(setting)
    asked = found.slots if setting.gpu_layers is None else setting.gpu_layers
    if 0 < found.gpu_layers < asked:
        count = found.gpu_layers
        yield _with(serving, (("--n-gpu-layers", str(count)),), gpu_layers=count)


def _more_gpus(serving: Serving, setting: Setting) -> Iterator[Proposal]:
    """More GPUs of one node."""
    for size in TENSOR_PARALLEL_SIZES:
        if size > serving.tensor_parallel_size:
            changes = (("--tensor-parallel-size", str(size)),)
            yield _with(serving, changes, tensor_parallel_size=size)


def _lighter(serving: Serving, schemes: tuple[tuple[Changes, Scheme], ...]) -> Iterator[Proposal]:
    """Quantizations with smaller checkpoints, the heaviest first."""
    own = checkpoint_bytes(serving.model, serving.scheme)
    sized = [
        (-checkpoint_bytes(serving.model, scheme), changes, scheme) for changes, scheme in schemes
    ]
    for size, changes, scheme in sorted(sized, key=lambda item: item[:2]):
        if -size < own:
            yield _with(serving, changes, scheme=scheme, stored_bytes=None)


def _larger_gpus(serving: Serving, setting: Setting, gpus: tuple[Gpu, ...]) -> Iterator[Proposal]:
    """GPUs of the same vendor with more memory, the smallest first.

    Where the memory of today's is that of a label, that of the other is named as well.
    """
    vendor = setting.gpu.vendor if setting.gpu else ""
    by_label = all(setting.gpu != gpu or setting.total_bytes != gpu.total_bytes for gpu in gpus)
    for gpu in sorted(gpus, key=lambda gpu: (gpu.total_bytes, gpu.product)):
        if gpu.vendor == vendor and gpu.total_bytes > setting.total_bytes:
            changes: Changes = (("--gpu", gpu.product),)
            if by_label:
                changes += (("--gpu-memory-mib", str(gpu.label_bytes // MIB)),)
            yield _with(serving, changes, gpu=gpu, product="", total_bytes=None)


def _more_stages(
    serving: Serving, setting: Setting, found: Sequence[Nearest]
) -> Iterator[Proposal]:
    """Pipeline stages over several nodes, each with as many GPUs as now or as a node has.

    Nothing where one node was found to do.
    """
    if setting.rules.budgeting is not Budgeting.UTILIZATION or setting.is_partition:
        return
    if any(item.setting.gpus > setting.gpus for item in found):
        return
    size = max(NODE_GPUS, serving.tensor_parallel_size)
    for stages in PIPELINE_PARALLEL_SIZES:
        if stages > serving.pipeline_parallel_size:
            changes: Changes = (("--pipeline-parallel-size", str(stages)),)
            if size != serving.tensor_parallel_size:
                changes = (("--tensor-parallel-size", str(size)), *changes)
            yield _with(serving, changes, tensor_parallel_size=size, pipeline_parallel_size=stages)
