"""Plans of edits, and plans with settings of the user's."""

import pytest

from llama_operator.api.plan import CudaGraphs
from llama_operator.planning.inventory import Inventory
from llama_operator.planning.outcome import Planned, Refusal
from llama_operator.planning.plan import plan
from unit.catalog.rows_of_users import added, publication
from unit.planning.cluster import (
    A10G,
    A100,
    H100,
    T4,
    node,
    outcome_of,
    planned,
    spec,
)


class TestEdits:
    """Today's placement is the first candidate."""

    today = planned(spec(size="70b", format="awq"), node("a", A100, 1)).plan

    def test_a_cheaper_gpu_does_not_move_what_runs(self) -> None:
        wanted = spec(size="70b", format="awq", context={"maxModelLen": 8192})
        today = planned(wanted, node("h", H100, 1)).plan
        nodes = (node("a", A100, 1), node("h", H100, 1))
        assert planned(wanted, *nodes).plan.gpus == "1x NVIDIA-A100-SXM4-80GB"
        found = planned(wanted, *nodes, current=today)
        assert found.plan.gpus == "1x NVIDIA-H100-80GB-HBM3"
        assert (
            "1x NVIDIA-H100-80GB-HBM3: today's placement, which still holds it"
            in found.plan.reasons
        )

    def test_a_spec_that_forbids_it_moves(self) -> None:
        wanted = spec(size="70b", format="awq", hardware=[{"gpu": H100[0]}])
        found = planned(wanted, node("a", A100, 1), node("h", H100, 1), current=self.today)
        assert found.plan.gpus == "1x NVIDIA-H100-80GB-HBM3"

    def test_a_context_that_does_not_fit_there_moves(self) -> None:
        wanted = spec(size="70b", format="awq", context={"maxModelLen": 131_072})
        found = planned(wanted, node("a", A100, 1), node("h", H100, 2), current=self.today)
        assert found.plan.gpus == "2x NVIDIA-H100-80GB-HBM3"

    def test_gpus_that_have_gone_move(self) -> None:
        found = planned(spec(size="70b", format="awq"), node("h", H100, 1), current=self.today)
        assert found.plan.gpus == "1x NVIDIA-H100-80GB-HBM3"

    def test_auto_keeps_todays_format(self) -> None:
        nodes = [node("a", A100, 1), node("h", H100, 8)]
        assert planned(spec(size="70b"), *nodes).plan.format == "pytorch"
        assert planned(spec(size="70b"), *nodes, current=self.today).plan.format == "awq"


class TestSettings:
    """What the user sets wins and is said."""

    def test_unset_values_are_the_engines_own(self) -> None:
        plan = planned(spec(size="8b", format="pytorch"), node("a", H100, 1)).plan
        assert (plan.max_num_batched_tokens, plan.max_num_seqs) == (8192, 1024)
        assert (plan.kv_cache_dtype, plan.cuda_graphs) == ("auto", CudaGraphs.ENABLED)

    def test_set_values_are_taken(self) -> None:
        memory = {
            "utilizationPercent": 80,
            "kvCacheDType": "fp8",
            "maxNumSeqs": 32,
            "maxNumBatchedTokens": 4096,
            "cudaGraphs": "Disabled",
        }
        plan = planned(spec(size="8b", format="pytorch", memory=memory), node("a", H100, 1)).plan
        assert (plan.max_num_batched_tokens, plan.max_num_seqs) == (4096, 32)
        assert (plan.kv_cache_dtype, plan.utilization_percent) == ("fp8", 80)
        assert plan.cuda_graphs is CudaGraphs.DISABLED
        assert plan.memory_per_gpu.cuda_graph_bytes == 0
        assert "utilization 80 %: as asked" in plan.reasons

    @pytest.mark.parametrize(
        ("memory", "concurrency", "expected"),
        [
            pytest.param({"maxNumSeqs": 4096}, 2, (4096, 4096), id="a step feeds every sequence"),
            pytest.param({"maxNumBatchedTokens": 128}, 2, (128, 128), id="a small step"),
            pytest.param({}, 300, (2048, 300), id="concurrent requests run at the same time"),
        ],
    )
    def test_tokens_of_a_step_are_never_fewer_than_sequences(
        self, memory: dict[str, int], concurrency: int, expected: tuple[int, int]
    ) -> None:
        wanted = spec(size="8b", format="awq", memory=memory, context={"concurrency": concurrency})
        plan = planned(wanted, node("a", A100, 1)).plan
        assert (plan.max_num_batched_tokens, plan.max_num_seqs) == expected

    @pytest.mark.parametrize(
        ("memory", "graphs"),
        [
            # 0.66 + 0.186 x 32 x 4096 / 1e5 GiB
            pytest.param({}, 970_441_332, id="51 sizes up to 512"),
            # 19 sizes up to 128: 0.66 + 0.2438 x 19 / 51
            pytest.param({"maxNumSeqs": 64}, 806_192_404, id="twice the sequences"),
            # 11 sizes up to 64: 0.66 + 0.2438 x 11 / 51
            pytest.param({"maxNumBatchedTokens": 64}, 765_130_172, id="the tokens of a step"),
        ],
    )
    def test_graphs_are_captured_for_batches_that_may_occur(
        self, memory: dict[str, int], graphs: int
    ) -> None:
        wanted = spec(size="8b", format="pytorch", memory=memory)
        found = planned(wanted, node("a", H100, 1)).plan
        assert found.memory_per_gpu.cuda_graph_bytes == graphs

    def test_tokens_are_those_that_the_engine_prints(self) -> None:
        tokens = []
        for length in (1008, 1000):
            wanted = spec(size="8b", format="pytorch", context={"maxModelLen": length})
            plan = planned(wanted, node("a", A10G, 1)).plan
            tokens.append(plan.kv_cache_tokens)
            # 1,391 blocks, 63 for each request
            assert plan.max_concurrency == 22
        # 1,391 x 16; 1,391 x 1,000 / 63
        assert tokens == [22_256, 22_079]

    def test_many_requests_have_a_block_each(self) -> None:
        # 1,391 blocks hold two requests of 8,192 tokens, which take 1,024
        memory = {"maxNumSeqs": 256}
        most = spec(size="8b", format="pytorch", memory=memory, context={"concurrency": 1391})
        assert planned(most, node("a", A10G, 1)).plan.max_model_len == 16
        more = spec(size="8b", format="pytorch", memory=memory, context={"concurrency": 1392})
        outcome = outcome_of(more, node("a", A10G, 1))
        assert isinstance(outcome, Refusal)
        assert outcome.reason == "CUDAGraphsTooLarge"
        assert "KV cache 2.72 GiB for 1,392 requests of 16 tokens" in outcome.message

    def test_models_of_users_are_planned_in_any_scheme_with_bytes(self) -> None:
        catalog, errors = added(
            publication(format="fp8", quantization="block", scheme="fp8-block", repository="o/r")
        )
        assert errors == []
        wanted = spec(model="hermes-3", size="8b", format="fp8", quantization="block")
        found = plan(wanted, catalog, Inventory((node("a", A10G, 1),), {}, ()))
        assert isinstance(found, Planned)
        assert found.plan.scheme == "fp8-block"
        # 9,082,904,576 bytes of checkpoint and a RoPE table of 131,072 x 128 x 2, before rounding
        assert found.plan.memory_per_gpu.weights_bytes == pytest.approx(9_116_459_008, rel=0.005)

    def test_too_large_a_share_is_taken_and_warned_of(self) -> None:
        wanted = spec(size="8b", format="awq", memory={"utilizationPercent": 95})
        plan = planned(wanted, node("a", A10G, 1)).plan
        assert plan.utilization_percent == 95
        assert (
            "utilization 95 %: as asked, but above the 88 % that are safe on NVIDIA-A10G; "
            "the engine may refuse to start"
        ) in plan.reasons

    def test_cards_without_bfloat16_compute_in_float16(self) -> None:
        plan = planned(spec(size="8b", format="pytorch"), node("a", T4, 2)).plan
        assert plan.dtype == "float16"
        assert "dtype float16: Tesla-T4 has no bfloat16" in plan.reasons

    def test_an_image_of_the_user_is_sized_by_the_rules_of_the_default_version(self) -> None:
        image = "registry.example.com/vllm:v0.34.0"
        plan = planned(
            spec(size="8b", format="awq", engine={"image": image}), node("a", A10G, 1)
        ).plan
        assert plan.image == image
        assert plan.engine_version == "0.33.0"

    def test_a_version_that_was_not_measured_states_its_margin(self) -> None:
        plan = planned(spec(size="70b", format="awq"), node("a", A100, 1)).plan
        # 1 GiB / 327,680 bytes a token = 3,276
        assert plan.reasons[-1] == (
            "vLLM 0.33.0 has not been measured: the KV cache may differ by 1.00 GiB per GPU, "
            "3,276 tokens"
        )


def test_slices_and_shared_cards_take_models_that_fit_one() -> None:
    slices = node("a", ("NVIDIA-A100-SXM4-80GB-MIG-3g.40gb", 40_192), 2)
    assert planned(spec(size="8b", format="pytorch"), slices).plan.gpu.count == 1
    assert not hasattr(outcome_of(spec(size="70b", format="awq"), slices), "plan")
    shared = node("b", ("NVIDIA-A100-SXM4-80GB-SHARED", 81_920), 16, replicas=4)
    assert not hasattr(outcome_of(spec(size="70b", format="pytorch"), shared), "plan")
    assert planned(spec(size="70b", format="awq", replicas=4), shared).fits_now
    assert not planned(spec(size="70b", format="awq", replicas=5), shared).fits_now
