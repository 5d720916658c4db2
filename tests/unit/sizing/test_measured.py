"""The rules against what engines logged; data/README.md says where the rows come from."""

import csv
from pathlib import Path

import pytest

from llama_operator.sizing.batch import tokens_of
from llama_operator.sizing.estimate import estimate, weights_bytes
from llama_operator.sizing.settings import Setting
from llama_operator.units import GIB
from unit.sizing.budget.settings import (
    A100_80GB,
    H100,
    LLAMA_8B,
    LLAMA_70B,
    LLAMA_405B_JULY_2024,
    setting,
)

TABLE = Path(__file__).parent / "data/engine-memory-llama.csv"
ROWS = list(csv.DictReader(TABLE.read_text(encoding="utf-8").splitlines()))
MODELS = {"8B": LLAMA_8B, "70B": LLAMA_70B, "405B": LLAMA_405B_JULY_2024}
GPUS = {
    "H100-SXM-80GB": H100,
    "H100-80GB": H100,
    "T4-16GB": "Tesla-T4",
    "RTX-PRO-6000-96GB": "NVIDIA-RTX-PRO-6000-Blackwell-Server-Edition",
}
SWEEP = [row for row in ROWS if row["id"].startswith("llmd-")]
ONE_STAGE = [row for row in SWEEP if row["pp"] == "1"]
"""With several stages the log gives one stage's bytes and another's tokens."""
NEWER = [row for row in ROWS if row["engine_version"] == "0.23.0"]


def setting_of(row: dict[str, str]) -> Setting:
    name = row["model_repo"].lower()
    model = next(model for size, model in MODELS.items() if f"-{size.lower()}-" in name)
    return setting(
        model,
        row["quantization"],
        GPUS[row["gpu"]],
        tp=int(row["tp"]),
        pp=int(row["pp"] or 1),
        version=row["engine_version"],
        utilization=float(row["gpu_memory_utilization"] or 0.9),
        max_model_len=int(row["max_model_len"] or 8192),
        max_num_batched_tokens=int(row["max_num_batched_tokens"] or 8192),
        max_num_seqs=int(row["max_num_seqs"] or 1024),
        dtype=row["dtype"],
    )


def stage_of(row: dict[str, str]) -> int:
    return 1 if row["pp"] == "4" else 0


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row["id"])
def test_weights_agree_with_the_log_within_seven_thousandths(row: dict[str, str]) -> None:
    # the largest difference is 0.6 %: the 4-bit row of 5.38 GiB
    weights = weights_bytes(setting_of(row), stage_of(row))
    assert weights / GIB == pytest.approx(float(row["weights_gib_per_gpu"]), rel=0.007)


@pytest.mark.parametrize("row", SWEEP, ids=lambda row: row["id"])
def test_activation_agrees_with_the_log_within_a_twentieth_of_a_gib(row: dict[str, str]) -> None:
    found = estimate(setting_of(row)).stages[stage_of(row)].activation_bytes
    assert found / GIB == pytest.approx(float(row["activation_gib"]), abs=0.06)


@pytest.mark.parametrize("row", ONE_STAGE, ids=lambda row: row["id"])
def test_tokens_follow_from_the_logged_bytes(row: dict[str, str]) -> None:
    tokens = tokens_of(setting_of(row), int(float(row["kv_gib_per_gpu"]) * GIB))
    assert tokens == pytest.approx(int(row["kv_tokens"]), rel=0.0002)


@pytest.mark.parametrize("row", SWEEP, ids=lambda row: row["id"])
def test_tokens_end_to_end_agree_within_a_hundredth(row: dict[str, str]) -> None:
    found = estimate(setting_of(row)).kv_cache_tokens
    assert found == pytest.approx(int(row["kv_tokens"]), rel=0.01)


@pytest.mark.parametrize("row", SWEEP, ids=lambda row: row["id"])
def test_graphs_agree_with_the_log_within_a_quarter_of_a_gib(row: dict[str, str]) -> None:
    found = estimate(setting_of(row)).stages[stage_of(row)].cuda_graph_bytes
    assert found / GIB == pytest.approx(float(row["graph_gib"]), abs=0.25)


@pytest.mark.parametrize("row", NEWER, ids=lambda row: row["id"])
def test_newer_versions_leave_at_most_one_gib_more_than_computed(row: dict[str, str]) -> None:
    pool = estimate(setting_of(row)).stages[0].kv_cache_bytes
    assert pool is not None
    measured = float(row["kv_gib_per_gpu"])
    assert measured - 1.0 <= pool / GIB <= measured


def test_the_refused_start_of_the_70b_on_one_h100_is_refused() -> None:
    row = next(row for row in ROWS if row["id"] == "emp-f1")
    found = estimate(setting_of(row))
    assert found.fits is False
    assert (found.kv_cache_tokens or 0) < int(row["max_model_len"])


def test_other_gpus_change_the_total_alone() -> None:
    weights = {weights_bytes(setting(LLAMA_8B, "none", gpu), 0) for gpu in (H100, A100_80GB)}
    assert len(weights) == 1
