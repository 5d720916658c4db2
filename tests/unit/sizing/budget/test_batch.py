"""Rows in and rows out: what each field does, and that no row breaks anything."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llama_operator.sizing.batch import estimate_row
from llama_operator.units import GIB
from support.llama_8b import CONFIG, ROW


def result(**changes: Any) -> dict[str, Any]:
    out = estimate_row({**ROW, **changes}).fields
    assert json.loads(json.dumps(out)) == out
    return out


def test_the_published_example() -> None:
    found = result()
    assert found.pop("kv_cache_bytes") == pytest.approx(62_388_084_867, abs=1000)
    assert found == {
        "id": "a",
        "checkpoint_bytes": 16_060_522_496,
        "weights_bytes": 16_094_076_928,
        "weights_bytes_per_stage": [16_094_076_928],
        "activation_bytes": 2_027_537_039,
        "activation_bytes_per_stage": [2_027_537_039],
        "non_torch_bytes": 268_435_456,
        "cuda_graph_bytes": 970_441_332,
        "kv_cache_tokens": 475_968,
        "max_concurrency": 58.1016,
        "fits": True,
    }


def test_given_bytes_of_kv_cache_yield_tokens_alone() -> None:
    found = result(available_kv_cache_bytes=62_388_084_867, gpu=None)
    assert found == {"id": "a", "kv_cache_tokens": 475_968}


def test_tokens_of_given_bytes_follow_the_widest_stage() -> None:
    # stages of 11, 11 and 10 layers: 10 GiB / (11 x 16 x 4096) = 14,894.5 blocks
    found = result(available_kv_cache_bytes=10 * GIB, pipeline_parallel_size=3)
    assert found["kv_cache_tokens"] == 14_894 * 16


def test_every_stage_has_its_bytes() -> None:
    found = result(pipeline_parallel_size=4)
    assert len(found["weights_bytes_per_stage"]) == 4
    assert len(found["activation_bytes_per_stage"]) == 4
    assert found["weights_bytes"] == found["weights_bytes_per_stage"][0]
    assert found["activation_bytes"] == 1_124_073_472
    assert found["activation_bytes_per_stage"][3] == 2_027_537_039


def test_an_unknown_gpu_leaves_out_what_depends_on_it() -> None:
    found = result(gpu=None)
    assert found["weights_bytes"] == 16_094_076_928
    assert not {"kv_cache_bytes", "kv_cache_tokens", "fits", "reason"} & set(found)


@pytest.mark.parametrize(
    ("gpu", "total_gib"),
    [
        # label - reserve, where the reserve is label - visible memory of the same GPU's row
        pytest.param({"product": "NVIDIA-H100-80GB-HBM3", "memory_mib": 81559}, 79.19, id="known"),
        pytest.param(
            {"product": "NVIDIA-H100-80GB-HBM3", "memory_mib": 81559 + 1024}, 80.19, id="label wins"
        ),
        pytest.param(
            {"product": "NVIDIA-H100-80GB-HBM3", "memory_mib": None}, 79.19, id="no label"
        ),
        pytest.param({"product": "NVIDIA-X1", "memory_mib": 80 * 1024}, 79.35, id="unknown, large"),
        pytest.param({"product": "NVIDIA-X2", "memory_mib": 20 * 1024}, 19.55, id="unknown, small"),
        pytest.param({"product": "AMD_X3", "memory_mib": 64 * 1024}, 64.0, id="AMD has no reserve"),
        pytest.param(
            {"product": "NVIDIA-H100-80GB-HBM3-MIG-3g.40gb", "memory_mib": 40192},
            39.25 - 0.65,
            id="a slice has its own memory",
        ),
    ],
)
def test_visible_memory_is_that_of_the_label(gpu: dict[str, Any], total_gib: float) -> None:
    found = result(gpu=gpu, gpu_memory_utilization=1.0)
    used = found["weights_bytes"] + found["activation_bytes"] + found["non_torch_bytes"]
    assert (found["kv_cache_bytes"] + used) / GIB == pytest.approx(total_gib, abs=0.001)


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        pytest.param({"config": None}, "unsupported-model", id="no configuration"),
        pytest.param({"config": {"model_type": "x"}}, "unsupported-model", id="an empty one"),
        pytest.param({"quantization": "int3-hqq"}, "unsupported-quantization", id="unknown scheme"),
        pytest.param({"quantization": None}, "unsupported-quantization", id="no scheme"),
        pytest.param({"quantization": "Q4_K_M"}, "unsupported-quantization", id="GGUF in vLLM"),
        pytest.param(
            {"engine": "llama.cpp", "quantization": "fp8"},
            "unsupported-quantization",
            id="fp8 in llama.cpp",
        ),
        pytest.param(
            {"gpu": {"product": "Tesla-T4", "memory_mib": 15360}},
            "unsupported-quantization",
            id="bf16 on a T4",
        ),
        pytest.param(
            {
                "gpu": {"product": "Tesla-T4", "memory_mib": 15360},
                "quantization": "fp8",
                "dtype": None,
            },
            "unsupported-quantization",
            id="fp8 on a T4",
        ),
        pytest.param({"tensor_parallel_size": 5}, "tensor-parallel-size", id="5 ranks"),
        pytest.param({"pipeline_parallel_size": 33}, "tensor-parallel-size", id="33 stages"),
        pytest.param(
            {
                "gpu": {"product": "NVIDIA-H100-80GB-HBM3-MIG-3g.40gb", "memory_mib": 40192},
                "tensor_parallel_size": 2,
            },
            "tensor-parallel-size",
            id="slices joined",
        ),
        pytest.param({"gpu_memory_utilization": 0.15}, "weights", id="weights too large"),
        pytest.param({"gpu_memory_utilization": 0.2}, "activation", id="no room left"),
        pytest.param(
            {"gpu_memory_utilization": 0.24, "max_model_len": 131072}, "kv-cache", id="long context"
        ),
        pytest.param({"gpu_memory_utilization": 0.99}, "graphs", id="no headroom for graphs"),
        pytest.param({"engine": "triton"}, "invalid-input", id="unknown engine"),
        pytest.param({"tensor_parallel_size": 0}, "invalid-input", id="no rank"),
        pytest.param({"tensor_parallel_size": "2"}, "invalid-input", id="a text for a number"),
        pytest.param({"gpu_memory_utilization": 1.5}, "invalid-input", id="more than all"),
        pytest.param({"kv_cache_dtype": "int3"}, "invalid-input", id="unknown KV dtype"),
        pytest.param({"kv_cache_dtype": "q8_0"}, "invalid-input", id="a KV dtype of llama.cpp"),
        pytest.param({"kv_cache_dtype": "q5_1"}, "invalid-input", id="another of llama.cpp"),
        pytest.param(
            {"engine": "llama.cpp", "quantization": "Q4_K_M", "kv_cache_dtype": "fp8_e4m3"},
            "invalid-input",
            id="a KV dtype that llama.cpp has not",
        ),
        pytest.param({"engine": ""}, "invalid-input", id="an empty engine"),
        pytest.param(
            {"gpu": {"product": "NVIDIA-L4", "memory_mib": 100}},
            "invalid-input",
            id="less than the driver keeps",
        ),
        pytest.param({"dtype": "int8"}, "invalid-input", id="unknown dtype"),
        pytest.param({"max_model_len": 2.5}, "invalid-input", id="half a token"),
        pytest.param({"gpu": "H100"}, "invalid-input", id="a text for a GPU"),
        pytest.param({"enforce_eager": "yes"}, "invalid-input", id="a text for a flag"),
    ],
)
def test_reasons(changes: dict[str, Any], reason: str) -> None:
    answered = estimate_row({**ROW, **changes})
    found = answered.fields
    assert found["id"] == "a"
    assert found["reason"] == reason
    assert found.get("fits", False) is False
    assert bool(answered.message) is ("weights_bytes" not in found)


def test_output_fields_are_those_of_the_interface() -> None:
    # memory model, section 13
    allowed = {
        "id", "checkpoint_bytes", "weights_bytes", "weights_bytes_per_stage", "activation_bytes",
        "activation_bytes_per_stage", "non_torch_bytes", "cuda_graph_bytes", "kv_cache_bytes",
        "kv_cache_tokens", "max_concurrency", "fits", "reason",
    }  # fmt: skip
    answers = [
        result(),
        result(gpu_memory_utilization=0.24, max_model_len=131072),
        result(tensor_parallel_size=5),
        result(config={}),
        result(engine="llama.cpp", quantization="Q4_K_M"),
        result(available_kv_cache_bytes=10**9),
    ]
    assert [set(found) - allowed for found in answers] == [set()] * len(answers)


V100 = {"product": "Tesla-V100-SXM2-32GB", "memory_mib": 32768}


@pytest.mark.parametrize(
    ("engine", "version", "dtype", "reason"),
    [
        pytest.param("vllm", "0.8.5", "fp16", None, id="vLLM 0.8 runs from 7.0 on"),
        pytest.param("transformers", "4.57", "fp16", None, id="Transformers 4 from 7.0 on"),
        pytest.param(
            "transformers", None, "fp16", "unsupported-quantization", id="Transformers 5 from 7.5"
        ),
        pytest.param("llama.cpp", None, None, None, id="llama.cpp from 5.0 on"),
        pytest.param("vllm", "0.33.0", "fp16", "unsupported-quantization", id="vLLM 0.33 from 7.5"),
        pytest.param("vllm", "0.8.5", "bf16", "unsupported-quantization", id="bf16 from 8.0"),
    ],
)
def test_a_v100(engine: str, version: str | None, dtype: str | None, reason: str | None) -> None:
    found = result(
        gpu=V100, engine=engine, engine_version=version, dtype=dtype, gpu_memory_utilization=0.9
    )
    assert found.get("reason") == reason
    assert found["fits"] is (reason is None)


def test_a_refused_division_still_tells_the_checkpoint() -> None:
    found = result(tensor_parallel_size=5)
    assert found["checkpoint_bytes"] == 16_060_522_496
    assert "weights_bytes" not in found


def test_the_name_of_the_model_does_not_matter() -> None:
    assert result(model="x/y") == result()


def test_eager_mode_has_no_graphs() -> None:
    assert result(enforce_eager=True)["cuda_graph_bytes"] == 0


def test_fp8_doubles_the_tokens() -> None:
    assert result(kv_cache_dtype="fp8")["kv_cache_tokens"] // 2 == pytest.approx(475_968, abs=16)


def test_null_takes_the_defaults_of_version_and_gpu() -> None:
    nulls = dict.fromkeys(
        ["max_num_batched_tokens", "max_num_seqs", "enforce_eager", "tensor_parallel_size"]
    )
    assert result(**nulls) == result()
    half = result(gpu_memory_utilization=None)["kv_cache_bytes"]
    assert half == result(gpu_memory_utilization=0.9)["kv_cache_bytes"]


def test_llama_cpp_allocates_the_whole_context() -> None:
    found = result(
        engine="llama.cpp",
        engine_version=None,
        quantization="Q4_K_M",
        dtype=None,
        max_model_len=8000,
    )
    # 8192 tokens x 131,072 bytes, whatever is free
    assert found["kv_cache_bytes"] == 8192 * 131_072
    assert found["kv_cache_tokens"] == 8192
    assert found["fits"]


def test_llama_cpp_does_not_start_when_the_context_does_not_fit() -> None:
    found = result(
        engine="ollama",
        engine_version=None,
        quantization="Q4_K_M",
        dtype=None,
        gpu={"product": "NVIDIA-A10G", "memory_mib": 23028},
        max_model_len=131072,
    )
    assert (found["fits"], found["reason"]) == (False, "kv-cache")


values = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(max_size=8)
    | st.lists(st.integers(), max_size=2)
    | st.dictionaries(st.text(max_size=4), st.integers(), max_size=2)
)


@given(st.dictionaries(st.sampled_from(sorted(ROW)), values, max_size=4))
def test_no_value_breaks_a_row(changes: dict[str, Any]) -> None:
    assert "id" in estimate_row({**ROW, **changes}).fields


@given(st.sampled_from(sorted(CONFIG)), values)
def test_no_value_of_a_configuration_breaks_a_row(key: str, value: object) -> None:
    assert estimate_row({**ROW, "config": {**CONFIG, key: value}}).fields["id"] == "a"


def test_a_row_of_another_kind_is_told() -> None:
    assert estimate_row([1]).fields["reason"] == "invalid-input"  # type: ignore[arg-type]  # on purpose
