"""Bytes of LoRA adapters, worked out by hand from the widths of matrices."""

from dataclasses import replace
from typing import Any

import pytest

from llama_operator.sizing.adapters import Adapters, file_bytes, host_copy_bytes
from llama_operator.sizing.estimate import StageEstimate, estimate
from llama_operator.sizing.host import adapter_disk_bytes, host_parts
from llama_operator.sizing.models.model import ModelShape
from llama_operator.sizing.models.shape import model_shape
from llama_operator.sizing.offload import offload
from llama_operator.sizing.outside import cuda_graph_bytes
from llama_operator.sizing.settings import Setting
from unit.sizing.budget.settings import CATALOG, LLAMA_8B, LLAMA_70B, setting
from unit.sizing.host.settings import llama_cpp
from unit.sizing.models.configs import config_of

MIXTRAL = model_shape(config_of("mistralai--Mixtral-8x7B-Instruct-v0.1"))


def stages(wanted: Setting) -> tuple[StageEstimate, ...]:
    return estimate(wanted).stages


@pytest.mark.parametrize(
    ("model", "tp", "adapters", "expected"),
    [
        # A layer has inputs and outputs of q 4096 + 4096, k and v 2 (4096 + 1024), o 4096 + 4096,
        # gate and up 2 (4096 + 14336), down 14336 + 4096: 81,920. 32 layers have 2,621,440, of
        # which rank 16 makes the 41.9 million parameters that PEFT prints. Two slots of 16-bit
        # elements: x 64. Embedding and output add 2 (128,256 + 4,096) x 64.
        pytest.param(LLAMA_8B, 1, Adapters(2, 16), 167_772_160 + 16_941_056, id="8B, two"),
        # q and o 2 (8192 + 8192), k and v 2 (8192 + 1024), gate, up and down 3 (8192 + 28672):
        # 161,792 x 80 layers x 4 slots x rank 64 x 2 bytes; ends 2 (128,256 + 8,192) x 512.
        pytest.param(LLAMA_70B, 1, Adapters(4, 64), 6_627_000_320 + 139_722_752, id="70B, four"),
        # Column-parallel: A whole, B divided: q 8192 + 2048, k and v 2 (8192 + 256), gate and up
        # 2 (8192 + 7168). Row-parallel the other way round: o 2048 + 8192, down 7168 + 8192.
        # 83,456 x 80 x 512; embedding and output are not divided.
        pytest.param(LLAMA_70B, 4, Adapters(4, 64), 3_418_357_760 + 139_722_752, id="70B, tp 4"),
        # 8 KV heads on 16 GPUs: each holds one of 128. q 8192 + 512, k and v 2 (8192 + 128),
        # o 512 + 8192, gate and up 2 (8192 + 1792), down 1792 + 8192: 64,000 x 80 x 512.
        pytest.param(LLAMA_70B, 16, Adapters(4, 64), 2_621_440_000 + 139_722_752, id="70B, tp 16"),
    ],
)  # fmt: skip
def test_slots_of_vllm(model: ModelShape, tp: int, adapters: Adapters, expected: int) -> None:
    [stage] = stages(setting(model, tp=tp, adapters=adapters))
    assert stage.adapter_bytes == expected


def test_stages_have_the_adapters_of_their_layers_and_ends() -> None:
    # 16 layers of 81,920 x 16 x 2, and the embedding or the output: 132,352 x 32.
    found = stages(setting(LLAMA_8B, pp=2, adapters=Adapters(1, 16)))
    assert [stage.adapter_bytes for stage in found] == [41_943_040 + 4_235_264] * 2


def test_experts_have_adapters_each_and_a_buffer_for_a_step() -> None:
    # A layer of Mixtral: q, k, v and o 26,624; the router 4096 + 8; of 8 experts gate and up
    # 2 (4096 + 14336) and down 18,432: 442,368. Together 473,096 x 32 layers x rank 16 x 2 bytes;
    # B of the router, 256 bytes, is allocated as 512. Ends: 2 (32,000 + 4,096) x 32.
    slots = 484_450_304 + 32 * 256 + 2_310_144
    # 2 experts a token: rank and outputs of gate and up, 2 (16 + 14336), in 16 bit.
    step = 2048 * 2 * 28_704 * 2
    asked = setting(MIXTRAL, max_num_batched_tokens=2048, adapters=Adapters(1, 16))
    [stage] = stages(asked)
    assert stage.adapter_bytes == slots + step


def test_sglang_has_a_slot_for_the_model_itself() -> None:
    asked = {"engine": "sglang", "version": "0.5.23", "adapters": Adapters(2, 16)}
    [stage] = stages(setting(LLAMA_8B, **asked))
    # Those of embedding and output, 128,256 x 96 bytes each, are rounded up to 12 MiB.
    rounding = 12 * 2**20 - 128_256 * 96
    assert stage.adapter_bytes == (167_772_160 + 16_941_056) * 3 // 2 + 2 * rounding


def test_llama_cpp_keeps_what_the_file_has_beside_each_matrix() -> None:
    # fp32: 2,621,440 x 16 x 4 for the layers, 132,352 x 64 for output and embedding each.
    layers, end = 167_772_160, 8_470_528
    whole = offload(llama_cpp(adapters=Adapters(1, 16)))
    assert [gpu.adapter_bytes for gpu in whole.gpus] == [layers + end]
    without = offload(llama_cpp())
    assert whole.host.weights_bytes - without.host.weights_bytes == end

    half = offload(llama_cpp(gpu_layers=17, adapters=Adapters(1, 16)))
    assert [gpu.adapter_bytes for gpu in half.gpus] == [layers // 2 + end]
    left = half.host.weights_bytes - offload(llama_cpp(gpu_layers=17)).host.weights_bytes
    assert left == layers // 2 + end

    # 17 of 33 slots are on the first GPU; layers of 5,242,880 each.
    two = offload(llama_cpp(gpus=2, adapters=Adapters(1, 16)))
    assert [gpu.adapter_bytes for gpu in two.gpus] == [17 * 5_242_880, 15 * 5_242_880 + end]


def test_mlx_keeps_them_in_fp32() -> None:
    asked = {"engine": "mlx", "version": None, "utilization": 1.0, "adapters": Adapters(1, 16)}
    [stage] = stages(setting(LLAMA_8B, **asked))
    assert stage.adapter_bytes == 167_772_160 + 2 * 8_470_528


@pytest.mark.parametrize(
    ("engine", "version"),
    [("vllm", "0.33.0"), ("sglang", "0.5.23"), ("tgi", "3.3.7"), ("transformers", None)],
)
def test_they_are_taken_from_the_room_of_the_kv_cache(engine: str, version: str | None) -> None:
    asked: dict[str, Any] = {"engine": engine, "version": version, "enforce_eager": True}
    [plain] = stages(setting(LLAMA_8B, **asked))
    [found] = stages(setting(LLAMA_8B, **asked, adapters=Adapters(2, 16)))
    assert plain.room_bytes is not None
    assert found.room_bytes == plain.room_bytes - found.adapter_bytes
    assert replace(
        found, adapter_bytes=0, room_bytes=plain.room_bytes,
        kv_cache_bytes=plain.kv_cache_bytes, kv_cache_tokens=plain.kv_cache_tokens,
    ) == plain  # fmt: skip


def test_vllm_captures_each_graph_with_and_without_adapters() -> None:
    # 0.66 + 2 x 0.186 x 32 x 4096 / 1e5 GiB: what grows with the layers is there twice.
    sizes = {"max_num_seqs": 256, "max_num_batched_tokens": 2048}
    found = cuda_graph_bytes(LLAMA_8B, layers=32, tensor_parallel_size=1, sets=2, **sizes)
    assert found / 2**30 == pytest.approx(1.1476, abs=0.0001)
    [stage] = stages(setting(LLAMA_8B, version="0.33.0", **sizes, adapters=Adapters(1, 16)))
    assert stage.cuda_graph_bytes == found


def test_what_does_not_fit_is_told_with_them() -> None:
    found = estimate(setting(LLAMA_8B, total_gib=20, adapters=Adapters(16, 512)))
    assert not found.fits
    # 32 x the bytes of two of rank 16 on 8 slots each: 16 x 512 / (2 x 16) = 256 times.
    assert found.stages[0].adapter_bytes == pytest.approx(256 * 184_713_216, rel=0.01)
    assert " and adapters of 44.0" in found.message


def test_each_rank_of_vllm_keeps_whole_copies_in_host_memory() -> None:
    # 4 ranks x 4 adapters x rank 64 x (12,943,360 + 2 x 136,448) features x 2 bytes.
    asked = setting(LLAMA_70B, tp=4, adapters=Adapters(4, 64))
    parts = host_parts(asked, CATALOG.host("vLLM"))
    assert parts.pinned_bytes == 27_066_892_288
    memory = asked.rules.memory
    assert host_copy_bytes(LLAMA_70B, Adapters(4, 64), memory, ranks=4, dtype_bytes=2) == (
        27_066_892_288
    )
    tgi = setting(LLAMA_70B, tp=4, engine="tgi", version="3.3.7", adapters=Adapters(4, 64))
    assert host_parts(tgi, CATALOG.host("TGI")).pinned_bytes == 0


def test_files_are_at_most_those_of_all_matrices_in_fp32() -> None:
    # 8B: (2,621,440 + 264,704) features x rank 16 x 4 bytes x 2 adapters.
    assert file_bytes(LLAMA_8B, Adapters(2, 16)) == 369_426_432
    # Each 184,713,216, 5 % more and 0.25 GiB.
    assert adapter_disk_bytes(LLAMA_8B, Adapters(2, 16)) == 2 * (
        184_713_216 + 9_235_660 + 268_435_456
    )
    assert adapter_disk_bytes(LLAMA_8B, None) == 0
