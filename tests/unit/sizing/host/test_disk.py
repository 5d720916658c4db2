import pytest

from llama_operator.errors import CatalogError
from llama_operator.sizing.host import DiskParts, disk_bytes, disk_parts
from llama_operator.units import GIB, MIB
from unit.sizing.budget.settings import CATALOG, LLAMA_8B, LLAMA_70B

BF16_8B = 16_060_522_496
MARGIN_8B = 803_026_124 + GIB  # 5 percent of 16,060,522,496 and 1 GiB


def test_a_repository_takes_its_weights_and_a_margin() -> None:
    found = disk_parts(LLAMA_8B, CATALOG.scheme("none"))
    assert found == DiskParts(BF16_8B, MARGIN_8B, BF16_8B)
    assert found.disk_bytes == disk_bytes(BF16_8B) == BF16_8B + MARGIN_8B


@pytest.mark.parametrize(
    ("scheme", "quantize_at_load", "loaded"),
    [
        # linear layers have 32 * 218,103,808 = 6,979,321,856 weights: 9/16 byte each in NF4, 1 byte
        # in FP8 with 8 bytes a tensor; embeddings 2 * 1,050,673,152, norms 65 * 8,192, and the RoPE
        # table of 131,072 * 128 * 2 bytes stay in 16 bit
        # 6,061,301,760; of each layer qkv has 13.5 MiB, gate and up 63, down 31.5, all rounded up
        # to even ones by the allocator: 32 * 2 MiB more
        pytest.param("bnb-nf4", True, 6_128_410_624, id="bitsandbytes"),
        # and a few bytes of scales
        pytest.param("fp8-online", False, 9_114_756_096, id="FP8 that vLLM makes"),
    ],
)
def test_a_model_that_is_quantized_at_load_has_two_sizes(
    scheme: str, quantize_at_load: bool, loaded: int
) -> None:
    found = disk_parts(LLAMA_8B, CATALOG.scheme(scheme), quantize_at_load=quantize_at_load)
    assert found.download_bytes == BF16_8B
    assert found.disk_bytes == BF16_8B + MARGIN_8B
    assert loaded <= found.loaded_bytes <= loaded + MIB


def test_a_model_that_is_published_quantized_has_one_size() -> None:
    found = disk_parts(LLAMA_8B, CATALOG.scheme("bnb-nf4"))
    # 3,925,868,544 + 2,101,346,304 + 532,480
    assert found.download_bytes == found.loaded_bytes == 6_027_747_328


def test_a_gguf_file_takes_little_beside_its_tensors() -> None:
    # 1 percent and 256 MiB; the two parts of the file together
    found = disk_parts(LLAMA_70B, CATALOG.scheme("Q5_K_M"))
    assert found == DiskParts(49_941_954_560, 499_419_545 + 256 * MIB, 49_941_954_560)
    assert found.disk_bytes == disk_bytes(49_941_954_560, "gguf")


def test_contents_without_a_margin_are_refused() -> None:
    with pytest.raises(CatalogError, match=r"disk_margins\.csv has no row for 'disk'"):
        disk_bytes(1, "disk")
