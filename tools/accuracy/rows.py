"""The measured rows, and each as an input row of the batch interface."""

import csv
import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, Final

from llama_operator.sizing.batch import estimate_row
from llama_operator.units import GIB

ROOT: Final = Path(__file__).resolve().parents[2]
DATA: Final = ROOT / "tests/data/engine-memory"
CONFIGS: Final = ROOT / "tests/data/model-configs"
FILE_ENGINE: Final = "llama.cpp (file size)"
DEFAULTS_SINCE: Final = (0, 9)
"""vLLM from 0.9 takes batch defaults that follow from the GPU."""


@dataclass(frozen=True)
class Measured:
    """One row of the collection and what is computed for it.

    Attributes:
        row: cells as in engine-memory.csv.
        given: the input row of the batch interface.
        found: its output row.
        tokens_of_pool: output tokens for exactly the measured bytes of KV cache; None without.
    """

    row: Mapping[str, str]
    given: Mapping[str, Any]
    found: Mapping[str, Any]
    tokens_of_pool: int | None

    @property
    def name(self) -> str:
        """Name of the row."""
        return self.row["id"]

    @property
    def version(self) -> tuple[int, ...]:
        """Leading numbers of the engine's version; empty when it is not published."""
        parts = self.row["engine_version"].rstrip("+").split(".")[:2]
        return tuple(int(part) if part.isdecimal() else 0 for part in parts) if parts[0] else ()

    @property
    def is_vllm(self) -> bool:
        """Whether vLLM itself was run."""
        return self.row["engine"] == "vllm"

    @property
    def stage(self) -> int:
        """Stage that the figures are of: a middle one with more than two."""
        return 1 if int(self.row["pp"] or 1) > 2 else 0

    @property
    def batch_is_known(self) -> bool:
        """Whether tokens and sequences of a step are published or follow from the GPU."""
        published = self.row["max_num_batched_tokens"] and self.row["max_num_seqs"]
        return bool(published) or (self.version >= DEFAULTS_SINCE and self.given["gpu"] is not None)

    def measured(self, column: str) -> float | None:
        """A figure as published; None for an empty cell."""
        return float(self.row[column]) if self.row[column] else None

    def computed_gib(self, field: str) -> float | None:
        """A field of bytes in GiB, of the stage that was measured; None when it is left out."""
        stages = self.found.get(f"{field}_per_stage")
        value = stages[min(self.stage, len(stages) - 1)] if stages else self.found.get(field)
        return None if value is None else value / GIB


@cache
def measured_rows() -> tuple[Measured, ...]:
    """Every row of the collection, computed."""
    with (DATA / "engine-memory.csv").open(encoding="utf-8", newline="") as file:
        return tuple(map(_computed, csv.DictReader(file)))


def _computed(row: dict[str, str]) -> Measured:
    given = batch_row(row)
    pool = row["kv_gib_per_gpu"]
    tokens = None
    if pool and float(pool) > 0:
        bytes_given = {**given, "available_kv_cache_bytes": int(float(pool) * GIB)}
        tokens = estimate_row(bytes_given).fields.get("kv_cache_tokens")
    return Measured(row, given, estimate_row(given).fields, tokens)


def batch_row(row: Mapping[str, str]) -> dict[str, Any]:
    """The input row of the batch interface for a measured one; empty cells become null."""
    file_only = row["engine"] == FILE_ENGINE
    return {
        "id": row["id"],
        "engine": "llama.cpp" if file_only else row["engine"],
        "engine_version": row["engine_version"] or None,
        "model": row["model_repo"],
        "config": config_of(row["model_repo"]),
        "quantization": row["quantization"],
        "dtype": row["dtype"].split("/")[0] or None,
        "kv_cache_dtype": row["kv_dtype"] or "auto",
        "gpu": _labels().get(row["gpu"]),
        "tensor_parallel_size": int(row["tp"] or 1),
        "pipeline_parallel_size": int(row["pp"] or 1),
        "gpu_memory_utilization": float(share)
        if (share := row["gpu_memory_utilization"])
        else None,
        "max_model_len": _whole(row["max_model_len"]),
        "max_num_batched_tokens": _whole(row["max_num_batched_tokens"]),
        "max_num_seqs": _whole(row["max_num_seqs"]),
        "enforce_eager": {"true": True, "false": False}.get(row["enforce_eager"]),
        "available_kv_cache_bytes": None,
    }


def config_of(repository: str) -> dict[str, Any] | None:
    """The configuration of a repository or a description; None when the collection has none."""
    folder = CONFIGS / _folders().get(repository, repository.replace("/", "--"))
    path = folder / "config.json"
    return json.loads(path.read_text(encoding="utf-8")) if path.is_file() else None


@cache
def _folders() -> dict[str, str]:
    return {row["model_repo"]: row["config"] for row in _table("configs.csv")}


@cache
def _labels() -> dict[str, dict[str, str | int]]:
    return {
        row["gpu"]: {"product": row["product"], "memory_mib": int(row["memory_mib"])}
        for row in _table("gpu-labels.csv")
    }


@cache
def remarks() -> dict[str, str]:
    """Why single rows are off, by their name."""
    return {row["id"]: row["remark"] for row in _table("remarks.csv")}


def _table(name: str) -> list[dict[str, str]]:
    with (DATA / name).open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def _whole(cell: str) -> int | None:
    return int(cell) if cell else None
