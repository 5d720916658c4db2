import dataclasses
import json
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from llama_operator.api.reasons import REASONS
from llama_operator.api.v1alpha1 import LlamaDeploymentSpec
from llama_operator.errors import SpecError
from llama_operator.planning.alternatives import merge
from llama_operator.planning.candidates import candidates
from llama_operator.planning.choices import choices
from llama_operator.planning.decide import Misfit, decide
from llama_operator.planning.inventory import Inventory, NodeFacts
from llama_operator.planning.outcome import Planned, Refusal
from llama_operator.planning.plan import plan
from llama_operator.planning.survey import survey
from llama_operator.planning.trials import attempt
from llama_operator.units import GIB
from unit.planning.cluster import (
    A10G,
    A100,
    A100_40GB,
    CATALOG,
    GPU,
    H100,
    L4,
    L40S,
    MI300X,
    T4,
    V100,
    node,
    on_nodes,
)

PRODUCTS = [V100, T4, A10G, L4, L40S, A100_40GB, A100, H100, MI300X, ("NVIDIA-X1", 60_000)]
MIG = ("NVIDIA-H100-80GB-HBM3-MIG-3g.40gb", 40_448)
SHARED = ("NVIDIA-L4-SHARED", 23_034)

nodes = st.lists(
    st.builds(
        node,
        st.sampled_from([f"n{number}" for number in range(12)]),
        st.sampled_from([*PRODUCTS, MIG, SHARED]),
        st.sampled_from([1, 2, 4, 8, 16]),
        capability=st.sampled_from([None, (8, 0), (9, 0)]),
        replicas=st.sampled_from([1, 1, 1, 4]),
        cpu=st.sampled_from([4_000, 32_000, 192_000]),
        memory=st.sampled_from([16 * GIB, 512 * GIB]),
        disk=st.sampled_from([32 * GIB, 2048 * GIB]),
        usable=st.sampled_from([True, True, True, False]),
    ),
    max_size=6,
    unique_by=lambda found: found.name,
)
NOTHING: dict[str, st.SearchStrategy[Any]] = {}


def is_valid(memory: dict[str, Any]) -> bool:
    return bool(memory.get("maxNumSeqs", 0) <= memory.get("maxNumBatchedTokens", 10**6))


optional_memory = st.fixed_dictionaries(
    NOTHING,
    optional={
        "utilizationPercent": st.integers(50, 98),
        "kvCacheDType": st.sampled_from(["Auto", "fp8"]),
        "maxNumSeqs": st.sampled_from([1, 64, 256, 1024]),
        "maxNumBatchedTokens": st.sampled_from([1024, 2048, 16_384]),
        "cudaGraphs": st.sampled_from(["Enabled", "Disabled"]),
    },
)
hardware = st.lists(
    st.fixed_dictionaries(
        {"gpu": st.sampled_from([product for product, _ in [*PRODUCTS, MIG]])},
        optional={"count": st.sampled_from([1, 2, 4, 8, 16])},
    ),
    max_size=3,
)
bodies = st.fixed_dictionaries(
    {"size": st.sampled_from(["8b", "70b", "405b", "9b"])},
    optional={
        "model": st.sampled_from(["llama-3.1-instruct", "llama-3.1", "llama-guard-3"]),
        "format": st.sampled_from(["Auto", "pytorch", "fp8", "awq", "gptq", "ggufv2", "mlx"]),
        "hub": st.sampled_from(["HuggingFace", "ModelScope"]),
        "tokenSecretRef": st.just({"name": "hf-token"}),
        "context": st.fixed_dictionaries(
            NOTHING,
            optional={
                "maxModelLen": st.sampled_from([16, 4096, 8192, 65_536, 131_072, 1_000_000]),
                "concurrency": st.sampled_from([1, 2, 16, 4096]),
            },
        ),
        "memory": optional_memory.filter(is_valid),
        "lora": st.builds(
            lambda rank, names: {
                "rank": rank,
                "adapters": [{"name": name, "repository": "org/a"} for name in names],
            },
            st.sampled_from([1, 16, 512]),
            st.lists(st.sampled_from("abcd"), min_size=1, unique=True),
        ),
        "hardware": hardware,
        "replicas": st.integers(0, 5),
    },
)
specs = bodies.map(LlamaDeploymentSpec.model_validate)
held = st.dictionaries(st.sampled_from([f"n{number}" for number in range(12)]), st.integers(0, 16))
reserved = st.lists(
    st.tuples(
        st.sampled_from([GPU, "amd.com/gpu"]),
        st.lists(st.sampled_from([product for product, _ in PRODUCTS]), min_size=1).map(tuple),
        st.sampled_from([1, 2, 4, 8]),
        st.integers(1, 4),
    ),
    max_size=4,
).map(tuple)
inventories = st.builds(
    lambda found, taken, ahead: Inventory(tuple(found), taken, ahead),
    nodes,
    held.map(on_nodes),
    reserved,
)


@given(specs, inventories, st.randoms(use_true_random=False))
@settings(max_examples=120, deadline=None)
def test_same_input_same_output_whatever_the_order(
    spec: LlamaDeploymentSpec, inventory: Inventory, random: object
) -> None:
    shuffled = list(inventory.nodes)
    random.shuffle(shuffled)  # type: ignore[attr-defined]
    other = Inventory(
        tuple(shuffled),
        dict(sorted(inventory.held.items(), reverse=True)),
        tuple(reversed(inventory.reserved)),
    )
    assert plan(spec, CATALOG, inventory) == plan(spec, CATALOG, other)


@given(specs, inventories)
@settings(max_examples=120, deadline=None)
def test_plans_keep_their_promises(spec: LlamaDeploymentSpec, inventory: Inventory) -> None:
    outcome = plan(spec, CATALOG, inventory)
    if isinstance(outcome, Refusal):
        assert outcome.reason in REASONS
        assert len(outcome.message) <= 4096
        return
    found, memory = outcome.plan, outcome.plan.memory_per_gpu
    parts = (
        memory.weights_bytes
        + (memory.adapter_bytes or 0)
        + memory.activation_bytes
        + memory.non_torch_bytes
        + memory.cuda_graph_bytes
        + memory.kv_cache_bytes
    )
    assert memory.budget_bytes == parts
    assert memory.total_bytes == memory.budget_bytes + memory.headroom_bytes
    slots = found.max_num_seqs if found.engine == "LlamaCpp" else found.concurrency
    assert found.max_concurrency >= min(slots, found.concurrency)
    assert found.max_num_batched_tokens >= found.max_num_seqs
    assert found.max_model_len <= 131_072
    assert found.gpu.product in found.gpu.accepted_products
    assert found.gpu.accepted_products == sorted(set(found.gpu.accepted_products))
    assert bool(outcome.waiting_message) is not outcome.fits_now
    hosts = [facts for facts in inventory.nodes if facts.product == found.gpu.product]
    assert any(
        facts.usable
        and facts.gpus >= found.gpu.count
        and facts.cpu_millicores >= found.host.cpu_millicores
        and facts.memory_bytes >= found.host.memory_bytes
        and facts.disk_bytes >= found.host.disk_bytes
        for facts in hosts
    )


@given(specs, inventories)
@settings(max_examples=100, deadline=None)
def test_every_alternative_fits_once_its_patch_is_applied(
    spec: LlamaDeploymentSpec, inventory: Inventory
) -> None:
    outcome = plan(spec, CATALOG, inventory)
    if isinstance(outcome, Planned):
        return
    assert len(outcome.alternatives) <= 5
    for alternative in outcome.alternatives:
        body = merge({"spec": spec.to_object()}, json.loads(alternative.patch))
        changed = LlamaDeploymentSpec.model_validate(body["spec"])
        assert isinstance(plan(changed, CATALOG, inventory), Planned), alternative.patch


@given(specs, inventories)
@settings(max_examples=100, deadline=None)
def test_nothing_is_passed_over_that_fits(spec: LlamaDeploymentSpec, inventory: Inventory) -> None:
    surveyed = survey(inventory, CATALOG)
    try:
        options = choices(spec, CATALOG)
    except SpecError:
        return
    outcome = decide(spec, options, surveyed)
    tried = [
        attempt(spec, choice, candidate)
        for choice in options
        for candidate in candidates(spec, choice, surveyed)
    ]
    if isinstance(outcome, Misfit):
        assert outcome.trials == tuple(tried)
        assert all(trial.verdict for trial in tried)
        held = (trial.longest_context(spec.context.concurrency) for trial in tried)
        assert outcome.longest_context == max(held, default=0)
    else:
        assert outcome.trial in tried
        first = next(trial.choice for trial in tried if trial.verdict is None)
        assert outcome.trial.choice == first


def more_memory(facts: NodeFacts, mib: int) -> NodeFacts:
    return dataclasses.replace(facts, gpu_memory_mib=(facts.gpu_memory_mib or 0) + mib)


@given(bodies, nodes, st.integers(0, 40_000))
@settings(max_examples=100, deadline=None)
def test_more_memory_never_refuses_what_less_holds(
    body: dict[str, object], found: list[NodeFacts], more: int
) -> None:
    # A larger GPU gets a larger batch by default, so the batch is fixed here.
    fixed = {"maxNumSeqs": 256, "maxNumBatchedTokens": 2048}
    memory = body.get("memory")
    spec = LlamaDeploymentSpec.model_validate(
        {**body, "memory": {**memory, **fixed} if isinstance(memory, dict) else fixed}
    )
    # Only products of the table: unknown 24 GB cards are taken to hold more at start.
    known = [facts for facts in found if CATALOG.gpu(facts.product) is not None]
    larger = [more_memory(facts, more) for facts in known]
    if isinstance(plan(spec, CATALOG, Inventory(tuple(known))), Planned):
        assert isinstance(plan(spec, CATALOG, Inventory(tuple(larger))), Planned)


@given(specs, inventories)
@settings(max_examples=100, deadline=None)
def test_a_plan_is_kept_while_nothing_changes(
    spec: LlamaDeploymentSpec, inventory: Inventory
) -> None:
    first = plan(spec, CATALOG, inventory)
    if isinstance(first, Refusal):
        return
    assert plan(spec, CATALOG, inventory, current=first.plan) == first
