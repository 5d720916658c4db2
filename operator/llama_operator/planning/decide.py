"""Which choice on which GPUs: the ranking of what fits."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import chain

from llama_operator.api.plan import Plan
from llama_operator.api.v1alpha1 import LlamaDeploymentSpec
from llama_operator.planning.candidates import (
    Candidate,
    candidates,
    compute_dtype,
    engine_image,
    gpu_refusal,
    spread,
)
from llama_operator.planning.choices import Choice
from llama_operator.planning.ranking import PRICE_TOLERANCE_PERCENT, is_within, rank
from llama_operator.planning.survey import GpuPool, Survey
from llama_operator.planning.trials import Shortages, Trial, attempt, fitting, hold, roomiest
from llama_operator.sizing.engine_budget import planned_utilization

ACCEPTED_LIMIT = 32
"""Bound of `plan.gpu.acceptedProducts`."""


@dataclass(frozen=True, slots=True)
class Fit:
    """A trial that won, and the pools on which its very plan fits.

    `kept`: it is today's placement, and no longer the best. `free_replicas`: how many start now on
    all these pools. `busy`: GPUs that rank before these, but are not free now.
    """

    trial: Trial
    accepted: tuple[GpuPool, ...]
    free_replicas: int
    wanted_replicas: int
    kept: bool = False
    busy: Candidate | None = None

    @property
    def fits_now(self) -> bool:
        """Whether all replicas find free GPUs."""
        return self.free_replicas >= self.wanted_replicas

    def is_like(self, other: "Fit") -> bool:
        """Whether both serve the same repository on the same GPUs."""
        mine, its = self.trial, other.trial
        return (
            mine.choice.publication == its.choice.publication
            and mine.choice.version is its.choice.version
            and mine.candidate.pool is its.candidate.pool
            and mine.candidate.tensor_parallel_size == its.candidate.tensor_parallel_size
            and mine.candidate.nodes == its.candidate.nodes
        )


@dataclass(frozen=True)
class Misfit:
    """Nothing fits, of any choice on any candidate; every trial says why when it is asked."""

    spec: LlamaDeploymentSpec
    options: Sequence[Choice]
    survey: Survey

    @cached_property
    def trials(self) -> tuple[Trial, ...]:
        """Every trial, in the order of choices and candidates."""
        return tuple(
            attempt(self.spec, choice, candidate)
            for choice in self.options
            for candidate in _all_candidates(self.spec, choice, self.survey)
        )

    @cached_property
    def longest_context(self) -> int:
        """Tokens of the longest requests that any placement holds; 0 where shorter ones do not."""
        trials = (
            trial
            for choice in self.options
            for trial in roomiest(
                self.spec, choice, _all_candidates(self.spec, choice, self.survey)
            )
        )
        concurrency = self.spec.context.concurrency
        return max((trial.longest_context(concurrency) for trial in trials), default=0)


def decide(
    spec: LlamaDeploymentSpec,
    options: Sequence[Choice],
    survey: Survey,
    current: Plan | None = None,
    price_tolerance_percent: int = PRICE_TOLERANCE_PERCENT,
) -> Fit | Misfit:
    """The best placement of the first choice that fits on any GPUs here, free or not.

    Several nodes, unless the spec asks for them, come after all choices on one node.

    Ranking: the order of spec.hardware, then the price of a replica, then fewer GPUs, then higher
    memory bandwidth, then the product's name. The first that is free now wins (on the product
    itself before on all accepted ones), unless it is known to cost more than the tolerance above
    the first of the same entry of spec.hardware. Today's placement wins while it still fits and
    the spec still allows it.

    Args:
        spec: what to serve.
        options: publications, best first; a format of its own has one.
        survey: the GPUs of the cluster.
        current: the plan that runs; None for a new deployment.
        price_tolerance_percent: how much more GPUs may cost that are free now than those that rank
            first.
    """
    best = _fresh(spec, options, survey, price_tolerance_percent)
    kept = _today(spec, options, survey, current, price_tolerance_percent)
    if kept is None or (isinstance(best, Fit) and best.is_like(kept)):
        return best
    return kept


def _fresh(
    spec: LlamaDeploymentSpec, options: Sequence[Choice], survey: Survey, tolerance_percent: int
) -> Fit | Misfit:
    for choice in options:
        found = candidates(spec, choice, survey)
        fit = _first(spec, choice, survey, found, tolerance_percent)
        if fit is not None:
            return fit
    if survey.leader_worker_set:
        over_nodes = spread_fit(spec, options, survey, tolerance_percent)
        if over_nodes is not None:
            return over_nodes
    return Misfit(spec, options, survey)


def spread_fit(
    spec: LlamaDeploymentSpec, options: Sequence[Choice], survey: Survey, tolerance_percent: int
) -> Fit | None:
    """The best placement on several nodes that nobody asked for, whether or not they can be used.

    Args:
        spec: what to serve.
        options: publications, best first.
        survey: the GPUs of the cluster.
        tolerance_percent: how much more GPUs may cost that are free now.
    """
    fits = (
        _first(spec, choice, survey, spread(spec, choice, survey), tolerance_percent)
        for choice in options
    )
    return next((fit for fit in fits if fit is not None), None)


def _all_candidates(
    spec: LlamaDeploymentSpec, choice: Choice, survey: Survey
) -> Iterator[Candidate]:
    yield from candidates(spec, choice, survey)
    if survey.leader_worker_set:
        yield from spread(spec, choice, survey)


def _first(
    spec: LlamaDeploymentSpec,
    choice: Choice,
    survey: Survey,
    found: Iterable[Candidate],
    tolerance_percent: int,
) -> Fit | None:
    """The first trial by rank that is free on its own product; without one the best that fits.

    Of each pool no more GPUs are tried than the fewest that fit, and none that cost too much beside
    the first of their entry of spec.hardware or rank below a trial that is free.
    """
    wanted = wanted_replicas(spec)
    shortages = Shortages()
    fits: list[Trial] = []
    done: set[tuple[int, str, str]] = set()
    cheapest: dict[int, int | None] = {}
    for candidate in sorted(found, key=rank):
        key = (candidate.preference, candidate.pool.product, candidate.pool.resource)
        price = candidate.micro_usd_per_hour
        if key in done or not is_within(
            price, cheapest.get(candidate.preference), tolerance_percent
        ):
            continue
        trial = fitting(spec, choice, candidate, shortages)
        if trial is None:
            continue
        if own_free_replicas(trial) >= wanted:
            return _fit(spec, trial, survey, tolerance_percent, fits)
        done.add(key)
        fits.append(trial)
        cheapest.setdefault(candidate.preference, price)
    if not fits:
        return None
    first = _fit(spec, fits[0], survey, tolerance_percent)
    others = (_fit(spec, trial, survey, tolerance_percent, fits) for trial in fits[1:])
    return next((fit for fit in chain((first,), others) if fit.fits_now), first)


def wanted_replicas(spec: LlamaDeploymentSpec) -> int:
    """Replicas that are to fit; one where none runs."""
    return max(1, spec.replicas)


def own_free_replicas(trial: Trial) -> int:
    """How many replicas start now on the chosen product alone."""
    candidate, host = trial.candidate, trial.host
    if host is None:
        return 0
    return candidate.pool.free_replicas(candidate.tensor_parallel_size, host, candidate.nodes)


def _today(
    spec: LlamaDeploymentSpec,
    options: Iterable[Choice],
    survey: Survey,
    current: Plan | None,
    tolerance_percent: int,
) -> Fit | None:
    """Today's repository on today's GPUs, if the new spec still allows both and fits."""
    if current is None:
        return None
    for choice in options:
        if (choice.publication.repository, choice.version.engine) != (
            current.repository,
            current.engine,
        ):
            continue
        for candidate in _all_candidates(spec, choice, survey):
            if (
                candidate.pool.product == current.gpu.product
                and candidate.pool.resource == current.gpu.resource
                and candidate.tensor_parallel_size == current.gpu.count
                and candidate.nodes == current.pods
            ):
                trial = attempt(spec, choice, candidate)
                if trial.verdict is None:
                    return replace(_fit(spec, trial, survey, tolerance_percent), kept=True)
    return None


def _fit(
    spec: LlamaDeploymentSpec,
    trial: Trial,
    survey: Survey,
    tolerance_percent: int,
    better: Sequence[Trial] = (),
) -> Fit:
    accepted = tuple(
        pool
        for pool in survey.pools
        if pool is trial.candidate.pool or _accepts(spec, trial, pool, tolerance_percent)
    )
    if len(accepted) > ACCEPTED_LIMIT:
        others = [pool for pool in accepted if pool is not trial.candidate.pool]
        accepted = (trial.candidate.pool, *others[: ACCEPTED_LIMIT - 1])
    free = sum(
        pool.free_replicas(trial.candidate.tensor_parallel_size, trial.host, trial.candidate.nodes)
        for pool in accepted
        if trial.host is not None
    )
    busy = better[0].candidate if better else None
    return Fit(trial, accepted, free, wanted_replicas(spec), busy=busy)


def _accepts(
    spec: LlamaDeploymentSpec, trial: Trial, pool: GpuPool, tolerance_percent: int
) -> bool:
    """Whether the very plan of the trial, with all its settings, fits on another pool too.

    A pool that costs more than the tolerance allows is none, unless spec.hardware names it.
    """
    chosen, setting, choice = trial.candidate, trial.setting, trial.choice
    size = chosen.tensor_parallel_size
    if chosen.nodes > 1:  # stages on other GPUs than each other would wait for the slowest
        return False
    if setting is None or pool.resource != chosen.pool.resource:
        return False
    if not spec.hardware:
        cheapest = chosen.pool.micro_usd_per_hour
        if not is_within(pool.micro_usd_per_hour, cheapest, tolerance_percent):
            return False
    elif not any(
        entry.gpu == pool.product
        and entry.count in (None, size)
        and entry.nodes in (None, chosen.nodes)
        for entry in spec.hardware
    ):
        return False
    candidate = Candidate(pool, size, chosen.preference)
    if gpu_refusal(spec, choice, candidate) is not None:
        return False
    gpu = pool.gpu
    if compute_dtype(choice.scheme, gpu.compute_capability) != compute_dtype(
        choice.scheme, chosen.pool.gpu.compute_capability
    ):
        return False
    if engine_image(choice.version, pool) != engine_image(choice.version, chosen.pool):
        return False
    planned = planned_utilization(setting.rules, gpu.total_bytes, gpu.reserved_at_start_bytes, size)
    if spec.memory.utilization_percent is None and setting.utilization > planned:
        return False
    there = replace(setting, gpu=gpu, product=gpu.product, total_bytes=gpu.total_bytes)
    return hold(spec, choice, candidate, there).verdict is None
