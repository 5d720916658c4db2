"""One setting of `llama-operator size`: estimated, printed and drawn."""

import argparse
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

from rich.console import Console

from llama_operator.catalog.catalog import Catalog
from llama_operator.catalog.engine_tables import engine_load
from llama_operator.cli.exit_status import EXIT_DOES_NOT_FIT, EXIT_FITS
from llama_operator.cli.json_output import print_json
from llama_operator.cli.size_log import compared, observed_object, print_observed
from llama_operator.cli.size_node import (
    Node,
    disk_object,
    disk_of,
    node_object,
    node_of,
    shortage,
)
from llama_operator.cli.size_question import Subject
from llama_operator.cli.size_serving import read_serving
from llama_operator.cli.size_view import placement_text, print_answer, scheme_text
from llama_operator.errors import InputError, SizingError, SpecError
from llama_operator.sizing.comparison import Compared
from llama_operator.sizing.engine_budget import (
    Budgeting,
    engine_rules,
    share_bytes,
    taken_at_start_bytes,
)
from llama_operator.sizing.estimate import Estimate, estimate
from llama_operator.sizing.host import DiskParts
from llama_operator.sizing.margin import margin_text
from llama_operator.sizing.nearest import Nearest, nearest
from llama_operator.sizing.serving import Serving
from llama_operator.sizing.settings import Setting
from llama_operator.sizing.support import Reason
from llama_operator.units import format_gib


@dataclass(frozen=True, slots=True)
class Answer:
    """What `size` says of one setting.

    `node` is None for engines whose pods are not known; `disk` is of one node. The verdict of
    `estimate` is that of GPUs and node together.
    """

    subject: Subject
    serving: Serving
    setting: Setting
    estimate: Estimate
    disk: DiskParts
    node: Node | None
    nearest: tuple[Nearest, ...]

    @property
    def engine_version(self) -> str:
        """Of the setting; empty where none is known."""
        return engine_version(self.serving, self.setting)

    @property
    def warnings(self) -> tuple[str, ...]:
        """What is asked but may not do, in words."""
        return tuple(_warnings(self.setting))

    @property
    def margin(self) -> str:
        """What is not measured, in words; empty where all is."""
        return margin_text(self.setting.rules, self.engine_version)


def run_one(arguments: argparse.Namespace, catalog: Catalog, subject: Subject) -> int:
    """Estimate one setting and print it; returns the exit status.

    Raises:
        InputError: an argument is wrong.
    """
    answer = answer_of(arguments, catalog, subject)
    observed: tuple[Compared, ...] = ()
    if arguments.compare_log is not None:
        observed = compared(arguments.compare_log, answer.setting, answer.estimate)
    if arguments.plot is not None:
        from llama_operator.cli.size_plot import bars_of, draw

        title = f"{subject.title}, {scheme_text(subject.scheme)}"
        if len(answer.estimate.stages) > 1:
            title += f", {placement_text(answer.setting)}"
        draw(arguments.plot, title, bars_of(answer))
    if arguments.output == "json":
        print_json({**as_object(answer), **observed_object(observed)})
    else:
        console = Console(no_color=arguments.no_color or None, highlight=False)
        print_answer(console, answer)
        print_observed(console, observed)
    return EXIT_DOES_NOT_FIT if answer.estimate.fits is False else EXIT_FITS


def answer_of(arguments: argparse.Namespace, catalog: Catalog, subject: Subject) -> Answer:
    """Everything that is said of one setting.

    Raises:
        InputError: an argument is wrong, or something has no rule.
    """
    serving = read_serving(arguments, catalog, subject)

    def node(setting: Setting) -> Node | None:
        return node_of(arguments, catalog, subject, setting)

    try:
        setting = serving.setting()
        found = estimate(setting)
        proposals = (
            nearest(serving, schemes=subject.others, gpus=catalog.tables.gpus)
            if found.fits is False
            else ()
        )
        there = node(setting)
        disk = disk_of(subject)
    except SizingError as error:
        raise InputError(str(error)) from None
    return Answer(
        subject=subject,
        serving=serving,
        setting=setting,
        estimate=_with_node(found, there),
        disk=disk,
        node=there,
        nearest=tuple(item for item in proposals if not _is_short(node(item.setting))),
    )


def _warnings(setting: Setting) -> Iterator[str]:
    taken = taken_at_start_bytes(setting.reserved_at_start_bytes, setting.tensor_parallel_size)
    free = setting.total_bytes - taken
    share = share_bytes(setting.total_bytes, setting.utilization)
    if setting.rules.budgeting is Budgeting.UTILIZATION and setting.total_bytes and share > free:
        yield (
            f"{100 * setting.utilization:.4g} % of the GPU are {format_gib(share)}; only "
            f"{format_gib(free)} are free when the engine starts, which it may refuse"
        )
    longest = setting.model.max_position_embeddings
    if 0 < longest < setting.max_model_len:
        yield (
            f"the model was made for {longest:,} tokens; engines refuse a longer context unless "
            "they are told otherwise"
        )
    deployed = engine_rules("vllm", None)
    if (setting.rules.engine, setting.rules.version) == (deployed.engine, deployed.version):
        row = engine_load(deployed.engine, deployed.version, setting.scheme.name)
        if row is not None and row.not_loaded:
            yield row.not_loaded


def _with_node(found: Estimate, node: Node | None) -> Estimate:
    """The verdict of GPUs and node together: a GPU's refusal counts first."""
    if node is None or node.fits is None or found.fits is False:
        return found
    if node.fits:
        on_cpu_alone = found.fits is None and not found.stages
        return replace(found, fits=True) if on_cpu_alone else found
    return replace(found, fits=False, reason=Reason.HOST_MEMORY, message=shortage(node))


def _is_short(node: Node | None) -> bool:
    return node is not None and node.fits is False


def as_object(answer: Answer) -> dict[str, Any]:
    """An answer as JSON, in the words of `size --jsonl`."""
    subject = answer.subject
    return {
        "model": subject.title,
        **({"repository": subject.repository} if subject.repository else {}),
        "parameters": subject.shape.parameters(),
        **({"stored_bytes": subject.stored_bytes} if subject.stored_bytes else {}),
        **({"note": subject.note} if subject.note else {}),
        **({"bounds": list(answer.estimate.bounds)} if answer.estimate.bounds else {}),
        **setting_object(answer.serving, answer.setting),
        **estimate_object(answer.estimate),
        **({"margin": answer.margin} if answer.margin else {}),
        **({"warnings": list(answer.warnings)} if answer.warnings else {}),
        "disk": disk_object(answer.disk),
        **({"node": node_object(answer.node)} if answer.node else {}),
        "alternatives": [
            {
                "options": {name: value or True for name, value in item.changes},
                **setting_object(item.serving, item.setting),
                **estimate_object(item.estimate),
            }
            for item in answer.nearest
        ],
    }


def engine_version(serving: Serving, setting: Setting) -> str:
    """The version that was asked for, or the one that the operator deploys; empty for neither."""
    if serving.engine_version is not None:
        return serving.engine_version
    try:
        return Catalog.load().engine(setting.rules.engine).version
    except SpecError:
        return ""


def setting_object(serving: Serving, setting: Setting) -> dict[str, Any]:
    """A setting as JSON."""
    gpu = {"product": setting.product, "total_bytes": setting.total_bytes}
    return {
        "engine": setting.rules.engine,
        "engine_version": engine_version(serving, setting) or None,
        "quantization": setting.scheme.name,
        "dtype": setting.dtype,
        "kv_cache_dtype": setting.kv_cache_dtype,
        "gpu": gpu if setting.total_bytes else None,
        "tensor_parallel_size": setting.tensor_parallel_size,
        "pipeline_parallel_size": setting.pipeline_parallel_size,
        "gpu_memory_utilization": setting.utilization if setting.total_bytes else None,
        "max_model_len": setting.max_model_len,
        "max_num_batched_tokens": setting.max_num_batched_tokens,
        "max_num_seqs": setting.max_num_seqs,
        "enforce_eager": setting.enforce_eager,
        **({} if setting.gpu_layers is None else {"n_gpu_layers": setting.gpu_layers}),
    }


def estimate_object(found: Estimate) -> dict[str, Any]:
    """An estimate as JSON: of all stages, then of each."""
    facts: dict[str, Any] = {
        "fits": found.fits,
        "reason": found.reason,
        "message": found.message or None,
        "checkpoint_bytes": found.checkpoint_bytes,
        "budget_bytes": found.budget_bytes,
        "headroom_bytes": found.headroom_bytes,
        "kv_cache_tokens": found.kv_cache_tokens,
        "max_concurrency": found.max_concurrency,
        "stages": [
            {
                "layers": stage.layers,
                "weights_bytes": stage.weights_bytes,
                "activation_bytes": stage.activation_bytes,
                "non_torch_bytes": stage.non_torch_bytes,
                "cuda_graph_bytes": stage.cuda_graph_bytes,
                "kv_cache_bytes": stage.kv_cache_bytes,
                "kv_cache_tokens": stage.kv_cache_tokens,
                "request_bytes": stage.request_bytes,
            }
            for stage in found.stages
        ],
    }
    return {key: value for key, value in facts.items() if value is not None}
