import dataclasses

import pytest

from llama_operator.catalog.rows import Architecture
from llama_operator.sizing.sharding import (
    stage_layers,
    tensor_parallel_obstacle,
    valid_tensor_parallel_sizes,
)
from unit.sizing.rows import LLAMA_1B, LLAMA_8B, LLAMA_70B, LLAMA_405B, scheme


@pytest.mark.parametrize(
    ("architecture", "scheme_name", "expected"),
    [
        pytest.param(LLAMA_8B, "none", (1, 2, 4, 8, 16), id="8B in bf16"),
        pytest.param(LLAMA_8B, "awq-int4-g128", (1, 2, 4, 8, 16), id="8B in AWQ"),
        pytest.param(LLAMA_70B, "gptq-int4-g128", (1, 2, 4, 8, 16), id="70B in GPTQ"),
        pytest.param(LLAMA_405B, "fbgemm-fp8", (1, 2, 4, 8, 16), id="405B in FP8"),
        pytest.param(
            dataclasses.replace(LLAMA_8B, num_key_value_heads=2, num_attention_heads=12),
            "none",
            (1, 2, 4),
            id="12 heads divide by 4 and 2 KV heads repeat, 8 does not divide",
        ),
        pytest.param(
            dataclasses.replace(LLAMA_8B, num_key_value_heads=6, num_attention_heads=48),
            "none",
            (1, 2),
            id="6 KV heads neither divide by 4 nor repeat",
        ),
        pytest.param(
            dataclasses.replace(LLAMA_1B, intermediate_size=8192, hidden_size=2048),
            "awq-int4-g128",
            (1, 2, 4, 8, 16),
            id="1B: 2048/16 is one group of 128",
        ),
        pytest.param(
            dataclasses.replace(LLAMA_8B, intermediate_size=14_208),
            "awq-int4-g128",
            (1,),
            id="a width of 111 groups of 128 cannot be halved",
        ),
    ],
)
def test_models_are_divided_where_heads_and_groups_stay_whole(
    architecture: Architecture, scheme_name: str, expected: tuple[int, ...]
) -> None:
    assert valid_tensor_parallel_sizes(architecture, scheme(scheme_name)) == expected


@pytest.mark.parametrize(
    ("size", "message"),
    [
        pytest.param(3, "32 attention heads do not divide by 3", id="heads"),
        pytest.param(32, "on 32 GPUs a feed-forward matrix has 448 inputs", id="groups"),
    ],
)
def test_an_obstacle_says_what_does_not_divide(size: int, message: str) -> None:
    obstacle = tensor_parallel_obstacle(LLAMA_8B, scheme("awq-int4-g128"), size)
    assert obstacle is not None
    assert obstacle.startswith(message)


@pytest.mark.parametrize(
    ("layers", "stages", "expected"),
    [
        pytest.param(126, 1, (126,), id="one stage"),
        pytest.param(32, 2, (16, 16), id="even"),
        pytest.param(126, 4, (31, 32, 32, 31), id="a remainder goes to the middle"),
        pytest.param(80, 3, (27, 27, 26), id="never the last stage"),
    ],
)
def test_layers_are_divided_over_stages(
    layers: int, stages: int, expected: tuple[int, ...]
) -> None:
    assert stage_layers(layers, stages) == expected
