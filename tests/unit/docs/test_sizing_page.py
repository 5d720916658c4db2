"""docs/explanation/sizing.md: its arithmetic holds, and its results are the code's."""

import pytest

from llama_operator.api.plan import Plan
from llama_operator.api.v1alpha1 import LlamaDeploymentSpec
from llama_operator.catalog.catalog import Catalog
from llama_operator.cli.nodes_file import read_nodes_file
from llama_operator.planning.outcome import Planned
from llama_operator.planning.plan import plan
from llama_operator.sizing.allocator import allocated_bytes
from llama_operator.sizing.architectures import shape_of
from llama_operator.sizing.cache import token_bytes
from llama_operator.sizing.checkpoints import checkpoint_bytes
from llama_operator.sizing.engine_budget import planned_utilization_percent
from llama_operator.sizing.models.model import ModelShape
from llama_operator.sizing.quantized import Matrix, matrix_bytes
from llama_operator.sizing.rank_weights import rope_table_bytes
from llama_operator.units import GIB, MIB
from unit.docs.arithmetic import equations, evaluate, lines
from unit.docs.pages import ROOT, table

PAGE = "docs/explanation/sizing.md"
CATALOG = Catalog.load()
NODES = read_nodes_file(str(ROOT / "docs/how-to/nodes.yaml"))
A100 = "NVIDIA-A100-SXM4-80GB"
ADAPTER = {"rank": 16, "adapters": [{"name": "sql", "repository": "org/sql-lora"}]}


def shape_of_70b() -> ModelShape:
    row = CATALOG.model("llama-3.1-instruct", "70b").architecture
    assert row is not None
    return shape_of(row)


def planned(**spec: object) -> Plan:
    outcome = plan(LlamaDeploymentSpec.model_validate(spec), CATALOG, NODES)
    assert isinstance(outcome, Planned)
    return outcome.plan


EQUATIONS = equations(PAGE)


@pytest.mark.parametrize("name", EQUATIONS)
def test_both_sides_of_an_equation_are_equal(name: str) -> None:
    expression, result = EQUATIONS[name]
    assert evaluate(expression) == result


def results() -> dict[str, int]:
    """What the code says of the page's example, by the names of the page."""
    found = planned(size="70b", format="awq")
    memory, host = found.memory_per_gpu, found.host
    model = shape_of_70b()
    return {
        "utilization": found.utilization_percent,
        "total": memory.total_bytes,
        "budget": memory.budget_bytes,
        "rotary positions": rope_table_bytes(model),
        "weights": memory.weights_bytes,
        "activations": memory.activation_bytes,
        "non-torch": memory.non_torch_bytes,
        "CUDA graphs": memory.cuda_graph_bytes,
        "adapters": planned(size="70b", format="awq", lora=ADAPTER).memory_per_gpu.adapter_bytes
        or 0,
        "KV cache": memory.kv_cache_bytes,
        "bytes a token": token_bytes(model),
        "tokens": found.kv_cache_tokens,
        "context": found.max_model_len,
        "headroom": memory.headroom_bytes,
        "CPU in thousandths": host.cpu_millicores,
        "memory": host.memory_bytes,
        "disk": host.disk_bytes,
        "seconds": found.startup_seconds,
    }


@pytest.mark.parametrize("name", results())
def test_a_result_is_that_of_the_code(name: str) -> None:
    assert EQUATIONS[name][1] == results()[name]


def test_no_equation_is_left_unread() -> None:
    assert len([line for line in lines(PAGE) if " = " in line]) == len(EQUATIONS) == 25


def test_the_matrices_are_those_of_the_code() -> None:
    scheme = CATALOG.scheme("awq-int4-g128")
    merged: dict[str, list[tuple[int, ...]]] = {}
    for tensor in shape_of_70b().layers[0].tensors:
        if tensor.linear:
            merged.setdefault(tensor.merged or tensor.name, []).append(tensor.shape)
    computed = []
    for shapes in merged.values():
        outputs, inputs = sum(rows for rows, _ in shapes), shapes[0][1]
        size = matrix_bytes(Matrix(outputs * inputs, outputs, inputs), scheme)
        computed.append([inputs, outputs, size, allocated_bytes(size)])
    shown = [[int(cell.replace(",", "")) for cell in row[1:]] for row in table(PAGE, "matrix")]
    assert shown == computed
    assert min(row[2] for row in shown) >= 10 * MIB


def test_the_checkpoint_in_the_arithmetic_of_the_disk_is_that_of_the_code() -> None:
    size = checkpoint_bytes(shape_of_70b(), CATALOG.scheme("awq-int4-g128"))
    for name in ("disk", "seconds"):
        assert f"{size:,}" in EQUATIONS[name][0]


def test_the_shares_of_small_cards_are_those_of_the_code() -> None:
    row = CATALOG.gpu("NVIDIA-A10G")
    assert row is not None
    shares = [
        planned_utilization_percent(row.total_bytes, row.reserved_at_start_bytes, size)
        for size in (1, 2, 4)
    ]
    assert shares == [88, 81, 81]


def test_the_table_of_contexts_in_choose_hardware_is_that_of_the_code() -> None:
    plans = [
        planned(size="70b", format="awq"),
        planned(size="70b", format="awq", context={"maxModelLen": 16384, "concurrency": 8}),
        planned(size="70b", format="awq", context={"maxModelLen": 131072}),
    ]
    (heading,) = ("70B AWQ on A100 with 80 GB",)
    shown = [
        (int(row[1]), int(row[2].replace(",", "")))
        for row in table("docs/how-to/choose-hardware.md", heading)
    ]
    assert shown == [(found.gpu.count, found.kv_cache_tokens) for found in plans]
    assert {found.gpu.product for found in plans} == {A100}


def test_the_weights_in_choose_hardware_are_those_of_the_code() -> None:
    by_scheme = {"pytorch": "none", "fp8": "fp8-dynamic", "awq": "awq-int4-g128"}
    for formats, shown, *_ in table("docs/how-to/choose-hardware.md", "format"):
        name = formats.split(",")[0].strip("`")
        if name in by_scheme:
            size = checkpoint_bytes(shape_of_70b(), CATALOG.scheme(by_scheme[name]))
            assert shown == f"{round(size / GIB)} GiB"
