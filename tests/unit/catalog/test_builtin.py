"""The tables that ship: counts and literal contents, compared with what publishers say."""

import re
import time
from collections import Counter

import pytest
from pydantic import TypeAdapter

from llama_operator.api.fields import GpuProduct, ModelName, ModelSize, QuantizationName
from llama_operator.catalog.catalog import Catalog
from llama_operator.catalog.rows import Publication
from llama_operator.catalog.table_set import Tables
from llama_operator.units import GIB, MIB

CATALOG = Catalog.load()
TABLES = CATALOG.tables
INSTRUCT = "llama-3.1-instruct"


def repositories(**wanted: object) -> list[str]:
    return [
        row.repository
        for row in TABLES.publications
        if all(getattr(row, key) == value for key, value in wanted.items())
    ]


def test_every_table_loads_quickly_and_passes_its_checks() -> None:
    seconds = []
    for _ in range(5):
        start = time.perf_counter()
        tables = Tables.read()
        seconds.append(time.perf_counter() - start)
        assert tables == TABLES
    # measured 4 ms
    assert min(seconds) < 0.05


def test_the_tables_have_their_rows() -> None:
    assert {
        "architectures": len(TABLES.architectures),
        "models": len(TABLES.models),
        "publications": len(TABLES.publications),
        "formats": len(TABLES.formats),
        "schemes": len(TABLES.schemes),
        "gpus": len(TABLES.gpus),
        "engines": len(TABLES.engines),
    } == {
        "architectures": 3,
        "models": 8,
        "publications": 105,
        "formats": 6,
        "schemes": 42,
        "gpus": 36,
        "engines": 2,
    }


def test_loading_twice_reads_once() -> None:
    assert Catalog.load() is Catalog.load()


SPECIFICATIONS = {
    1: ("ggufv2", "8b", "Q3_K_L IQ4_XS Q4_K_M Q5_K_M Q6_K Q8_0", "HuggingFace ModelScope"),
    2: ("pytorch", "8b", "none", "HuggingFace ModelScope"),
    3: ("pytorch", "8b", "4-bit", "HuggingFace ModelScope"),
    4: ("gptq", "8b", "Int4", "HuggingFace ModelScope"),
    5: ("awq", "8b", "Int4", "HuggingFace ModelScope"),
    6: ("ggufv2", "70b", "IQ2_M IQ4_XS Q2_K Q3_K_S Q4_K_M Q5_K_M Q6_K Q8_0", "HuggingFace"),
    7: ("pytorch", "70b", "none", "HuggingFace ModelScope"),
    8: ("pytorch", "70b", "4-bit", "HuggingFace ModelScope"),
    9: ("gptq", "70b", "Int4", "HuggingFace ModelScope"),
    10: ("awq", "70b", "Int4", "HuggingFace ModelScope"),
    11: ("mlx", "8b", "4-bit", "HuggingFace"),
    12: ("mlx", "8b", "8-bit", "HuggingFace"),
    13: ("mlx", "8b", "none", "HuggingFace"),
    14: ("mlx", "70b", "4-bit", "HuggingFace"),
    15: ("mlx", "70b", "8-bit", "HuggingFace"),
    16: ("mlx", "70b", "none", "HuggingFace"),
    17: ("pytorch", "405b", "4-bit 8-bit none", "HuggingFace ModelScope"),
    18: ("gptq", "405b", "Int4", "HuggingFace ModelScope"),
    19: ("awq", "405b", "Int4", "HuggingFace ModelScope"),
}
"""The specifications of llama-3.1-instruct in Xinference's model catalog."""


@pytest.mark.parametrize("number", SPECIFICATIONS, ids="specification {} is whole".format)
def test_specification(number: int) -> None:
    format_name, size, quantizations, hubs = SPECIFICATIONS[number]
    rows = [row for row in TABLES.publications if re.search(rf"spec {number}\b", row.source)]
    expected = {
        (INSTRUCT, size, format_name, quantization, hub)
        for quantization in quantizations.split()
        for hub in hubs.split()
        # the one hole: ModelScope's 8B GGUF repository has no IQ4_XS
        if not (number == 1 and quantization == "IQ4_XS" and hub == "ModelScope")
    }
    found = [(row.model, row.size, row.format, row.quantization, row.hub) for row in rows]
    assert sorted(found) == sorted(expected)
    for row in rows:
        assert CATALOG.resolve(row.model, row.size, row.format, row.quantization, row.hub) == row


@pytest.mark.parametrize(
    ("size", "format_name", "quantization", "hub", "repository", "scheme"),
    [
        pytest.param(
            "8b",
            "ggufv2",
            "Q4_K_M",
            "HuggingFace",
            "lmstudio-community/Meta-Llama-3.1-8B-Instruct-GGUF",
            "Q4_K_M",
            id="8B GGUF",
        ),
        pytest.param(
            "8b",
            "pytorch",
            "4-bit",
            "HuggingFace",
            "unsloth/Meta-Llama-3.1-8B-Instruct-bnb-4bit",
            "bnb-nf4-dq",
            id="8B quantized by bitsandbytes beforehand",
        ),
        pytest.param(
            "70b",
            "gptq",
            "Int4",
            "ModelScope",
            "LLM-Research/Meta-Llama-3.1-70B-Instruct-GPTQ-INT4",
            "gptq-int4-g128",
            id="70B GPTQ on ModelScope",
        ),
        pytest.param(
            "70b",
            "awq",
            "Int4",
            "HuggingFace",
            "hugging-quants/Meta-Llama-3.1-70B-Instruct-AWQ-INT4",
            "awq-int4-g128",
            id="70B AWQ",
        ),
        pytest.param(
            "70b",
            "mlx",
            "none",
            "HuggingFace",
            "mlx-community/Meta-Llama-3.1-70B-Instruct-bf16",
            "none",
            id="70B MLX in 16 bit",
        ),
        pytest.param(
            "70b",
            "ggufv2",
            "Q6_K_L",
            "HuggingFace",
            "bartowski/Meta-Llama-3.1-70B-Instruct-GGUF",
            "Q6_K_L",
            id="70B GGUF that only bartowski has",
        ),
        pytest.param(
            "405b",
            "fp8",
            "FP8",
            "HuggingFace",
            "meta-llama/Meta-Llama-3.1-405B-Instruct-FP8",
            "fbgemm-fp8",
            id="405B FP8 is Meta's own",
        ),
        pytest.param(
            "405b",
            "pytorch",
            "8-bit",
            "HuggingFace",
            "meta-llama/Meta-Llama-3.1-405B-Instruct",
            "bnb-int8",
            id="405B in 8 bit, quantized at load",
        ),
        pytest.param(
            "405b",
            "pytorch",
            "nf4",
            "HuggingFace",
            "hugging-quants/Meta-Llama-3.1-405B-Instruct-BNB-NF4",
            "bnb-nf4-dq",
            id="405B NF4",
        ),
    ],
)
def test_publication(
    size: str, format_name: str, quantization: str, hub: str, repository: str, scheme: str
) -> None:
    row = CATALOG.resolve(INSTRUCT, size, format_name, quantization, hub)
    assert (row.repository, row.scheme) == (repository, scheme)


BARTOWSKI_GB = {
    "Q8_0": ("74.98", True),
    "Q6_K_L": ("58.40", True),
    "Q6_K": ("57.89", True),
    "Q5_K_L": ("50.60", True),
    "Q5_K_M": ("49.95", True),
    "Q5_K_S": ("48.66", False),
    "Q4_K_L": ("43.30", False),
    "Q4_K_M": ("42.52", False),
    "Q4_K_S": ("40.35", False),
    "Q3_K_XL": ("38.06", False),
    "IQ4_XS": ("37.90", False),
    "Q3_K_L": ("37.14", False),
    "Q3_K_M": ("34.27", False),
    "IQ3_M": ("31.94", False),
    "Q3_K_S": ("30.91", False),
    "IQ3_XS": ("29.31", False),
    "Q2_K_L": ("27.40", False),
    "Q2_K": ("26.38", False),
    "IQ2_M": ("24.12", False),
}
"""Sizes and splits as the card of bartowski/Meta-Llama-3.1-70B-Instruct-GGUF gives them."""


def test_bartowski_has_the_19_files_of_the_card() -> None:
    rows = [row for row in TABLES.publications if row.repository.startswith("bartowski/")]
    assert {row.quantization: (row.file_bytes, row.parts > 1) for row in rows} == {
        name: (int(gigabytes.replace(".", "")) * 10**7, split)
        for name, (gigabytes, split) in BARTOWSKI_GB.items()
    }
    assert len(rows) == 19


@pytest.mark.parametrize(
    ("size", "quantization", "hub", "publisher", "names"),
    [
        pytest.param(
            "70b",
            "Q8_0",
            "HuggingFace",
            "bartowski",
            (
                "Meta-Llama-3.1-70B-Instruct-Q8_0/Meta-Llama-3.1-70B-Instruct-Q8_0-00001-of-00002.gguf",
                "Meta-Llama-3.1-70B-Instruct-Q8_0/Meta-Llama-3.1-70B-Instruct-Q8_0-00002-of-00002.gguf",
            ),
            id="split in a folder of its own",
        ),
        pytest.param(
            "70b",
            "Q4_K_M",
            "HuggingFace",
            "bartowski",
            ("Meta-Llama-3.1-70B-Instruct-Q4_K_M.gguf",),
            id="one file",
        ),
        pytest.param(
            "70b",
            "Q6_K",
            "HuggingFace",
            "lmstudio-community",
            (
                "Meta-Llama-3.1-70B-Instruct-Q6_K-00001-of-00002.gguf",
                "Meta-Llama-3.1-70B-Instruct-Q6_K-00002-of-00002.gguf",
            ),
            id="split beside each other",
        ),
        pytest.param(
            "8b",
            "Q3_K_L",
            "ModelScope",
            "LLM-Research",
            ("Meta-Llama-3.1-8B-Instruct-Q3_K_L.gguf",),
            id="one file on ModelScope",
        ),
    ],
)
def test_file_names(
    size: str, quantization: str, hub: str, publisher: str, names: tuple[str, ...]
) -> None:
    rows = [
        row
        for row in CATALOG.publications(INSTRUCT, size)
        if (row.quantization, row.hub, row.repository.split("/")[0])
        == (quantization, hub, publisher)
    ]
    assert [row.file_names for row in rows] == [names]


def test_a_whole_repository_has_no_file_names() -> None:
    assert CATALOG.resolve(INSTRUCT, "8b", "awq", None, "HuggingFace").file_names == ()


def test_only_meta_gates_its_repositories() -> None:
    gated = {row.repository.split("/")[0] for row in TABLES.publications if row.gated}
    free = {row.repository.split("/")[0] for row in TABLES.publications if not row.gated}
    assert gated == {"meta-llama"}
    assert "meta-llama" not in free
    assert not any(row.gated for row in TABLES.publications if row.hub == "ModelScope")


def test_quantized_at_load_are_those_whose_repository_is_the_16_bit_one() -> None:
    at_load = [row for row in TABLES.publications if row.quantize_at_load]
    assert Counter((row.size, row.quantization, row.hub) for row in at_load) == {
        ("8b", "4-bit", "ModelScope"): 1,
        ("70b", "4-bit", "ModelScope"): 1,
        ("405b", "4-bit", "HuggingFace"): 1,
        ("405b", "4-bit", "ModelScope"): 1,
        ("405b", "8-bit", "HuggingFace"): 1,
        ("405b", "8-bit", "ModelScope"): 1,
    }
    for row in at_load:
        assert repositories(size=row.size, hub=row.hub, quantization="none", model=INSTRUCT)[0] == (
            row.repository
        )


@pytest.mark.parametrize("size", ["8b", "70b", "405b"])
def test_shapes_give_the_published_parameter_counts(size: str) -> None:
    shape = CATALOG.model(INSTRUCT, size).architecture
    assert shape is not None
    embeddings = 2 * shape.vocab_size * shape.hidden_size
    attention = 2 * shape.hidden_size * shape.num_attention_heads * shape.head_dim
    attention += 2 * shape.hidden_size * shape.num_key_value_heads * shape.head_dim
    feed_forward = 3 * shape.hidden_size * shape.intermediate_size
    layer = attention + feed_forward + 2 * shape.hidden_size
    total = embeddings + shape.num_hidden_layers * layer + shape.hidden_size
    assert total == {"8b": 8_030_261_248, "70b": 70_553_706_496, "405b": 405_853_388_800}[size]


@pytest.mark.parametrize(
    ("name", "size", "abilities"),
    [
        pytest.param(INSTRUCT, "70b", ("chat", "tools"), id="instruct chats and calls tools"),
        pytest.param("llama-3.1", "405b", ("generate",), id="base completes text"),
        pytest.param("llama-guard-3", "8b", ("chat",), id="Llama Guard answers by chat"),
    ],
)
def test_models(name: str, size: str, abilities: tuple[str, ...]) -> None:
    model = CATALOG.model(name, size)
    assert (model.abilities, model.licence, model.context_length) == (
        abilities,
        "llama3.1",
        131_072,
    )
    assert model.languages == ("en", "de", "fr", "it", "pt", "hi", "es", "th")


def test_every_name_is_what_the_api_accepts() -> None:
    for model in TABLES.models:
        TypeAdapter(ModelName).validate_python(model.name)
        TypeAdapter(ModelSize).validate_python(model.size)
    for row in TABLES.publications:
        TypeAdapter(QuantizationName).validate_python(row.quantization)
    for gpu in TABLES.gpus:
        for name in (gpu.product, *gpu.aliases):
            TypeAdapter(GpuProduct).validate_python(name)


def test_every_choice_resolves_to_one_publication_and_all_rows_stay_listed() -> None:
    choices: dict[tuple[str, str, str, str, str], list[Publication]] = {}
    for row in TABLES.publications:
        key = (row.model, row.size, row.format, row.quantization, row.hub)
        choices.setdefault(key, []).append(row)
        assert row in CATALOG.publications(row.model, row.size)
    # bartowski repeats the eight 70B files of lmstudio-community, Red Hat one name of Meta's
    assert Counter(map(len, choices.values())) == {1: 87, 2: 9}
    for (model, size, format_name, quantization, hub), rows in choices.items():
        if model == "prompt-guard":
            continue
        assert CATALOG.resolve(model, size, format_name, quantization, hub) == min(
            rows, key=lambda row: row.publisher_rank
        )


SCHEMES = (
    "none fp8 fp8-online fp8-dynamic fp8-block fbgemm-fp8 int8-w8a8 awq-int4-g128 gptq-int4-g128 "
    "gptq-w4a16 bnb-nf4 bnb-nf4-dq bnb-int8 mlx-4bit-g64 mlx-8bit-g64 mxfp4 nvfp4 "
    "F16 BF16 Q8_0 Q6_K Q6_K_L Q5_K_M Q5_K_S Q5_K_L Q4_K_M Q4_K_S Q4_K_L Q3_K_L Q3_K_M Q3_K_S "
    "Q3_K_XL Q2_K Q2_K_L Q5_1 Q5_0 Q4_1 Q4_0 IQ4_XS IQ3_M IQ3_XS IQ2_M"
)


def test_every_scheme_of_the_memory_model_has_a_row() -> None:
    assert sorted(row.name for row in TABLES.schemes) == sorted(SCHEMES.split())


@pytest.mark.parametrize(
    ("name", "family", "bits", "group", "capability"),
    [
        pytest.param("none", "none", 16, 0, (7, 5), id="16 bit"),
        pytest.param("fbgemm-fp8", "fbgemm-fp8", 8, 0, (8, 0), id="Meta's FP8"),
        pytest.param("awq-int4-g128", "awq", 4, 128, (7, 5), id="AWQ"),
        pytest.param("bnb-nf4-dq", "bnb-nf4-dq", 4, 64, (7, 5), id="bitsandbytes"),
        pytest.param("mlx-8bit-g64", "mlx", 8, 64, None, id="MLX runs on no CUDA"),
        pytest.param("q4_k_m", "gguf", 4, 256, None, id="a GGUF type, whatever its case"),
    ],
)
def test_scheme(
    name: str, family: str, bits: int, group: int, capability: tuple[int, int] | None
) -> None:
    row = CATALOG.scheme(name)
    assert (row.family, row.bits, row.group_size, row.min_compute_capability) == (
        family,
        bits,
        group,
        capability,
    )


GPUS = {
    # product: label MiB, GiB that a process sees, held at start in GiB, capability
    "Tesla-T4": (15360, 14.58, 0.5, (7, 5)),
    "Tesla-V100-SXM2-16GB": (16384, 15.77, 0.5, (7, 0)),
    "NVIDIA-A10G": (23028, 22.06, 2.28, (8, 6)),
    "NVIDIA-L4": (23034, 22.03, 2.28, (8, 9)),
    "NVIDIA-A30": (24576, 23.5, 2.28, (8, 0)),
    "NVIDIA-L40S": (46068, 44.39, 0.5, (8, 9)),
    "NVIDIA-RTX-PRO-6000-Blackwell-Server-Edition": (97887, 94.97, 0.5, (12, 0)),
    "NVIDIA-GeForce-RTX-4090": (24564, 23.5, 2.28, (8, 9)),
    "NVIDIA-A100-SXM4-40GB": (40960, 39.5, 0.5, (8, 0)),
    "NVIDIA-A100-SXM4-80GB": (81920, 79.25, 0.5, (8, 0)),
    "NVIDIA-A100-80GB-PCIe": (81920, 79.25, 0.5, (8, 0)),
    "NVIDIA-H100-80GB-HBM3": (81559, 79.19, 0.5, (9, 0)),
    "NVIDIA-H200": (143771, 139.81, 0.5, (9, 0)),
    "NVIDIA-B200": (183359, 178.35, 0.5, (10, 0)),
    "NVIDIA-GB300": (284208, 276.6, 0.5, (10, 3)),
    "AMD_Instinct_MI300X_OAM": (196592, 191.984375, 0.5, None),
    "HL-225": (98304, 94.6, 0.75, None),
}


@pytest.mark.parametrize("product", GPUS)
def test_gpu(product: str) -> None:
    label_mib, total_gib, held_gib, capability = GPUS[product]
    gpu = CATALOG.gpu(product)
    assert gpu is not None
    assert gpu.label_bytes == label_mib * MIB
    assert gpu.total_bytes == int(total_gib * GIB)
    assert gpu.reserved_at_start_bytes == int(held_gib * GIB)
    assert gpu.compute_capability == capability


def test_drivers_keep_plausible_reserves() -> None:
    # 0.42 to 0.75 GiB where both figures were seen; unverified rows up to 3 %
    for gpu in TABLES.gpus:
        reserve = gpu.label_bytes - gpu.total_bytes
        assert 0 <= reserve <= max(GIB, gpu.label_bytes * 3 // 100), gpu.product
        assert gpu.reserved_at_start_bytes <= 3 * GIB


@pytest.mark.parametrize(
    ("asked", "product"),
    [
        pytest.param("NVIDIA-H100-SXM5-80GB", "NVIDIA-H100-80GB-HBM3", id="an alias"),
        pytest.param("NVIDIA-L4-SHARED", "NVIDIA-L4", id="a shared card"),
        pytest.param("NVIDIA-Tesla-T4-SHARED", "Tesla-T4", id="a shared card by its alias"),
        pytest.param("nvidia-l40s", "NVIDIA-L40S", id="another case"),
        pytest.param("AMD_Instinct_MI300X", "AMD_Instinct_MI300X_OAM", id="AMD by vLLM's name"),
    ],
)
def test_gpus_are_found_by_alias_and_when_shared(asked: str, product: str) -> None:
    gpu = CATALOG.gpu(asked)
    assert gpu is not None
    assert gpu.product == product


@pytest.mark.parametrize(
    "asked",
    [
        pytest.param("NVIDIA-A100-SXM4-80GB-MIG-3g.40gb", id="a MIG slice"),
        pytest.param("NVIDIA-X9000", id="a card of the future"),
        pytest.param("", id="nothing"),
    ],
)
def test_gpus_without_a_row(asked: str) -> None:
    assert CATALOG.gpu(asked) is None
