"""Headers of GGUF files against the `config.json` of the model that they were made from.

Keys and values are those that llama.cpp's converter writes for the model (its logs print them); a
shape read from them is the same as from the model's own configuration.
"""

import json
from pathlib import Path
from typing import Any

import pytest

from llama_operator.catalog.gguf_architectures import (
    gguf_architectures,
    gguf_file_types,
    gguf_keys,
    gguf_switches,
)
from llama_operator.errors import SizingError
from llama_operator.sizing.gguf import gguf_bytes
from llama_operator.sizing.gguf_header import (
    file_type_of,
    gguf_config,
    gguf_shape,
    is_known_architecture,
    named_file_type,
)
from llama_operator.sizing.models.shape import model_shape

CONFIGS = Path(__file__).parents[2] / "data" / "model-configs"
LISTS = ("token_embd.weight", "output_norm.weight", "blk.0.attn_norm.weight")
UNTIED = (*LISTS, "output.weight")

LLAMA = {
    "general.architecture": "llama", "llama.block_count": 32, "llama.context_length": 131072,
    "llama.embedding_length": 4096, "llama.feed_forward_length": 14336,
    "llama.attention.head_count": 32, "llama.attention.head_count_kv": 8,
    "llama.rope.dimension_count": 128, "llama.rope.freq_base": 500000.0, "llama.vocab_size": 128256,
    "general.file_type": 15,
}  # fmt: skip
"""Of Llama 3.1 8B."""


def keys(architecture: str, **values: Any) -> dict[str, Any]:
    """Metadata of an architecture; `__` stands for the dot of a key."""
    own = {f"{architecture}.{name.replace('__', '.')}": value for name, value in values.items()}
    return {"general.architecture": architecture, **own}


CASES = [
    pytest.param("meta-llama--Llama-3.1-8B-Instruct", LLAMA, 128256, UNTIED, id="llama"),
    pytest.param(
        "mistralai--Mixtral-8x7B-Instruct-v0.1",
        keys(
            "llama", block_count=32, context_length=32768, embedding_length=4096,
            feed_forward_length=14336, attention__head_count=32, attention__head_count_kv=8,
            expert_count=8, expert_used_count=2,
        ),
        32000, UNTIED, id="mixtral is a llama with experts",
    ),
    pytest.param(
        "mistralai--Mistral-Small-3.2-24B-Instruct-2506",
        keys(
            "mistral3", block_count=40, context_length=131072, embedding_length=5120,
            feed_forward_length=32768, attention__head_count=32, attention__head_count_kv=8,
            attention__key_length=128, attention__value_length=128,
        ),
        131072, UNTIED, id="mistral3",
    ),
    pytest.param(
        "Qwen--Qwen2.5-7B-Instruct",
        keys(
            "qwen2", block_count=28, context_length=32768, embedding_length=3584,
            feed_forward_length=18944, attention__head_count=28, attention__head_count_kv=4,
        ),
        152064, (*UNTIED, "blk.0.attn_q.bias"), id="qwen2",
    ),
    pytest.param(
        "Qwen--Qwen1.5-MoE-A2.7B",
        keys(
            "qwen2moe", block_count=24, context_length=8192, embedding_length=2048,
            feed_forward_length=5632, attention__head_count=16, attention__head_count_kv=16,
            expert_count=60, expert_used_count=4, expert_feed_forward_length=1408,
            expert_shared_feed_forward_length=5632,
        ),
        151936, UNTIED, id="qwen2moe",
    ),
    pytest.param(
        "Qwen--Qwen3-0.6B",
        keys(
            "qwen3", block_count=28, context_length=40960, embedding_length=1024,
            feed_forward_length=3072, attention__head_count=16, attention__head_count_kv=8,
            attention__key_length=128, attention__value_length=128,
        ),
        151936, LISTS, id="qwen3, tied",
    ),
    pytest.param(
        "Qwen--Qwen3-30B-A3B",
        keys(
            "qwen3moe", block_count=48, context_length=40960, embedding_length=2048,
            feed_forward_length=6144, attention__head_count=32, attention__head_count_kv=4,
            attention__key_length=128, attention__value_length=128, expert_count=128,
            expert_used_count=8, expert_feed_forward_length=768,
        ),
        151936, UNTIED, id="qwen3moe",
    ),
    pytest.param(
        "google--gemma-7b",
        keys(
            "gemma", block_count=28, context_length=8192, embedding_length=3072,
            feed_forward_length=24576, attention__head_count=16, attention__head_count_kv=16,
            attention__key_length=256, attention__value_length=256,
        ),
        256000, LISTS, id="gemma",
    ),
    pytest.param(
        "google--gemma-2-9b-it",
        keys(
            "gemma2", block_count=42, context_length=8192, embedding_length=3584,
            feed_forward_length=14336, attention__head_count=16, attention__head_count_kv=8,
            attention__key_length=256, attention__value_length=256, attention__sliding_window=4096,
        ),
        256000, LISTS, id="gemma2",
    ),
    pytest.param(
        "google--gemma-3-12b-it",
        keys(
            "gemma3", block_count=48, context_length=131072, embedding_length=3840,
            feed_forward_length=15360, attention__head_count=16, attention__head_count_kv=8,
            attention__key_length=256, attention__value_length=256, attention__sliding_window=1024,
            rope__scaling__type="linear", rope__scaling__factor=8.0,
        ),
        262208, LISTS, id="gemma3",
    ),
    pytest.param(
        "microsoft--phi-4",
        keys(
            "phi3", block_count=40, context_length=16384, embedding_length=5120,
            feed_forward_length=17920, attention__head_count=40, attention__head_count_kv=10,
            attention__sliding_window=0,
        ),
        100352, UNTIED, id="phi3",
    ),
    pytest.param(
        "ibm-granite--granite-3.1-8b-instruct",
        keys(
            "granite", block_count=40, context_length=131072, embedding_length=4096,
            feed_forward_length=12800, attention__head_count=32, attention__head_count_kv=8,
        ),
        49155, LISTS, id="granite",
    ),
    pytest.param(
        "deepseek-ai--DeepSeek-V2-Lite-Chat",
        keys(
            "deepseek2", block_count=27, context_length=163840, embedding_length=2048,
            feed_forward_length=10944, attention__head_count=16, attention__head_count_kv=1,
            attention__key_length=576, attention__value_length=512, attention__key_length_mla=192,
            attention__value_length_mla=128, attention__kv_lora_rank=512, rope__dimension_count=64,
            leading_dense_block_count=1, expert_count=64, expert_used_count=6,
            expert_shared_count=2, expert_feed_forward_length=1408, vocab_size=102400,
            rope__scaling__type="yarn", rope__scaling__factor=40.0,
            rope__scaling__original_context_length=4096,
        ),
        102400, UNTIED, id="deepseek2",
    ),
    pytest.param(
        "deepseek-ai--DeepSeek-R1",
        keys(
            "deepseek2", block_count=61, context_length=163840, embedding_length=7168,
            feed_forward_length=18432, attention__head_count=128, attention__head_count_kv=1,
            attention__key_length=576, attention__value_length=512, attention__key_length_mla=192,
            attention__value_length_mla=128, attention__kv_lora_rank=512,
            attention__q_lora_rank=1536, rope__dimension_count=64, leading_dense_block_count=3,
            expert_count=256, expert_used_count=8, expert_shared_count=1,
            expert_feed_forward_length=2048, rope__scaling__type="yarn",
            rope__scaling__factor=40.0, rope__scaling__original_context_length=4096,
        ),
        129280, (*UNTIED, "blk.3.exp_probs_b.bias"), id="deepseek2 with corrections",
    ),
    pytest.param(
        "openai--gpt-oss-20b",
        keys(
            "gpt-oss", block_count=24, context_length=131072, embedding_length=2880,
            feed_forward_length=2880, attention__head_count=64, attention__head_count_kv=8,
            attention__key_length=64, attention__value_length=64, attention__sliding_window=128,
            expert_count=32, expert_used_count=4, expert_feed_forward_length=2880,
            rope__scaling__type="yarn", rope__scaling__factor=32.0,
            rope__scaling__original_context_length=4096,
        ),
        201088, UNTIED, id="gpt-oss",
    ),
]  # fmt: skip


@pytest.mark.parametrize(("folder", "metadata", "vocabulary", "tensors"), CASES)
def test_a_header_has_the_shape_of_the_model_it_was_made_from(
    folder: str, metadata: dict[str, Any], vocabulary: int, tensors: tuple[str, ...]
) -> None:
    config = json.loads((CONFIGS / folder / "config.json").read_text("utf-8"))
    expected = model_shape(config)
    found = gguf_shape(metadata, {"tokenizer.ggml.tokens": vocabulary}, tensors)
    assert gguf_bytes(found, "Q4_K_M") == gguf_bytes(expected, "Q4_K_M")
    assert [layer.cache for layer in found.layers] == [layer.cache for layer in expected.layers]
    assert [layer.feed_forward for layer in found.layers] == [
        layer.feed_forward for layer in expected.layers
    ]
    assert (found.vocab_size, found.tied) == (vocabulary, expected.tied)
    assert found.rope_elements == expected.rope_elements
    assert found.max_position_embeddings == expected.max_position_embeddings
    assert found.bounds == ()


@pytest.mark.parametrize(
    ("architecture", "more", "parameters"),
    [
        # 2 * 49155 * 1024 + 1024 + 24 * (2 * 1024 * 1024 + 2 * 1024 * 512 + 2 * 1024
        # + 32 * (1024 + 3 * 1024 * 512)), tied: once 49155 * 1024.
        pytest.param("granitemoe", {}, 50_334_720 + 1024 + 24 * 53_512_192, id="granitemoe"),
        pytest.param(
            "granitemoe", {"expert_shared_feed_forward_length": 1024},
            50_334_720 + 1024 + 24 * (53_512_192 + 3 * 1024 * 1024), id="with a shared expert",
        ),
        # 49155 * 1024 + 1024 + 24 * (2 * 1024 * 1024 + 2 * 1024 * 512 + 2 * 1024 + 3 * 1024 * 512).
        pytest.param("smollm3", {}, 50_334_720 + 1024 + 24 * 4_720_640, id="smollm3"),
    ],
)  # fmt: skip
def test_architectures_without_a_published_configuration(
    architecture: str, more: dict[str, int], parameters: int
) -> None:
    experts = {"expert_count": 32, "expert_used_count": 8} if architecture == "granitemoe" else {}
    metadata = keys(
        architecture, block_count=24, context_length=4096, embedding_length=1024,
        feed_forward_length=512, attention__head_count=16, attention__head_count_kv=8,
        **experts, **more,
    )  # fmt: skip
    shape = gguf_shape(metadata, {"tokenizer.ggml.tokens": 49155}, LISTS)
    assert shape.parameters() == parameters


def test_every_architecture_is_looked_at() -> None:
    looked = {case.values[1]["general.architecture"] for case in CASES}
    assert looked | {"granitemoe", "smollm3"} == set(gguf_architectures())


@pytest.mark.parametrize(
    ("changes", "part"),
    [
        pytest.param(
            {"general.architecture": "mamba"},
            "general.architecture: 'mamba' is not known; known are deepseek2, gemma, gemma2,",
            id="an architecture without a row",
        ),
        pytest.param({"general.architecture": None}, "None is not known", id="no architecture"),
        pytest.param({"general.architecture": ["llama"]}, "is not known", id="a list of them"),
        pytest.param(
            {"llama.embedding_length": None},
            "llama.embedding_length: is missing; a whole number from 1 to 16,777,216",
            id="a key is missing",
        ),
        pytest.param(
            {"llama.block_count": "32"}, "llama.block_count: '32' is no whole number", id="a text"
        ),
        pytest.param(
            {"llama.block_count": 2**63}, "llama.block_count: 9223372036854775808 is no", id="huge"
        ),
        pytest.param(
            {"llama.attention.head_count_kv": [8, 4]},
            "llama.attention.head_count_kv: a list is no whole number",
            id="layers that differ",
        ),
        pytest.param(
            {"llama.attention.value_length": 64},
            "llama.attention.value_length: 64 is not the length of keys, 128",
            id="values of another length than keys",
        ),
        pytest.param(
            {"llama.rope.scaling.type": "linear", "llama.rope.scaling.factor": float("nan")},
            "llama.rope.scaling.factor: nan is no number above 0",
            id="a factor that is no number",
        ),
        pytest.param(
            {"llama.vocab_size": None},
            "tokenizer.ggml.tokens or llama.vocab_size: is missing",
            id="no vocabulary",
        ),
        pytest.param(
            {"llama.expert_count": 4},
            "llama.expert_used_count: is missing",
            id="experts without their number per token",
        ),
    ],
)
def test_a_wrong_header_names_its_key(changes: dict[str, Any], part: str) -> None:
    metadata = {key: value for key, value in (LLAMA | changes).items() if value is not None}
    with pytest.raises(SizingError) as raised:
        gguf_shape(metadata, {}, UNTIED)
    assert part in str(raised.value)


def test_experts_without_a_rule_are_told() -> None:
    metadata = keys("qwen3", expert_count=8)
    with pytest.raises(SizingError, match=r"qwen3\.expert_count: 8 experts have no rule"):
        gguf_config(metadata, {}, ())


def test_deepseek_without_the_lengths_of_mla_is_told() -> None:
    """llama.cpp keeps whole keys and values for such a file, not the latent vector."""
    metadata = keys(
        "deepseek2", block_count=27, context_length=163840, embedding_length=2048,
        feed_forward_length=10944, attention__head_count=16, attention__head_count_kv=16,
        attention__key_length=192, attention__value_length=128, attention__kv_lora_rank=512,
        rope__dimension_count=64, leading_dense_block_count=1, expert_count=64,
        expert_used_count=6, expert_shared_count=2, expert_feed_forward_length=1408,
    )  # fmt: skip
    with pytest.raises(SizingError, match=r"deepseek2\.attention\.key_length_mla: is missing"):
        gguf_shape(metadata, {"tokenizer.ggml.tokens": 102400}, UNTIED)


def test_what_the_tensors_tell() -> None:
    config = gguf_config(LLAMA, {}, (*LISTS, "blk.7.attn_q.bias", "blk.7.ffn_up.bias"))
    assert (config["attention_bias"], config["mlp_bias"]) == (True, True)
    assert config["tie_word_embeddings"] is True
    assert "attention_bias" not in gguf_config(LLAMA, {}, UNTIED)


def test_values_that_are_equal_in_all_layers_are_one() -> None:
    config = gguf_config(LLAMA | {"llama.attention.head_count_kv": [8] * 32}, {}, UNTIED)
    assert config["num_key_value_heads"] == 8


def test_the_vocabulary_is_the_list_of_tokens_before_the_key() -> None:
    assert gguf_config(LLAMA, {"tokenizer.ggml.tokens": 128258}, UNTIED)["vocab_size"] == 128258
    assert gguf_config(LLAMA, {}, UNTIED)["vocab_size"] == 128256


@pytest.mark.parametrize(
    ("number", "name", "nearest", "expected"),
    [
        pytest.param(15, "Llama-3.1-8B-Q4_K_M", "Q4_K_M", "Q4_K_M", id="both say the same"),
        pytest.param(15, "Llama-3.1-8B-Q4_K_L", "Q4_K_L", "Q4_K_L", id="the name says more"),
        pytest.param(15, "renamed-Q8_0", "Q4_K_M", "Q4_K_M", id="the name is wrong"),
        pytest.param(15, "ggml-model", "Q2_K", "Q4_K_M", id="the header alone"),
        pytest.param(1024 + 7, "ggml-model", "Q8_0", "Q8_0", id="guessed"),
        pytest.param(None, "m.Q5_K_S", "Q5_K_S", "Q5_K_S", id="the name alone"),
        pytest.param(36, "m-q6_k", "Q6_K", "Q6_K", id="a number without a row"),
    ],
)
def test_the_mix_of_a_file(number: int | None, name: str, nearest: str, expected: str) -> None:
    shape = gguf_shape(LLAMA, {}, UNTIED)
    metadata = {} if number is None else {"general.file_type": number}
    assert file_type_of(shape, metadata, name, gguf_bytes(shape, nearest)) == expected


def test_a_mix_that_nothing_tells() -> None:
    shape = gguf_shape(LLAMA, {}, UNTIED)
    with pytest.raises(SizingError, match=r"general\.file_type is 36 and the name 'm-TQ1_0' ends"):
        file_type_of(shape, {"general.file_type": 36}, "m-TQ1_0", 1)
    with pytest.raises(SizingError, match="known are F32, F16"):
        file_type_of(shape, {"general.file_type": "15"}, "m", 1)


@pytest.mark.parametrize(
    ("name", "expected"),
    [("m-IQ4_XS", "IQ4_XS"), ("m_q8_0", "Q8_0"), ("BF16", "BF16"), ("m-UD-Q4_K_XL", None)],
)
def test_the_mix_that_a_name_ends_in(name: str, expected: str | None) -> None:
    assert named_file_type(name) == expected


def test_which_architectures_are_known() -> None:
    assert is_known_architecture(LLAMA)
    assert not is_known_architecture({"general.architecture": ["llama"]})
    assert not is_known_architecture({})


def test_rows_of_the_tables_are_read_and_used() -> None:
    assert gguf_file_types()[15] == "Q4_K_M"
    assert len(gguf_file_types()) == 31
    for row in (*gguf_keys(), *gguf_switches()):
        assert row.source
    # A row for all architectures hides those that come after it.
    general: set[str] = set()
    for row in gguf_keys():
        assert row.config_key not in general
        if row.architecture == "*":
            general.add(row.config_key)
