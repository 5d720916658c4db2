"""CPU and memory that the spec asks for: judged, recorded, and said where they are too little."""

from typing import Any

import pytest

from llama_operator.api.deployment import LlamaDeployment
from llama_operator.api.reasons import Reason
from llama_operator.engines.registry import engine
from llama_operator.units import GIB
from unit.planning.cluster import A100, H100, node, planned, refused, spec


def asking(**resources: str) -> Any:
    return spec(size="8b", format="awq", template={"spec": {"resources": resources}})


@pytest.mark.parametrize(
    ("resources", "cpu", "memory", "said"),
    [
        pytest.param({}, 3000, 13 * GIB, [], id="nothing: 2 + 1 cores; 8 + 4 + 1 GiB"),
        pytest.param(
            {"cpu": "8", "memory": "64Gi"},
            8000,
            64 * GIB,
            ["CPU 8 cores: as asked", "memory 64.00 GiB: as asked"],
            id="more of both",
        ),
        pytest.param(
            {"cpu": "2500m"},
            2500,
            13 * GIB,
            [
                "CPU 2.5 cores: as asked, below the 3 cores that are planned; loading and serving "
                "may be slow"
            ],
            id="less CPU",
        ),
        pytest.param(
            {"memory": "6144Mi"},
            3000,
            6 * GIB,
            [
                "memory 6.00 GiB: as asked, below the 13.00 GiB that are planned; the engine may "
                "be ended for it (OutOfMemory)"
            ],
            id="less memory",
        ),
        pytest.param({"memory": "1Ti"}, 3000, 1024 * GIB, None, id="all that the node has"),
    ],
)
def test_the_plan_records_what_is_asked_for(
    resources: dict[str, str], cpu: int, memory: int, said: list[str] | None
) -> None:
    plan = planned(asking(**resources), node("a", A100, 1)).plan
    assert (plan.host.cpu_millicores, plan.host.memory_bytes) == (cpu, memory)
    if said is not None:
        assert [reason for reason in plan.reasons if reason.startswith(("CPU", "memory"))] == said


@pytest.mark.parametrize(
    ("resources", "told"),
    [
        pytest.param(
            {"cpu": "97"}, "CPU: 97 cores needed, at most 96 cores there", id="CPU of no node"
        ),
        pytest.param(
            {"memory": "2Ti"},
            "memory: 2,048.00 GiB needed, at most 1,024.00 GiB there",
            id="memory of no node",
        ),
    ],
)
def test_what_no_node_has_is_refused(resources: dict[str, str], told: str) -> None:
    found = refused(asking(**resources), node("a", A100, 1))
    assert found.reason is Reason.HOST_TOO_SMALL
    assert told in found.message


def test_less_than_planned_fits_a_node_that_the_plan_does_not() -> None:
    small = node("a", A100, 1, memory=10 * GIB)
    assert refused(spec(size="8b", format="awq"), small).reason is Reason.HOST_TOO_SMALL
    assert planned(asking(memory="8Gi"), small).fits_now


def test_replicas_are_counted_by_what_is_asked_for() -> None:
    """Two replicas of 600 GiB do not fit a node of 1,024, though it has GPUs for eight."""
    wanted = asking(memory="600Gi").model_copy(update={"replicas": 2})
    assert not planned(wanted, node("a", A100, 8)).fits_now
    assert planned(wanted, node("a", A100, 8), node("b", A100, 8)).fits_now


def test_other_products_are_accepted_by_what_is_asked_for() -> None:
    wanted = spec(
        size="8b",
        format="awq",
        context={"maxModelLen": 8192},
        template={"spec": {"resources": {"memory": "600Gi"}}},
    )
    large, small = node("h", H100, 1), node("a", A100, 1, memory=512 * GIB)
    assert planned(wanted, large, small).plan.gpu.accepted_products == ["NVIDIA-H100-80GB-HBM3"]


def test_llama_cpp_starts_as_many_threads_as_it_has_cores() -> None:
    wanted = spec(size="8b", format="ggufv2", template={"spec": {"resources": {"cpu": "6500m"}}})
    plan = planned(wanted, node("a", A100, 1)).plan
    body = {"metadata": {"name": "llama"}, "spec": wanted.to_object()}
    args = engine(plan.engine).container(plan, LlamaDeployment.parse(body)).args
    assert args[args.index("--threads") + 1] == "6"
