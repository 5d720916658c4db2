"""Errors that tell what the catalog has instead of what the spec asks for."""

from collections.abc import Iterable

from llama_operator.api.reasons import Reason
from llama_operator.catalog.rows import Model, Publication
from llama_operator.errors import SpecError

NAMES_LIMIT = 24
"""Names that one message lists; users' rows have no such bound."""


def listed(names: Iterable[str]) -> str:
    """Distinct names with commas in between, in order of first appearance, cut to 24 names."""
    distinct = list(dict.fromkeys(names))
    more = len(distinct) - NAMES_LIMIT
    text = ", ".join(distinct[:NAMES_LIMIT])
    return f"{text} and {more} more" if more > 0 else text


def unknown_model(name: str, names: Iterable[str]) -> SpecError:
    """No model of this name."""
    return SpecError(
        "spec.model",
        f"the catalog has no model {name!r}; it has {listed(names)}",
        reason=Reason.UNKNOWN_MODEL,
    )


def unknown_size(name: str, size: str, sizes: Iterable[str]) -> SpecError:
    """The model has no such size."""
    return SpecError(
        "spec.size",
        f"{name} has no size {size!r}; it has {listed(sizes)}",
        reason=Reason.UNKNOWN_MODEL,
    )


def not_servable(model: Model) -> SpecError:
    """The model generates no text; the message says what to do."""
    return SpecError(
        "spec.model",
        f"{model.name} {model.size}: {model.not_servable}",
        reason=Reason.MODEL_NOT_SERVABLE,
    )


def not_published(
    model: Model,
    publications: Iterable[Publication],
    format_name: str,
    quantization: str | None,
    hub: str,
) -> SpecError:
    """The format, the quantization or the hub does not exist for the model; names the first.

    Args:
        model: the model asked for.
        publications: every publication of the model.
        format_name: the format asked for.
        quantization: the quantization asked for; None for the recommended one.
        hub: the hub asked for.
    """
    publications = tuple(publications)
    who = f"{model.name} {model.size}"
    in_format = [row for row in publications if row.format == format_name]
    if not in_format:
        formats = listed(row.format for row in publications)
        return _error("format", f"{who} is not published as {format_name}; write {formats}")
    on_hub = [row for row in in_format if row.hub == hub]
    if quantization is None:
        hubs = listed(row.hub for row in in_format)
        return _error("hub", f"{format_name} of {who} is not on {hub}; {hubs} has it")
    same = [row for row in in_format if row.quantization.casefold() == quantization.casefold()]
    there = listed(row.quantization for row in on_hub or in_format)
    if not same:
        return _error(
            "quantization",
            f"{format_name} of {who} is not published in {quantization!r}; write {there}",
        )
    message = (
        f"{format_name} {same[0].quantization} of {who} is not on {hub}; "
        f"{listed(row.hub for row in same)} has it"
    )
    return _error("hub", f"{message}; {hub} has {there}" if on_hub else message)


def nothing_for_auto(model: Model, publications: Iterable[Publication], hub: str) -> SpecError:
    """The hub has nothing that Auto may choose."""
    hubs = sorted({row.hub for row in publications if row.auto_rank and row.hub != hub})
    instead = f"write hub: {hubs[0]}" if hubs else "write a format"
    return _error(
        "hub", f"{hub} has nothing of {model.name} {model.size} that Auto may choose; {instead}"
    )


def _error(field: str, message: str) -> SpecError:
    return SpecError(f"spec.{field}", message, reason=Reason.NOT_PUBLISHED)
