import dataclasses

import pytest

from llama_operator.catalog.rows import Architecture
from llama_operator.errors import UnsupportedArchitectureError
from llama_operator.sizing.parameters import linear_parameters, parameters
from unit.sizing.rows import (
    LLAMA_1B,
    LLAMA_3B,
    LLAMA_8B,
    LLAMA_70B,
    LLAMA_405B,
    LLAMA_405B_JULY_2024,
)


@pytest.mark.parametrize(
    ("architecture", "expected"),
    [
        pytest.param(LLAMA_8B, 8_030_261_248, id="Llama 3.1 8B"),
        pytest.param(LLAMA_70B, 70_553_706_496, id="Llama 3.1 70B"),
        pytest.param(LLAMA_405B, 405_853_388_800, id="Llama 3.1 405B with 8 KV heads"),
        pytest.param(
            LLAMA_405B_JULY_2024, 410_081_247_232, id="Llama 3.1 405B as of July 2024, 16 KV heads"
        ),
        # 128256*2048 embedding, once; 16 layers of 2*2048*2048 + 2*2048*512 + 3*2048*8192 + 2*2048;
        # 2048 of the last norm: 262,668,288 + 16*60,821,504 + 2,048
        pytest.param(LLAMA_1B, 1_235_814_400, id="Llama 3.2 1B with tied embeddings"),
        # 128256*3072 + 28*(2*3072*3072 + 2*3072*1024 + 3*3072*8192 + 2*3072) + 3072
        pytest.param(LLAMA_3B, 3_212_749_824, id="Llama 3.2 3B with tied embeddings"),
    ],
)
def test_parameters_are_counted_exactly(architecture: Architecture, expected: int) -> None:
    assert parameters(architecture) == expected


def test_linear_layers_of_the_70b_hold_the_published_share() -> None:
    assert linear_parameters(LLAMA_70B) == 68_451_041_280


def test_a_model_type_without_formulas_is_refused_by_name() -> None:
    unknown = dataclasses.replace(LLAMA_8B, model_type="mixtral")
    with pytest.raises(UnsupportedArchitectureError, match=r"'mixtral'.*supported: llama"):
        parameters(unknown)
