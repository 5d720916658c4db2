"""Errors of the computed figures, line by line of the acceptance table."""

import math
import statistics
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Final

from accuracy.rows import FILE_ENGINE, Measured
from llama_operator.units import GIB

PERCENT: Final = "%"
GIBIBYTES: Final = "GiB"
GRAPHS_VERSION: Final = (0, 19)
MEASURED_SINCE: Final = (0, 9)
MEASURED_BELOW: Final = (0, 20)
"""Versions whose activation peaks are in the collection and whose batch follows from the GPU."""
STARTED: Final = ("ok", "failed-later")
"""Outcomes of rows whose engine allocated its KV cache."""
REFUSED: Final = ("refused", "oom")


@dataclass(frozen=True)
class Line:
    """One kind of figure: the rows that have it, and the error of each.

    Attributes:
        name: letter of the acceptance table and what is compared.
        unit: of the errors.
        error: absolute error of a row; None where it has no such figure.
        counts: whether a row counts, if it has one.
        median: largest accepted one.
        high: largest accepted 95th percentile.
    """

    name: str
    unit: str
    error: Callable[[Measured], float | None]
    counts: Callable[[Measured], bool]
    median: float
    high: float

    def errors(self, rows: Iterable[Measured]) -> list[tuple[float, Measured]]:
        """Errors of the rows that count, largest first."""
        return self.all_errors(row for row in rows if self.counts(row))

    def all_errors(self, rows: Iterable[Measured]) -> list[tuple[float, Measured]]:
        """Errors of all rows that have the figure, largest first."""
        found = [(error, row) for row in rows if (error := self.error(row)) is not None]
        return sorted(found, key=lambda pair: -pair[0])


def percentile_95(errors: Iterable[float]) -> float:
    """The smallest error that 95 of 100 rows do not exceed (nearest rank)."""
    ordered = sorted(errors)
    return ordered[math.ceil(0.95 * len(ordered)) - 1]


def median(errors: Iterable[float]) -> float:
    """The middle error."""
    return statistics.median(errors)


def weights(row: Measured) -> float | None:
    """Weights on one GPU."""
    if row.row["engine"] == FILE_ENGINE:
        return None
    return _percent(row.computed_gib("weights_bytes"), row.measured("weights_gib_per_gpu"))


def activation(row: Measured) -> float | None:
    """Activation peak."""
    return _difference(row.computed_gib("activation_bytes"), row.measured("activation_gib"))


def tokens_of_pool(row: Measured) -> float | None:
    """Tokens that the engine prints for the published bytes of KV cache."""
    tokens = row.measured("kv_tokens")
    if tokens is None or row.tokens_of_pool is None:
        return None
    return _percent(row.tokens_of_pool, tokens)


def tokens(row: Measured) -> float | None:
    """Tokens that the engine prints, from model and settings alone."""
    measured = row.measured("kv_tokens")
    if measured is None:
        return None
    return _percent(row.found.get("kv_cache_tokens"), measured)


def pool(row: Measured) -> float | None:
    """Bytes of KV cache on one GPU, from model and settings alone."""
    return _difference(row.computed_gib("kv_cache_bytes"), row.measured("kv_gib_per_gpu"))


def footprint(row: Measured) -> float | None:
    """Weights, activation peak and memory outside the allocator together."""
    measured = [
        row.measured(name) for name in ("weights_gib_per_gpu", "activation_gib", "nontorch_gib")
    ]
    computed = [
        row.computed_gib(name) for name in ("weights_bytes", "activation_bytes", "non_torch_bytes")
    ]
    if None in measured or None in computed:
        return None
    return abs(sum(filter(None, computed)) - sum(filter(None, measured)))


def gguf(row: Measured) -> float | None:
    """Size of a published GGUF file."""
    found = row.found.get("checkpoint_bytes")
    if row.row["engine"] != FILE_ENGINE or found is None:
        return None
    return _percent(found / GIB, row.measured("weights_gib_per_gpu"))


def graphs(row: Measured) -> float | None:
    """CUDA graphs."""
    return _difference(row.computed_gib("cuda_graph_bytes"), row.measured("graph_gib"))


def is_vllm(row: Measured) -> bool:
    """Whether vLLM itself was run; forks and other engines have rules of their own."""
    return row.is_vllm


def is_one_stage(row: Measured) -> bool:
    """Whether bytes and tokens are of one stage: vLLM without pipeline stages.

    With several, the log gives the bytes of one stage and the tokens of another.
    """
    return row.is_vllm and int(row.row["pp"] or 1) == 1


def is_profiled(row: Measured) -> bool:
    """Whether the batch is known and the version's activation peak was ever published.

    Before 0.9 the batch does not follow from the GPU; of 0.20 and later no profile is published.
    """
    return row.is_vllm and row.batch_is_known and MEASURED_SINCE <= row.version < MEASURED_BELOW


def is_end_to_end(row: Measured) -> bool:
    """Whether all settings are known that the KV cache follows from."""
    known = row.given["gpu"] is not None and row.given["gpu_memory_utilization"] is not None
    return is_profiled(row) and known


def has_graphs(row: Measured) -> bool:
    """Whether the row is of the version whose graphs were measured."""
    return row.is_vllm and row.version == GRAPHS_VERSION


def is_file(row: Measured) -> bool:
    """Whether the row is the size of a file."""
    return row.row["engine"] == FILE_ENGINE


LINES: Final = (
    Line("A weights per GPU", PERCENT, weights, is_vllm, 0.05, 1.5),
    Line("B activation peak", GIBIBYTES, activation, is_profiled, 0.05, 0.30),
    Line("C KV tokens from given KV bytes", PERCENT, tokens_of_pool, is_one_stage, 0.02, 0.2),
    Line("D KV tokens end to end", PERCENT, tokens, is_end_to_end, 0.25, 5.0),
    Line("D KV bytes per GPU end to end", GIBIBYTES, pool, is_end_to_end, 0.10, 0.40),
    Line("E non-KV footprint", GIBIBYTES, footprint, is_profiled, 0.10, 0.60),
    Line("F GGUF bytes", PERCENT, gguf, is_file, 0.05, 0.10),
    Line("H CUDA graphs (0.19)", GIBIBYTES, graphs, has_graphs, 0.15, 0.50),
)


def wrong_verdicts(rows: Iterable[Measured]) -> tuple[list[str], list[str], int, int]:
    """Refusals not found, false refusals, and how many rows of either kind there are.

    Rows count that name GPU, tensor parallel size and context; models without a configuration
    cannot.
    """
    missed, false, refused, started = [], [], 0, 0
    for row in rows:
        if not (row.is_vllm and row.given["gpu"] and row.row["tp"] and row.row["max_model_len"]):
            continue
        if row.given["config"] is None or "fits" not in row.found:
            continue
        if row.row["outcome"] in REFUSED:
            refused += 1
            missed += [row.name] if row.found["fits"] else []
        elif row.row["outcome"] in STARTED:
            started += 1
            false += [] if row.found["fits"] else [row.name]
    return missed, false, refused, started


def coverage(rows: Iterable[Measured]) -> tuple[list[str], int]:
    """Rows of vLLM and llama.cpp with a configuration but no prediction, and how many there are."""
    counted = [
        row
        for row in rows
        if row.given["config"] is not None
        and row.given["engine"] in ("vllm", "vllm-gfx906", "llama.cpp")
    ]
    lacking = [row.name for row in counted if "weights_bytes" not in row.found]
    return [
        name
        for row in counted
        if (name := row.name) in lacking and row.found.get("reason") != "tensor-parallel-size"
    ], len(counted)


def _percent(computed: float | None, measured: float | None) -> float | None:
    if computed is None or not measured:
        return None
    return 100 * abs(computed / measured - 1)


def _difference(computed: float | None, measured: float | None) -> float | None:
    return None if computed is None or measured is None else abs(computed - measured)
