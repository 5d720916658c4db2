import pytest

from golden.cases import CASES, Case, dump
from llama_operator.api.deployment import LlamaDeployment
from llama_operator.units import ceil_div

ALL = [pytest.param(case, id=case.name) for case in CASES]


def test_the_cases_cover_formats_hubs_and_sizes() -> None:
    assert [case.name for case in CASES] == [
        "405b-fp8-eight-h100",
        "405b-two-nodes",
        "70b-gptq-two-replicas",
        "8b-awq-lora-claim",
        "8b-awq-modelscope",
        "8b-awq-modelscope-claim",
        "8b-awq-template",
        "8b-draft-model-claim",
        "8b-fp8-kv-cache-eager",
        "8b-key-tls-template",
        "8b-pytorch-token",
        "llama-70b-awq",
        "longest-name",
    ]


@pytest.mark.parametrize("case", ALL)
def test_the_objects_are_those_recorded(case: Case) -> None:
    rendered, expected = case.render(), case.expected()

    assert sorted(rendered) == sorted(expected)
    for name, manifest in rendered.items():
        assert manifest == expected[name], f"{case.name}/expected/{name}.yaml: see `make golden`"


@pytest.mark.parametrize("case", ALL)
def test_recorded_files_are_as_the_script_writes_them(case: Case) -> None:
    for name, manifest in case.render().items():
        file = case.expected_folder / f"{name}.yaml"
        assert file.read_text(encoding="utf-8") == dump(manifest), f"{file}: see `make golden`"


@pytest.mark.parametrize("case", ALL)
def test_the_numbers_of_the_plan_add_up(case: Case) -> None:
    plan = case.plan()
    memory = plan.memory_per_gpu

    assert memory.budget_bytes == memory.total_bytes * plan.utilization_percent // 100
    assert memory.headroom_bytes == memory.total_bytes - memory.budget_bytes
    assert memory.budget_bytes == (
        memory.weights_bytes
        + (memory.adapter_bytes or 0)
        + (memory.draft_weights_bytes or 0)
        + memory.activation_bytes
        + memory.non_torch_bytes
        + memory.cuda_graph_bytes
        + memory.kv_cache_bytes
    )
    assert plan.max_concurrency == plan.kv_cache_tokens // plan.max_model_len
    assert plan.max_concurrency >= plan.concurrency
    assert plan.gpu_count == plan.tensor_parallel_size * plan.pipeline_parallel_size
    assert plan.host.memory_bytes > plan.host.shm_bytes


LAYERS_AND_KV_HEADS_PER_GPU = {
    "405b-fp8-eight-h100": (126, 1, 2),
    "405b-two-nodes": (63, 1, 2),
    "70b-gptq-two-replicas": (80, 8, 2),
    "8b-awq-template": (32, 8, 2),
    "8b-draft-model-claim": (32, 8, 2),
    "8b-awq-modelscope": (32, 8, 2),
    "8b-awq-lora-claim": (32, 8, 2),
    "8b-awq-modelscope-claim": (32, 8, 2),
    "8b-fp8-kv-cache-eager": (32, 8, 1),
    "8b-key-tls-template": (32, 8, 2),
    "8b-pytorch-token": (32, 8, 2),
    "llama-70b-awq": (80, 8, 2),
    "longest-name": (32, 8, 2),
}
"""By case: layers of the model, KV heads on one GPU, bytes of one element of the KV cache."""


@pytest.mark.parametrize("case", ALL)
def test_the_kv_cache_holds_the_tokens_that_the_plan_says(case: Case) -> None:
    layers, heads, element_bytes = LAYERS_AND_KV_HEADS_PER_GPU[case.name]
    plan = case.plan()
    block_bytes = 16 * 2 * heads * 128 * element_bytes * layers
    if plan.draft is not None:
        # 16 layers with 8 KV heads of 64 elements: llama-3.2-instruct 1b on one GPU.
        block_bytes += 16 * 2 * 8 * 64 * element_bytes * 16

    blocks = plan.memory_per_gpu.kv_cache_bytes // block_bytes

    assert plan.kv_cache_tokens == 16 * blocks
    assert ceil_div(plan.max_model_len, 16) * plan.concurrency <= blocks


@pytest.mark.parametrize("case", ALL)
def test_the_plan_answers_the_deployment(case: Case) -> None:
    plan, deployment = case.plan(), case.deployment()
    spec = deployment.spec

    assert isinstance(deployment, LlamaDeployment)
    assert (plan.model, plan.size, plan.format, plan.hub) == (
        spec.model,
        spec.size,
        spec.format,
        spec.hub,
    )
    assert plan.concurrency == spec.context.concurrency
    assert plan.max_model_len == (spec.context.max_model_len or plan.max_model_len)
    assert plan.cuda_graphs == spec.memory.cuda_graphs
