"""Words that plans, refusals and alternatives share. Same situation, same text."""

from llama_operator.units import format_gib


def counted(number: int, noun: str) -> str:
    """A number and its noun, e.g. `1 GPU` and `1,024 tokens`."""
    return f"{number:,} {noun}" if number == 1 else f"{number:,} {noun}s"


def requests_text(requests: int, tokens: int) -> str:
    """Requests of a length, e.g. `2 requests of 8,192 tokens`."""
    return f"{counted(requests, 'request')} of {counted(tokens, 'token')}"


def memory_parts(
    *,
    weights: int,
    activation: int,
    non_torch: int,
    graphs: int,
    kv_cache: int,
    requests: str,
    draft_weights: int = 0,
    adapters: int = 0,
) -> str:
    """Where the bytes of one GPU go, in one clause."""
    parts = [
        f"weights {format_gib(weights)}",
        *([f"draft weights {format_gib(draft_weights)}"] if draft_weights else []),
        f"activations {format_gib(activation)}",
        f"non-torch {format_gib(non_torch)}",
    ]
    if graphs:
        parts.append(f"CUDA graphs {format_gib(graphs)}")
    if adapters:
        parts.insert(1, f"LoRA adapters {format_gib(adapters)}")
    parts.append(f"KV cache {format_gib(kv_cache)} for {requests}")
    return ", ".join(parts)
