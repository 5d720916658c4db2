"""The size that a repository has against the size that was computed for it."""

from typing import Final

from llama_operator.download.facts import ModelFacts, SafetensorsFacts
from llama_operator.units import format_gib

TOLERANCE_FRACTION: Final = 0.001
"""Computed and stored sizes of one model agree within 0.1 % where the formulas fit it."""


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
    stored = stored_bytes(facts)
    if not stored:
        return None
    difference = computed_bytes - stored
    if abs(difference) <= TOLERANCE_FRACTION * stored:
        return None
    word = "more" if difference > 0 else "less"
    text = (
        f"computed {format_gib(computed_bytes)}, {abs(difference) / stored:.2%} {word} than the "
        f"{format_gib(stored)} ({stored:,} bytes) of tensors in {facts.repository} at "
        f"{facts.commit[:8]}: the files are right, so take the weights for that much {_other(word)}"
    )
    if facts.safetensors is not None and _index_is_wrong(facts.safetensors):
        text += (
            f"; its index says {facts.safetensors.index_total_bytes:,} bytes, which the headers of "
            "its files do not bear out"
        )
    return text


def _other(word: str) -> str:
    return "smaller" if word == "more" else "larger"


def _index_is_wrong(safetensors: SafetensorsFacts) -> bool:
    total, tensors = safetensors.index_total_bytes, safetensors.tensor_bytes
    return total is not None and abs(total - tensors) > TOLERANCE_FRACTION * tensors
