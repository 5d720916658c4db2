"""Errors of the sizing over all measured rows: median and 95th percentile."""

import statistics
from collections.abc import Callable

import pytest

from llama_operator.sizing.batch import tokens_of
from llama_operator.sizing.estimate import StageEstimate, estimate, weights_bytes
from llama_operator.units import GIB
from unit.sizing.test_measured import ONE_STAGE, ROWS, SWEEP, setting_of, stage_of

Row = dict[str, str]


def percent(found: float, measured: str) -> float:
    return 100 * abs(found / float(measured) - 1)


def logged_stage(row: Row) -> StageEstimate:
    return estimate(setting_of(row)).stages[stage_of(row)]


def weights(row: Row) -> float:
    found = weights_bytes(setting_of(row), stage_of(row))
    return percent(found / GIB, row["weights_gib_per_gpu"])


def activation(row: Row) -> float:
    return abs(logged_stage(row).activation_bytes / GIB - float(row["activation_gib"]))


def tokens_of_bytes(row: Row) -> float:
    pool = int(float(row["kv_gib_per_gpu"]) * GIB)
    return percent(tokens_of(setting_of(row), pool), row["kv_tokens"])


def tokens(row: Row) -> float:
    return percent(estimate(setting_of(row)).kv_cache_tokens or 0, row["kv_tokens"])


def graphs(row: Row) -> float:
    return abs(logged_stage(row).cuda_graph_bytes / GIB - float(row["graph_gib"]))


@pytest.mark.parametrize(
    ("error", "rows", "unit", "median", "high"),
    [
        pytest.param(weights, ROWS, "percent", 0.05, 1.5, id="weights per GPU"),
        pytest.param(activation, SWEEP, "gib", 0.05, 0.30, id="activation peak"),
        pytest.param(
            tokens_of_bytes, ONE_STAGE, "percent", 0.02, 0.2, id="KV tokens of given KV bytes"
        ),
        pytest.param(tokens, SWEEP, "percent", 0.25, 5.0, id="KV tokens end to end"),
        pytest.param(graphs, SWEEP, "gib", 0.15, 0.50, id="CUDA graphs"),
    ],
)
def test_median_and_95th_percentile_of_the_error(
    error: Callable[[Row], float],
    rows: list[Row],
    unit: str,
    median: float,
    high: float,
    record_property: Callable[[str, object], None],
) -> None:
    errors = sorted(error(row) for row in rows)
    middle, p95 = statistics.median(errors), errors[min(len(errors) - 1, len(errors) * 95 // 100)]
    name = error.__name__
    record_property("figure.rows_" + name, len(errors))
    record_property(f"figure.median_{name}_{unit}", middle)
    record_property(f"figure.p95_{name}_{unit}", p95)
    assert middle <= median
    assert p95 <= high
