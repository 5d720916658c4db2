"""The size that a repository or file has against the size that was computed for it."""

from typing import Final

from llama_operator.download.facts import GgufFacts, ModelFacts, SafetensorsFacts
from llama_operator.units import format_gib

TOLERANCE_FRACTION: Final = 0.001
"""Computed and stored sizes of one model agree within 0.1 % where the formulas fit it."""
BY_SHAPE: Final = (
    "disk is counted by the files, memory by the shape, which is that much off where the engine "
    "holds the files as they are"
)
"""Files may hold other dtypes than engines do, or parts that they do not load."""
BY_FILE: Final = "disk and weights are counted by the file"
"""llama.cpp holds the tensors of a file as they are."""


def stored_bytes(facts: ModelFacts) -> int | None:
    """Bytes of all tensors that the repository stores, None where it does not tell.

    The index of safetensors files, where their headers bear it out; else the headers. Without
    safetensors, the GGUF model whose header was read.
    """
    if facts.safetensors is not None:
        total = facts.safetensors.index_total_bytes
        if total is None or _index_is_wrong(facts.safetensors):
            return facts.safetensors.tensor_bytes
        return total
    headers = [model.header for model in facts.gguf if model.header is not None]
    return headers[0].tensor_bytes if len(headers) == 1 else None


def compare(facts: ModelFacts, computed_bytes: int) -> str | None:
    """Why the facts and a computed size disagree.

    Args:
        facts: of the repository.
        computed_bytes: of all tensors of the checkpoint or GGUF file, by the memory model.

    Returns:
        A warning that says by how much they differ; None when they agree within 0.1 %, or the
        repository tells no size.
    """
    text = _difference(stored_bytes(facts), computed_bytes, _place(facts), BY_SHAPE)
    if text and facts.safetensors is not None and _index_is_wrong(facts.safetensors):
        text += (
            f"; its index says {facts.safetensors.index_total_bytes:,} bytes, which the headers of "
            "its files do not bear out"
        )
    return text


def compare_gguf(
    model: GgufFacts, computed_bytes: int, facts: ModelFacts | None = None
) -> str | None:
    """Why the header of a GGUF model and a computed size disagree.

    Args:
        model: with its header.
        computed_bytes: of all tensors of the file, by the memory model.
        facts: of the repository that it is in; None for a file of this machine.

    Returns:
        As `compare`.
    """
    place = model.name if facts is None else f"{model.name} in {_place(facts)}"
    stored = None if model.header is None else model.header.tensor_bytes
    return _difference(stored, computed_bytes, place, BY_FILE)


def _difference(stored: int | None, computed_bytes: int, place: str, counted: str) -> str | None:
    if not stored:
        return None
    difference = computed_bytes - stored
    if abs(difference) <= TOLERANCE_FRACTION * stored:
        return None
    word = "more" if difference > 0 else "less"
    return (
        f"computed {format_gib(computed_bytes)}, {abs(difference) / stored:.2%} {word} than the "
        f"{format_gib(stored)} ({stored:,} bytes) of tensors in {place}; {counted}"
    )


def _place(facts: ModelFacts) -> str:
    return f"{facts.repository} at {facts.commit[:8]}"


def _index_is_wrong(safetensors: SafetensorsFacts) -> bool:
    total, tensors = safetensors.index_total_bytes, safetensors.tensor_bytes
    return total is not None and abs(total - tensors) > TOLERANCE_FRACTION * tensors
