import json

import pytest

from llama_operator.catalog.catalog import Catalog
from llama_operator.catalog.gguf_tables import gguf_mixes, gguf_types
from llama_operator.errors import UnsupportedSchemeError
from llama_operator.sizing.quantization_config import quantization_name
from llama_operator.sizing.scheme_names import scheme_for

BATCH_NAMES = (
    "none", "fp8", "fp8-online", "fp8-dynamic", "fp8-block", "fbgemm-fp8", "int8-w8a8",
    "awq-int4-g128", "gptq-int4-g128", "gptq-w4a16", "bnb-nf4", "bnb-nf4-dq", "bnb-int8",
    "mlx-4bit-g64", "mlx-8bit-g64", "mxfp4", "nvfp4",
)  # fmt: skip


@pytest.mark.parametrize("name", BATCH_NAMES)
def test_names_of_the_batch_interface_resolve(name: str) -> None:
    assert scheme_for(name).name == name


def test_every_gguf_file_type_is_a_scheme_and_the_other_way_round() -> None:
    schemes = {row.name for row in Catalog.load().tables.schemes if row.family == "gguf"}
    assert schemes == set(gguf_mixes())


@pytest.mark.parametrize(
    ("name", "family", "bits", "group"),
    [
        ("awq-int4-g64", "awq", 4, 64),
        ("gptq-int8-g128", "gptq", 8, 128),
        ("GPTQ-int3-g32", "gptq", 3, 32),
        ("gptq-int4-channel", "gptq", 4, 0),
        ("gptq-w8a16", "gptq-w4a16", 8, 128),
        ("gptq-w4a16-g64", "gptq-w4a16", 4, 64),
        ("gptq-w8a16-channel", "gptq-w4a16", 8, 0),
        ("mlx-6bit-g64", "mlx", 6, 64),
        ("mlx-3bit-g32", "mlx", 3, 32),
    ],
)
def test_other_bits_and_groups_are_read_from_the_name(
    name: str, family: str, bits: int, group: int
) -> None:
    scheme = scheme_for(name)
    assert (scheme.family, scheme.bits, scheme.group_size) == (family, bits, group)


@pytest.mark.parametrize(
    "name", ["", "int4", "awq-int5-g128", "awq-int4-g100", "awq-int4-g4", "mlx-4bit-g48", "x" * 999]
)
def test_other_names_are_refused_with_those_that_are_known(name: str) -> None:
    with pytest.raises(UnsupportedSchemeError, match=r"is not known; known are none, fp8") as error:
        scheme_for(name)
    assert len(str(error.value)) < 500


def group(**weights: object) -> dict[str, object]:
    return {"group_0": {"targets": ["Linear"], "weights": weights}}


CONFIGS = [
    pytest.param({}, "none", id="nothing"),
    pytest.param({"quantization_config": None}, "none", id="null"),
    pytest.param({"quant_method": "awq", "bits": 4, "group_size": 128}, "awq-int4-g128", id="AWQ"),
    pytest.param(
        {"quant_method": "awq", "w_bit": 4, "q_group_size": 64}, "awq-int4-g64", id="AWQ of old"
    ),
    pytest.param({"quant_method": "gptq", "bits": 8, "group_size": 32}, "gptq-int8-g32", id="GPTQ"),
    pytest.param(
        {"quant_method": "gptq", "bits": 4, "group_size": -1}, "gptq-int4-channel", id="GPTQ by row"
    ),
    pytest.param(
        {"quant_method": "auto-round", "bits": 4, "packing_format": "auto_round:auto_awq"},
        "awq-int4-g128",
        id="auto-round packed as AWQ",
    ),
    pytest.param({"quant_method": "fp8"}, "fp8", id="FP8 by tensor"),
    pytest.param(
        {"quant_method": "fp8", "weight_block_size": [128, 128]}, "fp8-block", id="FP8 by block"
    ),
    pytest.param({"quant_method": "fbgemm_fp8"}, "fbgemm-fp8", id="Meta's FP8"),
    pytest.param({"quant_method": "modelopt", "quant_algo": "FP8"}, "fp8", id="ModelOpt FP8"),
    pytest.param(
        {"quant_method": "modelopt", "quantization": {"quant_algo": "NVFP4"}},
        "nvfp4",
        id="ModelOpt NVFP4, nested",
    ),
    pytest.param({"quant_algo": "nvfp4"}, "nvfp4", id="ModelOpt without method"),
    pytest.param({"quant_method": "mxfp4"}, "mxfp4", id="MXFP4"),
    pytest.param(
        {"quant_method": "bitsandbytes", "load_in_4bit": True, "bnb_4bit_use_double_quant": True},
        "bnb-nf4-dq",
        id="NF4 with double quantization",
    ),
    pytest.param({"quant_method": "bitsandbytes", "load_in_4bit": True}, "bnb-nf4", id="NF4"),
    pytest.param({"quant_method": "bitsandbytes", "load_in_8bit": True}, "bnb-int8", id="LLM.int8"),
    pytest.param({"bits": 4, "group_size": 64}, "mlx-4bit-g64", id="MLX"),
    pytest.param(
        {
            "quant_method": "compressed-tensors",
            "config_groups": group(num_bits=8, type="float", strategy="channel"),
        },
        "fp8-dynamic",
        id="compressed FP8 by channel",
    ),
    pytest.param(
        {
            "quant_method": "compressed-tensors",
            "config_groups": group(
                num_bits=8, type="float", strategy="block", block_structure=[128, 128]
            ),
        },
        "fp8-block",
        id="compressed FP8 by block",
    ),
    pytest.param(
        {
            "quant_method": "compressed-tensors",
            "config_groups": {
                "g": {
                    "weights": {"num_bits": 8, "type": "int", "strategy": "channel"},
                    "input_activations": {"num_bits": 8},
                }
            },
        },
        "int8-w8a8",
        id="compressed INT8",
    ),
    pytest.param(
        {
            "quant_method": "compressed-tensors",
            "config_groups": group(num_bits=4, type="int", strategy="group", group_size=128),
        },
        "gptq-w4a16",
        id="compressed, symmetric 4 bit",
    ),
    pytest.param(
        {
            "quant_method": "compressed-tensors",
            "config_groups": group(num_bits=8, type="int", strategy="channel"),
        },
        "gptq-w8a16-channel",
        id="compressed, 8 bit weights only",
    ),
    pytest.param(
        {
            "quant_method": "compressed-tensors",
            "config_groups": group(num_bits=4, type="int", group_size=64, symmetric=False),
        },
        "awq-int4-g64",
        id="compressed with zero points",
    ),
    pytest.param(
        {
            "quant_method": "compressed-tensors",
            "config_groups": group(num_bits=4, type="float", strategy="tensor_group"),
        },
        "nvfp4",
        id="compressed NVFP4",
    ),
]


@pytest.mark.parametrize(("quantization", "expected"), CONFIGS)
def test_configurations_name_their_quantization(
    quantization: dict[str, object], expected: str
) -> None:
    key = "quantization_config"
    config = quantization if key in quantization else {key: quantization}
    assert quantization_name(config) == expected
    assert scheme_for(expected).name == expected
    inner = {"text_config": config, "model_type": "llava"}
    assert quantization_name(json.loads(json.dumps(inner))) == expected


def test_the_outer_configuration_comes_first() -> None:
    outer = {"quantization_config": {"quant_method": "mxfp4"}}
    inner = {"quantization_config": {"quant_method": "fp8"}}
    assert quantization_name({**outer, "text_config": inner}) == "mxfp4"
    assert quantization_name({"quantization": {"bits": 8, "group_size": 64}}) == "mlx-8bit-g64"


@pytest.mark.parametrize(
    ("quantization", "message"),
    [
        ({"quant_method": "aqlm"}, r"quant_method: 'aqlm' is not known; it must be one of .*awq"),
        ({"quant_method": ["awq"]}, "quant_method: it is not known"),
        ({"anything": 1}, "quant_method: None is not known"),
        ("awq", "quantization_config: 'awq' is not known; it must be a mapping"),
        ({"quant_method": "awq", "bits": "four"}, "bits: 'four'.*whole number"),
        ({"quant_method": "gptq", "group_size": True}, "group_size: True"),
        ({"quant_method": "fp8", "weight_block_size": [64, 64]}, r"must be \[128, 128\] or null"),
        ({"quant_method": "modelopt", "quant_algo": "INT4"}, "quant_algo: 'INT4'.*NVFP4"),
        ({"quant_method": "modelopt"}, "quant_algo: None"),
        ({"quant_method": "bitsandbytes", "bnb_4bit_quant_type": "q"}, "must be nf4 or fp4"),
        ({"quant_method": "compressed-tensors"}, "config_groups: None"),
        ({"quant_method": "compressed-tensors", "config_groups": {"g": 1}}, "g.weights"),
        (
            {
                "quant_method": "compressed-tensors",
                "config_groups": group(num_bits=6, type="float", strategy="channel"),
            },
            "6 bits by channel.*8 bits by channel",
        ),
        (
            {
                "quant_method": "compressed-tensors",
                "config_groups": {
                    **group(num_bits=8, type="float", strategy="channel"),
                    "group_1": {"weights": {"num_bits": 4, "type": "int", "strategy": "channel"}},
                },
            },
            "one quantization for all groups",
        ),
    ],
)
def test_what_is_not_known_is_named_with_what_is(quantization: object, message: str) -> None:
    with pytest.raises(UnsupportedSchemeError, match=message):
        quantization_name({"quantization_config": quantization})


@pytest.mark.parametrize(
    ("name", "bits_per_weight"),
    [
        ("Q8_0", 8.5), ("Q6_K", 6.5625), ("Q5_1", 6.0), ("Q5_0", 5.5), ("Q4_1", 5.0),
        ("Q4_0", 4.5), ("Q5_K", 5.5), ("Q4_K", 4.5), ("Q3_K", 3.4375), ("Q2_K", 2.625),
        ("MXFP4", 4.25), ("IQ4_NL", 4.5), ("IQ4_XS", 4.25), ("IQ3_S", 3.4375),
        ("IQ3_XXS", 3.0625), ("IQ2_S", 2.5625), ("IQ2_XS", 2.3125), ("IQ2_XXS", 2.0625),
        ("IQ1_M", 1.75), ("IQ1_S", 1.5625), ("NVFP4", 4.5), ("F32", 32), ("F16", 16), ("BF16", 16),
    ],
)  # fmt: skip
def test_gguf_types_have_these_bits_per_weight(name: str, bits_per_weight: float) -> None:
    stored = gguf_types()[name]
    assert stored.block_bytes * 8 == bits_per_weight * stored.block_weights
