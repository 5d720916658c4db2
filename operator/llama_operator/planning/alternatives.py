"""What would fit instead of what was refused. Every one is planned before it is proposed."""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from pydantic import ValidationError

from llama_operator.api.enums import EngineType, Hub, KvCacheDType, ModelFormat
from llama_operator.api.plan import CudaGraphs
from llama_operator.api.reasons import Reason
from llama_operator.api.status import Alternative
from llama_operator.api.v1alpha1 import LlamaDeploymentSpec
from llama_operator.catalog.catalog import Catalog
from llama_operator.catalog.rows import Publication
from llama_operator.errors import SpecError
from llama_operator.planning.candidates import SPREAD_NODES
from llama_operator.planning.choices import (
    Choice,
    choices,
    engines_that_load,
    lacks_token,
    loadable,
)
from llama_operator.planning.decide import Fit, Misfit, decide
from llama_operator.planning.drafts import draft_model
from llama_operator.planning.ranking import PRICE_TOLERANCE_PERCENT
from llama_operator.planning.survey import Survey
from llama_operator.planning.trials import Trial
from llama_operator.planning.wording import counted
from llama_operator.sizing.checkpoints import checkpoint_bytes
from llama_operator.sizing.engine_budget import highest_utilization_percent, share_bytes
from llama_operator.sizing.nearest import FP8_CAPABILITY, SMALLER_BATCHES, USEFUL_CONTEXT_TOKENS
from llama_operator.units import format_gib

ALTERNATIVES_LIMIT: Final = 5

Patch = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Ground:
    """What proposals are made from.

    `misfit` came of the spec itself; None when it was refused before anything was sized.
    `outcomes` are those of patches by their text: some are proposed as they are and then with a
    shorter context. `told` are formats, and `engine`, of which one proposal is enough and found.
    """

    spec: LlamaDeploymentSpec
    catalog: Catalog
    survey: Survey
    misfit: Misfit | None = None
    price_tolerance_percent: int = PRICE_TOLERANCE_PERCENT
    outcomes: dict[str, Fit | Misfit | None] = field(default_factory=dict)
    told: set[str] = field(default_factory=set)

    @property
    def trials(self) -> tuple[Trial, ...]:
        """Those that failed for the spec itself."""
        return () if self.misfit is None else self.misfit.trials

    def outcome(self, patch: Patch) -> Fit | Misfit | None:
        """What comes of a patch; None when the patched spec is no valid one."""
        text = _text(patch)
        if text not in self.outcomes:
            spec = _patched(self.spec, patch)
            self.outcomes[text] = None if spec is None else self._decide(spec)
        return self.outcomes[text]

    def _decide(self, spec: LlamaDeploymentSpec) -> Fit | Misfit | None:
        length = spec.context.max_model_len
        try:
            options = choices(spec, self.catalog)
        except SpecError:
            return None
        if length is not None and any(length > option.context_length for option in options):
            return None
        return decide(
            spec,
            options,
            self.survey,
            price_tolerance_percent=self.price_tolerance_percent,
        )


def alternatives(ground: Ground) -> tuple[Alternative, ...]:
    """At most five changes of the spec that fit this cluster, cheapest first.

    Order: another engine, where the named one does not load the format; shorter context, fewer
    requests at once, larger share of the memory, fp8 KV cache, smaller batch, no CUDA graphs, no
    draft model, more GPUs, lighter quantization, other GPUs of the cluster, more nodes; memory
    model, section 8. Of other engines the first that fits, of each other format the best
    quantization.
    """
    found: dict[str, Alternative] = {}
    for title, patch in _proposals(ground):
        text = _text(patch)
        kind = patch.get("format") or ("engine" if "engine" in patch else "")
        if text in found or kind in ground.told:
            continue
        outcome = ground.outcome(patch)
        if isinstance(outcome, Fit) and not _is_closed(ground.spec, outcome):
            if kind:
                ground.told.add(kind)
            found[text] = Alternative(summary=f"{title}: {_numbers(outcome)}", patch=text)
        if len(found) == ALTERNATIVES_LIMIT:
            break
    return tuple(found.values())


def merge(target: Mapping[str, Any], patch: Mapping[str, Any]) -> dict[str, Any]:
    """A JSON merge patch (RFC 7386) applied to an object."""
    result = dict(target)
    for key, value in patch.items():
        if value is None:
            result.pop(key, None)
        elif isinstance(value, Mapping):
            there = result.get(key)
            result[key] = merge(there if isinstance(there, Mapping) else {}, value)
        else:
            result[key] = value
    return result


def _is_closed(spec: LlamaDeploymentSpec, fit: Fit) -> bool:
    """Whether what fits is gated and no token opens it; no patch adds one."""
    return any(lacks_token(spec, row) for row in fit.trial.choice.publications)


def _patched(spec: LlamaDeploymentSpec, patch: Patch) -> LlamaDeploymentSpec | None:
    try:
        return LlamaDeploymentSpec.model_validate(merge(spec.to_object(), patch))
    except ValidationError:
        return None


def _text(patch: Patch) -> str:
    return json.dumps({"spec": patch}, separators=(",", ":"), sort_keys=True)


def _numbers(fit: Fit) -> str:
    trial = fit.trial
    if trial.memory is None or trial.setting is None:
        return trial.candidate.gpus
    return (
        f"{trial.candidate.gpus}, weights {format_gib(trial.memory.models_bytes)} per GPU, "
        f"KV cache {counted(trial.memory.kv_cache_tokens or 0, 'token')}, "
        f"context {trial.setting.max_model_len:,}"
    )


def _proposals(ground: Ground) -> Iterator[tuple[str, Patch]]:
    """Titles and patches of spec, cheapest change first; not all of them fit."""
    yield from _other_engines(ground)
    yield from _own_context(ground)
    yield from _other_hub(ground)
    if ground.misfit is not None:
        yield from _shorter(ground.misfit, {})
    yield from _fewer_requests(ground)
    yield from _larger_share(ground)
    yield from _smaller_memory(ground)
    yield from _without_draft(ground)
    yield from _more_gpus(ground)
    yield from _lighter(ground)
    yield from _other_gpus(ground)
    yield from _more_nodes(ground)


def _without_draft(ground: Ground) -> Iterator[tuple[str, Patch]]:
    """The model alone, without one that drafts for it."""
    if draft_model(ground.spec) is not None:
        yield "no draft model", {"speculative": None}


def _shorter(misfit: Misfit, patch: Patch) -> Iterator[tuple[str, Patch]]:
    """The longest context that any placement holds, beside the patch that led to the misfit."""
    longest, asked = misfit.longest_context, misfit.spec.context.max_model_len
    if longest >= USEFUL_CONTEXT_TOKENS and (asked is None or longest < asked):
        yield f"maxModelLen {longest:,}", {**patch, "context": {"maxModelLen": longest}}


def _other_engines(ground: Ground) -> Iterator[tuple[str, Patch]]:
    """The engine that Auto takes for the format, where the one that is named does not load it."""
    spec = ground.spec
    if ground.trials or spec.engine.type is EngineType.AUTO or spec.format is ModelFormat.AUTO:
        return
    try:
        row = ground.catalog.resolve(
            spec.model, spec.size or "", spec.format, spec.quantization, spec.hub
        )
    except SpecError:
        return
    for version in engines_that_load(row, ground.catalog):
        if version.engine != spec.engine.type:
            patch: Patch = {"type": version.engine}
            if spec.engine.version is not None:
                patch["version"] = None
            yield f"engine {version.engine}", {"engine": patch}


def _own_context(ground: Ground) -> Iterator[tuple[str, Patch]]:
    """The model's own context where the spec asks for more."""
    spec = ground.spec
    own = min((choice.context_length for choice in loadable(spec, ground.catalog)), default=0)
    if own and (spec.context.max_model_len or 0) > own:
        patch = {"context": {"maxModelLen": own}}
        yield from _with_context(ground, f"maxModelLen {own:,}", patch)


def _other_hub(ground: Ground) -> Iterator[tuple[str, Patch]]:
    """The other hub, where the model may be published so without a gate."""
    if not ground.trials:
        for hub in Hub:
            if hub is not ground.spec.hub:
                yield f"hub {hub}", {"hub": hub.value}


def _fewer_requests(ground: Ground) -> Iterator[tuple[str, Patch]]:
    length = ground.spec.context.max_model_len
    if length is None:
        return
    short = (trial for trial in ground.trials if trial.verdict is Reason.KV_CACHE_TOO_SMALL)
    held = max((trial.held_requests for trial in short), default=0)
    if 1 <= held < ground.spec.context.concurrency:
        yield f"concurrency {held:,}", {"context": {"concurrency": held}}


def _larger_share(ground: Ground) -> Iterator[tuple[str, Patch]]:
    """Shares that may be proposed on a candidate, if they hold what any of the candidates needs."""
    sized = [trial for trial in ground.trials if trial.setting is not None]
    shares = {share for trial in sized if (share := _highest(trial)) > trial.utilization_percent}
    needs = [(trial.candidate.pool.gpu.total_bytes, trial.needed_bytes or 0) for trial in sized]
    for share in sorted(shares):
        if any(needed <= share_bytes(total, share / 100) for total, needed in needs):
            yield f"utilizationPercent {share}", {"memory": {"utilizationPercent": share}}


def _highest(trial: Trial) -> int:
    gpu = trial.candidate.pool.gpu
    return highest_utilization_percent(
        gpu.total_bytes, gpu.reserved_at_start_bytes, trial.candidate.tensor_parallel_size
    )


def _smaller_memory(ground: Ground) -> Iterator[tuple[str, Patch]]:
    memory = ground.spec.memory
    sized = [trial for trial in ground.trials if trial.setting is not None]
    if memory.kv_cache_d_type is KvCacheDType.AUTO and any(
        (trial.candidate.pool.gpu.compute_capability or (0, 0)) >= FP8_CAPABILITY for trial in sized
    ):
        yield "kvCacheDType fp8", {"memory": {"kvCacheDType": KvCacheDType.FP8.value}}
    for tokens, seqs in SMALLER_BATCHES:
        if any(trial.setting is not None and trial.setting.max_num_seqs > seqs for trial in sized):
            yield (
                f"maxNumBatchedTokens {tokens:,} and maxNumSeqs {seqs:,}",
                {"memory": {"maxNumBatchedTokens": tokens, "maxNumSeqs": seqs}},
            )
    if memory.cuda_graphs is CudaGraphs.ENABLED and sized:
        yield "cudaGraphs Disabled", {"memory": {"cudaGraphs": CudaGraphs.DISABLED.value}}


def _more_gpus(ground: Ground) -> Iterator[tuple[str, Patch]]:
    """The other counts of an entry of spec.hardware, larger ones first to be tried."""
    if not ground.trials:
        return
    sizes = ground.trials[0].choice.tensor_parallel_sizes
    for index, entry in enumerate(ground.spec.hardware):
        if entry.count is None:
            continue
        larger = [size for size in sizes if size > entry.count]
        smaller = [size for size in sizes if size < entry.count]
        for size in (*larger, *smaller):
            entries = [other.to_object() for other in ground.spec.hardware]
            entries[index] = {**entries[index], "count": size}
            yield f"count {size} of {entry.gpu}", {"hardware": entries}


def _more_nodes(ground: Ground) -> Iterator[tuple[str, Patch]]:
    """More nodes for an entry of spec.hardware that fixes a count or nodes."""
    if not ground.survey.leader_worker_set:
        return
    for index, entry in enumerate(ground.spec.hardware):
        if entry.count is None and entry.nodes is None:
            continue  # several nodes were tried unasked
        for nodes in SPREAD_NODES:
            if nodes > (entry.nodes or 1):
                entries = [other.to_object() for other in ground.spec.hardware]
                entries[index] = {**entries[index], "nodes": nodes}
                yield f"nodes {nodes} of {entry.gpu}", {"hardware": entries}


def _lighter(ground: Ground) -> Iterator[tuple[str, Patch]]:
    """Other published quantizations, with a shorter context where they need one."""
    tried = {trial.choice.publication.repository for trial in ground.trials}
    heaviest = max((_checkpoint_bytes(trial.choice) for trial in ground.trials), default=None)
    lighter = [
        choice
        for choice in loadable(ground.spec, ground.catalog)
        if choice.publication.repository not in tried
        and (heaviest is None or _checkpoint_bytes(choice) < heaviest)
    ]
    patches = [_format_patch(ground.spec, choice.publication) for choice in lighter]
    yield from patches
    for title, patch in patches:
        if patch["format"] not in ground.told:
            yield from _shorter_beside(ground, title, patch)


def _format_patch(spec: LlamaDeploymentSpec, row: Publication) -> tuple[str, Patch]:
    patch: Patch = {"format": row.format}
    if not row.recommended:
        patch["quantization"] = row.quantization
    elif spec.quantization is not None:
        patch["quantization"] = None
    return f"format {row.format} ({row.quantization})", patch


def _other_gpus(ground: Ground) -> Iterator[tuple[str, Patch]]:
    """GPUs of the cluster that spec.hardware leaves out, instead of those; smallest first."""
    listed = {entry.gpu for entry in ground.spec.hardware}
    if not listed:
        return
    products = {
        pool.product: pool.gpu.total_bytes
        for pool in ground.survey.pools
        if pool.product not in listed
    }
    for product in sorted(products, key=lambda product: (products[product], product)):
        yield from _with_context(ground, f"hardware {product}", {"hardware": [{"gpu": product}]})


def _with_context(ground: Ground, title: str, patch: Patch) -> Iterator[tuple[str, Patch]]:
    """A patch, and beside it a shorter context when it does not fit without."""
    yield title, patch
    yield from _shorter_beside(ground, title, patch)


def _shorter_beside(ground: Ground, title: str, patch: Patch) -> Iterator[tuple[str, Patch]]:
    outcome = ground.outcome(patch)
    if isinstance(outcome, Misfit):
        for shorter, both in _shorter(outcome, patch):
            yield shorter if "context" in patch else f"{title} and {shorter}", both


def _checkpoint_bytes(choice: Choice) -> int:
    return checkpoint_bytes(choice.shape, choice.scheme)
