"""What would fit instead: kinds, order, bounds. Figures of vLLM 0.19 on Llama 3.1 8B and 70B."""

from dataclasses import replace

import pytest

from llama_operator.catalog.catalog import Catalog
from llama_operator.catalog.rows import Gpu, Scheme
from llama_operator.sizing.estimate import estimate
from llama_operator.sizing.models.model import ModelShape
from llama_operator.sizing.models.shape import model_shape
from llama_operator.sizing.nearest import NEAREST_LIMIT, Changes, Nearest, nearest
from llama_operator.sizing.scheme_names import scheme_for
from llama_operator.sizing.serving import Serving
from support.llama_8b import CONFIG as LLAMA_8B

LLAMA_70B = {
    **LLAMA_8B, "hidden_size": 8192, "intermediate_size": 28672, "num_hidden_layers": 80,
    "num_attention_heads": 64,
}  # fmt: skip
CATALOG = Catalog.load()
GPUS = CATALOG.tables.gpus


@pytest.fixture(scope="module")
def llama_8b() -> ModelShape:
    return model_shape(LLAMA_8B)


@pytest.fixture(scope="module")
def llama_70b() -> ModelShape:
    return model_shape(LLAMA_70B)


def gpu(product: str) -> Gpu:
    found = CATALOG.gpu(product)
    assert found is not None
    return found


def serving(model: ModelShape, product: str, scheme: str = "none", **changes: object) -> Serving:
    made = Serving(
        model, scheme_for(scheme), engine_version="0.19.0", gpu=gpu(product), planned=True
    )
    return replace(made, **changes)  # type: ignore[arg-type]


def published(*names: str) -> tuple[tuple[Changes, Scheme], ...]:
    return tuple(((("--quantization", name),), scheme_for(name)) for name in names)


def options(found: tuple[Nearest, ...]) -> list[tuple[str, ...]]:
    return [tuple(name for name, _ in item.changes) for item in found]


@pytest.mark.parametrize(
    ("product", "size", "utilization"),
    [
        # floor(100 * (79.25 - 0.5 - 0.25) / 79.25) = 99, at most 92.
        pytest.param("NVIDIA-A100-SXM4-80GB", 1, 0.92, id="what the engine takes at most"),
        # floor(100 * (22.06 - 2.28 - 0.25) / 22.06) = 88; with 1.5 GiB less 81.
        pytest.param("NVIDIA-A10G", 1, 0.88, id="what is free on a card of 24 GB"),
        pytest.param("NVIDIA-A10G", 2, 0.81, id="what is free on one of two"),
    ],
)
def test_the_share_is_that_of_the_operator(
    llama_8b: ModelShape, product: str, size: int, utilization: float
) -> None:
    asked = serving(llama_8b, product, tensor_parallel_size=size)
    assert asked.setting().utilization == utilization
    assert replace(asked, utilization=0.5).setting().utilization == 0.5


def test_the_order_is_context_gpus_quantization_larger_gpu(llama_8b: ModelShape) -> None:
    # 16 GiB of context on 22.06 GiB: no share and no smaller batch makes room for it, and an A10G
    # does not compute in fp8. Every one of these fits with the numbers it tells.
    asked = serving(llama_8b, "NVIDIA-A10G", utilization=0.9)
    found = nearest(asked, schemes=published("fp8-dynamic", "awq-int4-g128"), gpus=GPUS)
    assert options(found) == [
        ("--max-model-len",),
        ("--tensor-parallel-size",),
        ("--gpu",),
        ("--quantization", "--max-model-len"),
    ]
    for item in found:
        assert item.estimate == estimate(item.serving.setting())
        assert item.estimate.fits
    assert found[0].setting.max_model_len == 33_680
    assert found[1].setting.tensor_parallel_size == 2
    # The smallest GPU with more memory that holds it: 40 GB.
    assert found[2].setting.total_bytes == gpu("NVIDIA-A100-SXM4-40GB").total_bytes
    # 4 bit holds far more than 8 bit: 112,000 tokens and not 86,896.
    assert found[3].setting.scheme.name == "awq-int4-g128"


@pytest.mark.parametrize(
    ("product", "context", "expected"),
    [
        # 4.11 GiB are left on an A10G: 33,680 tokens of 131,072 bytes at 0.9.
        pytest.param("NVIDIA-A10G", 33_680, [], id="the longest context fits"),
        pytest.param("NVIDIA-A10G", 33_696, ["--max-model-len"], id="a block more does not"),
        # An L4 computes in fp8, which halves the cache.
        pytest.param("NVIDIA-L4", 50_000, ["--max-model-len", "--kv-cache-dtype"], id="8 bit"),
    ],
)
def test_small_changes(
    llama_8b: ModelShape, product: str, context: int, expected: list[str]
) -> None:
    asked = serving(llama_8b, product, max_model_len=context, utilization=0.9)
    if not expected:
        assert estimate(asked.setting()).fits
        return
    assert estimate(asked.setting()).fits is False
    found = nearest(asked)
    assert [names[0] for names in options(found)][: len(expected)] == expected


def test_a_larger_share_is_proposed_up_to_what_is_free_at_the_start(
    llama_8b: ModelShape,
) -> None:
    # L40S: 44.39 GiB, 0.5 held at the start: floor(100 * (44.39 - 0.5 - 0.05) / 44.39) = 98, at
    # most 95. At 0.4 of it 17.76 GiB, weights and activations leave 2 GiB.
    asked = serving(llama_8b, "NVIDIA-L40S", max_model_len=65_536, utilization=0.4)
    shares = [item for item in nearest(asked) if item.changes[0][0] == "--gpu-memory-utilization"]
    assert [item.changes for item in shares] == [(("--gpu-memory-utilization", "0.95"),)]


def test_a_share_that_is_as_high_as_it_may_be_is_not_proposed(llama_8b: ModelShape) -> None:
    asked = serving(llama_8b, "NVIDIA-A10G", utilization=0.95)
    assert "--gpu-memory-utilization" not in {
        name for names in options(nearest(asked)) for name in names
    }


def test_a_smaller_batch_makes_room(llama_8b: ModelShape) -> None:
    # H100: 1,024 sequences take 1.89 GiB of activations, 256 of them 0.5.
    asked = serving(llama_8b, "NVIDIA-H100-80GB-HBM3", utilization=0.3, max_model_len=45_000)
    found = [item for item in nearest(asked) if item.changes[0][0] == "--max-num-batched-tokens"]
    assert [item.changes for item in found] == [
        (("--max-num-batched-tokens", "2048"), ("--max-num-seqs", "256"))
    ]


def test_without_graphs_where_they_take_the_room(llama_8b: ModelShape) -> None:
    # vLLM 0.33 has graphs of 0.9 GiB inside its share; 0.5 GiB are missing.
    whole = serving(llama_8b, "NVIDIA-A10G", engine_version="0.33.0", utilization=0.9)
    longest = nearest(whole)[0].setting.max_model_len
    asked = replace(whole, max_model_len=longest + 4096)
    eager = [item for item in nearest(asked) if item.changes == (("--enforce-eager", ""),)]
    assert len(eager) == 1
    assert eager[0].setting.enforce_eager


def test_stages_come_where_one_node_is_not_enough() -> None:
    # 405B in 16 bit: 94.5 GiB a GPU at tensor parallel size 8.
    shape = model_shape(
        {
            **LLAMA_8B, "hidden_size": 16384, "intermediate_size": 53248,
            "num_hidden_layers": 126, "num_attention_heads": 128,
        }
    )  # fmt: skip
    asked = serving(shape, "NVIDIA-H100-80GB-HBM3", tensor_parallel_size=16, max_model_len=131_072)
    assert estimate(asked.setting()).fits
    eight = replace(asked, tensor_parallel_size=8)
    assert nearest(eight)[0].changes == (("--tensor-parallel-size", "16"),)
    halved = replace(eight, utilization=0.5)
    (first, *_) = nearest(halved)
    assert first.setting.gpus >= 16


def test_stages_over_nodes_come_last_and_name_what_changes() -> None:
    # 405B on eight A100 of 40 GB: 94.5 GiB of each in 16 bit, 47 in FP8, 25.3 in 4 bit
    shape = model_shape(
        {
            **LLAMA_8B, "hidden_size": 16384, "intermediate_size": 53248,
            "num_hidden_layers": 126, "num_attention_heads": 128,
        }
    )  # fmt: skip
    asked = serving(
        shape,
        "NVIDIA-A100-SXM4-40GB",
        tensor_parallel_size=8,
        max_model_len=8192,
        enforce_eager=True,
    )
    found = options(nearest(asked, schemes=published("awq-int4-g128"), gpus=GPUS))
    assert found[0] == ("--quantization",)
    assert found[-1] == ("--pipeline-parallel-size",)
    assert [names for names in found if "--gpu" in names]


@pytest.mark.parametrize("asked", [32_768, 131_072])
def test_a_shorter_context_takes_shorter_steps_where_a_step_is_the_context(
    llama_8b: ModelShape, asked: int
) -> None:
    # vLLM 0.7 with the longest step that fits: one block more does not
    made = serving(
        llama_8b, "NVIDIA-A10G", engine_version="0.7.2", utilization=0.9, max_model_len=asked
    )
    assert dict(nearest(made)[0].changes) == {"--max-model-len": "22480"}
    assert estimate(replace(made, max_model_len=22_480).setting()).fits
    assert not estimate(replace(made, max_model_len=22_496).setting()).fits


def test_slices_are_not_joined(llama_8b: ModelShape) -> None:
    whole = serving(llama_8b, "NVIDIA-A100-SXM4-40GB", total_bytes=9 * 2**30)
    asked = replace(whole, product="NVIDIA-A100-SXM4-40GB-MIG-2g.10gb")
    for setting, joined in ((whole, True), (asked, False)):
        named = {name for names in options(nearest(setting, gpus=GPUS)) for name in names}
        assert "--gpu" in named
        assert ("--tensor-parallel-size" in named) is joined


def test_only_gpus_of_the_same_vendor_are_proposed(llama_70b: ModelShape) -> None:
    asked = serving(llama_70b, "AMD_Instinct_MI300X_OAM", max_model_len=131_072, utilization=0.7)
    found = [item for item in nearest(asked, gpus=GPUS) if item.changes[0][0] == "--gpu"]
    assert {item.setting.gpu.vendor for item in found if item.setting.gpu} == {"AMD"}


def test_there_are_never_more_than_five(llama_8b: ModelShape) -> None:
    for product in ("NVIDIA-L4", "NVIDIA-L40S", "NVIDIA-A100-SXM4-40GB"):
        for context in (30_000, 60_000, 131_072):
            asked = serving(llama_8b, product, max_model_len=context, utilization=0.5)
            found = nearest(asked, schemes=published("fp8", "awq-int4-g128"), gpus=GPUS)
            assert len(found) <= NEAREST_LIMIT
            assert len({item.changes for item in found}) == len(found)


def test_a_context_of_less_than_1024_tokens_is_not_worth_proposing(llama_8b: ModelShape) -> None:
    # 14.99 + 0.5 + 0.25 GiB of 22.06: at 0.715 some 30 MiB are left, 200 tokens.
    asked = serving(llama_8b, "NVIDIA-A10G", utilization=0.718)
    assert 0 < (estimate(asked.setting()).kv_cache_tokens or 0) < 1024
    assert ("--max-model-len",) not in options(nearest(asked))


def test_llama_cpp_has_an_8_bit_cache_of_its_own(llama_8b: ModelShape) -> None:
    # 4.6 GiB of weights and 16 GiB of context on 18.
    asked = serving(llama_8b, "NVIDIA-A10G", "Q4_K_M", total_bytes=18 * 2**30)
    asked = replace(asked, engine="llama.cpp", engine_version=None)
    assert estimate(asked.setting()).fits is False
    changes = {pair for item in nearest(asked) for pair in item.changes}
    assert ("--kv-cache-dtype", "q8_0") in changes
