"""The memory of one GPU as a bar and its legend."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from rich.console import Console
from rich.text import Text

from llama_operator.units import format_gib

if TYPE_CHECKING:
    from llama_operator.api.plan import MemoryPerGpu

BAR_CELLS: Final = 72


@dataclass(frozen=True, slots=True)
class Part:
    """One part of a GPU's memory. The letter tells it apart where there is no colour."""

    letter: str
    name: str
    style: str
    size_bytes: int


def memory_parts(memory: "MemoryPerGpu") -> tuple[Part, ...]:
    """The parts that add up to the GPU's total, as they lie in the bar."""
    named = serving_parts(
        weights_bytes=memory.weights_bytes,
        adapter_bytes=memory.adapter_bytes or 0,
        activation_bytes=memory.activation_bytes,
        non_torch_bytes=memory.non_torch_bytes,
        cuda_graph_bytes=memory.cuda_graph_bytes,
        kv_cache_bytes=memory.kv_cache_bytes,
        draft_weights_bytes=memory.draft_weights_bytes or 0,
    )
    return (*named, headroom(memory.total_bytes - sum(part.size_bytes for part in named)))


def serving_parts(
    *,
    weights_bytes: int,
    adapter_bytes: int,
    activation_bytes: int,
    non_torch_bytes: int,
    cuda_graph_bytes: int,
    kv_cache_bytes: int,
    kv_cache_name: str = "KV cache",
    draft_weights_bytes: int = 0,
) -> tuple[Part, ...]:
    """What an engine takes of a GPU, in the order of the bar."""
    drafts = (Part("D", "draft weights", "white on bright_black", draft_weights_bytes),)
    return (
        Part("W", "weights", "white on blue", weights_bytes),
        *(drafts if draft_weights_bytes else ()),
        *([Part("L", "LoRA adapters", "black on cyan", adapter_bytes)] if adapter_bytes else []),
        Part("A", "activations", "black on yellow", activation_bytes),
        Part("N", "non-torch", "white on magenta", non_torch_bytes),
        Part("G", "CUDA graphs", "white on red", cuda_graph_bytes),
        Part("K", kv_cache_name, "black on green", kv_cache_bytes),
    )


def headroom(size_bytes: int) -> Part:
    """What an engine leaves free."""
    return Part(".", "headroom", "dim", size_bytes)


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


def print_memory(console: Console, what: str, parts: Sequence[Part]) -> None:
    """A heading with the total, the bar, and its legend."""
    total = sum(part.size_bytes for part in parts)
    console.print(f"\n[bold]Memory of {what}[/bold], {format_gib(total)}")
    console.print(memory_bar(parts, max(20, min(BAR_CELLS, console.width - 4))))
    for line in memory_lines(parts):
        console.print(line)


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
