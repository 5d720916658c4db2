"""Whether an engine version loads a scheme of weights, on which GPUs, and with which arguments."""

from typing import Final

from llama_operator.api.plan import Plan
from llama_operator.catalog.engine_memory import engine_memory
from llama_operator.catalog.engine_tables import EngineLoad, engine_load, read_engine_loads
from llama_operator.catalog.rows import EngineVersion, Publication
from llama_operator.catalog.versions import version_numbers

UNBOUNDED_CAPABILITY: Final = (99, 0)
"""A compute capability that no kernel asks more than: what is refused here is refused always."""


def load_refusal(
    version: EngineVersion,
    scheme: str,
    format_name: str,
    *,
    quantize_at_load: bool = False,
    compute_capability: tuple[int, int] | None = UNBOUNDED_CAPABILITY,
) -> str | None:
    """Why an engine version cannot load a scheme on a GPU; None when it can.

    Args:
        version: of the engine.
        scheme: name of the weight scheme, e.g. `awq-int4-g128`.
        format_name: of the publication, e.g. `awq`.
        quantize_at_load: whether the files hold 16-bit weights, which the engine quantizes to it.
        compute_capability: (major, minor) of an NVIDIA GPU; None for another vendor's.
    """
    engine = version.engine
    row = _row(version, scheme, format_name)
    if row is None:
        return f"{engine} does not load {scheme}; it loads {', '.join(_loaded(version))}"
    if row.min_compute_capability is None:
        return f"{engine} does not load {scheme}: {row.not_loaded}"
    if quantize_at_load and not row.at_load_arguments:
        return f"{engine} does not quantize to {scheme} while it loads"
    if compute_capability is None:
        return None
    runs = engine_memory(engine, version.numbers)
    needed = max(row.min_compute_capability, runs.min_compute_capability)
    if compute_capability < needed:
        return (
            f"{engine} loads {scheme} on GPUs of compute capability {_dotted(needed)} and above; "
            f"this one has {_dotted(compute_capability)}"
        )
    return None


def publication_refusal(row: Publication, version: EngineVersion) -> str | None:
    """Why an engine loads a publication on no GPU at all; None when it does."""
    refusal = load_refusal(version, row.scheme, row.format, quantize_at_load=row.quantize_at_load)
    if refusal is None and row.engines and version.engine not in row.engines:
        return f"{version.engine} is none of the engines of this row: {', '.join(row.engines)}"
    return refusal


def plan_arguments(plan: Plan) -> tuple[str, ...]:
    """What the engine of a plan is told to load its weights: arguments, or `NAME=value` for TGI."""
    version = version_numbers(plan.engine_version)
    row = engine_load(plan.engine, version, plan.scheme, plan.format)
    if row is None:
        return ()
    return row.at_load_arguments if plan.quantize_at_load else row.arguments


def auto_rank(version: EngineVersion, scheme: str, format_name: str) -> int:
    """Order of the engine among those that load the scheme; 0 when it is never taken unasked."""
    row = _row(version, scheme, format_name)
    return 0 if row is None else row.auto_rank


def _row(version: EngineVersion, scheme: str, format_name: str) -> EngineLoad | None:
    return engine_load(version.engine, version.numbers, scheme, format_name)


def _loaded(version: EngineVersion) -> list[str]:
    return sorted(
        {
            row.format if row.scheme == "*" else row.scheme
            for row in read_engine_loads()
            if row.engine == version.engine and row.min_compute_capability
        }
    )


def _dotted(capability: tuple[int, int]) -> str:
    return f"{capability[0]}.{capability[1]}"
