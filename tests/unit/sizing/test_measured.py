"""The rules against what engines logged; data/README.md says where the rows come from."""

import csv
from pathlib import Path

import pytest

from llama_operator.sizing.activations import activation_bytes
from llama_operator.sizing.footprint import footprint
from llama_operator.sizing.kv_cache import layer_bytes_per_token, pool_tokens
from llama_operator.sizing.placement import Placement
from llama_operator.sizing.weights import weights_bytes
from llama_operator.units import GIB
from unit.sizing.rows import (
    A100_80GB,
    H100,
    LLAMA_8B,
    LLAMA_70B,
    LLAMA_405B_JULY_2024,
    gpu,
    placed,
    vllm,
)

TABLE = Path(__file__).parent / "data/engine-memory-llama.csv"
ROWS = list(csv.DictReader(TABLE.read_text(encoding="utf-8").splitlines()))
MODELS = {"8B": LLAMA_8B, "70B": LLAMA_70B, "405B": LLAMA_405B_JULY_2024}
GPUS = {
    "H100-SXM-80GB": H100,
    "H100-80GB": H100,
    "T4-16GB": gpu("Tesla-T4", 14.58),
    "RTX-PRO-6000-96GB": gpu("NVIDIA-RTX-PRO-6000-Blackwell-Server-Edition", 94.97),
}
SWEEP = [row for row in ROWS if row["id"].startswith("llmd-")]
ONE_STAGE = [row for row in SWEEP if row["pp"] == "1"]
"""With several stages the log gives one stage's bytes and another's tokens."""
NEWER = [row for row in ROWS if row["engine_version"] == "0.23.0"]


def placement_of(row: dict[str, str]) -> Placement:
    name = row["model_repo"].lower()
    model = next(model for size, model in MODELS.items() if f"-{size.lower()}-" in name)
    version = row["engine_version"]
    minor = int(version.split(".")[1])
    return placed(
        model,
        row["quantization"],
        GPUS[row["gpu"]],
        tp=int(row["tp"]),
        pp=int(row["pp"] or 1),
        # fractions such as 0.875 are rounded down to a percentage
        utilization=int(100 * float(row["gpu_memory_utilization"] or 0.9)),
        engine=vllm(version, alpha=9.5 if minor < 17 else 3.65, graphs_inside=minor >= 21),
        tokens=int(row["max_num_batched_tokens"] or 8192),
        seqs=int(row["max_num_seqs"] or 1024),
    )


def stage_of(row: dict[str, str]) -> int:
    return 1 if row["pp"] == "4" else 0


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row["id"])
def test_weights_agree_with_the_log_within_seven_thousandths(row: dict[str, str]) -> None:
    # the largest difference is 0.6 %: the 4-bit row of 5.38 GiB
    weights = weights_bytes(placement_of(row), stage=stage_of(row))
    assert weights / GIB == pytest.approx(float(row["weights_gib_per_gpu"]), rel=0.007)


@pytest.mark.parametrize("row", SWEEP, ids=lambda row: row["id"])
def test_activation_agrees_with_the_log_within_a_twentieth_of_a_gib(row: dict[str, str]) -> None:
    placement = placement_of(row)
    found = activation_bytes(placement, last_stage=placement.pipeline_parallel_size == 1)
    assert found / GIB == pytest.approx(float(row["activation_gib"]), abs=0.06)


@pytest.mark.parametrize("row", ONE_STAGE, ids=lambda row: row["id"])
def test_tokens_follow_from_the_logged_bytes(row: dict[str, str]) -> None:
    placement = placement_of(row)
    tokens = pool_tokens(
        int(float(row["kv_gib_per_gpu"]) * GIB),
        layer_bytes=layer_bytes_per_token(
            placement.architecture,
            tensor_parallel_size=placement.tensor_parallel_size,
            element_bytes=2,
        ),
        layers=placement.architecture.num_hidden_layers,
    )
    assert tokens == pytest.approx(int(row["kv_tokens"]), rel=0.0002)


@pytest.mark.parametrize("row", SWEEP, ids=lambda row: row["id"])
def test_tokens_end_to_end_agree_within_a_hundredth(row: dict[str, str]) -> None:
    found = footprint(placement_of(row)).kv_cache_tokens
    assert found == pytest.approx(int(row["kv_tokens"]), rel=0.01)


@pytest.mark.parametrize("row", SWEEP, ids=lambda row: row["id"])
def test_graphs_agree_with_the_log_within_a_quarter_of_a_gib(row: dict[str, str]) -> None:
    found = footprint(placement_of(row)).cuda_graph_bytes
    assert found / GIB == pytest.approx(float(row["graph_gib"]), abs=0.25)


@pytest.mark.parametrize("row", NEWER, ids=lambda row: row["id"])
def test_newer_versions_leave_at_most_one_gib_more_than_computed(row: dict[str, str]) -> None:
    found = footprint(placement_of(row)).kv_cache_bytes / GIB
    measured = float(row["kv_gib_per_gpu"])
    assert measured - 1.0 - 0.005 * 94.97 <= found <= measured


def test_the_refused_start_of_the_70b_on_one_h100_is_refused() -> None:
    row = next(row for row in ROWS if row["id"] == "emp-f1")
    found = footprint(placement_of(row))
    assert found.kv_cache_tokens < int(row["max_model_len"])


def test_other_gpus_change_the_total_alone() -> None:
    on = [placed(LLAMA_8B, "none", on) for on in (H100, A100_80GB)]
    assert len({weights_bytes(placement) for placement in on}) == 1
