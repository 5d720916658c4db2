"""The memory of one GPU as a bar and its legend."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from rich.text import Text

from llama_operator.api.plan import MemoryPerGpu
from llama_operator.units import format_gib

BAR_CELLS: Final = 72


@dataclass(frozen=True, slots=True)
class Part:
    """One part of a GPU's memory. The letter tells it apart where there is no colour."""

    letter: str
    name: str
    style: str
    size_bytes: int


def memory_parts(memory: MemoryPerGpu) -> tuple[Part, ...]:
    """The parts that add up to the GPU's total, as they lie in the bar."""
    named = (
        Part("W", "weights", "white on blue", memory.weights_bytes),
        Part("A", "activations", "black on yellow", memory.activation_bytes),
        Part("N", "non-torch", "white on magenta", memory.non_torch_bytes),
        Part("G", "CUDA graphs", "white on red", memory.cuda_graph_bytes),
        Part("K", "KV cache", "black on green", memory.kv_cache_bytes),
    )
    free = memory.total_bytes - sum(part.size_bytes for part in named)
    return (*named, Part(".", "headroom", "dim", free))


def cells(sizes: Sequence[int], width: int) -> list[int]:
    """Cells of each part of a bar: at least one for what is not empty, `width` in all."""
    total = sum(sizes)
    counts = [max(1, size * width // total) if size > 0 else 0 for size in sizes]
    while sum(counts) != width:
        step = 1 if sum(counts) < width else -1
        # The part whose cells differ most from its share gives or takes one.
        errors = [
            step * (size * width / total - count) if count + step > 0 and size > 0 else -width
            for size, count in zip(sizes, counts, strict=True)
        ]
        counts[errors.index(max(errors))] += step
    return counts


def memory_bar(parts: Sequence[Part], width: int = BAR_CELLS) -> Text:
    """One line of `width` cells."""
    bar = Text("  ")
    for part, count in zip(parts, cells([part.size_bytes for part in parts], width), strict=True):
        bar.append(part.letter * count, style=part.style)
    return bar


def memory_lines(parts: Sequence[Part]) -> Iterator[Text]:
    """Letter, name, GiB, bytes and share of each part, and the total."""
    total = sum(part.size_bytes for part in parts)
    names = max(len(part.name) for part in parts)
    digits = len(f"{total:,}")
    for part in parts:
        share = f"{100 * part.size_bytes / total:5.1f} %"
        line = Text("  ").append(part.letter, style=part.style)
        line.append(f"  {part.name:<{names}}  {format_gib(part.size_bytes):>12}")
        yield line.append(f"  {part.size_bytes:>{digits},}  {share}")
    yield Text(f"     {'total':<{names}}  {format_gib(total):>12}  {total:,}")
