"""Errors of the sizing over all measured rows: median and 95th percentile."""

import statistics
from collections.abc import Callable

import pytest

from llama_operator.sizing.activations import activation_bytes
from llama_operator.sizing.footprint import footprint
from llama_operator.sizing.kv_cache import layer_bytes_per_token, pool_tokens
from llama_operator.sizing.weights import weights_bytes
from llama_operator.units import GIB
from unit.sizing.test_measured import ONE_STAGE, ROWS, SWEEP, placement_of, stage_of

Row = dict[str, str]


def percent(found: float, measured: str) -> float:
    return 100 * abs(found / float(measured) - 1)


def weights(row: Row) -> float:
    found = weights_bytes(placement_of(row), stage=stage_of(row))
    return percent(found / GIB, row["weights_gib_per_gpu"])


def activation(row: Row) -> float:
    placement = placement_of(row)
    last = placement.pipeline_parallel_size == 1
    return abs(activation_bytes(placement, last_stage=last) / GIB - float(row["activation_gib"]))


def tokens_of_bytes(row: Row) -> float:
    placement = placement_of(row)
    layer = layer_bytes_per_token(
        placement.architecture,
        tensor_parallel_size=placement.tensor_parallel_size,
        element_bytes=2,
    )
    pool = int(float(row["kv_gib_per_gpu"]) * GIB)
    layers = placement.architecture.num_hidden_layers
    return percent(pool_tokens(pool, layer_bytes=layer, layers=layers), row["kv_tokens"])


def tokens(row: Row) -> float:
    return percent(footprint(placement_of(row)).kv_cache_tokens, row["kv_tokens"])


def graphs(row: Row) -> float:
    return abs(footprint(placement_of(row)).cuda_graph_bytes / GIB - float(row["graph_gib"]))


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
