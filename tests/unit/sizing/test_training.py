"""Memory to fine-tune Llama 3.1 8B, worked out by hand.

Shape: h = 4096, i = 14336, L = 32, 32 heads of 128, 8 KV heads, V = 128256.
"""

from dataclasses import replace

import pytest

from llama_operator.catalog.training_tables import (
    METHODS,
    Optimizer,
    read_optimizers,
    read_published_training,
)
from llama_operator.errors import SizingError
from llama_operator.sizing.models.model import ModelShape
from llama_operator.sizing.models.shape import model_shape
from llama_operator.sizing.scheme_names import scheme_for
from llama_operator.sizing.training import (
    TrainingSetting,
    activation_bytes,
    layer_activation_bytes,
    output_activation_bytes,
    training_memory,
)
from support.llama_8b import CONFIG as LLAMA_8B

MIXTRAL = {
    "model_type": "mixtral",
    "hidden_size": 4096,
    "intermediate_size": 14336,
    "num_hidden_layers": 32,
    "num_attention_heads": 32,
    "num_key_value_heads": 8,
    "num_local_experts": 8,
    "num_experts_per_tok": 2,
    "vocab_size": 32000,
    "tie_word_embeddings": False,
    "max_position_embeddings": 32768,
}
PHI_2 = {
    "model_type": "phi",
    "hidden_size": 2560,
    "intermediate_size": 10240,
    "num_hidden_layers": 32,
    "num_attention_heads": 32,
    "num_key_value_heads": 32,
    "vocab_size": 51200,
    "partial_rotary_factor": 0.4,
    "max_position_embeddings": 2048,
}
OPTIMIZERS = {row.name: row for row in read_optimizers()}
PARAMETERS = 8_030_261_248


@pytest.fixture(scope="module")
def llama_8b() -> ModelShape:
    return model_shape(LLAMA_8B)


def full(optimizer: str = "adamw", **changes: object) -> TrainingSetting:
    setting = TrainingSetting(OPTIMIZERS[optimizer], scheme_for("none"))
    return replace(setting, **changes)  # type: ignore[arg-type]


def lora(scheme: str = "none", **changes: object) -> TrainingSetting:
    setting = TrainingSetting(OPTIMIZERS["adamw"], scheme_for(scheme), lora_rank=16)
    return replace(setting, **changes)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("optimizer", "states"),
    [
        pytest.param("adamw", 12 * PARAMETERS, id="fp32 copy and two fp32 moments"),
        pytest.param("adamw-bf16", 4 * PARAMETERS, id="two moments in bf16 and no copy"),
        pytest.param("sgd", 4 * PARAMETERS, id="the fp32 copy alone"),
        # Every matrix divides by 256, and so does h: blocks are 8,030,261,248 / 256 = 31,368,208.
        pytest.param(
            "adamw-8bit",
            4 * PARAMETERS + 2 * PARAMETERS + 2 * 4 * 31_368_208,
            id="fp32 copy, two bytes of moments and two maxima a block",
        ),
        # Rows and columns: embeddings 2 * (128256 + 4096); a layer q, o 2 * 8192, k, v 2 * 5120,
        # gate, up, down 3 * 18432, norms whole 2 * 4096; the final norm 4096.
        pytest.param(
            "adafactor",
            4 * PARAMETERS + 4 * (264_704 + 32 * (16_384 + 10_240 + 55_296 + 8_192) + 4_096),
            id="fp32 copy and sums of rows and columns",
        ),
    ],
)
def test_all_weights(llama_8b: ModelShape, optimizer: str, states: int) -> None:
    memory = training_memory(llama_8b, full(optimizer))
    assert memory.trained_parameters == PARAMETERS
    assert memory.weights_bytes == 16_060_522_496
    assert memory.gradient_bytes == 16_060_522_496
    assert memory.optimizer_bytes == states
    assert memory.adapter_bytes == 0
    assert memory.temporary_bytes == 0


@pytest.mark.parametrize(
    ("targets", "adapters"),
    [
        # A layer of rank 16: q, o 16 * 8192 = 131,072; k, v 16 * 5120 = 81,920;
        # gate, up, down 16 * 18432 = 294,912.
        pytest.param("all", 41_943_040, id="all matrices: 1,310,720 a layer"),
        pytest.param("attention", 13_631_488, id="attention: 425,984 a layer"),
        pytest.param("q-v", 6_815_744, id="queries and values: 212,992 a layer"),
    ],
)
def test_adapters(llama_8b: ModelShape, targets: str, adapters: int) -> None:
    memory = training_memory(llama_8b, lora(lora_targets=targets))
    assert memory.trained_parameters == adapters
    assert memory.weights_bytes == 16_060_522_496
    assert memory.adapter_bytes == 4 * adapters
    assert memory.gradient_bytes == 4 * adapters
    assert memory.optimizer_bytes == 8 * adapters


def test_adapters_in_16_bit_when_the_optimizer_works_in_16_bit(llama_8b: ModelShape) -> None:
    memory = training_memory(llama_8b, lora(optimizer=OPTIMIZERS["adamw-bf16"]))
    assert memory.adapter_bytes == memory.gradient_bytes == 2 * 41_943_040
    assert memory.optimizer_bytes == 4 * 41_943_040


def test_adapters_grow_with_their_rank(llama_8b: ModelShape) -> None:
    assert training_memory(llama_8b, lora(lora_rank=64)).trained_parameters == 4 * 41_943_040


def test_every_expert_has_adapters() -> None:
    # A layer of rank 16: attention 425,984 as above; 8 experts with 3 * 294,912 each.
    memory = training_memory(model_shape(MIXTRAL), lora())
    assert memory.trained_parameters == 32 * (425_984 + 8 * 3 * 294_912)


def test_a_model_without_the_matrices_is_refused() -> None:
    shape = model_shape(LLAMA_8B)
    layers = tuple(
        replace(
            layer, tensors=tuple(t for t in layer.tensors if t.name not in ("q_proj", "v_proj"))
        )
        for layer in shape.layers
    )
    with pytest.raises(SizingError, match="lora_targets 'q-v': the model has no such matrix"):
        training_memory(replace(shape, layers=layers), lora(lora_targets="q-v"))


def test_qlora_holds_weights_in_4_bit_and_unpacks_one_matrix_at_a_time(
    llama_8b: ModelShape,
) -> None:
    # Linears 6,979,321,856 weights: half a byte, a byte for 64, 4 bytes for 16,384;
    # embeddings 2 * 128256 * 4096 and norms 65 * 4096 in 16 bit.
    linears = 3_489_660_928 + 109_051_904 + 1_703_936
    memory = training_memory(llama_8b, lora("bnb-nf4-dq"))
    assert memory.weights_bytes == linears + 2_101_346_304 + 532_480
    assert memory.temporary_bytes == 2 * 4096 * 14336
    assert memory.trained_parameters == 41_943_040


def test_zero3_divides_all_but_activations_and_gathers_one_unit(llama_8b: ModelShape) -> None:
    one, eight = (training_memory(llama_8b, full(gpus=8, zero3=zero3)) for zero3 in (False, True))
    assert one == training_memory(llama_8b, full())
    assert eight.weights_bytes == 16_060_522_496 // 8
    assert eight.gradient_bytes == 16_060_522_496 // 8
    assert eight.optimizer_bytes == 96_363_134_976 // 8
    assert eight.activation_bytes == one.activation_bytes
    # The embedding, 128256 * 4096, is larger than a layer of 218,112,000; weights and gradient.
    assert eight.temporary_bytes == 4 * 525_336_576
    frozen = training_memory(llama_8b, lora(gpus=8, zero3=True))
    assert frozen.temporary_bytes == 2 * 525_336_576
    assert frozen.adapter_bytes == 4 * 41_943_040 // 8


def test_activations_of_a_layer(llama_8b: ModelShape) -> None:
    # For a token: two norms, in and out, 4 * 4096; q, k, v 6,144; the attention's result 4,096;
    # gate and up 28,672; the activated gate and the product 28,672: 83,968 of 2 bytes.
    layer = llama_8b.layers[0]
    assert layer_activation_bytes(llama_8b, layer, full()) == 2048 * 167_936
    # Seven adapters keep 16 more each.
    assert layer_activation_bytes(llama_8b, layer, lora()) == 2048 * (167_936 + 2 * 112)


def test_a_token_keeps_what_its_two_experts_make_of_it() -> None:
    # As above, with 2 of 8 experts: norms, attention 26,624; twice 4 * 14,336; scores of 8 experts.
    shape = model_shape(MIXTRAL)
    kept = layer_activation_bytes(shape, shape.layers[0], full())
    assert kept == 2048 * 2 * (26_624 + 2 * 57_344 + 8)


def test_a_layer_of_gpt_is_that_of_the_paper_without_dropout(llama_8b: ModelShape) -> None:
    # Korthikanti et al., section 4.1: 34 bytes for each of s*b*h, two of them dropout masks. Phi-2
    # has such a layer but one norm for attention and feed-forward alike: 4 bytes less.
    shape = model_shape(PHI_2)
    kept = layer_activation_bytes(shape, shape.layers[0], full(batch_size=3, sequence_length=100))
    assert kept == 3 * 100 * 2560 * (34 - 2 - 4)


def test_the_peak_with_checkpointing_is_inputs_and_the_output(llama_8b: ModelShape) -> None:
    # Inputs 2 * 2048 * 4096 * 32; output 4 * 2048 * (4096 + 128256), more than a layer.
    assert output_activation_bytes(llama_8b, full()) == 1_084_227_584
    assert activation_bytes(llama_8b, full()) == 536_870_912 + 1_084_227_584


def test_the_peak_without_checkpointing_is_all_layers_and_the_output(llama_8b: ModelShape) -> None:
    kept = activation_bytes(llama_8b, full(checkpointing=False))
    assert kept == 32 * 2048 * 167_936 + 1_084_227_584


def test_activations_grow_with_batch_and_sequence(llama_8b: ModelShape) -> None:
    once = activation_bytes(llama_8b, full())
    assert activation_bytes(llama_8b, full(batch_size=4)) == 4 * once
    assert activation_bytes(llama_8b, full(sequence_length=8192)) == 4 * once


def test_the_published_adapters_are_within_a_fifth(llama_8b: ModelShape) -> None:
    # LoRA on 16-bit weights, of all figures the plainest: 16.06 GB of weights were printed as 16.
    memory = training_memory(llama_8b, lora(sequence_length=512))
    assert 0 < memory.total_bytes / 16e9 - 1 < 0.2


def test_the_total_is_the_sum(llama_8b: ModelShape) -> None:
    memory = training_memory(llama_8b, lora("bnb-nf4-dq"))
    parts = (
        memory.weights_bytes, memory.adapter_bytes, memory.gradient_bytes,
        memory.optimizer_bytes, memory.activation_bytes, memory.temporary_bytes,
    )  # fmt: skip
    assert memory.total_bytes == sum(parts)
    assert min(parts) > 0


def test_the_tables() -> None:
    assert next(iter(OPTIMIZERS)) == "adamw"
    assert OPTIMIZERS["adamw"] == Optimizer("adamw", 4, 2, 4, 0, False, OPTIMIZERS["adamw"].source)
    published = {
        (row.parameters, row.method): row.published_gb for row in read_published_training()
    }
    assert [published[PARAMETERS, method] for method in METHODS] == [60, 16, 6]
    assert [published[70_553_706_496, method] for method in METHODS] == [300, 160, 48]
    assert [published[405_853_388_800, method] for method in METHODS] == [3250, 950, 250]
