from llama_operator.catalog.model_families import (
    expert_families,
    model_families,
    multimodal_families,
)
from llama_operator.sizing.models.config import Config
from llama_operator.sizing.models.switches import is_on, norm_of_queries
from llama_operator.sizing.models.vision.towers import PROJECTORS, TOWERS


def test_every_mixture_belongs_to_a_family() -> None:
    assert set(expert_families()) <= set(model_families())


def test_text_parts_towers_and_projectors_of_multimodal_families_are_known() -> None:
    for family in multimodal_families().values():
        assert family.text_model_type in model_families()
        assert not family.tower or family.tower in TOWERS
        assert not family.projector or family.projector in PROJECTORS


def test_switches_of_every_row_can_be_read() -> None:
    for family in model_families().values():
        for cell in (family.qkv_bias, family.output_bias, family.mlp_bias):
            assert is_on(cell, Config({})) in (True, False)
        assert norm_of_queries(family.qk_norm, Config({})) in ("", "head", "layer", "whole")
    for experts in expert_families().values():
        assert is_on(experts.correction_bias, Config({})) in (True, False)


def test_defaults_are_numbers_by_key() -> None:
    assert model_families()["gemma3_text"].defaults == {
        "num_attention_heads": 8,
        "num_key_value_heads": 4,
        "head_dim": 256,
        "vocab_size": 262208,
        "sliding_window": 4096,
        "max_position_embeddings": 131072,
    }
    assert model_families()["llama"].defaults == {}
