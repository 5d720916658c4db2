import pytest

from llama_operator.catalog.catalog import Catalog
from llama_operator.catalog.rows import Scheme
from llama_operator.errors import UnsupportedSchemeError
from llama_operator.sizing.checkpoints import checkpoint_bytes, download_bytes
from llama_operator.sizing.models.model import ModelShape
from llama_operator.sizing.quantized import Matrix, matrix_bytes
from llama_operator.sizing.scheme_names import scheme_for
from unit.sizing.bytes.shapes import LLAMA_3B, LLAMA_8B, LLAMA_70B, LLAMA_405B


@pytest.mark.parametrize(
    ("model", "name", "expected"),
    [
        pytest.param(LLAMA_8B, "none", 16_060_522_496, id="8B in bf16"),
        pytest.param(LLAMA_8B, "fp8-dynamic", 9_086_705_664, id="8B in FP8, one scale a channel"),
        pytest.param(LLAMA_8B, "awq-int4-g128", 5_727_854_592, id="8B in AWQ"),
        pytest.param(LLAMA_70B, "none", 141_107_412_992, id="70B in bf16"),
        pytest.param(LLAMA_70B, "fp8-dynamic", 72_683_241_472, id="70B in FP8, a scale a channel"),
        pytest.param(LLAMA_70B, "awq-int4-g128", 39_767_785_472, id="70B in AWQ"),
        pytest.param(LLAMA_405B, "none", 811_706_777_600, id="405B in bf16"),
        pytest.param(LLAMA_405B, "fp8-dynamic", 410_139_705_344, id="405B in FP8, all linears"),
        pytest.param(LLAMA_405B, "fbgemm-fp8", 487_229_259_776, id="405B in FP8 as Meta publishes"),
        pytest.param(LLAMA_405B, "awq-int4-g128", 217_081_610_240, id="405B in AWQ"),
        pytest.param(LLAMA_8B, "mlx-4bit-g64", 4_517_404_672, id="8B in MLX 4 bit"),
        pytest.param(LLAMA_8B, "mlx-8bit-g64", 8_532_402_176, id="8B in MLX 8 bit"),
        pytest.param(LLAMA_70B, "mlx-4bit-g64", 39_688_355_840, id="70B in MLX 4 bit"),
        pytest.param(LLAMA_70B, "mlx-8bit-g64", 74_964_549_632, id="70B in MLX 8 bit"),
        # 8B: 7 scales of 8 bytes in each of 32 layers, 6,979,321,856 linear weights and
        # 1,050,939,392 others in 16 bit: 6,979,321,856 + 1,792 + 2,101,878,784
        pytest.param(LLAMA_8B, "fp8", 9_081_202_432, id="8B in FP8, one scale a tensor"),
        pytest.param(
            LLAMA_8B, "fp8-online", 16_060_522_496, id="FP8 at load has a bf16 checkpoint"
        ),
        # 6,979,321,856 weights / 128^2 = 425,984 blocks of 4 bytes
        pytest.param(LLAMA_8B, "fp8-block", 9_082_904_576, id="8B in FP8, a scale a block"),
        pytest.param(LLAMA_8B, "int8-w8a8", 9_086_705_664, id="8B in INT8 weighs as FP8 does"),
        pytest.param(LLAMA_8B, "bnb-int8", 9_086_705_664, id="8B in LLM.int8()"),
        # AWQ and 4 bytes an input: (6*4096 + 14336) * 4 * 32 layers = 4,980,736
        pytest.param(LLAMA_8B, "gptq-int4-g128", 5_732_835_328, id="8B in GPTQ with g_idx"),
        # n/2 + 2n/128 = 3,489,660,928 + 109,051,904; and 2,101,878,784
        pytest.param(LLAMA_8B, "gptq-w4a16", 5_700_591_616, id="8B in symmetric 4 bit"),
        # n + 2n/64 + n/64 = 6,979,321,856 + 218,103,808 + 109,051,904; and 2,101,878,784
        pytest.param(LLAMA_8B, "awq-int8-g64", 9_408_356_352, id="8B in 8 bit, groups of 64"),
        # 3n/8 + 2n/32 + 3n/256 = 2,617,245,696 + 436,207,616 + 81,788,928; and 2,101,878,784
        pytest.param(LLAMA_8B, "awq-int3-g32", 5_237_121_024, id="8B in 3 bit, groups of 32"),
        # n/2 + 2*out; out = 1,376,256 over all linears; and 2,101,878,784
        pytest.param(LLAMA_8B, "gptq-w4a16-channel", 5_594_292_224, id="8B, one group an output"),
        # 70B: n/2 + 4n/64 = 34,225,520,640 + 4,278,190,080; and 4,205,330,432
        pytest.param(LLAMA_70B, "bnb-nf4", 42_709_041_152, id="70B in NF4: 42.71 GB"),
        # n/2 + n/64 + 4n/16384 = 34,225,520,640 + 1,069,547,520 + 16,711,680; and 4,205,330,432
        pytest.param(LLAMA_70B, "bnb-nf4-dq", 39_517_110_272, id="70B in NF4 twice: 39.52 GB"),
        # n/2 + n/16 = 34,225,520,640 + 4,278,190,080, 80*7*8 bytes; and 4,205,330,432
        pytest.param(LLAMA_70B, "nvfp4", 42_709_045_632, id="70B in NVFP4"),
        # no experts: nothing is stored in MXFP4
        pytest.param(LLAMA_8B, "mxfp4", 16_060_522_496, id="8B has no experts for MXFP4"),
        # 3,212,749,824 parameters, the matrix of 128,256 x 3072 counted once
        pytest.param(LLAMA_3B, "none", 6_425_499_648, id="3B with tied embeddings"),
    ],
)
def test_checkpoint_has_exactly_these_bytes(model: ModelShape, name: str, expected: int) -> None:
    assert checkpoint_bytes(model, scheme_for(name)) == expected


def test_fp32_doubles_what_is_not_quantized() -> None:
    none, fp8 = scheme_for("none"), scheme_for("fp8")
    assert checkpoint_bytes(LLAMA_8B, none, dtype_bytes=4) == 2 * 16_060_522_496
    assert checkpoint_bytes(LLAMA_8B, fp8, dtype_bytes=4) == 9_081_202_432 + 2_101_878_784


def test_what_is_quantized_at_load_is_fetched_in_16_bit() -> None:
    nf4 = scheme_for("bnb-nf4-dq")
    assert download_bytes(LLAMA_70B, nf4, quantize_at_load=True) == 141_107_412_992
    assert download_bytes(LLAMA_70B, nf4) == 39_517_110_272
    assert download_bytes(LLAMA_70B, scheme_for("fp8-online")) == 141_107_412_992


def test_gguf_files_are_fetched_as_they_are() -> None:
    assert download_bytes(LLAMA_70B, scheme_for("Q4_K_M")) == 42_512_531_456


@pytest.mark.parametrize("scheme", Catalog.load().tables.schemes, ids=lambda scheme: scheme.name)
def test_every_scheme_of_the_catalog_has_bytes(scheme: Scheme) -> None:
    # IQ1_S, the smallest, has 1.5625 bits a weight, F32 the most
    size = checkpoint_bytes(LLAMA_8B, scheme)
    assert 8_030_261_248 * 1.5625 / 8 < size <= 8_030_261_248 * 4


def test_a_family_without_bytes_for_layers_is_refused_with_those_that_have() -> None:
    with pytest.raises(UnsupportedSchemeError, match=r"'Q4_K_M' has no bytes.*awq.*nvfp4"):
        matrix_bytes(Matrix(8, 2, 4), scheme_for("Q4_K_M"))
