"""`llama-operator size --train`: memory to fine-tune a model."""

import argparse
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from llama_operator.catalog.catalog import Catalog
from llama_operator.catalog.training_tables import (
    METHODS,
    Optimizer,
    read_optimizers,
    read_published_training,
)
from llama_operator.cli.exit_status import EXIT_DOES_NOT_FIT, EXIT_FITS
from llama_operator.cli.json_output import print_json
from llama_operator.cli.memory_bar import Part, print_memory
from llama_operator.cli.size_question import Subject
from llama_operator.cli.size_serving import Card, named_card
from llama_operator.cli.size_view import scheme_text
from llama_operator.cli.wrapped import print_wrapped
from llama_operator.errors import InputError, SizingError
from llama_operator.sizing.models.model import ModelShape
from llama_operator.sizing.scheme_names import scheme_for
from llama_operator.sizing.training import TrainingMemory, TrainingSetting, training_memory
from llama_operator.units import GB, format_gib

SCHEME_OF_METHOD: Final = {"full": "none", "lora": "none", "qlora": "bnb-nf4-dq"}
"""How weights are stored: QLoRA is NF4 with double quantization (arXiv:2305.14314)."""
NOT_COUNTED: Final = (
    "not counted: the CUDA context, fragmentation, and what unfused kernels keep besides"
)

PUBLISHED_FULL: Final = (
    "the published figures for full follow no formula: 7.5, 4.3 and 8.0 bytes a parameter for 8B, "
    "70B and 405B"
)


@dataclass(frozen=True, slots=True)
class Compared:
    """A published figure beside the computed one; the error is signed, of the published one."""

    method: str
    published_bytes: int
    computed_bytes: int

    @property
    def error_percent(self) -> float:
        """How far the computed figure is above (below: negative) the published one."""
        return 100 * (self.computed_bytes - self.published_bytes) / self.published_bytes


def run_training(arguments: argparse.Namespace, catalog: Catalog, subject: Subject) -> int:
    """Compute and print; the exit status is 3 where a GPU is named that does not hold it.

    Raises:
        InputError: an argument is wrong.
    """
    setting = training_setting(arguments, arguments.train)
    card = named_card(arguments, catalog)
    try:
        memory = training_memory(subject.shape, setting)
        compared = compare(arguments, subject.shape)
    except SizingError as error:
        raise InputError(str(error)) from None
    if arguments.plot is not None:
        from llama_operator.cli.size_plot import Bar, draw

        title = f"{subject.title}, fine-tuning: {arguments.train}"
        size = card.total_bytes if card else 0
        draw(arguments.plot, title, [Bar("one GPU", training_parts(memory), size)])
    if arguments.output == "json":
        print_json(
            {
                **as_object(arguments.train, subject, setting, memory, compared),
                **(gpu_object(card, memory) if card else {}),
            }
        )
    else:
        console = Console(no_color=arguments.no_color or None, highlight=False)
        _print(console, arguments.train, subject, setting, memory, compared, card)
    return EXIT_DOES_NOT_FIT if card and not fits(card, memory) else EXIT_FITS


def fits(card: Card, memory: TrainingMemory) -> bool:
    """Whether a GPU holds it beside what an idle one already holds."""
    return memory.total_bytes <= card.total_bytes - card.gpu.reserved_at_start_bytes


def gpu_object(card: Card, memory: TrainingMemory) -> dict[str, Any]:
    """A GPU and the verdict as JSON."""
    return {
        "gpu": {"product": card.product, "total_bytes": card.total_bytes},
        "fits": fits(card, memory),
    }


def training_setting(arguments: argparse.Namespace, method: str) -> TrainingSetting:
    """The setting of the arguments, for one method.

    Raises:
        InputError: there is no such optimizer, or ZeRO-3 has nothing to divide over.
    """
    if arguments.zero3 and arguments.gpus == 1:
        msg = "--zero3 divides over several GPUs; say how many by --gpus"
        raise InputError(msg)
    return TrainingSetting(
        optimizer=_optimizer(arguments.optimizer),
        scheme=scheme_for(SCHEME_OF_METHOD[method]),
        lora_rank=0 if method == "full" else arguments.lora_rank,
        lora_targets=arguments.lora_targets,
        gpus=arguments.gpus,
        zero3=arguments.zero3,
        batch_size=arguments.batch_size,
        sequence_length=arguments.sequence_length,
        checkpointing=arguments.checkpointing,
    )


def compare(arguments: argparse.Namespace, shape: ModelShape) -> tuple[Compared, ...]:
    """What was published for this model, beside what the same options make of it over all GPUs."""
    parameters = shape.parameters()
    rows = {row.method: row for row in read_published_training() if row.parameters == parameters}
    found = []
    for method in METHODS:
        if method in rows:
            setting = training_setting(arguments, method)
            computed = setting.gpus * training_memory(shape, setting).total_bytes
            found.append(Compared(method, rows[method].published_gb * GB, computed))
    return tuple(found)


def training_parts(memory: TrainingMemory) -> tuple[Part, ...]:
    """Parts of one GPU, in the order of the bar; empty ones are left out."""
    parts = (
        Part("W", "weights", "white on blue", memory.weights_bytes),
        Part("L", "adapters", "black on cyan", memory.adapter_bytes),
        Part("R", "gradients", "white on red", memory.gradient_bytes),
        Part("O", "optimizer states", "black on yellow", memory.optimizer_bytes),
        Part("A", "activations", "black on green", memory.activation_bytes),
        Part("T", "temporary", "white on magenta", memory.temporary_bytes),
    )
    return tuple(part for part in parts if part.size_bytes)


def _optimizer(name: str) -> Optimizer:
    rows = {row.name: row for row in read_optimizers()}
    if name not in rows:
        msg = f"--optimizer {name!r} is none of {', '.join(rows)}"
        raise InputError(msg)
    return rows[name]


def as_object(
    method: str,
    subject: Subject,
    setting: TrainingSetting,
    memory: TrainingMemory,
    compared: Sequence[Compared],
) -> dict[str, Any]:
    """The result as JSON; bytes are of one GPU, those compared of all."""
    return {
        "model": subject.title,
        "parameters": subject.shape.parameters(),
        "method": method,
        "quantization": setting.scheme.name,
        "optimizer": setting.optimizer.name,
        **(
            {"lora_rank": setting.lora_rank, "lora_targets": setting.lora_targets}
            if setting.lora_rank
            else {}
        ),
        "gpus": setting.gpus,
        "zero3": setting.zero3,
        "batch_size": setting.batch_size,
        "sequence_length": setting.sequence_length,
        "checkpointing": setting.checkpointing,
        "trained_parameters": memory.trained_parameters,
        "weights_bytes": memory.weights_bytes,
        "adapter_bytes": memory.adapter_bytes,
        "gradient_bytes": memory.gradient_bytes,
        "optimizer_bytes": memory.optimizer_bytes,
        "activation_bytes": memory.activation_bytes,
        "temporary_bytes": memory.temporary_bytes,
        "total_bytes": memory.total_bytes,
        "published": [
            {
                "method": row.method,
                "published_bytes": row.published_bytes,
                "computed_bytes": row.computed_bytes,
                "error_percent": round(row.error_percent, 4),
            }
            for row in compared
        ],
    }


def _print(
    console: Console,
    method: str,
    subject: Subject,
    setting: TrainingSetting,
    memory: TrainingMemory,
    compared: Sequence[Compared],
    card: Card | None,
) -> None:
    verdict = ""
    if card:
        held = fits(card, memory)
        style, word = ("green", "fits") if held else ("red", "does not fit")
        verdict = f"  [bold {style}]{word}[/]  {escape(card.product)}"
    console.print(f"[bold]{escape(subject.title)}[/bold]  fine-tuning: {method}{verdict}")
    parameters = subject.shape.parameters()
    share = 100 * memory.trained_parameters / parameters
    model = f"{parameters:,} parameters, {scheme_text(setting.scheme)}"
    print_wrapped(console, model, label="model")
    trained = f"{memory.trained_parameters:,} parameters, {share:.4g} % of the model's"
    if setting.lora_rank:
        trained = f"rank {setting.lora_rank} on {setting.lora_targets}: {trained}"
    print_wrapped(console, trained, label="trained")
    print_wrapped(console, setting.optimizer.name, label="optimizer")
    batch = f"{setting.batch_size:,} x {setting.sequence_length:,} tokens a GPU, checkpointing "
    print_wrapped(console, batch + ("on" if setting.checkpointing else "off"), label="batch")
    gpus = f"{setting.gpus:,}, ZeRO-3" if setting.zero3 else f"{setting.gpus:,}"
    print_wrapped(console, gpus, label="GPUs")
    parts = training_parts(memory)
    print_memory(console, "one GPU", parts)
    if card:
        there = card.total_bytes - card.gpu.reserved_at_start_bytes
        print_wrapped(
            console,
            f"{card.product} has {format_gib(card.total_bytes)}, of which {format_gib(there)} are "
            "free when nothing runs",
        )
    print_wrapped(console, NOT_COUNTED)
    if compared:
        _print_compared(console, compared)


def _print_compared(console: Console, compared: Sequence[Compared]) -> None:
    console.print("\n[bold]Published[/bold] (Hugging Face on Llama 3.1), all GPUs, in GB")
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0))
    for heading in ("  METHOD", "PUBLISHED", "COMPUTED", "ERROR"):
        table.add_column(heading, justify="left" if "METHOD" in heading else "right")
    for row in compared:
        table.add_row(
            f"  {row.method}",
            f"{row.published_bytes / GB:,.0f}",
            f"{row.computed_bytes / GB:,.1f}",
            f"{row.error_percent:+.1f} %",
        )
    console.print(table)
    print_wrapped(console, PUBLISHED_FULL)
