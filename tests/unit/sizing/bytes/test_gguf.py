from dataclasses import replace

import pytest

from llama_operator.errors import UnsupportedSchemeError
from llama_operator.sizing.gguf import gguf_bytes, gguf_parts
from llama_operator.sizing.models.model import FeedForward
from llama_operator.sizing.models.tensors import Part, Split, Tensor
from llama_operator.sizing.offload import offload
from llama_operator.units import GIB
from unit.sizing.bytes.shapes import LLAMA_3B, LLAMA_8B, LLAMA_70B, llama
from unit.sizing.host.settings import llama_cpp

# file type, bytes of all tensors, GB of the published file, GiB on GPUs with all layers offloaded
CARD_70B = [
    ("Q8_0", 74_967_187_456, 74.98, 68.78),
    ("Q6_K_L", 58_389_200_896, 58.40, 53.34),
    ("Q6_K", 57_880_281_088, 57.89, 53.10),
    ("Q5_K_L", 50_590_416_896, 50.60, 46.08),
    ("Q5_K_M", 49_941_954_560, 49.95, 45.84),
    ("Q5_K_S", 48_649_584_640, 48.66, 44.64),
    ("Q4_K_L", 43_292_327_936, 43.30, 39.28),
    ("Q4_K_M", 42_512_531_456, 42.52, 39.04),
    ("Q4_K_S", 40_339_357_696, 40.35, 37.02),
    ("Q3_K_XL", 38_052_069_376, 38.06, 34.40),
    ("IQ4_XS", 37_894_799_360, 37.90, 34.77),
    ("Q3_K_L", 37_132_730_368, 37.14, 34.16),
    ("Q3_K_M", 34_259_632_128, 34.27, 31.49),
    ("IQ3_M", 31_929_171_968, 31.94, 29.32),
    ("Q3_K_S", 30_904_188_928, 30.91, 28.36),
    ("IQ3_XS", 29_299_867_648, 29.31, 26.87),
    ("Q2_K_L", 27_393_294_336, 27.40, 24.47),
    ("Q2_K", 26_367_246_336, 26.38, 24.24),
    ("IQ2_M", 24_111_431_680, 24.12, 22.04),
]


@pytest.mark.parametrize(("file_type", "expected", "card_gb", "gpu_gib"), CARD_70B)
def test_files_of_the_70b_have_exactly_these_bytes(
    file_type: str, expected: int, card_gb: float, gpu_gib: float
) -> None:
    assert gguf_bytes(LLAMA_70B, file_type) == expected
    (gpu,) = offload(llama_cpp(LLAMA_70B, file_type)).gpus
    assert round(gpu.weights_bytes / GIB, 2) == gpu_gib
    assert expected == pytest.approx(card_gb * 1e9, rel=0.0005)


@pytest.mark.parametrize(
    ("file_type", "expected"),
    [
        pytest.param("Q3_K_L", 4_314_120_192, id="Q3_K_L: 4.31 GB"),
        pytest.param("IQ4_XS", 4_439_826_432, id="IQ4_XS: 4.44 GB"),
        pytest.param("Q4_K_M", 4_912_898_048, id="Q4_K_M: 4.91 GB"),
        pytest.param("Q5_K_M", 5_725_151_232, id="Q5_K_M: 5.73 GB"),
        pytest.param("Q6_K", 6_588_170_240, id="Q6_K: 6.59 GB"),
        pytest.param("Q8_0", 8_532_934_656, id="Q8_0: 8.53 GB"),
    ],
)
def test_files_of_the_8b_have_exactly_these_bytes(file_type: str, expected: int) -> None:
    assert gguf_bytes(LLAMA_8B, file_type) == expected


def test_16_bit_files_keep_norms_in_32_bit() -> None:
    # 8B: 65 norms of 4096 elements take two bytes more each
    assert gguf_bytes(LLAMA_8B, "F16") == 16_060_522_496 + 65 * 4096 * 2
    assert gguf_bytes(LLAMA_8B, "bf16") == gguf_bytes(LLAMA_8B, "F16")
    assert gguf_bytes(LLAMA_8B, "F32") == 2 * 16_060_522_496


def test_names_without_letter_are_the_medium_mixes() -> None:
    for name in ("Q3_K", "Q4_K", "Q5_K"):
        assert gguf_bytes(LLAMA_70B, name) == gguf_bytes(LLAMA_70B, f"{name}_M")


def test_tied_embeddings_are_stored_once_as_the_output() -> None:
    matrix = 128_256 * 3072 // 256 * 210  # Q6_K
    parts = gguf_parts(LLAMA_3B, "Q4_K_M")
    norm = 3072 * 4
    assert parts.token_embd_bytes == matrix
    assert parts.output_bytes == matrix + norm
    assert gguf_bytes(LLAMA_3B, "Q4_K_M") == sum(parts.layer_bytes) + matrix + norm


def test_layers_of_the_8b_differ_by_the_rule_for_more_bits() -> None:
    # Q4_K layer: 218,103,808 weights / 256 * 144 and two norms of 4096 * 4 bytes. With more bits,
    # attn_v (4096 x 1024) and ffn_down (14336 x 4096) are Q6_K: 62,914,560 / 256 * 66 more
    parts = gguf_parts(LLAMA_8B, "Q4_K_M")
    plain, more = 122_683_392 + 32_768, 122_683_392 + 32_768 + 16_220_160
    # the first four, the last four, and of 4..27 every third from 6 on
    chosen = {*range(4), *range(28, 32), *range(6, 28, 3)}
    assert parts.layer_bytes == tuple(more if layer in chosen else plain for layer in range(32))


def test_an_importance_matrix_gives_the_first_layers_of_q4_0_more_bits() -> None:
    # ffn_down, 14336 * 4096 weights, of the first four of 32 layers is Q4_1: 2 bytes in 32 more
    layers = gguf_parts(LLAMA_8B, "Q4_0").layer_bytes
    more = 14336 * 4096 // 32 * 2
    assert [size - layers[-1] for size in layers] == [more] * 4 + [0] * 28


def test_rows_that_blocks_do_not_divide_have_a_narrower_type() -> None:
    # hidden 2880 is no multiple of 256 but of 32: one layer of q, k, v, o, gate, up, down and norms
    model = llama(hidden=2880, intermediate=2560, layers=1, heads=8, kv_heads=8, vocab=256)
    narrow = (1024 * 3 + 2 * 2560) * 2880  # inputs 2880: Q6_K becomes Q8_0
    wide = 2880 * (1024 + 2560)  # inputs 1024 and 2560 stay Q6_K
    layer = narrow // 32 * 34 + wide // 256 * 210 + 2 * 2880 * 4
    assert gguf_parts(model, "Q6_K").layer_bytes == (layer,)
    assert gguf_parts(model, "Q6_K").token_embd_bytes == 256 * 2880 // 32 * 34


def test_fused_queries_keys_and_values_have_one_type() -> None:
    # 4 layers of q, k and v, 256 x 256 each, all Q5_K: 32 bytes in 256 more than Q4_K
    shape = llama(hidden=256, intermediate=256, layers=4, heads=2, kv_heads=2)
    fused = gguf_parts(replace(shape, model_type="phi3"), "Q4_K_M")
    plain = gguf_parts(shape, "Q4_K_S")  # v is Q5_K in the first four layers, q and k are not
    assert [a - b for a, b in zip(fused.layer_bytes, plain.layer_bytes, strict=True)] == [
        2 * 256 * 32 + more * 256 * 66 for more in (0, 0, 1, 1)
    ]


def test_models_with_eight_experts_have_keys_and_values_in_eight_bits() -> None:
    experts = Tensor("experts.down_proj", Part.EXPERTS, (256, 256), Split.ROW, 8, linear=True)
    router = Tensor("router", Part.ROUTER, (8, 256), linear=True)
    dense = llama(hidden=256, intermediate=256, layers=1, heads=2, kv_heads=2)
    [layer] = dense.layers
    feed_forward = FeedForward(expert_width=256, experts=8, experts_per_token=2)
    tensors = (*layer.tensors[:4], experts, router)
    model = replace(dense, layers=(replace(layer, tensors=tensors, feed_forward=feed_forward),))
    # q in Q4_K, k and v in Q8_0, o in Q5_K, experts in Q6_K, the router in F32
    expected = 256 * (144 + 2 * 272 + 176 + 8 * 210) + 8 * 256 * 4
    assert gguf_parts(model, "Q4_K_M").layer_bytes == (expected,)
    # experts in MXFP4, all other matrices in Q8_0
    expected = 4 * 256 * 272 + 8 * 256 * 8 * 17 + 8 * 256 * 4
    assert gguf_parts(model, "mxfp4_moe").layer_bytes == (expected,)


def test_unknown_file_types_are_refused_with_those_that_are_known() -> None:
    with pytest.raises(UnsupportedSchemeError, match=r"'Q4_K_XXL' is not known.*Q4_K_M"):
        gguf_bytes(LLAMA_8B, "Q4_K_XXL")
