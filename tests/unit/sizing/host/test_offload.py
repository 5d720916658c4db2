from dataclasses import replace

import pytest

from llama_operator.errors import SizingError, UnsupportedSchemeError
from llama_operator.sizing.estimate import estimate
from llama_operator.sizing.gguf import gguf_bytes, gguf_largest_tensors, gguf_parts
from llama_operator.sizing.models.model import HeadsCache, ModelShape
from llama_operator.sizing.offload import (
    GpuBytes,
    HostBytes,
    Offload,
    gpu_layers_that_fit,
    offload,
)
from llama_operator.units import MIB
from unit.sizing.budget.settings import A100_80GB, H100, L4, LLAMA_8B, LLAMA_70B, setting
from unit.sizing.budget.shapes import layer, model
from unit.sizing.bytes.shapes import LLAMA_3B, llama
from unit.sizing.host.settings import llama_cpp

# Llama 3.1 8B, Q4_K_M: blocks of 256 weights take 144 bytes (Q4_K) or 210 (Q6_K)
QUERY = 4096 * 4096 // 256 * 144  # 9,437,184, and as much for attn_output
KEY = 1024 * 4096 // 256 * 144  # 2,359,296
UP = 14336 * 4096 // 256 * 144  # 33,030,144, and as much for ffn_gate
DOWN_MORE = 14336 * 4096 // 256 * 210  # 48,168,960
NORMS = 2 * 4096 * 4
PLAIN = 122_716_160  # 2 * QUERY + 2 * KEY + 3 * UP + NORMS
MORE = 138_936_320  # attn_v 3,440,640 and ffn_down 48,168,960 in Q6_K
# layers 0 to 3, 28 to 31 and 6, 9, ... 27 have more bits: 16 of 32
TOKEN_EMBD = 295_501_824  # 128,256 * 4096 / 256 * 144
OUTPUT = 430_956_544  # 128,256 * 4096 / 256 * 210 and the norm of 16,384
CACHE = 33_554_432  # 8,192 tokens * 2 * 8 heads * 128 * 2 bytes
COMPUTE = 401_080_320  # 512 * (128,256 + 3 * 14,336 + 6 * 4,096) * 4
CONTEXT = 322_122_547  # 0.30 GiB without NVLink
INPUTS = 25_165_824  # 512 * (2 * 4,096 * 4 + 8,192 * 2)
OUTPUTS = 529_408  # one sequence: (128,256 + 4,096) * 4


def test_the_bytes_of_a_layer() -> None:
    assert PLAIN == 2 * QUERY + 2 * KEY + 3 * UP + NORMS
    assert MORE - PLAIN == 3_440_640 - KEY + DOWN_MORE - UP


def test_all_layers_on_one_gpu() -> None:
    assert offload(llama_cpp()) == Offload(
        gpu_layers=33,
        slots=33,
        # 16 * 122,716,160 + 16 * 138,936,320 + 430,956,544 is 4,403.49 MiB, as logs of llama.cpp
        # say; the cache is 1,024 MiB
        gpus=(GpuBytes(range(32), 4_617_396_224, 32 * CACHE, COMPUTE, CONTEXT),),
        host=HostBytes(TOKEN_EMBD, 0, INPUTS + OUTPUTS),
    )
    assert offload(llama_cpp()).layers_on_host == 0


def test_twenty_layers_and_the_output_on_the_gpu() -> None:
    # on the GPU layers 12 to 31, of which ten have more bits (12, 15, ... 27, 28, 29, 30, 31)
    # on the host layers 0 to 11, of which six have (0, 1, 2, 3, 6, 9)
    found = offload(llama_cpp(gpu_layers=21))
    assert found == Offload(
        gpu_layers=21,
        slots=33,
        gpus=(
            GpuBytes(
                range(12, 32),
                10 * PLAIN + 10 * MORE + OUTPUT,  # 3,047,481,344
                20 * CACHE,
                COMPUTE + DOWN_MORE,
                CONTEXT,
            ),
        ),
        host=HostBytes(
            TOKEN_EMBD + 6 * PLAIN + 6 * MORE,  # 1,865,416,704
            12 * CACHE,
            INPUTS + OUTPUTS + COMPUTE,
        ),
    )
    assert found.layers_on_host == 12
    assert found.gpus[0].total_bytes == 4_489_941_811
    assert found.host.total_bytes == 2_694_845_440
    assert found.message == (
        "20 of 32 layers on the GPU (4.18 GiB), 12 on the CPU (2.51 GiB of memory)"
    )


def test_the_output_alone_on_the_gpu() -> None:
    found = offload(llama_cpp(gpu_layers=1))
    assert found.gpus == (GpuBytes(range(32, 32), OUTPUT, 0, COMPUTE + DOWN_MORE, CONTEXT),)
    assert found.host.weights_bytes == TOKEN_EMBD + 16 * PLAIN + 16 * MORE
    assert found.layers_on_host == 32


def test_a_server_without_gpu_holds_the_file_once() -> None:
    # all tensors: 4,912,898,048 (the file has 4.92 GB)
    found = offload(llama_cpp(gpu_layers=0))
    assert found.gpus == ()
    assert found.host == HostBytes(4_912_898_048, 32 * CACHE, INPUTS + OUTPUTS + COMPUTE)
    assert found.layers_on_host == 32
    assert found.message == "all 32 layers on the CPU: 5.97 GiB of memory"


def test_a_tied_matrix_is_in_both_memories_unless_there_is_no_gpu() -> None:
    # 3B: 128,256 * 3,072 / 256 * 210 = 323,205,120
    tied = llama_cpp(LLAMA_3B)
    assert offload(tied).host.weights_bytes == 323_205_120
    assert offload(tied).gpus[0].weights_bytes == gguf_bytes(LLAMA_3B, "Q4_K_M")
    without = offload(llama_cpp(LLAMA_3B, gpu_layers=0)).host.weights_bytes
    assert without == gguf_bytes(LLAMA_3B, "Q4_K_M")


@pytest.mark.parametrize(
    ("gpu_layers", "on_gpu"),
    [
        pytest.param(0, 0, id="nothing is offloaded"),
        pytest.param(1, 1, id="the output goes first"),
        pytest.param(5, 5, id="then layers from the last"),
        pytest.param(33, 33, id="everything"),
        pytest.param(99, 33, id="more than there are"),
        pytest.param(None, 33, id="all by default"),
    ],
)
def test_layers_are_offloaded_from_the_back(gpu_layers: int | None, on_gpu: int) -> None:
    parts = gguf_parts(LLAMA_8B, "Q4_K_M")
    slots = (*parts.layer_bytes, parts.output_bytes)
    found = offload(llama_cpp(gpu_layers=gpu_layers))
    expected = sum(slots[len(slots) - on_gpu :])
    assert sum(gpu.weights_bytes for gpu in found.gpus) == expected
    assert found.host.weights_bytes + expected == gguf_bytes(LLAMA_8B, "Q4_K_M")


@pytest.mark.parametrize(
    ("gpus", "gpu_layers", "layers"),
    [
        # slots at fraction x of the offloaded ones go to GPU floor(x * GPUs); the output is slot 80
        # 81 slots over 2: those below 40.5; the second has 40 and the output
        pytest.param(2, 81, [range(41), range(41, 80)], id="all over two"),
        # 9 slots, 72 to 80, over 2: those below 4.5, then 3 and the output
        pytest.param(2, 9, [range(72, 77), range(77, 80)], id="nine over two"),
        # 60 slots, 21 to 80, over 3: twenty each, the last with the output
        pytest.param(3, 60, [range(21, 41), range(41, 61), range(61, 80)], id="sixty over three"),
    ],
)
def test_several_gpus_share_the_layers_as_llama_cpp_does(
    gpus: int, gpu_layers: int, layers: list[range]
) -> None:
    # llama.cpp, src/llama-model.cpp: upper_bound of (layer - first) / slots in the splits
    parts = gguf_parts(LLAMA_70B, "Q4_K_M")
    found = offload(llama_cpp(LLAMA_70B, product=A100_80GB, gpus=gpus, gpu_layers=gpu_layers))
    assert [gpu.layers for gpu in found.gpus] == layers
    weights = [sum(parts.layer_bytes[index] for index in indices) for indices in layers]
    weights[-1] += parts.output_bytes
    assert [gpu.weights_bytes for gpu in found.gpus] == weights


def test_only_a_full_offload_over_several_gpus_is_a_pipeline() -> None:
    whole = llama_cpp(LLAMA_70B, product=A100_80GB, gpus=2)
    less = replace(whole, gpu_layers=80)
    # 512 * (128,256 + 3 * 28,672 + 6 * 8,192) * 4 = 539,492,352 bytes; 4 copies
    # largest tensor: ffn_down 28,672 * 8,192 / 256 * 210 = 192,675,840
    assert [gpu.compute_bytes for gpu in offload(whole).gpus] == [4 * 539_492_352] * 2
    assert [gpu.compute_bytes for gpu in offload(less).gpus] == [539_492_352 + 192_675_840] * 2
    # 512 * (2 * 8,192 * 4 + 8,192 * 2) = 41,943,040, and (128,256 + 8,192) * 4 = 545,792
    assert offload(whole).host.compute_bytes == 4 * 41_943_040 + 545_792
    assert offload(less).host.compute_bytes == 41_943_040 + 545_792 + 539_492_352


@pytest.mark.parametrize(
    ("hidden", "context", "seqs", "inputs_mib", "outputs_mib"),
    [
        # Llama 3 8B: logs say 24.01 and 2.02 MiB (4 sequences)
        pytest.param(4096, 8192, 4, 32.0, 2.02, id="Llama 3 8B"),
        # DeepSeek-V2-Lite: logs say 12.01, 16.01 and 24.01 MiB, and 0.39 MiB of logits alone
        pytest.param(2048, 2048, 1, 12.0, 0.40, id="2,048 tokens"),
        pytest.param(2048, 4096, 1, 16.0, 0.40, id="4,096 tokens"),
        pytest.param(2048, 8192, 1, 24.0, 0.40, id="8,192 tokens"),
    ],
)
def test_buffers_on_the_host_against_logs(
    hidden: int, context: int, seqs: int, inputs_mib: float, outputs_mib: float
) -> None:
    vocab = 128_256 if hidden == 4096 else 102_400
    shape = llama(hidden=hidden, intermediate=256, layers=2, heads=16, kv_heads=8, vocab=vocab)
    # Their masks have 4 bytes an element, as without flash attention in any version.
    found = offload(
        llama_cpp(shape, max_model_len=context, max_num_seqs=seqs, flash_attention=False)
    )
    assert found.host.compute_bytes / MIB == pytest.approx(inputs_mib + outputs_mib, abs=0.01)


def test_experts_of_a_layer_are_copied_as_one_tensor() -> None:
    shape = llama(hidden=1024, intermediate=4096, layers=2, heads=8, kv_heads=8)
    (whole,) = {tensor for tensor in shape.layers[0].tensors if tensor.name == "down_proj"}
    experts = tuple(
        replace(tensor, count=8) if tensor is whole else tensor
        for tensor in shape.layers[0].tensors
    )
    mixture = replace(shape, layers=(replace(shape.layers[0], tensors=experts),) * 2)
    # 1,024 * 4,096 / 32 * 34 = 4,456,448
    assert gguf_largest_tensors(shape, "Q8_0") == (4_456_448, 4_456_448)
    assert gguf_largest_tensors(mixture, "Q8_0") == (8 * 4_456_448, 8 * 4_456_448)


@pytest.mark.parametrize("gpus", [1, 2, 4])
@pytest.mark.parametrize("product", [L4, A100_80GB, H100])
@pytest.mark.parametrize("shape", [LLAMA_8B, LLAMA_70B], ids=["8B", "70B"])
def test_all_layers_take_what_an_estimate_says(shape: ModelShape, product: str, gpus: int) -> None:
    made = llama_cpp(shape, product=product, gpus=gpus)
    whole, found = estimate(made), offload(made)
    assert [
        (stage.layers, stage.weights_bytes, stage.kv_cache_bytes, stage.activation_bytes)
        for stage in whole.stages
    ] == [
        (len(gpu.layers), gpu.weights_bytes, gpu.kv_cache_bytes, gpu.compute_bytes)
        for gpu in found.gpus
    ]
    assert whole.fits == (gpu_layers_that_fit(made).gpu_layers == found.slots)


@pytest.mark.parametrize(
    ("free_bytes", "gpu_layers"),
    [
        pytest.param(4_489_941_811, 21, id="twenty layers and the output to the byte"),
        pytest.param(4_489_941_810, 20, id="one byte less"),
        # 4,617,396,224 + 32 * 33,554,432 + 401,080,320 + 322,122,547
        pytest.param(6_414_340_915, 33, id="all to the byte"),
        # of 32, with layer 0 on the host: 138,936,320 + 33,554,432 less, 48,168,960 more
        pytest.param(6_290_019_123, 32, id="all but one layer to the byte"),
        pytest.param(6_290_019_122, 31, id="one byte less than all but one"),
        # 430,956,544 + 401,080,320 + 48,168,960 + 322,122,547
        pytest.param(1_202_328_371, 1, id="the output alone"),
        pytest.param(1_202_328_370, 0, id="not even the output"),
    ],
)
def test_the_most_layers_that_fit(free_bytes: int, gpu_layers: int) -> None:
    made = llama_cpp(free_bytes=free_bytes)
    found = gpu_layers_that_fit(made)
    assert found.gpu_layers == gpu_layers
    assert found == offload(replace(made, gpu_layers=gpu_layers))


def test_a_quantized_cache_leaves_room_for_more_layers() -> None:
    # 20 layers of cache: 671,088,640 in 16 bit, 356,515,840 as q8_0 (34 bytes for 32 elements);
    # the 314,572,800 less hold layers 11 and 10: 2 * (122,716,160 + 17,825,792) = 281,083,904
    found = gpu_layers_that_fit(llama_cpp(free_bytes=4_489_941_811, kv_cache_dtype="q8_0"))
    assert found.gpu_layers == 23


def test_windowed_layers_keep_their_window_alone() -> None:
    shape = model(*[layer(HeadsCache(8, 128, 1024)), layer(HeadsCache(8, 128))])
    found = offload(llama_cpp(shape, "F16", gpu_layers=2))
    # 1,024 - 1 + 512 tokens in blocks of 256: 1,536; 8,192 tokens; 4,096 bytes each
    assert found.host.kv_cache_bytes == 1536 * 4096
    assert found.gpus[0].kv_cache_bytes == 8192 * 4096


@pytest.mark.parametrize(
    ("engine", "scheme"), [("vllm", "none"), ("vllm", "awq-int4-g128"), ("transformers", "none")]
)
def test_other_engines_do_not_offload(engine: str, scheme: str) -> None:
    made = setting(LLAMA_8B, scheme, engine=engine, version=None)
    with pytest.raises(SizingError, match="gpu_layers is an option of LlamaCpp with GGUF files"):
        offload(made)
    with pytest.raises(SizingError, match="gpu_layers is an option of LlamaCpp; the engine is"):
        setting(LLAMA_8B, scheme, engine=engine, version=None, gpu_layers=10)


def test_a_number_below_zero_is_refused() -> None:
    with pytest.raises(SizingError, match="gpu_layers is -1; allowed are 0 to 33"):
        offload(llama_cpp(gpu_layers=-1))


def test_more_layers_than_there_are_mean_all() -> None:
    assert (
        offload(llama_cpp(gpu_layers=99))
        == offload(llama_cpp(gpu_layers=33))
        == offload(llama_cpp())
    )


def test_an_unknown_file_type_has_no_largest_tensor() -> None:
    with pytest.raises(UnsupportedSchemeError, match="Q9_K"):
        gguf_largest_tensors(LLAMA_8B, "Q9_K")
