"""A plan or a refusal in the terminal: tables, a memory bar, sentences."""

from typing import Final

from rich.console import Console
from rich.markup import escape

from llama_operator.api.deployment import LlamaDeployment
from llama_operator.api.plan import Plan
from llama_operator.api.reasons import REASONS
from llama_operator.cli.memory_bar import memory_parts, print_memory
from llama_operator.cli.wrapped import print_wrapped
from llama_operator.planning.outcome import Outcome, Refusal
from llama_operator.units import format_gib

NOTHING_FITS: Final = (
    "no single change fits these nodes; add nodes with larger GPUs, or with more of them"
)


def print_outcome(console: Console, deployment: LlamaDeployment, outcome: Outcome) -> None:
    """Print what planning answered: the plan, or why not and what would fit instead."""
    print_head(console, deployment, outcome)
    if isinstance(outcome, Refusal):
        _print_remedies(console, outcome)
        return
    print_plan(console, outcome.plan)


def print_head(console: Console, deployment: LlamaDeployment, outcome: Outcome) -> None:
    """Print whether it fits and where, or why not."""
    name = f"{deployment.metadata.namespace}/{deployment.metadata.name}"
    if isinstance(outcome, Refusal):
        _print_refusal(console, name, outcome)
        return
    console.print(
        f"[bold]{escape(name)}[/bold]  [bold green]fits[/bold green]  {escape(outcome.plan.gpus)}"
    )
    if not outcome.fits_now:
        console.print(f"  not all now: {outcome.waiting_message}", style="yellow", markup=False)


def print_plan(console: Console, plan: Plan) -> None:
    """Print the facts of a plan, a bar of one GPU's memory, and why it is this one."""
    for label, text in _facts(plan).items():
        print_wrapped(console, text, label=label)
    memory = plan.memory_per_gpu
    parts = memory_parts(memory)
    print_memory(console, "one GPU", parts)
    console.print("\n[bold]Why[/bold]")
    for reason in plan.reasons:
        print_wrapped(console, reason)


def _stages(plan: Plan) -> str:
    """Pipeline stages of a replica on several nodes."""
    return "" if plan.pods == 1 else f", pipeline parallel size {plan.pipeline_parallel_size}"


def _facts(plan: Plan) -> dict[str, str]:
    host = plan.host
    return {
        "model": f"{plan.model} {plan.size}, {plan.format} ({plan.quantization})",
        "repository": f"{plan.repository} ({plan.hub}{', gated' if plan.gated else ''})",
        **_draft_facts(plan),
        "engine": f"{plan.engine} {plan.engine_version}, {plan.image}",
        "GPUs": f"{plan.gpus}, tensor parallel size {plan.tensor_parallel_size}{_stages(plan)}",
        "price": "unknown" if plan.usd_per_hour is None else f"{plan.usd_per_hour} USD an hour",
        "accepted": ", ".join(plan.gpu.accepted_products),
        "context": f"{plan.max_model_len:,} tokens a request",
        "KV cache": (
            f"{plan.kv_cache_tokens:,} tokens ({plan.kv_cache_dtype}), "
            f"{plan.max_concurrency:,} requests of that length"
        ),
        "batch": f"{plan.max_num_seqs:,} sequences, {plan.max_num_batched_tokens:,} tokens a step",
        "utilization": f"{plan.utilization_percent} %, CUDA graphs {plan.cuda_graphs.lower()}",
        "node": (
            f"{host.cpu_millicores / 1000:g} CPU, {format_gib(host.memory_bytes)} memory, "
            f"{format_gib(host.disk_bytes)} disk"
        ),
        "start": f"at most {plan.startup_seconds:,} s",
    }


def _draft_facts(plan: Plan) -> dict[str, str]:
    draft = plan.draft
    if draft is None:
        return {}
    what = f"{draft.model} {draft.size}, {draft.format} ({draft.quantization})"
    return {"draft": f"{what}, {draft.repository}{' (gated)' if draft.gated else ''}"}


def _print_refusal(console: Console, name: str, refusal: Refusal) -> None:
    console.print(
        f"[bold]{escape(name)}[/bold]  [bold red]does not fit[/bold red]  {refusal.reason.value}"
    )
    print_wrapped(console, refusal.message, label="because")
    if refusal.needed_bytes is not None and refusal.available_bytes is not None:
        for label, value in (("needed", refusal.needed_bytes), ("there", refusal.available_bytes)):
            text = f"{format_gib(value)} per GPU, {value:,} bytes"
            print_wrapped(console, text, label=label)


def _print_remedies(console: Console, refusal: Refusal) -> None:
    if not refusal.alternatives:
        memory_is_short = refusal.needed_bytes is not None
        remedy = NOTHING_FITS if memory_is_short else REASONS[refusal.reason].remedy
        print_wrapped(console, remedy, label="remedy")
        return
    console.print("\n[bold]What fits instead[/bold], cheapest change first")
    for alternative in refusal.alternatives:
        print_wrapped(console, alternative.summary)
        console.print(f"    {alternative.patch}", style="cyan", markup=False, soft_wrap=True)
