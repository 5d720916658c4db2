"""What `size` says of one setting in the terminal: facts, memory bars and what fits instead."""

from collections.abc import Iterator, Sequence
from itertools import groupby
from typing import TYPE_CHECKING, Final

from rich.console import Console
from rich.markup import escape
from rich.table import Table
from rich.text import Text

from llama_operator.catalog.rows import Scheme
from llama_operator.cli.memory_bar import (
    BAR_CELLS,
    Part,
    cells,
    headroom,
    memory_bar,
    memory_lines,
    print_memory,
    serving_parts,
)
from llama_operator.cli.size_node import disk_text, node_parts, node_text
from llama_operator.cli.wrapped import print_wrapped
from llama_operator.planning.wording import counted
from llama_operator.sizing.engine_budget import Budgeting
from llama_operator.sizing.estimate import Estimate, StageEstimate
from llama_operator.sizing.nearest import Changes, Nearest
from llama_operator.sizing.offload import offload
from llama_operator.sizing.scheme_names import UNQUANTIZED
from llama_operator.sizing.settings import Setting
from llama_operator.sizing.support import Reason
from llama_operator.units import format_gib

if TYPE_CHECKING:
    from llama_operator.cli.size_one import Answer

NOTHING_FITS: Final = (
    "no single change fits; try several at once, as --sweep shows them, or a smaller model"
)
REQUEST: Final = "KV cache, 1 request"
GRAPHS: Final = "G"
"""Letter of CUDA graphs."""
GPU_ENDS: Final = "the GPU ends"


def print_answer(console: Console, answer: "Answer") -> None:
    """Print facts, memory and, where it does not fit, what would."""
    found = answer.estimate
    console.print(_heading(answer))
    for label, text in _facts(answer):
        print_wrapped(console, text, label=label)
    if found.stages:
        _print_memory(console, answer.setting, found)
    if answer.node is not None and not answer.node.is_plain:
        print_memory(console, "the node", node_parts(answer.node.memory))
    if found.fits is False and found.reason is not Reason.HOST_MEMORY:
        _print_nearest(console, answer.nearest)


def stage_parts(setting: Setting, found: Estimate, stage: StageEstimate) -> tuple[Part, ...]:
    """Parts of one GPU: with the pool where it fits, else with what one request needs.

    The last one, headroom, is what is left of the GPU; it is left out where nothing is, or where no
    GPU is named.
    """
    pool = stage.kv_cache_bytes if found.fits else None
    parts = serving_parts(
        weights_bytes=stage.weights_bytes,
        adapter_bytes=stage.adapter_bytes,
        activation_bytes=stage.activation_bytes,
        non_torch_bytes=stage.non_torch_bytes,
        cuda_graph_bytes=stage.cuda_graph_bytes,
        kv_cache_bytes=stage.request_bytes if pool is None else pool,
        kv_cache_name=REQUEST if pool is None else "KV cache",
    )
    if not setting.rules.memory.captures_graphs:
        parts = tuple(part for part in parts if part.letter != GRAPHS)
    free = setting.total_bytes - sum(part.size_bytes for part in parts)
    return (*parts, headroom(free)) if free > 0 else parts


def stage_groups(found: Estimate) -> list[tuple[str, StageEstimate]]:
    """Stages with equal bytes together: `stage 0`, `stages 1-2`."""
    groups = []
    numbered = enumerate(found.stages)
    for stage, members in groupby(numbered, key=lambda item: item[1]):
        numbers = [number for number, _ in members]
        last = f"-{numbers[-1]}" if len(numbers) > 1 else ""
        groups.append((f"stage{'s' if last else ''} {numbers[0]}{last}", stage))
    return groups


def changes_text(changes: Changes) -> str:
    """Options as they are typed."""
    return " ".join(f"{name} {value}".rstrip() for name, value in changes)


def scheme_text(scheme: Scheme) -> str:
    """A quantization for people: `16 bit` where there is none."""
    return "16 bit" if scheme.name == UNQUANTIZED else scheme.name


def placement_text(setting: Setting) -> str:
    """Number and product of the GPUs, e.g. `4 x NVIDIA-L4`."""
    return f"{setting.gpus} x {setting.product}" if setting.product else f"{setting.gpus} GPUs"


def _heading(answer: "Answer") -> str:
    title = f"[bold]{escape(answer.subject.title)}[/bold]"
    found = answer.estimate
    if found.fits is None:
        return f"{title}  [bold]{'no GPU named' if found.stages else 'on the CPU'}[/bold]"
    if found.fits:
        return f"{title}  [bold green]fits[/bold green]  {escape(placement_text(answer.setting))}"
    return f"{title}  [bold red]does not fit[/bold red]  {found.reason}"


def _facts(answer: "Answer") -> Iterator[tuple[str, str]]:
    setting, found, subject = answer.setting, answer.estimate, answer.subject
    on_gpus = setting.total_bytes and setting.gpu_layers != 0
    if found.message:
        yield "because", found.message
    yield "model", f"{subject.shape.parameters():,} parameters, {scheme_text(setting.scheme)}"
    for bound in found.bounds:
        yield "bound", bound
    if subject.repository:
        yield "repository", subject.repository
    if subject.note:
        yield "note", subject.note
    yield "engine", f"{setting.rules.engine} {answer.engine_version}".rstrip()
    if on_gpus:
        yield "GPUs", _gpus(setting)
    yield "context", f"{setting.max_model_len:,} tokens a request"
    if found.stages:
        yield "KV cache", _cache(setting, found)
        yield "batch", _batch(setting)
    if on_gpus:
        yield "utilization", _utilization(setting)
    yield "files", disk_text(answer.disk)
    if answer.node is not None:
        yield "node", node_text(answer.node)
        if answer.node.division:
            yield "layers", answer.node.division
    if answer.margin:
        yield "margin", answer.margin
    for warning in answer.warnings:
        yield "warning", warning


def _gpus(setting: Setting) -> str:
    if setting.divides_layers:
        return placement_text(setting) + (", layers divided among them" if setting.gpus > 1 else "")
    sizes = f"tensor parallel size {setting.tensor_parallel_size}"
    if setting.pipeline_parallel_size > 1:
        sizes += f", pipeline parallel size {setting.pipeline_parallel_size}"
    return f"{placement_text(setting)}, {sizes}"


def _cache(setting: Setting, found: Estimate) -> str:
    request = max(stage.request_bytes for stage in found.stages)
    needs = f"a request of the whole context takes {format_gib(request)} of a GPU"
    own = "f16" if setting.rules.budgeting is Budgeting.ALLOCATED else setting.dtype
    dtype = own if setting.kv_cache_dtype == "auto" else setting.kv_cache_dtype
    if found.fits and found.kv_cache_tokens is not None:
        held = f"{found.kv_cache_tokens:,} tokens ({dtype})"
        if found.max_concurrency is not None:
            held += f", {found.max_concurrency:.2f} requests of that length"
        return f"{held}; {needs}"
    return f"{dtype}; {needs}"


def _batch(setting: Setting) -> str:
    tokens = f"{setting.max_num_batched_tokens:,} tokens a step"
    if setting.rules.budgeting is Budgeting.ALLOCATED:
        return tokens
    return f"{counted(setting.max_num_seqs, 'sequence')}, {tokens}"


def _utilization(setting: Setting) -> str:
    graphs = "disabled" if setting.enforce_eager else "enabled"
    share = f"{100 * setting.utilization:.4g} % of {format_gib(setting.total_bytes)}"
    return f"{share}, CUDA graphs {graphs}" if setting.rules.memory.captures_graphs else share


def _print_memory(console: Console, setting: Setting, found: Estimate) -> None:
    groups = stage_groups(found)
    parts = {name: stage_parts(setting, found, stage) for name, stage in groups}
    size = f", {format_gib(setting.total_bytes)}" if setting.total_bytes else ""
    if len(groups) > 1:
        console.print(f"\n[bold]Memory of one GPU by stage[/bold]{size}")
        _print_stages(console, setting, parts)
        return
    console.print(f"\n[bold]Memory of one GPU[/bold]{size}")
    (only,) = parts.values()
    width = min(BAR_CELLS, console.width - 4)
    console.print(memory_bar(only, width))
    ruler = _ruler(setting, only, width)
    if ruler:
        console.print(f"  {ruler}", style="dim", markup=False)
    for line in memory_lines(only):
        console.print(line)
    _print_short(console, setting, only)


def _print_stages(console: Console, setting: Setting, parts: dict[str, tuple[Part, ...]]) -> None:
    names = max(map(len, parts))
    width = max(20, min(BAR_CELLS, console.width - names - 6))
    most = max(_sum(of_stage) for of_stage in parts.values())
    for name, of_stage in parts.items():
        filled = max(1, width * _sum(of_stage) // most)
        bar = memory_bar(of_stage, filled)
        console.print(Text(f"  {name:<{names}}").append(bar))
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0))
    for heading in ("", "", *parts):
        table.add_column(heading, justify="right" if heading else "left", no_wrap=True)
    letters = {part.letter: part for of_stage in parts.values() for part in of_stage}
    for letter, part in letters.items():
        sizes = [
            next((other.size_bytes for other in of_stage if other.letter == letter), 0)
            for of_stage in parts.values()
        ]
        table.add_row(Text(f"  {letter}", part.style), part.name, *map(format_gib, sizes))
    sums = [format_gib(_sum(of_stage)) for of_stage in parts.values()]
    table.add_row("", "total", *sums)
    console.print(table)
    _print_short(console, setting, max(parts.values(), key=_sum))


def _ruler(setting: Setting, parts: Sequence[Part], width: int) -> str:
    """Where the GPU ends below a bar that is longer; empty where it is not."""
    needed = _sum(parts)
    if not 0 < setting.total_bytes < needed:
        return ""
    inside, _ = cells([setting.total_bytes, needed - setting.total_bytes], width)
    if inside > len(GPU_ENDS) + 1:
        return f"{GPU_ENDS + ' |':>{inside}}"
    return f"{'|':>{inside}} {GPU_ENDS}"


def _print_short(console: Console, setting: Setting, parts: Sequence[Part]) -> None:
    short = _sum(parts) - setting.total_bytes
    if setting.total_bytes and short > 0:
        text = f"{format_gib(short)} more than the GPU has, {short:,} bytes"
        print_wrapped(console, text, label="short by")


def _sum(parts: Sequence[Part]) -> int:
    return sum(part.size_bytes for part in parts)


def _print_nearest(console: Console, proposals: Sequence[Nearest]) -> None:
    if not proposals:
        console.print()
        print_wrapped(console, NOTHING_FITS, label="remedy")
        return
    console.print("\n[bold]What fits instead[/bold], cheapest change first")
    for proposal in proposals:
        console.print(f"  {changes_text(proposal.changes)}", style="cyan", markup=False)
        print_wrapped(console, _numbers(proposal))


def _numbers(proposal: Nearest) -> str:
    setting, found = proposal.setting, proposal.estimate
    weights = max(stage.weights_bytes for stage in found.stages)
    numbers = (
        f"{placement_text(setting)}, weights {format_gib(weights)} per GPU, KV cache "
        f"{found.kv_cache_tokens or 0:,} tokens, context {setting.max_model_len:,}"
    )
    if setting.gpu_layers is None:
        return numbers
    return f"{numbers}; {offload(setting).message}, which every token passes"
