"""Why these GPUs and no others: every candidate with a verdict and one line of reason. Pure."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum
from operator import itemgetter
from typing import Final

from llama_operator.api.plan import Plan
from llama_operator.api.reasons import Reason
from llama_operator.api.v1alpha1 import LlamaDeploymentSpec
from llama_operator.catalog.catalog import Catalog
from llama_operator.errors import SpecError
from llama_operator.planning.candidates import Candidate, candidates, preferred_engine, spread
from llama_operator.planning.choices import Choice, check_context, choices, lacks_token
from llama_operator.planning.decide import Fit, decide, own_free_replicas, wanted_replicas
from llama_operator.planning.ranking import PRICE_TOLERANCE_PERCENT, is_within, rank
from llama_operator.planning.refuse import SHORTAGES
from llama_operator.planning.survey import GpuPool, Survey
from llama_operator.planning.trials import MEMORY_VERDICTS, Trial, attempt
from llama_operator.units import format_gib, format_usd


class Verdict(StrEnum):
    """What came of a candidate."""

    CHOSEN = "Chosen"
    FITS = "Fits"
    DOES_NOT_FIT = "DoesNotFit"
    REFUSED = "Refused"


VERDICTS: Final = tuple(Verdict)


@dataclass(frozen=True, slots=True)
class ExplainedRow:
    """One candidate: an engine and a format on a number of GPUs, and why it was chosen or not.

    `engine`, `format` and `quantization` are empty where the reason is the same for all of them;
    `product` is empty and `count` 0 where it is the same for all GPUs. `fits_now`: it fits, and all
    replicas find free GPUs of this product. Bytes are of one GPU: those that must fit at least, and
    those that the engine may use; None when it was not sized.
    """

    verdict: Verdict
    reason: str
    engine: str = ""
    engine_version: str = ""
    format: str = ""
    quantization: str = ""
    product: str = ""
    count: int = 0
    micro_usd_per_hour: int | None = None
    fits_now: bool = False
    needed_bytes: int | None = None
    available_bytes: int | None = None

    @property
    def missing_bytes(self) -> int:
        """Bytes that one GPU lacks; 0 when it lacks none, or something else than memory."""
        if self.needed_bytes is None or self.available_bytes is None:
            return 0
        return max(0, self.needed_bytes - self.available_bytes)


def explain(
    spec: LlamaDeploymentSpec,
    catalog: Catalog,
    survey: Survey,
    *,
    current: Plan | None = None,
    price_tolerance_percent: int = PRICE_TOLERANCE_PERCENT,
) -> tuple[ExplainedRow, ...]:
    """Every candidate of `plan_on` with the same arguments, and what came of it.

    The chosen one comes first, then what fits in the order of ranking, then what does not.

    Returns:
        Rows; one is chosen when a plan was found, none otherwise. Empty when the spec is refused
        before any GPU is looked at.
    """
    try:
        options = choices(spec, catalog)
        check_context(spec, options)
    except SpecError:
        return ()
    outcome = decide(spec, options, survey, current, price_tolerance_percent)
    asked = _Asked(spec, options, survey, price_tolerance_percent)
    return asked.rows(outcome if isinstance(outcome, Fit) else None)


@dataclass(frozen=True, slots=True)
class _Asked:
    """What is explained."""

    spec: LlamaDeploymentSpec
    options: Sequence[Choice]
    survey: Survey
    tolerance_percent: int

    def rows(self, fit: Fit | None) -> tuple[ExplainedRow, ...]:
        ranked = sorted(
            (
                (VERDICTS.index(row.verdict), index, rank(candidate), row)
                for index, choice in enumerate(self.options)
                for candidate in self._candidates(choice, fit)
                for row in (self._row(attempt(self.spec, choice, candidate, longest=False), fit),)
            ),
            key=itemgetter(0, 1, 2),
        )
        told = (*self._not_preferred(), *self._gated(), *self._unlisted())
        return (*(row for *_, row in ranked), *told)

    def _candidates(self, choice: Choice, fit: Fit | None) -> Iterator[Candidate]:
        """All that are tried; several nodes only where one was not enough."""
        yield from candidates(self.spec, choice, self.survey, undivided=True)
        if self.survey.leader_worker_set and (fit is None or fit.trial.candidate.nodes > 1):
            yield from spread(self.spec, choice, self.survey)

    def _row(self, trial: Trial, fit: Fit | None) -> ExplainedRow:
        choice, candidate = trial.choice, trial.candidate
        verdict, reason = self._verdict(trial, fit)
        if candidate.nodes > 1:
            reason = f"on {candidate.nodes} nodes: {reason}"
        return ExplainedRow(
            verdict,
            reason,
            engine=choice.engine.name,
            engine_version=choice.version.version,
            format=choice.publication.format,
            quantization=choice.publication.quantization,
            product=candidate.pool.product,
            count=candidate.gpu_count,
            micro_usd_per_hour=candidate.micro_usd_per_hour,
            fits_now=trial.verdict is None and self._is_free(trial),
            needed_bytes=trial.needed_bytes,
            available_bytes=trial.available_bytes,
        )

    def _verdict(self, trial: Trial, fit: Fit | None) -> tuple[Verdict, str]:
        if trial.verdict in MEMORY_VERDICTS:
            return Verdict.DOES_NOT_FIT, _shortage(trial)
        if trial.verdict is Reason.HOST_TOO_SMALL:
            return Verdict.DOES_NOT_FIT, f"no node of theirs offers enough: {trial.why}"
        if trial.verdict is not None:
            return Verdict.REFUSED, trial.why
        if lacks_token(self.spec, trial.choice.publication):
            return Verdict.REFUSED, _gate(trial.choice.publication.repository)
        if fit is None:
            return Verdict.REFUSED, "the plan was refused"
        if _is_same(trial, fit.trial):
            return Verdict.CHOSEN, self._why_chosen(fit)
        return Verdict.FITS, self._why_not(trial, fit)

    def _why_chosen(self, fit: Fit) -> str:
        if fit.kept:
            return "today's placement, which still holds it"
        now = "free now" if fit.fits_now else "to wait for: not free now for all replicas"
        if fit.busy is None:
            return f"ranks first; {now}"
        candidate = fit.trial.candidate
        if candidate.preference != fit.busy.preference:
            return f"{now}, unlike {fit.busy.gpus}, which spec.hardware lists first"
        if candidate.micro_usd_per_hour is None or fit.busy.micro_usd_per_hour is None:
            return f"{now}, unlike {fit.busy.gpus}"
        return f"{now}, and at most {self.tolerance_percent} % above {fit.busy.gpus}"

    def _why_not(self, trial: Trial, fit: Fit) -> str:
        candidate, best = trial.candidate, fit.trial.candidate
        mine, chosen = self.options.index(trial.choice), self.options.index(fit.trial.choice)
        if (mine, rank(candidate)) < (chosen, rank(best)):
            if fit.kept:
                return "ranks before it, but today's placement is kept while it holds it"
            return "not free now for all replicas"
        if mine != chosen:
            return _comes_after(trial.choice, fit.trial.choice)
        why = _ranks_after(candidate, best)
        price, cheapest = candidate.micro_usd_per_hour, best.micro_usd_per_hour
        if (
            candidate.preference == best.preference
            and self._is_free(trial)
            and not fit.fits_now
            and not is_within(price, cheapest, self.tolerance_percent)
        ):
            return f"free now, but {why}: more than {self.tolerance_percent} % above"
        return why

    def _is_free(self, trial: Trial) -> bool:
        return own_free_replicas(trial) >= wanted_replicas(self.spec)

    def _not_preferred(self) -> Iterator[ExplainedRow]:
        """Choices on GPUs where an engine that comes before runs the same weights."""
        for choice in self.options:
            for pool in self.survey.pools:
                before = preferred_engine(choice, pool)
                if before is not None and self._lists(pool):
                    yield ExplainedRow(
                        Verdict.REFUSED,
                        f"{before.engine} comes first and runs on these GPUs",
                        engine=choice.engine.name,
                        engine_version=choice.version.version,
                        format=choice.publication.format,
                        quantization=choice.publication.quantization,
                        product=pool.product,
                    )

    def _gated(self) -> Iterator[ExplainedRow]:
        """Publications that Auto left out for want of a token."""
        rows = {row: None for choice in self.options for row in choice.left_out}
        for row in rows:
            yield ExplainedRow(
                Verdict.REFUSED,
                _gate(row.repository),
                format=row.format,
                quantization=row.quantization,
            )

    def _unlisted(self) -> Iterator[ExplainedRow]:
        """GPUs of the cluster that the spec does not allow."""
        for pool in self.survey.pools:
            if not self._lists(pool):
                reason = "spec.hardware does not list it"
                yield ExplainedRow(Verdict.REFUSED, reason, product=pool.product)

    def _lists(self, pool: GpuPool) -> bool:
        hardware = self.spec.hardware
        return not hardware or any(entry.gpu == pool.product for entry in hardware)


def _is_same(one: Trial, other: Trial) -> bool:
    mine, its = one.candidate, other.candidate
    return (
        one.choice is other.choice
        and mine.pool is its.pool
        and (mine.preference, mine.tensor_parallel_size, mine.nodes)
        == (its.preference, its.tensor_parallel_size, its.nodes)
    )


def _shortage(trial: Trial) -> str:
    needed, available = trial.needed_bytes or 0, trial.available_bytes or 0
    lead = SHORTAGES[trial.verdict] if trial.verdict is not None else ""
    if needed <= available:
        return lead
    missing = needed - available
    return f"each GPU lacks {format_gib(missing)} ({missing:,} bytes): {lead}"


def _gate(repository: str) -> str:
    return f"{repository} is gated and spec.tokenSecretRef is not set"


def _comes_after(choice: Choice, chosen: Choice) -> str:
    mine, its = choice.publication, chosen.publication
    if mine != its:
        return f"{its.format} ({its.quantization}) comes before {mine.format}"
    return f"{chosen.engine.name} comes before {choice.engine.name}"


def _ranks_after(candidate: Candidate, best: Candidate) -> str:
    """The first rule that puts a candidate after another one."""
    price, cheapest = candidate.micro_usd_per_hour, best.micro_usd_per_hour
    if candidate.preference != best.preference:
        return "later in spec.hardware"
    if price is None and cheapest is not None:
        return "has no known price"
    if price is not None and cheapest is not None and price != cheapest:
        return f"costs {format_usd(price)} instead of {format_usd(cheapest)} USD an hour"
    if candidate.gpu_count != best.gpu_count:
        return f"takes {candidate.gpu_count} GPUs instead of {best.gpu_count}"
    if candidate.pool.gpu.bandwidth_bytes_per_second != best.pool.gpu.bandwidth_bytes_per_second:
        return "has less memory bandwidth"
    return "comes later by name"
